//! Packs the observed entries of a block, so that nothing is computed for the others.

mod pipeline;
mod selection;

pub(crate) use self::pipeline::Pipeline;
pub(crate) use self::selection::Selection;
