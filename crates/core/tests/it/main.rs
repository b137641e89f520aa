//! What the core promises on slices, without libtorch.

mod case;
mod golden;
mod head;
mod labels;
mod levels;
mod pass;
mod update;
