//! A run: its split, its training, its scores and its files.

pub mod checkpoint;
pub mod description;
pub mod evaluate;
pub mod events;
pub mod fit;
pub mod output;
pub mod predict;
pub mod progress;
mod sealed;
pub mod split;
pub mod stop;
pub mod weights;
