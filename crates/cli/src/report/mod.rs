//! Charts, tables and other reports, in files and on the terminal.

mod charts;
pub mod files;
mod page;
pub mod predictions;
pub mod results;
pub mod terminal;
