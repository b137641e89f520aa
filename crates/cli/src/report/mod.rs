//! What a run leaves to be looked at: files with charts and tables, and what is printed.

mod charts;
pub mod files;
mod page;
pub mod predictions;
pub mod results;
pub mod terminal;
