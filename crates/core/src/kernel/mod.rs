//! Value and derivative of a chunk of packed entries, in a loop that vectorises.

mod chunk;
mod formula;
mod lane;
mod sigmoid;
mod trace;

pub(crate) use self::chunk::Chunk;
pub use self::formula::{Assumed, Entries, Formula};
pub(crate) use self::trace::Uses;
