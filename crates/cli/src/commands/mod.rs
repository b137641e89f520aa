//! What the program does for each of its commands.

pub mod apply;
pub mod compare;
pub mod demo;
pub mod inspect;
pub mod train;
