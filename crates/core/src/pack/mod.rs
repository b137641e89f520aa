//! Packs the observed entries of a block, so that nothing is computed for the missing ones.

mod pipeline;
mod selection;

pub(crate) use self::pipeline::Pipeline;
pub(crate) use self::selection::Selection;
