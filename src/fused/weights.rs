//! What the losses of entries are multiplied by.

use tch::{Kind, Tensor};

use super::cache::Buffer;
use super::count::Table;
use super::float::Float;
use super::loops::Weigh;
use super::memory::{read, slice};
use super::rows::{Rows, pieces};
use super::simd::Simd;
use crate::labels::Factors;
use crate::{Error, Result};

/// A number for each label, repeated for every row.
pub(super) struct Columns<F>(Vec<F>);

impl<F: Float> Columns<F> {
    pub(super) fn new(numbers: impl IntoIterator<Item = f64>) -> Self {
        Self(numbers.into_iter().map(F::from_f64).collect())
    }

    /// Those of a block's entries; none if there are no columns.
    pub(super) fn read<'b>(
        columns: Option<&Self>,
        start: usize,
        length: usize,
        buffer: &'b mut Buffer<F>,
    ) -> &'b mut [F] {
        let Some(Self(numbers)) = columns else { return &mut [] };
        let block = &mut buffer.get()[..length];
        for piece in pieces(start, length, numbers.len()) {
            let length = piece.at.len();
            block[piece.at].copy_from_slice(&numbers[piece.column..][..length]);
        }
        block
    }
}

/// The product of a number for each entry, for each row and for each label, as far as there are any.
pub(super) struct Weights<'a, F> {
    pub(super) entries: Option<PerEntry<'a>>,
    /// With the number of entries in a row.
    pub(super) rows: Option<(Vec<F>, usize)>,
    pub(super) labels: Option<Columns<F>>,
}

pub(super) enum PerEntry<'a> {
    Single(Rows<'a, f32>),
    Double(Rows<'a, f64>),
}

impl<'a> PerEntry<'a> {
    fn new(entries: &'a Tensor, table: &Table<'a>) -> Result<Self> {
        let (width, index) = (table.width(), table.index()?);
        Ok(match entries.f_kind()? {
            Kind::Double => Self::Double(Rows::new(slice(entries)?, width, index)),
            _ => Self::Single(Rows::new(slice(entries)?, width, index)),
        })
    }
}

impl<'a, F: Float> Weights<'a, F> {
    pub(super) const NONE: Self = Self { entries: None, rows: None, labels: None };

    /// Of a table's rows; those per entry are the table's.
    pub(super) fn of(factors: &'a Factors, table: &Table<'a>) -> Result<Self> {
        let numbers = |factor: &'a Tensor| Ok::<_, Error>(slice::<f64>(factor)?.iter().copied());
        Ok(Self {
            entries: factors.entries.as_ref().map(|entries| PerEntry::new(entries, table)).transpose()?,
            rows: match &factors.rows {
                Some(rows) => Some((numbers(rows)?.map(F::from_f64).collect(), table.width())),
                None => None,
            },
            labels: factors.labels.as_ref().map(|labels| Ok::<_, Error>(Columns::new(numbers(labels)?))).transpose()?,
        })
    }

    /// Those of a block's entries; none if there are no weights.
    pub(super) fn read<'b>(
        &'b self,
        simd: Simd,
        start: usize,
        length: usize,
        [buffer, entry_buffer]: &'b mut [Buffer<F>; 2],
    ) -> &'b [F] {
        let entries: &[F] = match &self.entries {
            Some(PerEntry::Single(rows)) => read(simd, rows, start, length, entry_buffer),
            Some(PerEntry::Double(rows)) => read(simd, rows, start, length, entry_buffer),
            None => &[],
        };
        let Some((rows, width)) = &self.rows else {
            let labels = Columns::read(self.labels.as_ref(), start, length, buffer);
            if labels.is_empty() {
                return entries;
            }
            simd.run(Weigh { weights: entries, numbers: labels });
            return labels;
        };
        let block = if self.labels.is_some() {
            Columns::read(self.labels.as_ref(), start, length, buffer)
        } else {
            let block = &mut buffer.get()[..length];
            block.fill(F::ONE);
            block
        };
        for piece in pieces(start, length, *width) {
            let weight = rows[piece.row];
            block[piece.at].iter_mut().for_each(|number| *number = *number * weight);
        }
        simd.run(Weigh { weights: entries, numbers: block });
        block
    }
}
