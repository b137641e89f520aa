//! Times the calls of a user, with fresh labels in each iteration; both backends and ATen's own function, with labels made
//! once; and the cost of restoring the weights of unobserved labels.
//!
//! Run `scripts/with-libtorch cargo bench`; an argument selects by name, for instance `cargo bench -- raw`.

use divan::{Bencher, counter::ItemsCount};
use masked_loss::{
    Asymmetric, Backend, BceWithLogits, Labels, Loss, Raw, Reduction, RowGuard, SigmoidFocal, Weights, masked_bce,
    masked_bce_with_logits,
};
use tch::nn::{self, Module, OptimizerConfig};
use tch::{Device, Kind, Tensor};

type Size = [i64; 2];

const SIZES: [Size; 3] = [[64, 12], [256, 1000], [1024, 20_000]];
const SHARE_OBSERVED: f64 = 0.3;

fn main() {
    println!("{} threads", tch::get_num_threads());
    divan::main();
}

fn uniform(size: Size) -> Tensor {
    Tensor::rand(size, (Kind::Float, Device::Cpu))
}

struct Case {
    logits: Tensor,
    values: Tensor,
    mask: Tensor,
}

impl Case {
    fn new(size: Size) -> Self {
        tch::manual_seed(0);
        let logits = Tensor::randn(size, (Kind::Float, Device::Cpu)).set_requires_grad(true);
        Self { logits, values: uniform(size).round(), mask: uniform(size).lt(SHARE_OBSERVED) }
    }

    fn labels(&self) -> Labels {
        Labels::from_mask(&self.values, &self.mask).expect("0 and 1 are labels")
    }
}

fn items(size: Size) -> ItemsCount {
    ItemsCount::new(size.iter().product::<i64>() as usize)
}

fn forward(bencher: Bencher, size: Size, loss: impl Fn() -> Tensor) {
    bencher.counter(items(size)).bench_local(|| tch::no_grad(&loss));
}

/// Returns the gradient and does not accumulate it: in a network, logits are not a leaf.
fn backward(bencher: Bencher, size: Size, logits: &Tensor, loss: impl Fn() -> Tensor) {
    bencher.counter(items(size)).bench_local(|| Tensor::run_backward(&[loss()], &[logits], false, false));
}

macro_rules! backends {
    ($name:ident, $loss:expr) => {
        #[divan::bench_group(max_time = 1)]
        mod $name {
            use super::*;

            fn by(backend: Backend, case: &Case) -> impl Fn() -> Tensor {
                let labels = case.labels();
                move || $loss.forward_on(backend, &case.logits, &labels, Reduction::Mean).expect("the case fits")
            }
            #[divan::bench(args = SIZES)]
            fn fused_forward(bencher: Bencher, size: Size) {
                forward(bencher, size, by(Backend::Fused, &Case::new(size)));
            }
            #[divan::bench(args = SIZES)]
            fn fused_forward_backward(bencher: Bencher, size: Size) {
                let case = Case::new(size);
                backward(bencher, size, &case.logits, by(Backend::Fused, &case));
            }
            #[divan::bench(args = SIZES)]
            fn composed_forward_backward(bencher: Bencher, size: Size) {
                let case = Case::new(size);
                backward(bencher, size, &case.logits, by(Backend::Composed, &case));
            }
        }
    };
}

backends!(bce, BceWithLogits::default());
backends!(focal, SigmoidFocal::default());
backends!(asymmetric, Asymmetric::default());

#[divan::bench_group(max_time = 1)]
mod aten {
    use super::*;

    /// The mask as a weight: all that ATen's own function offers for missing labels (it would not stop a NaN among
    /// them).
    #[divan::bench(args = SIZES)]
    fn bce_forward_backward(bencher: Bencher, size: Size) {
        let Case { logits, values, mask } = Case::new(size);
        let mask = mask.to_kind(Kind::Float);
        backward(bencher, size, &logits, || {
            let sum = tch::Reduction::Sum;
            let sum = logits.binary_cross_entropy_with_logits(&values, Some(&mask), None::<&Tensor>, sum);
            sum / mask.sum(Kind::Float)
        });
    }
}

/// Forward and backward from raw tensors.
#[divan::bench_group(max_time = 1)]
mod raw {
    use super::*;

    #[divan::bench(args = SIZES)]
    fn bce_with_logits(bencher: Bencher, size: Size) {
        let Case { logits, values, mask } = Case::new(size);
        let loss = || masked_bce_with_logits(&logits, &values, &mask).expect("the case fits");
        backward(bencher, size, &logits, loss);
    }
    #[divan::bench(args = SIZES)]
    fn bce_with_logits_nan(bencher: Bencher, size: Size) {
        let Case { logits, values, mask } = Case::new(size);
        let values = values.masked_fill(&mask.logical_not(), f64::NAN);
        let loss = || BceWithLogits::default().forward_raw(&logits, Raw::Nan(&values), Reduction::Mean);
        backward(bencher, size, &logits, || loss().expect("the case fits"));
    }
    #[divan::bench(args = SIZES)]
    fn bce_with_probabilities(bencher: Bencher, size: Size) {
        let Case { logits, values, mask } = Case::new(size);
        let probabilities = logits.sigmoid().detach().set_requires_grad(true);
        let loss = || masked_bce(&probabilities, &values, &mask).expect("the case fits");
        backward(bencher, size, &probabilities, loss);
    }
}

