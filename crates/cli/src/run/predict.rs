//! Probabilities of all labels, some rows at a time.

use tch::{Device, Kind, Tensor};

use super::evaluate::parts;
use crate::data::{Features, chunk, first_true};
use crate::model::network::Network;

/// All labels of each row, or those with the highest probabilities.
#[derive(Clone, Copy, PartialEq)]
pub enum Wanted {
    All,
    Top(i64),
}

/// Some rows.
pub struct Part<'a> {
    pub rows: &'a [i64],
    /// `[n, k]`: the labels of each row; `None` for all labels in order.
    pub labels: Option<Tensor>,
    /// `[n, C]` or `[n, k]`, `f32`.
    pub logits: Tensor,
    /// A logit that is not finite, of any label.
    pub fault: Option<Fault>,
}

/// A logit that is not finite.
#[derive(Clone, Copy)]
pub struct Fault {
    /// Index among the rows of its part.
    pub row: usize,
    pub label: usize,
    pub logit: f64,
}

impl Fault {
    /// The first logit that is not finite, in logits of the labels from `start` on.
    fn of(logits: &Tensor, start: i64) -> Option<Self> {
        // In one pass: a NaN among the numbers makes both results NaN.
        let (least, most) = logits.aminmax(None, false);
        if least.isfinite().logical_and(&most.isfinite()).int64_value(&[]) != 0 {
            return None;
        }
        let (row, label) = first_true(&logits.isfinite().logical_not())?;
        let logit = logits.double_value(&[row, label]);
        Some(Self { row: row as usize, label: (start + label) as usize, logit })
    }
}

impl Part<'_> {
    /// `f32`
    pub fn probabilities(&self) -> Tensor {
        self.logits.to_kind(Kind::Double).sigmoid().to_kind(Kind::Float)
    }
}

/// Predicts some rows at a time; the results are on the CPU.
pub fn predict<'a>(
    network: &Network,
    features: &Features,
    rows: &'a [i64],
    wanted: Wanted,
) -> impl Iterator<Item = Part<'a>> {
    let width = match wanted {
        Wanted::All => network.widest().max(features.width()),
        Wanted::Top(_) => network.hidden_width().max(features.width()),
    };
    parts(rows, width).map(move |rows| {
        tch::no_grad(|| {
            let hidden = network.hidden(&features.batch(&features.index(rows)), false);
            let [weight, bias] = network.output();
            let (labels, logits, fault) = match wanted {
                Wanted::All => {
                    let logits = hidden.linear(&weight, Some(&bias));
                    let fault = Fault::of(&logits, 0);
                    (None, logits, fault)
                }
                Wanted::Top(count) => {
                    let ([labels, logits], fault) = top(&hidden, &weight, &bias, count);
                    (Some(labels.to_device(Device::Cpu)), logits, fault)
                }
            };
            Part { rows, labels, logits: logits.to_device(Device::Cpu).to_kind(Kind::Float), fault }
        })
    })
}

/// The labels and values of the highest logits of each row, computed for some labels at a time. NaN counts as the
/// lowest.
fn top(hidden: &Tensor, weight: &Tensor, bias: &Tensor, count: i64) -> ([Tensor; 2], Option<Fault>) {
    let all = weight.size()[0];
    // Four times as many numbers as usual, because every part of the rows reads all weights again.
    let step = 4 * chunk(hidden.size()[0]);
    let (mut found, mut fault): (Option<[Tensor; 2]>, _) = (None, None);
    for start in (0..all).step_by(step as usize) {
        let of = |parameter: &Tensor| parameter.narrow(0, start, step.min(all - start));
        let logits = hidden.linear(&of(weight), Some(of(bias)));
        fault = fault.or_else(|| Fault::of(&logits, start));
        let [labels, logits] = highest(&logits, count);
        let labels = labels + start;
        found = Some(match found {
            None => [labels, logits],
            Some([others, more]) => {
                let (labels, logits) = (Tensor::cat(&[others, labels], 1), Tensor::cat(&[more, logits], 1));
                let [places, logits] = highest(&logits, count);
                [labels.gather(1, &places, false), logits]
            }
        });
    }
    (found.expect("a network has a label"), fault)
}

fn highest(logits: &Tensor, count: i64) -> [Tensor; 2] {
    let of = |logits: &Tensor| logits.topk(count.min(logits.size()[1]), 1, true, true);
    let (highest, places) = of(logits);
    // In libtorch, NaN is the greatest number.
    if highest.isnan().any().int64_value(&[]) == 0 {
        return [places, highest];
    }
    let (highest, places) = of(&logits.nan_to_num(f64::NEG_INFINITY, f64::INFINITY, f64::NEG_INFINITY));
    [places, highest]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logit_that_is_not_finite_is_found_below_the_highest_too() {
        let matrix = |numbers: &[f32], rows| Tensor::from_slice(numbers).view([rows, 2]);
        let bias = Tensor::zeros([3], (Kind::Float, Device::Cpu));
        let top = |hidden: &[f32], weight: &[f32]| {
            let ([labels, logits], fault) = top(&matrix(hidden, 2), &matrix(weight, 3), &bias, 1);
            assert_eq!(Vec::<i64>::try_from(labels.flatten(0, -1)).unwrap(), [1, 1]);
            assert!(logits.isfinite().all().int64_value(&[]) != 0);
            fault.map(|Fault { row, label, logit }| (row, label, logit))
        };
        assert_eq!(top(&[0.0, 1.0, 1e38, 1.0], &[0.0, 0.0, 0.0, 1.0, -1.0, 0.0]), None);
        let (row, label, logit) = top(&[0.0, 1.0, 1e38, 1.0], &[0.0, 0.0, 0.0, 1.0, -10.0, 0.0]).unwrap();
        assert_eq!((row, label, logit), (1, 2, f64::NEG_INFINITY));
        let (row, label, logit) = top(&[1e38, 1e38, 0.0, 1e38], &[10.0, -10.0, 0.0, 1.0, 0.0, 0.0]).unwrap();
        assert!((row, label) == (0, 0) && logit.is_nan(), "{row}, {label}, {logit}");
    }
}
