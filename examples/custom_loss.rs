//! A custom loss: one formula gives both backends, the gradient, the mask, the reductions and the checks.
//!
//! `scripts/with-libtorch cargo run --release --example custom_loss`

use anyhow::{Result, ensure};
use masked_loss::{Backend, Elementwise, Labels, Loss, Real, Reduction, gradcheck};
use tch::nn::{self, Module, OptimizerConfig};
use tch::{Device, Kind, Tensor};

/// The Brier score, where errors on positives weigh more: `(1 + (w − 1)·y)·(σ(x) − y)²`.
struct WeightedBrier {
    positive_weight: f64,
}

impl Elementwise for WeightedBrier {
    #[inline(always)]
    fn entry<R: Real>(&self, logit: &R, label: &R) -> R {
        let error = logit.sigmoid() - label;
        let weight = label.scale(self.positive_weight - 1.0).shift(1.0);
        (error.clone() * error).weighted(&weight)
    }
}

fn main() -> Result<()> {
    tch::manual_seed(0);
    let loss = WeightedBrier { positive_weight: 3.0 };
    let features = Tensor::randn([64, 10], (Kind::Float, Device::Cpu));
    let truth = features.matmul(&Tensor::randn([10, 4], (Kind::Float, Device::Cpu))).gt(0.0).to_kind(Kind::Float);
    let missing = truth.rand_like().lt(0.7);
    let labels = Labels::from_nan(&truth.masked_fill(&missing, f64::NAN))?;

    // Both backends against central differences, in f64. What a missing entry's logit holds has no effect, not even NaN.
    let logits = Tensor::randn([64, 4], (Kind::Double, Device::Cpu)).masked_fill(&missing, f64::NAN);
    let report = gradcheck(&loss, &logits, &labels)?;
    println!("gradcheck: {report}");
    ensure!(report.passes(1e-6), "the gradient is wrong");

    // The fused backend computes value and gradient in one vectorised pass; the composed backend is a graph of libtorch
    // operations, which runs on any device. `forward` chooses.
    let [composed, fused] = [Backend::Composed, Backend::Fused].map(|backend| -> Result<_> {
        let logits = logits.detach_copy().set_requires_grad(true);
        let mean = loss.forward_on(backend, &logits, &labels, Reduction::Mean)?;
        mean.backward();
        println!("{:<10} mean {:.15}", format!("{backend:?}:"), mean.double_value(&[]));
        Ok((mean, logits.grad()))
    });
    let ((mean, gradient), (fused_mean, fused_gradient)) = (composed?, fused?);
    ensure!((mean - fused_mean).abs().double_value(&[]) < 1e-14, "the backends' values differ");
    ensure!((gradient - fused_gradient).abs().max().double_value(&[]) < 1e-15, "the backends' gradients differ");

    let variables = nn::VarStore::new(Device::Cpu);
    let network = nn::linear(variables.root(), 10, 4, Default::default());
    let mut optimizer = nn::Adam::default().build(&variables, 0.05)?;
    let mut means = Vec::new();
    for step in 0..=100 {
        let mean = loss.forward(&network.forward(&features), &labels, Reduction::Mean)?;
        optimizer.backward_step(&mean);
        means.push(mean.double_value(&[]));
        if step % 25 == 0 {
            println!("step {step:>3}:  mean {:.4}", means[step]);
        }
    }
    ensure!(means[100] < 0.25 * means[0], "the loss did not fall");
    Ok(())
}
