use std::cell::OnceCell;
use std::ops::RangeInclusive;

use masked_loss_core::Table;
use tch::{Device, Kind, Tensor};

use super::cells::{observed, observed_per_row, table};
use super::factors::Factors;
use super::raw::Raw;
use super::source::RawTensors;
use super::stored::{Compressed, Stored};
use crate::native::slice;
use crate::{Result, check};

/// Labels, and which of them are known: the only place where missingness is decoded.
///
/// Make and check them once, usually for a whole table, then cut batches with [`rows`](Self::rows). That repeats no
/// checks, copies no labels, and does not wait for a GPU. Labels are constants: no gradient flows to them.
///
/// Shapes: `[N, C]`, or any rank of at least 1; rows are the first dimension, labels the last.
///
/// Labels that are all 0 or 1 are stored in one byte each, others as `f32` (as `f64` if they came as `f64`
/// or as integers of 32 or 64 bits). [`from_csr`](Self::from_csr), [`from_entries`](Self::from_entries) and [`to_sparse`](Self::to_sparse)
/// store only the observed entries. Both forms work everywhere; operations that also need the missing entries make a
/// matrix of sparse rows.
#[derive(Debug)]
pub struct Labels {
    pub(super) table: Stored,
    /// The indices of these rows in the table (`i64`, CPU only); all rows if `None`.
    pub(super) index: Option<Tensor>,
    /// The cells of those rows, once a matrix of them was needed.
    pub(super) cells: OnceCell<Tensor>,
    /// Weights per entry are the table's, one for each stored cell or entry; the other weights are those of these
    /// labels.
    pub(super) weights: Factors,
    /// `[N]`, `i64`.
    pub(super) observed_per_row: Tensor,
    /// `[N]`, `f64`: the sum of each row's observed weights, if it was computed before batches were cut; CPU only.
    pub(super) weight_per_row: Option<Tensor>,
    /// The smallest and the largest observed label of the table that these rows come from.
    pub(super) range: Option<(f64, f64)>,
    pub(super) count: OnceCell<Tensor>,
}

impl Labels {
    /// Every label is known.
    ///
    /// # Errors
    /// [`Error::Range`](crate::Error::Range) for a NaN or infinite label; [`Error::Kind`](crate::Error::Kind) for complex, quantized or sparse tensors;
    /// [`Error::Environment`](crate::Error::Environment) if `MASKED_LOSS_SIMD` names instructions that this machine does not have.
    pub fn complete(values: &Tensor) -> Result<Self> {
        Self::from_raw(Raw::Complete(values))
    }

    /// `mask` is 1 (or true) where the label is known and 0 (or false) where it is missing, in the labels' shape. The values
    /// of missing entries are ignored.
    ///
    /// # Errors
    /// As [`complete`](Self::complete), over the observed entries; [`Error::Shape`](crate::Error::Shape) and [`Error::Device`](crate::Error::Device) where the two
    /// tensors do not fit; [`Error::Range`](crate::Error::Range) for a mask with values other than 0 and 1.
    pub fn from_mask(values: &Tensor, mask: &Tensor) -> Result<Self> {
        Self::from_raw(Raw::Mask { labels: values, mask })
    }

    /// A label is missing where it is NaN.
    ///
    /// # Errors
    /// As [`complete`](Self::complete), over the observed entries.
    pub fn from_nan(raw: &Tensor) -> Result<Self> {
        Self::from_raw(Raw::Nan(raw))
    }

    /// A label is missing where it equals `sentinel`, often -1. NaN as sentinel means [`from_nan`](Self::from_nan).
    ///
    /// # Errors
    /// As [`complete`](Self::complete), over the observed entries.
    pub fn from_sentinel(raw: &Tensor, sentinel: f64) -> Result<Self> {
        Self::from_raw(Raw::Sentinel(raw, sentinel))
    }

