use tch::Tensor;

use crate::{Error, Result, check};

/// Keeps the weights of labels that a step did not observe exactly where they were.
///
/// A gradient of zero is not enough for stateful optimizers: momentum, Adam's moments and weight decay move a weight
/// whose gradient is zero. This restores the rows of unobserved labels after the step, to the bit. It looks at the
/// labels, not at the gradient, which may be zero for an observed label.
///
/// It does not touch the optimizer's own state: the moments of such a row decay as in a step with a gradient of zero,
/// so a label that reappears after a long time moves with fresh moments. Weight decay does not reach a row while it is
/// kept.
///
/// ```
/// # use masked_loss::{BceWithLogits, Labels, Loss, Reduction, RowGuard};
/// # use tch::nn::{self, Module, OptimizerConfig};
/// # use tch::{Device, Kind, Tensor};
/// # let variables = nn::VarStore::new(Device::Cpu);
/// # let head = nn::linear(variables.root(), 3, 2, Default::default());
/// # let mut optimizer = nn::Adam::default().build(&variables, 0.1)?;
/// # let labels = Labels::from_nan(&Tensor::from_slice(&[1.0, f64::NAN]).view([1, 2]))?;
/// # let features = Tensor::ones([1, 3], (Kind::Float, Device::Cpu));
/// # let bias = head.bs.as_ref().unwrap();
/// optimizer.zero_grad();
/// BceWithLogits::default().forward(&head.forward(&features), &labels, Reduction::Mean)?.backward();
/// let guard = RowGuard::new(&labels.observed_per_label()?, &[&head.ws, bias])?;
/// optimizer.step();
/// guard.restore()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "rows are put back by `restore`"]
pub struct RowGuard {
    unobserved: Tensor,
    kept: Vec<(Tensor, Tensor)>,
}

impl RowGuard {
    /// Saves the rows of `weights` whose labels have a count of 0 in `observed_per_label` (`[C]`, see
    /// [`Labels::observed_per_label`](crate::Labels::observed_per_label); for several micro-batches, their sum). Each
    /// of `weights` has one row for each label: `[C, ..]`, like those of `tch::nn::Linear`. Reads the counts, which
    /// waits for a GPU.
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::Device`] where the tensors do not fit each other.
    pub fn new(observed_per_label: &Tensor, weights: &[&Tensor]) -> Result<Self> {
        check::dense("observed_per_label", observed_per_label)?;
        let [labels] = observed_per_label.size()[..] else {
            let (argument, expected) = ("observed_per_label", "[C]".into());
            return Err(Error::Shape { argument, expected, found: observed_per_label.size() });
        };
        let unobserved = observed_per_label.f_eq(0)?.f_nonzero()?.f_reshape([-1])?;
        let kept = weights.iter().map(|weight| {
            check::dense("weights", weight)?;
            if weight.size().first() != Some(&labels) {
                let expected = format!("[{labels}, ..], a row for each label");
                return Err(Error::Shape { argument: "weights", expected, found: weight.size() });
            }
            if weight.device() != unobserved.device() {
                let (expected, found) = (unobserved.device(), weight.device());
                return Err(Error::Device { argument: "weights", expected, found });
            }
            Ok((weight.shallow_clone(), weight.f_detach()?.f_index_select(0, &unobserved)?))
        });
        Ok(Self { kept: kept.collect::<Result<_>>()?, unobserved })
    }

    /// Restores the rows.
    ///
    /// # Errors
    /// [`Error::Torch`] only.
    pub fn restore(self) -> Result<()> {
        tch::no_grad(|| {
            for (weight, rows) in &self.kept {
                let _ = weight.shallow_clone().f_index_copy_(0, &self.unobserved, rows)?;
            }
            Ok(())
        })
    }
}
