#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod error;
mod head;
mod kernel;
mod labels;
pub mod losses;
mod memory;
pub mod metrics;
mod number;
mod pack;
mod pass;
mod scalar;
mod simd;
mod sizes;
mod threads;
mod update;

pub use error::{Error, Result, check_setting};
pub use head::{HeadGradients, HeadPass, LayerGradients, Linear, Touched};
pub use kernel::{Assumed, Entries, Formula};
pub use labels::{
    Cells, CellsMut, Encoded, EntryWeights, Observed, ObservedEntries, Range, Raw, RawLabels, Sparse, Table, Weights,
    sum,
};
pub use losses::Elementwise;
pub use memory::{Bf16, F16};
pub use number::{Dual, Real};
pub use pass::Pass;
pub use scalar::{Scalar, Storage};
pub use simd::Simd;
pub use threads::{Serial, Threads};
pub use update::{Moments, Moving, Rule, Step};
