//! Labels: checked once, cut into batches, counted, and weighted.

mod bounds;
mod cells;
mod checked;
mod counts;
mod edit;
mod factors;
mod raw;
mod source;
mod sparse;
mod stored;
mod weighting;

pub(crate) use self::cells::sum_per_label;
pub use self::checked::Labels;
pub use self::edit::Weights;
pub(crate) use self::factors::Factors;
pub use self::raw::Raw;
pub(crate) use self::source::RawTensors;
pub use self::weighting::{PartialBce, Propensity};
