//! A user's program: it starts without LD_LIBRARY_PATH and computes a masked loss.

use masked_loss::{BceWithLogits, Labels, Loss, Reduction};
use tch::Tensor;

fn main() -> anyhow::Result<()> {
    let logits = Tensor::from_slice(&[0.0, 3.0]).set_requires_grad(true);
    let labels = Labels::from_nan(&Tensor::from_slice(&[1.0, f64::NAN]))?;
    let loss = BceWithLogits::default().forward(&logits, &labels, Reduction::Mean)?;
    loss.backward();
    println!("loss {:.4}, gradient {:?}", loss.double_value(&[]), Vec::<f64>::try_from(logits.grad())?);
    Ok(())
}
