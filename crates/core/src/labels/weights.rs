//! The factors of the entries' losses.

use crate::memory::{Buffer, Rows, read, segments};
use crate::simd::Simd;
use crate::simd::float::Float;
use crate::simd::loops::Multiply;

/// Weights of a table's entries: the product of one number for the entry, one for its row and one for its label, where
/// given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weights<'a> {
    /// One for each cell of the table, or for each entry of a [`Sparse`](super::Sparse) table, whichever of its rows
    /// are used.
    pub entries: Option<EntryWeights<'a>>,
    /// One for each used row.
    pub rows: Option<&'a [f64]>,
    /// One for each label, the last dimension.
    pub labels: Option<&'a [f64]>,
}

/// A weight for each entry.
#[derive(Clone, Copy, Debug)]
pub enum EntryWeights<'a> {
    /// In single precision.
    F32(&'a [f32]),
    /// In double precision.
    F64(&'a [f64]),
}

/// A number for each label, repeated for every row.
pub(crate) struct Columns<F>(Vec<F>);

impl<F: Float> Columns<F> {
    pub(crate) fn new(numbers: impl IntoIterator<Item = f64>) -> Self {
        Self(numbers.into_iter().map(F::from_f64).collect())
    }

    /// The numbers of a block's entries; empty if there are no columns.
    pub(crate) fn read<'b>(
        columns: Option<&Self>,
        start: usize,
        length: usize,
        buffer: &'b mut Buffer<F>,
    ) -> &'b mut [F] {
        let Some(Self(numbers)) = columns else { return &mut [] };
        let block = &mut buffer.get()[..length];
        for segment in segments(start, length, numbers.len()) {
            let length = segment.at.len();
            block[segment.at].copy_from_slice(&numbers[segment.column..][..length]);
        }
        block
    }

    /// The number of one label.
    pub(crate) fn of_label(&self, label: usize) -> F {
        self.0[label]
    }
}

impl Weights<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_none() && self.rows.is_none() && self.labels.is_none()
    }

    /// The weight of one cell or entry of the table, without the weights of its row and label.
    pub(crate) fn of_entry(&self, entry: usize) -> f64 {
        match self.entries {
            Some(EntryWeights::F32(weights)) => f64::from(weights[entry]),
            Some(EntryWeights::F64(weights)) => weights[entry],
            None => 1.0,
        }
    }
}

impl EntryWeights<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::F32(weights) => weights.len(),
            Self::F64(weights) => weights.len(),
        }
    }
}

/// [`Weights`] of a table's rows, in the type to compute with.
pub(crate) struct WeightsOf<'a, F> {
    entries: Option<PerEntry<'a>>,
    /// One weight for each row, and the number of entries in a row.
    rows: Option<(Vec<F>, usize)>,
    labels: Option<Columns<F>>,
}

enum PerEntry<'a> {
    F32(Rows<'a, f32>),
    F64(Rows<'a, f64>),
}

impl<'a, F: Float> WeightsOf<'a, F> {
    pub(crate) const NONE: Self = Self { entries: None, rows: None, labels: None };

    pub(crate) fn new(weights: &Weights<'a>, width: usize, index: Option<&'a [i64]>) -> Self {
        Self {
            entries: weights.entries.map(|entries| match entries {
                EntryWeights::F32(entries) => PerEntry::F32(Rows::new(entries, width, index)),
                EntryWeights::F64(entries) => PerEntry::F64(Rows::new(entries, width, index)),
            }),
            rows: weights.rows.map(|rows| (rows.iter().copied().map(F::from_f64).collect(), width)),
            labels: weights.labels.map(|labels| Columns::new(labels.iter().copied())),
        }
    }

    /// The weights of a block's entries; empty if there are no weights.
    pub(crate) fn read<'b>(
        &'b self,
        simd: Simd,
        start: usize,
        length: usize,
        [buffer, entry_buffer]: &'b mut [Buffer<F>; 2],
    ) -> &'b [F] {
        let entries: &[F] = match &self.entries {
            Some(PerEntry::F32(rows)) => read(simd, rows, start, length, entry_buffer),
            Some(PerEntry::F64(rows)) => read(simd, rows, start, length, entry_buffer),
            None => &[],
        };
        let Some((rows, width)) = &self.rows else {
            let labels = Columns::read(self.labels.as_ref(), start, length, buffer);
            if labels.is_empty() {
                return entries;
            }
            simd.run(Multiply { factors: entries, numbers: labels });
            return labels;
        };
        let block = if self.labels.is_some() {
            Columns::read(self.labels.as_ref(), start, length, buffer)
        } else {
            let block = &mut buffer.get()[..length];
            block.fill(F::ONE);
            block
        };
        for segment in segments(start, length, *width) {
            let weight = rows[segment.row];
            block[segment.at].iter_mut().for_each(|number| *number = *number * weight);
        }
        simd.run(Multiply { factors: entries, numbers: block });
        block
    }
}
