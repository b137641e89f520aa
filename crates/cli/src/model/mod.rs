//! What is trained, and how: the network, its loss, the update rule.

pub mod network;
pub mod objective;
pub mod optimizer;
