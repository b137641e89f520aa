//! Probabilities of all labels, some rows at a time.

use tch::{Device, Kind, Tensor};

use super::evaluate::parts;
use crate::data::{Features, chunk};
use crate::model::network::Network;

/// Of each row all labels, or those of the highest probabilities.
#[derive(Clone, Copy, PartialEq)]
pub enum Wanted {
    All,
    Top(i64),
}

/// Some rows.
pub struct Part<'a> {
    pub rows: &'a [i64],
    /// `[n, k]`: the labels of each row; none where it is all of them in order.
    pub labels: Option<Tensor>,
    /// `[n, C]` or `[n, k]`, `f32`.
    pub logits: Tensor,
}

impl Part<'_> {
    /// `f32`
    pub fn probabilities(&self) -> Tensor {
        self.logits.to_kind(Kind::Double).sigmoid().to_kind(Kind::Float)
    }
}

/// On the CPU.
pub fn predict<'a>(
    network: &Network,
    features: &Features,
    rows: &'a [i64],
    wanted: Wanted,
) -> impl Iterator<Item = Part<'a>> {
    let width = match wanted {
        Wanted::All => network.widths().max(features.width()),
        Wanted::Top(_) => network.hidden_width().max(features.width()),
    };
    parts(rows, width).map(move |rows| {
        tch::no_grad(|| {
            let hidden = network.hidden(&features.batch(&features.index(rows)), false);
            let [weight, bias] = network.output();
            let (labels, logits) = match wanted {
                Wanted::All => (None, hidden.linear(&weight, Some(&bias))),
                Wanted::Top(count) => {
                    let (labels, logits) = top(&hidden, &weight, &bias, count);
                    (Some(labels.to_device(Device::Cpu)), logits)
                }
            };
            Part { rows, labels, logits: logits.to_device(Device::Cpu).to_kind(Kind::Float) }
        })
    })
}

/// The highest logits of each row and their labels, from some labels at a time; one that is NaN is the least.
fn top(hidden: &Tensor, weight: &Tensor, bias: &Tensor, count: i64) -> (Tensor, Tensor) {
    let all = weight.size()[0];
    // Four times as many numbers as usual, of few rows: every part reads the weights anew.
    let step = 4 * chunk(hidden.size()[0]);
    let mut found: Option<[Tensor; 2]> = None;
    for start in (0..all).step_by(step as usize) {
        let of = |parameter: &Tensor| parameter.narrow(0, start, step.min(all - start));
        let logits = hidden.linear(&of(weight), Some(of(bias)));
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
    let [labels, logits] = found.expect("a network has a label");
    (labels, logits)
}

fn highest(logits: &Tensor, count: i64) -> [Tensor; 2] {
    let of = |logits: &Tensor| logits.topk(count.min(logits.size()[1]), 1, true, true);
    let (highest, places) = of(logits);
    // libtorch takes NaN for the greatest of all.
    if highest.isnan().any().int64_value(&[]) == 0 {
        return [places, highest];
    }
    let (highest, places) = of(&logits.nan_to_num(f64::NEG_INFINITY, f64::INFINITY, f64::NEG_INFINITY));
    [places, highest]
}
