//! The part of [`masked-loss`](https://docs.rs/masked-loss) that needs no libtorch: losses as formulas, and the kernels that
//! compute them over the observed entries only. Slices in, slices out, no dependencies.
//!
//! * [`Real`] is the arithmetic of formulas, [`Elementwise`] a loss as a formula, [`catalogue`](losses) a file for each.
//! * [`Pass`] computes loss and gradient of logits in one pass over memory, with labels checked before ([`Table`]) or as they
//!   lie in memory ([`Raw`]).
//! * [`metrics`] of one label's observed entries.
//!
//! Work is split over the caller's [`Threads`]; results do not depend on how many there are.
#![deny(missing_docs)]

mod error;
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

pub use error::{Error, Result, check_setting};
pub use kernel::{Assumed, Entries, Formula};
pub use labels::{Cells, CellsMut, Encoded, EntryWeights, Observed, Range, Raw, RawLabels, Table, Weights, sum};
pub use losses::Elementwise;
pub use memory::{Bf16, F16};
pub use number::{Dual, Real};
pub use pass::Pass;
pub use scalar::Storage;
pub use simd::Simd;
pub use threads::{Serial, Threads};
