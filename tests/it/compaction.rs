//! Compaction: the loss is that of the observed entries alone, taken out and put in a row.

use masked_loss::{Backend, Labels, Named, Reduction};
use rand::Rng;
use tch::{Kind, Tensor};

use crate::common::{Case, KINDS, backends, losses_alike_for_all_labels, rng, tensor, value_and_gradient};

#[test]
fn the_loss_is_that_of_the_observed_entries_taken_out() {
    let mut rng = rng(2);
    for draw in 0..1000 {
        let size = [rng.random_range(1..=200), rng.random_range(1..=200)];
        let share = rng.random_range(0.0..=1.0);
        // Outside its row, an entry has no label whose parameter applies to it.
        let losses = losses_alike_for_all_labels();
        // The loss of the original technique every time, the others in turn.
        for named in [&losses[0], &losses[1 + draw % (losses.len() - 1)]] {
            let case = Case::draw(&mut rng, named, &size, share, draw % 2 == 1);
            let Taken { all, row, .. } = Taken::out_of(&case);
            for backend in backends() {
                let [masked, plain] = [&all, &row].map(|(input, labels)| {
                    named.loss.forward_on(backend, input, labels, Reduction::Mean).unwrap().double_value(&[])
                });
                approx::assert_relative_eq!(masked, plain, max_relative = 1e-13);
            }
        }
    }
}

/// Reductions that depend neither on an entry's row or label, nor on the number of missing entries.
const OF_ENTRIES: [Reduction; 5] =
    [Reduction::None, Reduction::Sum, Reduction::Mean, Reduction::WeightedMean, Reduction::MeanOver(3.5)];

#[test]
fn so_is_the_gradient_in_every_dtype_and_reduction() {
    let mut rng = rng(9);
    for named in losses_alike_for_all_labels() {
        for (reduction, kind) in OF_ENTRIES.into_iter().flat_map(|reduction| KINDS.map(|kind| (reduction, kind))) {
            for soft in [false, true] {
                let size = [rng.random_range(1..=50), rng.random_range(1..=50)];
                let share = rng.random_range(0.0..=1.0);
                let case = Case::draw(&mut rng, &named, &size, share, soft);
                for backend in backends() {
                    Taken::out_of(&case).has_the_loss_of_all(&named, backend, reduction, kind);
                }
            }
        }
    }
}

/// Input and labels, and only the observed ones in a row.
struct Taken<'a> {
    observed: &'a [bool],
    all: (Tensor, Labels),
    row: (Tensor, Labels),
}

impl<'a> Taken<'a> {
    fn out_of(case: &'a Case) -> Self {
        let (mask, input) = (case.mask(), case.input(Kind::Double));
        let row_labels = Labels::complete(&tensor(&case.label, &case.size).masked_select(&mask)).unwrap();
        let row = (input.masked_select(&mask), row_labels);
        Self { observed: &case.observed, all: (input, case.labels()), row }
    }

    fn has_the_loss_of_all(&self, named: &Named, backend: Backend, reduction: Reduction, kind: Kind) {
        const UPSTREAM: f64 = 1000.0;
        let of = |(input, labels): &(Tensor, Labels)| {
            value_and_gradient(named, backend, &input.to_kind(kind), labels, reduction, UPSTREAM)
        };
        let (mut value, gradient) = of(&self.all);
        let (row_value, row_gradient) = of(&self.row);
        let observed = |numbers: &[f64]| -> Vec<f64> {
            (0..numbers.len()).filter(|&i| self.observed[i]).map(|i| numbers[i]).collect()
        };
        if reduction == Reduction::None {
            value = observed(&value);
        }
        // Sums are taken in another order, and those of half precision in `f32`; its gradient is rounded once more.
        let (epsilon, sums, gradients, smallest) = match kind {
            Kind::Double => (f64::EPSILON, 1e-13, 1e-13, 0.0),
            Kind::Float => (f64::from(f32::EPSILON), 2e-6, 2e-6, 0.0),
            Kind::Half => (f64::from(f32::EPSILON), 2e-6, 1e-3, 6e-8),
            _ => (f64::from(f32::EPSILON), 2e-6, 1e-2, 0.0),
        };
        // A single entry may be a small difference of two terms of about 1.
        let terms = match reduction {
            Reduction::None | Reduction::Sum => 1.0,
            Reduction::MeanOver(count) => 1.0 / count,
            _ => 1.0 / row_gradient.len().max(1) as f64,
        };
        for (found, expected, relative, absolute) in [
            (value, row_value, sums, epsilon * terms),
            (observed(&gradient), row_gradient, gradients, epsilon * terms * UPSTREAM + smallest),
        ] {
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.into_iter().zip(expected) {
                let close = approx::relative_eq!(found, expected, max_relative = relative, epsilon = absolute);
                assert!(close, "{}, {backend:?}, {reduction:?}, {kind:?}: {found}, {expected}", named.name);
            }
        }
    }
}