/// Forward and backward on rows of a table, selected anew in each iteration.
#[divan::bench_group(max_time = 1)]
mod rows {
    use super::*;

    const BATCHES: i64 = 4;

    fn table([rows, labels]: Size) -> Labels {
        Case::new([BATCHES * rows, labels]).labels()
    }

    fn step(bencher: Bencher, size: Size, table: &Labels, reduction: Reduction) {
        let logits = Case::new(size).logits;
        let batches = Tensor::randperm(BATCHES * size[0], (Kind::Int64, Device::Cpu)).chunk(BATCHES, 0);
        let mut batches = batches.iter().cycle();
        bencher.counter(items(size)).bench_local(|| -> masked_loss::Result<Vec<Tensor>> {
            let labels = table.rows(batches.next().expect("a cycle has no end"))?;
            let loss = BceWithLogits::default().forward(&logits, &labels, reduction)?;
            Ok(Tensor::run_backward(&[loss], &[&logits], false, false))
        });
    }

    macro_rules! unweighted {
        ($($name:ident: $reduction:expr),*) => {
            $(#[divan::bench(args = SIZES)]
            fn $name(bencher: Bencher, size: Size) {
                step(bencher, size, &table(size), $reduction);
            })*
        };
    }

    unweighted!(
        sum: Reduction::Sum,
        mean: Reduction::Mean,
        mean_all: Reduction::MeanAll,
        mean_over: Reduction::MeanOver(100.0),
        mean_per_row: Reduction::MeanPerRow,
        mean_per_label: Reduction::MeanPerLabel
    );

    #[divan::bench(args = SIZES)]
    fn weighted_mean(bencher: Bencher, size: Size) {
        let table = table(size);
        let weights = uniform([BATCHES * size[0], size[1]]);
        let table = table.with_weights(Weights::PerEntry(&weights)).expect("the weights fit");
        step(bencher, size, &table, Reduction::WeightedMean);
    }
}

#[divan::bench_group(max_time = 1)]
mod constructors {
    use super::*;

    const SENTINEL: f64 = -1.0;

    fn make(bencher: Bencher, size: Size, make: impl Fn() -> masked_loss::Result<Labels>) {
        bencher.counter(items(size)).bench_local(|| make().expect("0 and 1 are labels"));
    }

    #[divan::bench(args = SIZES)]
    fn complete(bencher: Bencher, size: Size) {
        let Case { values, .. } = Case::new(size);
        make(bencher, size, || Labels::complete(&values));
    }
    #[divan::bench(args = SIZES)]
    fn from_mask(bencher: Bencher, size: Size) {
        let Case { values, mask, .. } = Case::new(size);
        make(bencher, size, || Labels::from_mask(&values, &mask));
    }
    #[divan::bench(args = SIZES)]
    fn from_nan(bencher: Bencher, size: Size) {
        let Case { values, mask, .. } = Case::new(size);
        let values = values.masked_fill(&mask.logical_not(), f64::NAN);
        make(bencher, size, || Labels::from_nan(&values));
    }
    #[divan::bench(args = SIZES)]
    fn from_sentinel(bencher: Bencher, size: Size) {
        let Case { values, mask, .. } = Case::new(size);
        let values = values.masked_fill(&mask.logical_not(), SENTINEL);
        make(bencher, size, || Labels::from_sentinel(&values, SENTINEL));
    }
}

/// A step of Adam on an output layer with 1,000 inputs and batches of 128 rows; labels as sparse as ChEMBL's.
#[divan::bench_group(max_time = 1)]
mod guard {
    use super::*;

    const ROWS: i64 = 128;
    const INPUTS: i64 = 1000;
    const SHARE_OBSERVED: f64 = 0.0055;

    fn step(bencher: Bencher, outputs: i64, guarded: bool) {
        tch::manual_seed(0);
        let variables = nn::VarStore::new(Device::Cpu);
        let layer = nn::linear(variables.root(), INPUTS, outputs, Default::default());
        let bias = layer.bs.as_ref().expect("a layer has a bias by default");
        let mut optimizer = nn::Adam::default().build(&variables, 1e-3).expect("Adam takes its defaults");
        let features = Tensor::randn([ROWS, INPUTS], (Kind::Float, Device::Cpu));
        let real = || Tensor::rand([ROWS, outputs], (Kind::Float, Device::Cpu));
        let labels = Labels::from_mask(&real().round(), &real().lt(SHARE_OBSERVED)).expect("0 and 1 are labels");
        bencher.bench_local(|| -> masked_loss::Result<()> {
            let logits = layer.forward(&features);
            let loss = BceWithLogits::default().forward(&logits, &labels, Reduction::Mean)?;
            optimizer.zero_grad();
            loss.backward();
            let guard = match guarded {
                true => Some(RowGuard::new(&labels.observed_per_label()?, &[&layer.ws, bias])?),
                false => None,
            };
            optimizer.step();
            guard.map_or(Ok(()), RowGuard::restore)
        });
    }

    #[divan::bench(args = [12, 691])]
    fn without(bencher: Bencher, outputs: i64) {
        step(bencher, outputs, false);
    }
    #[divan::bench(args = [12, 691])]
    fn with(bencher: Bencher, outputs: i64) {
        step(bencher, outputs, true);
    }
}
