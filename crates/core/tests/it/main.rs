//! What the core promises on slices, without libtorch.

mod case;
mod labels;
mod levels;
mod pass;
