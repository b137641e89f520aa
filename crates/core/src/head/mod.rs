//! A last layer and its loss, computed where a label is observed.

mod by_label;
mod by_row;
mod order;
mod vectors;

use std::ops::Range;
use std::sync::atomic::AtomicBool;

pub use self::order::Touched;
use crate::kernel::Formula;
use crate::labels::{Sparse, Weights};
use crate::memory::Disjoint;
use crate::pass::Prepared;
use crate::scalar::Scalar;
use crate::simd::Simd;
use crate::sizes::CHUNK;
use crate::{Result, Threads};

/// A linear layer: the logit of row n and label c is `h_n · w_c + b_c`.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a, F> {
    /// `[N, D]`, row by row.
    pub hidden: &'a [F],
    /// `[C, D]`, label by label.
    pub weight: &'a [F],
    /// `[C]`
    pub bias: Option<&'a [F]>,
    /// `D`
    pub width: usize,
}

/// Where the gradients of `loss / divisor` go; what is there before is overwritten.
#[derive(Debug)]
pub struct HeadGradients<'a, F> {
    /// `[N, D]`
    pub hidden: Option<&'a mut [F]>,
    /// Of the layer's parameters, if they are wanted.
    pub layer: Option<LayerGradients<'a, F>>,
}

/// Gradients of a layer's parameters.
#[derive(Debug)]
pub struct LayerGradients<'a, F> {
    /// The labels that are observed in the batch.
    pub touched: &'a Touched,
    /// Whether only the rows of those labels are there, one after another, or `[C, D]` with zeros for the others.
    pub packed: bool,
    /// A row of D numbers for each label.
    pub weight: Option<&'a mut [F]>,
    /// A number for each label.
    pub bias: Option<&'a mut [F]>,
}

/// A pass over the observed entries of a layer's logits. No other logit is computed, and no other weight is read.
pub struct HeadPass<'a, F: Scalar> {
    /// The loss.
    pub formula: &'a dyn Formula,
    /// The layer.
    pub linear: Linear<'a, F>,
    /// Where the gradients go.
    pub gradients: HeadGradients<'a, F>,
    /// What divides the gradients.
    pub divisor: f64,
}

impl<F: Scalar> HeadPass<'_, F> {
    /// The sum of the losses, weighted; `None` if a logit is outside what the formula accepts.
    ///
    /// # Errors
    /// [`Error::Threads`](crate::Error::Threads), [`Error::Environment`](crate::Error::Environment).
    ///
    /// # Panics
    /// If layer, gradients, labels and weights do not fit each other, or an index is out of bounds.
    pub fn run(self, threads: &dyn Threads, labels: &Sparse<'_>, weights: &Weights<'_>) -> Result<Option<f64>> {
        let Self { formula, linear, gradients: HeadGradients { hidden, layer }, divisor } = self;
        let (rows, width) = (labels.rows(), linear.width);
        assert_eq!(linear.hidden.len(), rows * width, "a hidden vector for each row");
        assert_eq!(linear.weight.len(), labels.labels * width, "a weight vector for each label");
        assert!(linear.bias.is_none_or(|bias| bias.len() == labels.labels), "a bias for each label");
        assert!(formula.parameter().is_none_or(|numbers| numbers.len() == labels.labels), "a number for each label");
        assert!(hidden.as_ref().is_none_or(|hidden| hidden.len() == rows * width), "a gradient for each hidden number");
        labels.check(weights);
        let (simd, outside) = (Simd::chosen()?, AtomicBool::new(false));
        let places = order::places(labels);
        let wanted = hidden.is_some() || layer.is_some();
        let mut slopes = vec![F::default(); if wanted { places[rows] } else { 0 }];
        let walk = by_row::Walk {
            linear,
            labels,
            weights,
            places: &places,
            formula: Prepared::new(formula),
            scale: F::from_f64(1.0 / divisor),
            simd,
            outside: &outside,
            slopes: wanted.then(|| Disjoint::new(&mut slopes)),
            hidden: hidden.map(Disjoint::new),
        };
        let sum = walk.run(threads)?;
        if outside.into_inner() {
            return Ok(None);
        }
        if let Some(layer) = layer {
            by_label::run(threads, simd, linear, labels.labels, &slopes, layer)?;
        }
        Ok(Some(sum))
    }
}

/// How many entries are computed at once: their weights stay in the cache until they are read again.
fn piece_length<F>(width: usize) -> usize {
    const BYTES: usize = 1 << 17;
    (BYTES / (width * size_of::<F>()).max(1)).clamp(16, CHUNK)
}

/// What threads share out: rows, or labels, one after another, that together have about as many entries as a piece. `starts`:
/// where the entries of each of them start, and where those of the last one end.
fn units(starts: &[usize], piece: usize) -> Vec<Range<usize>> {
    let mut units = Vec::new();
    let mut first = 0;
    for end in 1..starts.len() {
        // Those without entries take time too.
        if starts[end] - starts[first] >= piece || end - first >= 4 * piece || end + 1 == starts.len() {
            units.push(first..end);
            first = end;
        }
    }
    units
}
