//! Tools for a training loop besides losses.

mod accumulator;
mod guard;
mod relabel;

pub use self::accumulator::Accumulator;
pub use self::guard::RowGuard;
pub use self::relabel::{ClassSelective, Correction, LargeLoss, SelfPaced};
