//! Promises that every [`Loss`] keeps, whether it acts on single entries or on whole rows.

use std::ops::Range;

use masked_loss::{Backend, Labels, Loss, Reduction};
use tch::{Kind, Tensor};

use super::{GARBAGE, Named, backward, here};

/// A loss, and a way to call it.
pub struct Call<'a> {
    pub name: &'a str,
    pub loss: &'a dyn Loss,
    pub backend: Backend,
    pub reduction: Reduction,
}

impl<'a> Call<'a> {
    pub fn of(named: &'a Named, backend: Backend, reduction: Reduction) -> Self {
        Self { name: named.name, loss: &*named.loss, backend, reduction }
    }

    fn what(&self, input: &Tensor) -> String {
        format!("{}, {:?}, {:?}, {:?}, {:?}", self.name, self.backend, self.reduction, input.kind(), input.size())
    }

    fn run(&self, input: &Tensor, labels: &Labels, upstream: f64) -> (Vec<f64>, Vec<f64>) {
        backward(input, upstream, |x| self.loss.forward_on(self.backend, x, labels, self.reduction).unwrap())
    }

    /// Garbage at missing labels changes nothing, and the loss and the gradient are zero there. `missing` covers every
    /// number of the input; `spoilt` makes an input and labels with garbage. Returns the gradient.
    pub fn is_blind_to_what_is_missing(
        &self,
        input: &Tensor,
        labels: &Labels,
        missing: &[bool],
        spoilt: impl Fn(f64) -> (Tensor, Labels),
    ) -> Vec<f64> {
        let (value, gradient) = self.run(input, labels, 0.5);
        let what = self.what(input);
        for garbage in GARBAGE {
            let (input, labels) = spoilt(garbage);
            let found = self.run(&input, &labels, 0.5);
            assert_eq!(found.0, value, "loss of {what}, {garbage}");
            assert_eq!(found.1, gradient, "gradient of {what}, {garbage}");
        }
        for i in (0..missing.len()).filter(|&i| missing[i]) {
            assert_eq!(gradient[i], 0.0, "gradient of {what}");
        }
        if self.reduction == Reduction::None {
            // One loss for each entry, or for each row.
            let width = missing.len() / value.len();
            for i in (0..value.len()).filter(|i| missing[i * width]) {
                assert_eq!(value[i], 0.0, "loss of {what}");
            }
        }
        gradient
    }

    /// An upstream gradient of NaN or infinity reaches the first number of the input, which is observed, and no missing
    /// one.
    pub fn stays_asleep(&self, input: &Tensor, labels: &Labels, missing: &[bool]) {
        for upstream in [f64::NAN, f64::INFINITY] {
            let (_, gradient) = self.run(input, labels, upstream);
            assert!(!gradient[0].is_finite(), "{}", self.what(input));
            for i in (0..missing.len()).filter(|&i| missing[i]) {
                assert_eq!(gradient[i], 0.0, "{}", self.what(input));
            }
        }
    }

    /// Without an observed label, loss and gradient are zero, and the graph is attached.
    pub fn is_zero(&self, input: &Tensor, labels: &Labels) {
        // This also asserts that there is a gradient.
        let (value, gradient) = self.run(input, labels, 1.0);
        assert!(value.iter().all(|&loss| loss == 0.0), "{}: {value:?}", self.what(input));
        assert!(gradient.iter().all(|&gradient| gradient == 0.0), "{}: {gradient:?}", self.what(input));
    }

    /// The pairs of the parts add up to that of the whole, and so do the backend's own sums.
    pub fn adds_up(&self, input: &Tensor, labels: &Labels, cuts: &[Range<i64>], tolerance: f64) {
        let whole = self.loss.forward_on(self.backend, input, labels, self.reduction).unwrap().double_value(&[]);
        let [mut sum, mut weight, mut own] = [0.0; 3];
        for cut in cuts {
            let rows = Tensor::arange_start(cut.start, cut.end, here(Kind::Int64));
            let (input, labels) = (input.index_select(0, &rows), labels.rows(&rows).unwrap());
            let (s, w) = self.loss.sum_and_weight_on(self.backend, &input, &labels, self.reduction).unwrap();
            sum += s.double_value(&[]);
            weight += w.double_value(&[]);
            own += self.loss.forward_on(self.backend, &input, &labels, Reduction::Sum).unwrap().double_value(&[]);
        }
        let weight = if self.reduction == Reduction::Sum { 1.0 } else { weight };
        approx::assert_relative_eq!(sum / weight, whole, max_relative = tolerance);
        // A plain sum does not give the mean of each row.
        if self.reduction != Reduction::MeanPerRow {
            approx::assert_relative_eq!(own / weight, whole, max_relative = tolerance);
        }
    }
}
