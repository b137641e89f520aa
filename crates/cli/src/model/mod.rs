//! The network, its loss and its optimizer.

pub mod network;
pub mod objective;
pub mod optimizer;
