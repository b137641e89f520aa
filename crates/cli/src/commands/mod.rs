//! The commands of the program.

pub mod apply;
pub mod compare;
pub mod demo;
pub mod inspect;
pub mod train;