    /// Reads and checks labels in any of the forms above.
    ///
    /// # Errors
    /// As the function for that form.
    pub fn from_raw(raw: Raw<'_>) -> Result<Self> {
        raw.check()?;
        if let Some(tensors) = RawTensors::new(raw)?
            && let Some(made) = tensors.encode()?
        {
            return Ok(Self::new(Stored::Dense(made.cells), made.observed_per_row, made.range));
        }
        // Either the labels are on another device, or something is wrong: this finds out what.
        let (cells, range) = raw.encode()?;
        Self::of_cells(cells, range)
    }

    pub(super) fn new(table: Stored, observed_per_row: Tensor, range: Option<(f64, f64)>) -> Self {
        Self {
            table,
            index: None,
            cells: OnceCell::new(),
            weights: Factors::default(),
            observed_per_row,
            weight_per_row: None,
            range,
            count: OnceCell::new(),
        }
    }

    /// Labels without weights, from cells that need no check.
    pub(super) fn of_cells(cells: Tensor, range: Option<(f64, f64)>) -> Result<Self> {
        let observed_per_row = observed_per_row(&cells)?;
        Ok(Self::new(Stored::Dense(cells), observed_per_row, range))
    }

    /// A batch: the rows that `index` (`[n]`, integers, on the same device) selects, in its order. On the CPU the batch
    /// refers to this table and keeps it in memory, and a loss reads the labels in place.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for an index that is not a vector, [`Error::Kind`](crate::Error::Kind) for one that does not hold integers,
    /// [`Error::Device`](crate::Error::Device), and [`Error::Range`](crate::Error::Range) for a row that is not there. On a GPU, libtorch checks the rows
    /// asynchronously: one that is not there ends the process.
    pub fn rows(&self, index: &Tensor) -> Result<Self> {
        check::index("index", index, self.device())?;
        let index = &index.f_to_kind(Kind::Int64)?.f_contiguous()?;
        if self.device() == Device::Cpu {
            check::within("index", slice(index)?, self.size()[0])?;
        }
        // Only here does libtorch check the index.
        let of = |rows: &Tensor| rows.f_index_select(0, index);
        let observed_per_row = of(&self.observed_per_row)?;
        let weight_per_row = self.weight_per_row.as_ref().map(of).transpose()?;
        let mut weights = self.weights.clone();
        weights.rows = weights.rows.as_ref().map(of).transpose()?;
        let (table, index) = match &self.table {
            Stored::Dense(cells) if cells.device() != Device::Cpu => {
                weights = weights.try_map_entries(|entries, _| Ok(of(entries)?))?;
                (Stored::Dense(of(cells)?), None)
            }
            table => {
                let index = match &self.index {
                    Some(rows) => of(rows)?,
                    // A copy: the caller may change the original.
                    None => index.f_detach_copy()?,
                };
                (table.clone(), Some(index))
            }
        };
        Ok(Self { index, weights, weight_per_row, ..Self::new(table, observed_per_row, self.range) })
    }

    /// Copies the labels to another device; on a GPU, sparse ones become a matrix.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) if the device does not exist or its memory is full.
    pub fn to_device(&self, device: Device) -> Result<Self> {
        if let (Stored::Sparse(_), Device::Cpu) = (&self.table, device) {
            return Ok(self.clone());
        }
        let weights = self.own(&self.weights)?.try_map(|weights| Ok(weights.f_to_device(device)?))?;
        let observed_per_row = self.observed_per_row.f_to_device(device)?;
        let labels = Self::new(Stored::Dense(self.cells()?.f_to_device(device)?), observed_per_row, self.range);
        labels.with_factors(weights).with_totals()
    }

    /// The labels, NaN where missing: `f32`, or `f64` if they are stored in it.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) only.
    pub fn values(&self) -> Result<Tensor> {
        let values = self.shared_values()?;
        // A copy: the caller may change it.
        Ok(if self.cells()?.f_kind()? == Kind::Int8 { values } else { values.f_detach_copy()? })
    }

    /// The same, for callers that change nothing.
    pub(crate) fn shared_values(&self) -> Result<Tensor> {
        let cells = self.cells()?;
        match cells.f_kind()? {
            Kind::Int8 => Ok(cells.f_to_kind(Kind::Float)?.f_masked_fill(&cells.f_lt(0)?, f64::NAN)?),
            _ => Ok(cells),
        }
    }

