//! Logits without a loss.

use super::layer::Linear;
use super::order;
use super::units::{piece_length, units};
use super::vectors::Dots;
use crate::labels::Sparse;
use crate::memory::Disjoint;
use crate::scalar::{Scalar, Storage};
use crate::simd::Simd;
use crate::{Result, Threads};

impl<F: Scalar, W: Storage<Number = F>> Linear<'_, F, W> {
    /// Computes the logits of the observed entries, row by row. Computes no other logit, and reads no other weight.
    ///
    /// # Errors
    /// [`Error::Threads`](crate::Error::Threads), [`Error::Environment`](crate::Error::Environment).
    ///
    /// # Panics
    /// If layer, labels and logits do not fit each other, or an index is out of bounds.
    pub fn logits(&self, threads: &dyn Threads, labels: &Sparse<'_>, logits: &mut [F]) -> Result<()> {
        self.check(labels);
        let (simd, places) = (Simd::chosen()?, order::places(labels));
        assert_eq!(logits.len(), places[labels.rows()], "a logit for each entry");
        let (units, output) = (units(&places, piece_length::<F>(self.width)), Disjoint::new(logits));
        threads.run(units.len(), 4, &|range| {
            for row in range.flat_map(|unit| units[unit].clone()) {
                let columns = &labels.columns[labels.row(row)];
                // SAFETY: the buffer of logits outlives this call, and each row is visited once.
                let results = unsafe { output.part(places[row], columns.len()) };
                self.of_row(simd, row, columns, results);
            }
        })
    }

    /// The logits of some of a row's labels.
    pub(super) fn of_row(&self, simd: Simd, row: usize, labels: &[i32], logits: &mut [F]) {
        let vector = &self.hidden[row * self.width..][..self.width];
        simd.run(Dots { vector, matrix: self.weight, rows: labels, results: &mut *logits });
        if let Some(bias) = self.bias {
            for (logit, &label) in logits.iter_mut().zip(labels) {
                *logit = *logit + F::from_f64(bias[label as usize].to_f64());
            }
        }
    }

    /// # Panics
    /// If the layer does not have exactly these labels.
    pub(super) fn check(&self, labels: &Sparse<'_>) {
        let numbers = |vectors: usize| vectors.checked_mul(self.width).expect("vectors that memory can hold");
        assert_eq!(self.hidden.len(), numbers(labels.rows()), "a hidden vector for each row");
        assert_eq!(self.weight.len(), numbers(labels.labels), "a weight vector for each label");
        assert!(self.bias.is_none_or(|bias| bias.len() == labels.labels), "a bias for each label");
    }
}
