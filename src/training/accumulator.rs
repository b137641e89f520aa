use tch::{Kind, Tensor};

use crate::plan::divide;
use crate::{Error, Labels, Linear, Loss, Reduction, Result};

/// Gradient accumulation that equals one big batch, however unevenly the labels are distributed over the micro-batches.
///
/// The mean of the micro-batches' means is not the mean of the batch: a micro-batch with few labels would count as much
/// as one with many. Here each micro-batch calls backward on its *sum*, and the gradients are divided once, at the end
/// of the window, by the total weight. Only the order of the additions differs from one big batch.
///
/// ```
/// # use masked_loss::{Accumulator, BceWithLogits, Labels, Reduction};
/// # use tch::nn::{self, Module, OptimizerConfig};
/// # use tch::{Device, Kind, Tensor};
/// # let variables = nn::VarStore::new(Device::Cpu);
/// # let network = nn::linear(variables.root(), 3, 2, Default::default());
/// # let mut optimizer = nn::Sgd::default().build(&variables, 0.1)?;
/// # let features = Tensor::ones([4, 3], (Kind::Float, Device::Cpu));
/// # let labels = Labels::complete(&Tensor::ones([4, 2], (Kind::Float, Device::Cpu)))?;
/// # let micro_batches = [Tensor::from_slice(&[0i64, 1, 2]), Tensor::from_slice(&[3i64])];
/// let loss = BceWithLogits::default();
/// let mut window = Accumulator::new(Reduction::Mean)?;
/// optimizer.zero_grad();
/// for rows in micro_batches {
///     let logits = network.forward(&features.index_select(0, &rows));
///     window.backward(&loss, &logits, &labels.rows(&rows)?)?;
/// }
/// let mean = window.finish(&variables.trainable_variables())?;
/// optimizer.step();
/// # assert!(mean.double_value(&[]) > 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Accumulator {
    reduction: Reduction,
    sum_and_weight: Option<(Tensor, Tensor)>,
}

impl Accumulator {
    /// A window that gives the gradient of this reduction over all its entries.
    ///
    /// [`Error::Reduction`] for `None`, which is not a number, and for `MeanPerLabel`, whose labels extend over the
    /// micro-batches, so that their sums do not add up.
    pub fn new(reduction: Reduction) -> Result<Self> {
        match reduction {
            Reduction::None | Reduction::MeanPerLabel => {
                Err(Error::Reduction { reduction, reason: "cannot be added up over micro-batches" })
            }
            _ => Ok(Self { reduction, sum_and_weight: None }),
        }
    }

    /// Adds one micro-batch: calls backward on its sum, which adds to the current gradients. Set them to zero before
    /// the first one.
    ///
    /// # Errors
    /// As [`Loss::forward`].
    pub fn backward(&mut self, loss: &dyn Loss, logits: &Tensor, labels: &Labels) -> Result<()> {
        self.add(loss.sum_and_weight(logits, labels, self.reduction)?)
    }

    /// The same for a linear last layer, see [`Loss::forward_linear`].
    ///
    /// # Errors
    /// As [`Loss::forward_linear`].
    pub fn backward_linear(
        &mut self,
        loss: &dyn Loss,
        hidden: &Tensor,
        linear: &Linear<'_>,
        labels: &Labels,
    ) -> Result<()> {
        self.add(loss.sum_and_weight_linear(hidden, linear, labels, self.reduction)?)
    }

    fn add(&mut self, (sum, weight): (Tensor, Tensor)) -> Result<()> {
        sum.f_backward()?;
        let (sum, weight) = (sum.f_detach()?.f_to_kind(Kind::Double)?, weight.f_to_kind(Kind::Double)?);
        self.sum_and_weight = Some(match self.sum_and_weight.take() {
            Some((sums, weights)) => (sums.f_add(&sum)?, weights.f_add(&weight)?),
            None => (sum, weight),
        });
        Ok(())
    }

    /// The sum and weight of the window so far, like [`Loss::sum_and_weight`] (`f64`).
    ///
    /// # Errors
    /// [`Error::Torch`] only.
    pub fn totals(&self) -> Result<(Tensor, Tensor)> {
        Ok(match &self.sum_and_weight {
            Some((sum, weight)) => (sum.shallow_clone(), weight.shallow_clone()),
            None => {
                let zero = || Tensor::f_zeros([0i64; 0], (Kind::Double, tch::Device::Cpu));
                (zero()?, zero()?)
            }
        })
    }

    /// Ends the window: divides the parameters' gradients by the weight of all micro-batches, returns the reduced loss
    /// (`f64`; 0 for a window without micro-batches), and begins a new window. Does not wait for a GPU.
    ///
    /// # Errors
    /// [`Error::Torch`] only.
    pub fn finish(&mut self, parameters: &[Tensor]) -> Result<Tensor> {
        let (sum, weight) = self.totals()?;
        self.sum_and_weight = None;
        // A weight that does not depend on the micro-batches is not their sum.
        let weight = match self.reduction {
            Reduction::Sum => Tensor::f_ones_like(&weight)?,
            Reduction::MeanOver(count) => weight.f_full_like(count)?,
            _ => weight,
        };
        let share = divide(&weight.f_ones_like()?, &weight)?;
        for parameter in parameters {
            let mut gradient = parameter.f_grad()?;
            if gradient.defined() {
                let _ = tch::no_grad(|| gradient.f_mul_(&share.f_to_kind(gradient.f_kind()?)?))?;
            }
        }
        divide(&sum, &weight)
    }
}
