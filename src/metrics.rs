//! Metrics of a model's scores, over the observed entries only.
//!
//! [`summarize`] takes tensors and [`Labels`]. It returns a [`Metric`] for each label, the mean over labels, and the
//! metric of all entries together. [`ByLabel`] does so for several metrics, and for scores of the observed entries
//! alone. The other functions take slices with one label's observed entries.
//!
//! A metric that the data does not define is `None`, never 0. Means leave it out, and the number of such labels is
//! reported.

pub use masked_loss_core::metrics::*;
use tch::{Device, Kind, Tensor};

use crate::{Error, Labels, Result, check};

/// How many entries are copied as `f64` at a time, including missing ones.
const BLOCK: i64 = 1 << 22;

/// One metric of a table.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// The metric of each label.
    pub per_label: Vec<Option<f64>>,
    /// The number of labels for which the data does not define it.
    pub undefined: usize,
    /// The mean over the other labels; `None` if there are none.
    pub macro_mean: Option<f64>,
    /// The metric of all observed entries together, as if they had one label.
    pub micro: Option<f64>,
}

/// Computes a metric over the observed entries of `scores` and `labels`, for each label (the last dimension) and for
/// all. [`Metric::LogLoss`] clips scores to `[ε, 1 − ε]`, where `ε` is that of their dtype, like scikit-learn.
///
/// # Errors
/// [`Error::Shape`], [`Error::Kind`] and [`Error::Device`] where the tensors do not fit each other; [`Error::Range`] for an
/// observed label outside [0, 1], an observed score that is NaN, or one outside [0, 1] where the metric takes probabilities.
pub fn summarize(metric: Metric, scores: &Tensor, labels: &Labels) -> Result<Summary> {
    ByLabel::of_all(scores, labels)?.summarize(metric)
}

/// Scores and labels of the observed entries, grouped by label once, for any number of metrics.
#[derive(Clone, Debug)]
pub struct ByLabel {
    /// Where the entries of each label start, then the end of the last label.
    starts: Vec<usize>,
    scores: Vec<f64>,
    labels: Vec<f64>,
    /// The `ε` of the scores' dtype.
    epsilon: f64,
}

impl ByLabel {
    /// Takes scores of all entries, including missing ones, in the labels' shape.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Kind`] and [`Error::Device`] where the tensors do not fit each other; [`Error::Range`] for an
    /// observed label outside [0, 1], and an observed score that is NaN.
    pub fn of_all(scores: &Tensor, labels: &Labels) -> Result<Self> {
        check::floating("scores", scores)?;
        check::like("scores", scores, &labels.size(), labels.device())?;
        let mut order = Order::new(scores, labels)?;
        let width = *labels.size().last().unwrap_or(&0);
        let matrix = |tensor: &Tensor| tensor.f_detach()?.f_reshape([-1, width.max(1)]);
        let (scores, values) = (matrix(scores)?, matrix(&labels.shared_values()?)?);
        let rows = scores.size()[0];
        let block = (BLOCK / width.max(1)).max(1);
        for start in (0..rows).step_by(block as usize) {
            let part = |matrix: &Tensor| numbers(&matrix.f_narrow(0, start, block.min(rows - start))?);
            for (place, (score, value)) in part(&scores)?.into_iter().zip(part(&values)?).enumerate() {
                if !value.is_nan() {
                    order.push(place % width as usize, score, value);
                }
            }
        }
        order.end()
    }

    /// Takes scores of only the observed entries, row by row: `[K]`, from
    /// [`Linear::observed_logits`](crate::Linear::observed_logits) for instance. For sparse labels, nothing of size
    /// `[N, C]` is made.
    ///
    /// # Errors
    /// As [`of_all`](Self::of_all).
    pub fn of_observed(scores: &Tensor, labels: &Labels) -> Result<Self> {
        check::floating("scores", scores)?;
        let size = labels.size();
        let [rows, _] = size[..] else {
            return Err(Error::Shape { argument: "labels", expected: "[N, C]".into(), found: size });
        };
        check::like("scores", scores, &[labels.observed_count()?.f_int64_value(&[])?], labels.device())?;
        let mut order = Order::new(scores, labels)?;
        let counts = Vec::<i64>::try_from(&labels.observed_per_row().f_to_device(Device::Cpu)?)?;
        let (mut row, mut entry) = (0, 0);
        while row < rows {
            let (first, mut count) = (row, counts[row as usize]);
            row += 1;
            while row < rows && count + counts[row as usize] <= BLOCK {
                count += counts[row as usize];
                row += 1;
            }
            let part = labels.rows(&Tensor::f_arange_start(first, row, (Kind::Int64, labels.device()))?)?;
            let [_, columns, values] = part.to_entries()?;
            let columns = Vec::<i64>::try_from(&columns.f_to_device(Device::Cpu)?)?;
            let scores = numbers(&scores.f_narrow(0, entry, count)?)?;
            for ((column, score), value) in columns.into_iter().zip(scores).zip(numbers(&values)?) {
                order.push(column as usize, score, value);
            }
            entry += count;
        }
        order.end()
    }

