//! Runs the built program `masked-loss`, as its users do.

mod apply;
mod array_types;
mod averages;
mod charts;
#[cfg(unix)]
mod checkpoint;
mod compare;
mod config;
mod csv;
mod decode;
mod demo;
mod epochs;
mod events;
#[cfg(unix)]
mod folders;
mod head;
mod inspect;
mod leaks;
mod long;
mod names;
mod objective;
#[cfg(unix)]
mod output;
mod parquet;
mod parquet_types;
mod program;
mod refuse;
mod report;
mod sparse;
mod split;
mod standardize;
mod start;
mod tables;
mod train;
mod trained;
mod wide;
