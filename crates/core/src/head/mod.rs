//! A last layer with its loss, computed only where a label is observed.

mod by_label;
mod by_row;
mod layer;
mod logits;
mod order;
mod units;
mod vectors;

use std::sync::atomic::AtomicBool;

pub use self::layer::{HeadGradients, LayerGradients, Linear};
pub use self::order::Touched;
use crate::kernel::Formula;
use crate::labels::{Sparse, Weights};
use crate::memory::{Disjoint, Stored};
use crate::pass::Prepared;
use crate::scalar::{Scalar, Storage};
use crate::simd::Simd;
use crate::{Result, Threads};

/// A pass over the observed entries of a layer's logits. Computes no other logit, and reads no other weight.
pub struct HeadPass<'a, F: Scalar, W: Storage<Number = F> = F> {
    /// The loss.
    pub formula: &'a dyn Formula,
    /// The layer.
    pub linear: Linear<'a, F, W>,
    /// Where the gradients go.
    pub gradients: HeadGradients<'a, F>,
    /// The divisor of the gradients.
    pub divisor: f64,
}

impl<F: Scalar + Stored, W: Storage<Number = F>> HeadPass<'_, F, W> {
    /// Returns the weighted sum of the losses; `None` if a logit is outside what the formula accepts.
    ///
    /// # Errors
    /// [`Error::Threads`](crate::Error::Threads), [`Error::Environment`](crate::Error::Environment).
    ///
    /// # Panics
    /// If layer, gradients, labels and weights do not fit each other, or an index is out of bounds.
    pub fn run(self, threads: &dyn Threads, labels: &Sparse<'_>, weights: &Weights<'_>) -> Result<Option<f64>> {
        let Self { formula, linear, gradients: HeadGradients { hidden, layer }, divisor } = self;
        let (rows, width) = (labels.rows(), linear.width);
        linear.check(labels);
        assert!(
            formula.parameter().is_none_or(|(_, numbers)| numbers.len() == labels.labels),
            "a number for each label"
        );
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
            formula: Prepared::new(formula, formula.parameter().map(|(_, numbers)| numbers)),
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
            by_label::run(threads, simd, (linear.hidden, width), labels.labels, &slopes, layer)?;
        }
        Ok(Some(sum))
    }
}
