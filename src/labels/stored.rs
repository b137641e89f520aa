//! How labels are stored: as a matrix, or as observed entries only.

use masked_loss_core::{Cells, Sparse};
use tch::{Device, Kind, Tensor};

use super::cells::MISSING;
use crate::Result;
use crate::native::{slice, slice_mut};

/// A table of labels.
#[derive(Debug)]
pub(super) enum Stored {
    /// In the labels' shape: `i8` with −1 where missing, or floating point with NaN where missing; contiguous.
    Dense(Tensor),
    Sparse(Compressed),
}

/// The observed entries of a matrix of labels, row by row, on the CPU.
#[derive(Debug)]
pub(crate) struct Compressed {
    /// `[N + 1]`, `i64`: where the entries of each row start, then the end of the last row.
    pub(super) starts: Tensor,
    /// Each entry's label, `i32`; ascending in a row.
    pub(super) columns: Tensor,
    /// Each entry's value: `i8` if all are 0 or 1, else floating point.
    pub(super) values: Tensor,
    pub(super) labels: i64,
}

impl Stored {
    pub(super) fn device(&self) -> Device {
        match self {
            Self::Dense(cells) => cells.device(),
            Self::Sparse(_) => Device::Cpu,
        }
    }

    /// The size with all rows.
    pub(super) fn size(&self) -> Vec<i64> {
        match self {
            Self::Dense(cells) => cells.size(),
            Self::Sparse(entries) => vec![entries.starts.size()[0] - 1, entries.labels],
        }
    }
}

impl Clone for Stored {
    /// Shares the tensors.
    fn clone(&self) -> Self {
        match self {
            Self::Dense(cells) => Self::Dense(cells.shallow_clone()),
            Self::Sparse(entries) => Self::Sparse(entries.clone()),
        }
    }
}

impl Clone for Compressed {
    /// Shares the tensors.
    fn clone(&self) -> Self {
        let [starts, columns, values] = [&self.starts, &self.columns, &self.values].map(Tensor::shallow_clone);
        Self { starts, columns, values, labels: self.labels }
    }
}

impl Compressed {
    /// Slices of some rows, or of all.
    pub(crate) fn slices<'a>(&'a self, index: Option<&'a Tensor>) -> Result<Sparse<'a>> {
        Ok(Sparse {
            starts: slice(&self.starts)?,
            columns: slice(&self.columns)?,
            cells: match self.values.f_kind()? {
                Kind::Int8 => Cells::Bytes(slice(&self.values)?),
                Kind::Double => Cells::F64(slice(&self.values)?),
                _ => Cells::F32(slice(&self.values)?),
            },
            labels: self.labels as usize,
            index: index.map(slice).transpose()?,
        })
    }

    /// A table of only these rows, and the positions of its entries in this one.
    pub(super) fn of_rows(&self, index: &Tensor) -> Result<(Self, Tensor)> {
        let rows = self.slices(Some(index))?;
        let places: Vec<i64> = (0..rows.rows()).flat_map(|row| rows.row(row)).map(|entry| entry as i64).collect();
        let places = Tensor::f_from_slice(&places)?;
        let mut end = 0;
        let ends = (0..rows.rows()).map(|row| {
            end += rows.row(row).len() as i64;
            end
        });
        let starts: Vec<i64> = std::iter::once(0).chain(ends).collect();
        let [columns, values] = [&self.columns, &self.values].map(|entries| entries.f_index_select(0, &places));
        Ok((
            Self { starts: Tensor::f_from_slice(&starts)?, columns: columns?, values: values?, labels: self.labels },
            places,
        ))
    }

    /// The matrix of some rows, or of all, with a range of labels.
    pub(super) fn cells(&self, index: Option<&Tensor>, labels: [i64; 2]) -> Result<Tensor> {
        let missing = if self.values.f_kind()? == Kind::Int8 { f64::from(MISSING) } else { f64::NAN };
        self.matrix(index, labels, &self.values, missing)
    }

    /// A matrix of these rows and labels with one number for each entry, and `elsewhere` in all other places.
    pub(super) fn matrix(
        &self,
        index: Option<&Tensor>,
        labels: [i64; 2],
        numbers: &Tensor,
        elsewhere: f64,
    ) -> Result<Tensor> {
        let (rows, kind) = (self.slices(index)?, numbers.f_kind()?);
        // Not `f_full`, which panics if memory runs out.
        let mut matrix = Tensor::f_empty([rows.rows() as i64, labels[1] - labels[0]], (kind, Device::Cpu))?;
        let _ = matrix.f_fill_(elsewhere)?;
        match kind {
            Kind::Int8 => put::<i8>(&rows, labels, slice(numbers)?, slice_mut(&mut matrix)?),
            Kind::Double => put::<f64>(&rows, labels, slice(numbers)?, slice_mut(&mut matrix)?),
            _ => put::<f32>(&rows, labels, slice(numbers)?, slice_mut(&mut matrix)?),
        }
        Ok(matrix)
    }

    /// Picks each entry's number from a matrix of all rows.
    pub(super) fn gather(&self, matrix: &Tensor) -> Result<Tensor> {
        let rows = self.slices(None)?;
        let of_row = |row: usize| {
            let columns = &rows.columns[rows.row(row)];
            columns.iter().map(move |&label| row as i64 * self.labels + i64::from(label))
        };
        let places: Vec<i64> = (0..rows.rows()).flat_map(of_row).collect();
        Ok(matrix.f_reshape([-1])?.f_index_select(0, &Tensor::f_from_slice(&places)?)?)
    }

    /// Adds up one number for each entry, by label: `[C]`.
    pub(super) fn sum_per_label(&self, numbers: &Tensor, kind: Kind) -> Result<Tensor> {
        let sums = Tensor::f_zeros([self.labels], (kind, Device::Cpu))?;
        Ok(sums.f_index_add(0, &self.columns, &numbers.f_to_kind(kind)?)?)
    }
}

/// Writes each entry's number to its place in a matrix of these rows.
fn put<T: Copy>(rows: &Sparse<'_>, [start, end]: [i64; 2], numbers: &[T], matrix: &mut [T]) {
    for (row, cells) in matrix.chunks_mut(((end - start) as usize).max(1)).enumerate() {
        let entries = rows.row(row);
        let before = |limit: i64| rows.columns[entries.clone()].partition_point(|&label| i64::from(label) < limit);
        for entry in entries.start + before(start)..entries.start + before(end) {
            cells[(i64::from(rows.columns[entry]) - start) as usize] = numbers[entry];
        }
    }
}
