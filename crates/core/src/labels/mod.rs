//! Labels in memory: checked, or raw.

mod count;
mod encode;
mod raw;
mod raw_label;
mod source;
mod sparse;
mod table;
mod targets;
mod weights;

pub use self::count::sum;
pub use self::encode::{CellsMut, Encoded, Range};
pub(crate) use self::raw::with_source;
pub use self::raw::{Observed, Raw, RawLabels};
pub use self::sparse::{ObservedEntries, Sparse};
pub(crate) use self::table::one_for_each_label;
pub use self::table::{Cells, Table};
pub(crate) use self::targets::{Label, LabelBuffers, Numbers, Targets};
pub(crate) use self::weights::{Columns, WeightsOf};
pub use self::weights::{EntryWeights, Weights};
