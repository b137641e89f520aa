//! The command line and the options in files.

pub mod args;
pub mod config;
pub mod device;
pub mod names;
pub mod source;
pub mod splitting;
pub mod training;