    /// Boolean, in the labels' shape: true where the label is known.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) only.
    pub fn observed(&self) -> Result<Tensor> {
        observed(&self.cells()?)
    }

    pub(crate) fn missing(&self) -> Result<Tensor> {
        let cells = self.cells()?;
        Ok(match cells.f_kind()? {
            Kind::Int8 => cells.f_lt(0)?,
            _ => cells.f_isnan()?,
        })
    }

    /// The labels' shape.
    pub fn size(&self) -> Vec<i64> {
        let mut size = self.table.size();
        if let Some(index) = &self.index {
            size[0] = index.size()[0];
        }
        size
    }

    /// The device that stores them.
    pub fn device(&self) -> Device {
        self.table.device()
    }

    /// The smallest and the largest observed label of the table that these labels come from; `None` if it has no
    /// observed label.
    pub fn range(&self) -> Option<(f64, f64)> {
        self.range
    }

    /// The smallest or the largest observed label of that table, if it is outside the accepted range.
    pub(crate) fn outside(&self, accepted: &RangeInclusive<f64>) -> Option<f64> {
        self.range.and_then(|(least, largest)| [least, largest].into_iter().find(|label| !accepted.contains(label)))
    }

    /// The matrix to read these labels from, and weights that fit it, converted from `weights`.
    pub(crate) fn table(&self, weights: &Factors) -> Result<(Table<'_>, Factors)> {
        match &self.table {
            Stored::Dense(cells) => Ok((table(cells, self.index.as_ref())?, weights.clone())),
            Stored::Sparse(entries) => Ok((table(self.matrix_of(entries)?, None)?, self.own(weights)?)),
        }
    }

    /// A matrix of only these rows.
    pub(crate) fn cells(&self) -> Result<Tensor> {
        match (&self.table, &self.index) {
            (Stored::Dense(cells), None) => Ok(cells.shallow_clone()),
            (Stored::Dense(cells), Some(index)) => {
                Ok(kept(&self.cells, || Ok(cells.f_index_select(0, index)?))?.shallow_clone())
            }
            (Stored::Sparse(entries), _) => Ok(self.matrix_of(entries)?.shallow_clone()),
        }
    }

    fn matrix_of(&self, entries: &Compressed) -> Result<&Tensor> {
        kept(&self.cells, || entries.cells(self.index.as_ref(), [0, entries.labels]))
    }

    /// The stored weights: those per entry are the table's.
    pub(crate) fn weights(&self) -> &Factors {
        &self.weights
    }

    /// Converts those of `weights` that are per entry to these labels' shape.
    pub(crate) fn own(&self, weights: &Factors) -> Result<Factors> {
        weights.clone().try_map_entries(|numbers, elsewhere| match (&self.table, &self.index) {
            (Stored::Sparse(entries), index) => entries.matrix(index.as_ref(), [0, entries.labels], numbers, elsewhere),
            (Stored::Dense(_), Some(index)) => Ok(numbers.f_index_select(0, index)?),
            (Stored::Dense(_), None) => Ok(numbers.shallow_clone()),
        })
    }
}

impl Clone for Labels {
    /// Shares the tensors, which never change.
    fn clone(&self) -> Self {
        let shared =
            |cell: &OnceCell<Tensor>| cell.get().map(Tensor::shallow_clone).map(OnceCell::from).unwrap_or_default();
        Self {
            table: self.table.clone(),
            index: self.index.as_ref().map(Tensor::shallow_clone),
            cells: shared(&self.cells),
            weights: self.weights.clone(),
            observed_per_row: self.observed_per_row.shallow_clone(),
            weight_per_row: self.weight_per_row.as_ref().map(Tensor::shallow_clone),
            range: self.range,
            count: shared(&self.count),
        }
    }
}

/// Returns the cell's content, and makes it on first use.
fn kept(cell: &OnceCell<Tensor>, make: impl FnOnce() -> Result<Tensor>) -> Result<&Tensor> {
    match cell.get() {
        Some(made) => Ok(made),
        None => {
            let made = make()?;
            Ok(cell.get_or_init(|| made))
        }
    }
}
