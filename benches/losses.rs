//! Composed | fused | ATen's own function, forward | forward and backward; and what it costs to keep the weights of
//! unobserved labels where they are.
//!
//! `scripts/with-libtorch cargo bench`; a name as argument picks, `cargo bench -- fused` for instance.

use divan::{Bencher, counter::ItemsCount};
use masked_loss::{Asymmetric, BceWithLogits, Labels, Loss, Path, Reduction, RowGuard, SigmoidFocal};
use tch::nn::{self, Module, OptimizerConfig};
use tch::{Device, Kind, Tensor};

const SIZES: [[i64; 2]; 4] = [[64, 12], [256, 1000], [256, 20_000], [1024, 20_000]];
const SHARE_OBSERVED: f64 = 0.3;

fn main() {
    println!("{} threads", tch::get_num_threads());
    divan::main();
}

struct Case {
    logits: Tensor,
    values: Tensor,
    mask: Tensor,
    labels: Labels,
}

impl Case {
    fn new(size: [i64; 2]) -> Self {
        tch::manual_seed(0);
        let real = || Tensor::rand(size, (Kind::Float, Device::Cpu));
        let logits = Tensor::randn(size, (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let (values, mask) = (real().round(), real().lt(SHARE_OBSERVED));
        let labels = Labels::from_mask(&values, &mask).expect("0 and 1 are labels");
        Self { logits, values, mask: mask.to_kind(Kind::Float), labels }
    }

    fn count(&self) -> ItemsCount {
        ItemsCount::new(self.logits.numel())
    }
}

fn forward(bencher: Bencher, size: [i64; 2], loss: impl Fn(&Case) -> Tensor + Sync) {
    let case = Case::new(size);
    bencher.counter(case.count()).bench_local(|| tch::no_grad(|| loss(&case)));
}

/// The gradient of the logits is taken, not accumulated: in a network they are no leaf.
fn backward(bencher: Bencher, size: [i64; 2], loss: impl Fn(&Case) -> Tensor + Sync) {
    let case = Case::new(size);
    bencher.counter(case.count()).bench_local(|| Tensor::run_backward(&[loss(&case)], &[&case.logits], false, false));
}

macro_rules! paths {
    ($name:ident, $loss:expr) => {
        #[divan::bench_group(max_time = 3)]
        mod $name {
            use super::*;

            fn by(path: Path) -> impl Fn(&Case) -> Tensor {
                move |case| $loss.forward_on(path, &case.logits, &case.labels, Reduction::Mean).expect("the case fits")
            }
            #[divan::bench(args = SIZES)]
            fn fused_forward(bencher: Bencher, size: [i64; 2]) {
                forward(bencher, size, by(Path::Fused));
            }
            #[divan::bench(args = SIZES)]
            fn fused_forward_backward(bencher: Bencher, size: [i64; 2]) {
                backward(bencher, size, by(Path::Fused));
            }
            #[divan::bench(args = SIZES)]
            fn composed_forward(bencher: Bencher, size: [i64; 2]) {
                forward(bencher, size, by(Path::Composed));
            }
            #[divan::bench(args = SIZES)]
            fn composed_forward_backward(bencher: Bencher, size: [i64; 2]) {
                backward(bencher, size, by(Path::Composed));
            }
        }
    };
}

paths!(bce, BceWithLogits::default());
paths!(focal, SigmoidFocal::default());
paths!(asymmetric, Asymmetric::default());

#[divan::bench_group(max_time = 3)]
mod aten {
    use super::*;

    /// The mask as a weight: what ATen's own function offers for missing labels (a NaN among them it would not stop).
    fn bce(case: &Case) -> Tensor {
        let sum = case.logits.binary_cross_entropy_with_logits(
            &case.values,
            Some(&case.mask),
            None::<&Tensor>,
            tch::Reduction::Sum,
        );
        sum / case.mask.sum(Kind::Float)
    }
    #[divan::bench(args = SIZES)]
    fn bce_forward(bencher: Bencher, size: [i64; 2]) {
        forward(bencher, size, bce);
    }
    #[divan::bench(args = SIZES)]
    fn bce_forward_backward(bencher: Bencher, size: [i64; 2]) {
        backward(bencher, size, bce);
    }
}

/// A step of Adam on an output layer of 1,000 inputs, 128 rows a batch, with labels as sparse as ChEMBL's.
#[divan::bench_group(max_time = 3)]
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