    /// The number of labels.
    pub fn labels(&self) -> usize {
        self.starts.len() - 1
    }

    /// The scores and values of one label, in the order of the rows.
    ///
    /// # Panics
    /// If the label does not exist.
    pub fn label(&self, label: usize) -> [&[f64]; 2] {
        let entries = self.starts[label]..self.starts[label + 1];
        [&self.scores[entries.clone()], &self.labels[entries]]
    }

    /// The scores and values of all labels, label by label.
    pub fn all(&self) -> [&[f64]; 2] {
        [&self.scores, &self.labels]
    }

    /// See [`summarize`].
    ///
    /// # Errors
    /// [`Error::Range`] for a score outside [0, 1] where the metric takes probabilities.
    pub fn summarize(&self, metric: Metric) -> Result<Summary> {
        if metric.takes_probabilities()
            && let Some(&found) = self.scores.iter().find(|score| !(0.0..=1.0).contains(*score))
        {
            return Err(Error::Range { argument: "scores", expected: "probabilities where observed".into(), found });
        }
        let held = metric == Metric::LogLoss;
        let of = |[scores, labels]: [&[f64]; 2]| match held {
            true => {
                let within = |score: &f64| score.clamp(self.epsilon, 1.0 - self.epsilon);
                metric.of(&scores.iter().map(within).collect::<Vec<_>>(), labels)
            }
            false => metric.of(scores, labels),
        };
        let per_label: Vec<_> = (0..self.labels()).map(|label| of(self.label(label))).collect();
        let defined: Vec<f64> = per_label.iter().copied().flatten().collect();
        Ok(Summary {
            undefined: per_label.len() - defined.len(),
            per_label,
            macro_mean: mean(&defined),
            micro: of(self.all()),
        })
    }
}

/// Sorts entries by label.
struct Order {
    found: ByLabel,
    /// Where each label's next entry goes.
    next: Vec<usize>,
}

impl Order {
    fn new(scores: &Tensor, labels: &Labels) -> Result<Self> {
        if let Some(found) = labels.outside(&(0.0..=1.0)) {
            return Err(Error::Range { argument: "labels", expected: "within [0, 1] where observed".into(), found });
        }
        let counts = Vec::<i64>::try_from(&labels.observed_per_label()?.f_to_device(Device::Cpu)?)?;
        let mut end = 0;
        let mut starts = vec![0];
        starts.extend(counts.into_iter().map(|count| {
            end += count as usize;
            end
        }));
        let zeros = vec![0.0; end];
        let next = starts.clone();
        Ok(Self { found: ByLabel { starts, scores: zeros.clone(), labels: zeros, epsilon: epsilon(scores)? }, next })
    }

    fn push(&mut self, label: usize, score: f64, value: f64) {
        let place = self.next[label];
        (self.found.scores[place], self.found.labels[place]) = (score, value);
        self.next[label] += 1;
    }

    fn end(self) -> Result<ByLabel> {
        match self.found.scores.iter().find(|score| score.is_nan()) {
            Some(&found) => Err(Error::Range { argument: "scores", expected: "numbers where observed".into(), found }),
            None => Ok(self.found),
        }
    }
}

fn epsilon(scores: &Tensor) -> Result<f64> {
    Ok(match scores.f_kind()? {
        Kind::Double => f64::EPSILON,
        Kind::Half => 2f64.powi(-10),
        Kind::BFloat16 => 2f64.powi(-7),
        _ => f64::from(f32::EPSILON),
    })
}

fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    let numbers = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?;
    Ok(Vec::try_from(&numbers.f_reshape([-1])?)?)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
