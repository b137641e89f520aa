//! What the core promises on slices, without libtorch.

mod any_raw;
mod any_table;
mod case;
mod golden;
mod head;
mod labels;
mod levels;
mod metrics;
mod number;
mod pass;
mod settings;
mod update;
