//! Tables in files and in memory.

#[cfg(test)]
mod any_bytes;
mod arrays;
mod arrow;
mod bits;
mod cell;
mod checksum;
mod columns;
mod csr;
mod csv;
mod damage;
mod decode;
mod features;
mod file;
pub mod leaks;
mod lines;
mod long;
mod moments;
mod npz;
mod parquet;
mod raw;
mod read;
mod safetensors;
mod table;

pub use self::safetensors::tensors;
pub use cell::word;
#[cfg(test)]
pub use csr::Csr;
pub use features::{Batch, Block, Features, chunk, first_true};
pub use lines::{EMPTY, Lines};
pub use table::Table;
