//! Updates of weights, row by row where gradients are sparse.

mod composed;
mod parameter;
mod update;

pub use masked_loss_core::Rule;
use masked_loss_core::Step;
use masked_loss_core::{Touched, check_setting};
use tch::{Device, Kind, Tensor};

use self::parameter::{Parameter, Rows};
pub use self::update::Update;
use crate::{Error, Labels, Result};

/// SGD, Adam and AdamW, with PyTorch's definitions. They take dense gradients, and gradients that are sparse in their
/// rows, which [`Linear::sparse_gradient`](crate::Linear::sparse_gradient) and `tch::nn::Embedding` make.
///
/// A sparse gradient moves only its own rows: time and memory traffic do not depend on the others. There are two ways
/// to treat the other rows:
///
/// * **Lazy**, the default: a row that is not in the gradient keeps its bits, and so does its state: momentum, moments
///   and weight decay reach a row only in steps whose gradient has it. This is also what the embeddings of recommender
///   systems do, and
///   [`torch.optim.SparseAdam`](https://docs.pytorch.org/docs/stable/generated/torch.optim.SparseAdam.html), which
///   gives the same numbers except for its ε. Adam's bias correction counts all steps. Lazy steps differ from the dense
///   optimizer, whose momentum moves a row for some time after each gradient.
/// * [`with_catch_up`](Self::with_catch_up): equals the dense optimizer to the bit. A row takes its missed steps
///   when it is next used. That costs the number of missed steps times the row's length, but the row is in the
///   processor's cache. Call [`catch_up`](Self::catch_up) with a batch's labels before its forward pass, and
///   [`catch_up_all`](Self::catch_up_all) before you read all weights.
///
/// On the CPU, contiguous parameters of `f32` and `f64` move in one pass over memory, with the same bits for any number
/// of threads. Other parameters move by libtorch's operations.
///
/// ```
/// # use masked_loss::{BceWithLogits, Labels, Linear, Loss, Optimizer, Reduction, Rule};
/// # use tch::nn::{self, Module};
/// # use tch::{Device, Kind, Tensor};
/// # let variables = nn::VarStore::new(Device::Cpu);
/// # let body = nn::linear(variables.root() / "body", 3, 4, Default::default());
/// # let head = nn::linear(variables.root() / "head", 4, 5, Default::default());
/// # let features = Tensor::ones([1, 3], (Kind::Float, Device::Cpu));
/// # let labels = Labels::from_entries(&Tensor::from_slice(&[0i64]), &Tensor::from_slice(&[2i64]), &Tensor::from_slice(&[1i64]), [1, 5])?;
/// let mut optimizer = Optimizer::new(Rule::ADAM, 0.0, &variables.trainable_variables())?;
/// let before = head.ws.copy();
///
/// optimizer.zero_grad()?;
/// let layer = Linear::from(&head).with_sparse_gradient(true);
/// let hidden = body.forward(&features).tanh();
/// BceWithLogits::default().forward_linear(&hidden, &layer, &labels, Reduction::Mean)?.backward();
/// optimizer.step(1e-3)?;
///
/// let moved = head.ws.ne_tensor(&before).any_dim(1, false);
/// assert_eq!(Vec::<bool>::try_from(moved)?, [false, false, true, false, false]); // label 2 alone is observed
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
    weight_decay: f64,
    catches_up: bool,
    steps: u64,
    parameters: Vec<Parameter>,
}

impl Optimizer {
    /// An optimizer for these parameters. The weight decay is a factor, 0 for none.
    ///
    /// # Errors
    /// [`Error::Range`] for settings that are out of range; [`Error::Kind`] for a parameter that is not dense and floating-point.
    pub fn new(rule: Rule, weight_decay: f64, parameters: &[Tensor]) -> Result<Self> {
        rule.validate()?;
        check_setting("weight_decay", weight_decay, 0.0..=f64::MAX)?;
        let parameters = parameters.iter().map(|weight| Parameter::new(weight, rule)).collect::<Result<_>>()?;
        Ok(Self { rule, weight_decay, catches_up: false, steps: 0, parameters })
    }

    /// Lets the rows that a sparse gradient leaves out catch up: the weights are those of the dense optimizer, to the
    /// bit.
    pub fn with_catch_up(self) -> Self {
        Self { catches_up: true, ..self }
    }

    /// How many steps have been taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Sets the gradients to zero; sparse ones then have no rows.
    ///
    /// # Errors
    /// [`Error::Torch`] only.
    pub fn zero_grad(&self) -> Result<()> {
        for Parameter { weight, .. } in &self.parameters {
            let mut gradient = weight.f_grad()?;
            if gradient.defined() {
                let _ = tch::no_grad(|| gradient.f_zero_())?;
            }
        }
        Ok(())
    }

    /// Moves the parameters that have a gradient. `rate`: the learning rate.
    ///
    /// # Errors
    /// [`Error::Range`] for a rate that is negative or not finite; [`Error::Kind`] for a gradient that is sparse in more than its
    /// rows.
    pub fn step(&mut self, rate: f64) -> Result<()> {
        let step = self.next(rate)?;
        self.parameters.iter().try_for_each(|parameter| parameter.step(&step, self.catches_up))
    }

    /// The next step, for the weights of a last layer that move while its loss is computed. The gradient of all the
    /// weights is never in memory at once. See [`Update`].
    ///
    /// # Errors
    /// [`Error::Range`] for a rate that is negative or not finite.
    pub fn update(&mut self, rate: f64) -> Result<Update<'_>> {
        let step = self.next(rate)?;
        Ok(Update::new(&self.parameters, self.catches_up, step))
    }

    fn next(&mut self, rate: f64) -> Result<Step> {
        check_setting("rate", rate, 0.0..=f64::MAX)?;
        self.steps += 1;
        Ok(self.rule.step(self.steps, rate, self.weight_decay))
    }

    /// Brings the rows of a batch's observed labels up to date, in every parameter with a row for each label. Does
    /// nothing without [`with_catch_up`](Self::with_catch_up).
    ///
    /// # Errors
    /// [`Error::Environment`] and [`Error::Torch`] only.
    pub fn catch_up(&self, batch: &Labels) -> Result<()> {
        if !self.catches_up {
            return Ok(());
        }
        let count = batch.size().last().copied().unwrap_or(0);
        let rows = match batch.entries()? {
            Some(entries) => Touched::new(&entries).labels().to_vec(),
            None => {
                let observed = batch.observed_per_label()?.f_to_device(Device::Cpu)?.f_nonzero()?.f_reshape([-1])?;
                Vec::<i32>::try_from(&observed.f_to_kind(Kind::Int)?)?
            }
        };
        let mut of_labels = self.parameters.iter().filter(|parameter| parameter.weight.size().first() == Some(&count));
        of_labels.try_for_each(|parameter| parameter.catch_up(Rows::Some(&rows)))
    }

    /// Brings all rows up to date.
    ///
    /// # Errors
    /// [`Error::Environment`] and [`Error::Torch`] only.
    pub fn catch_up_all(&self) -> Result<()> {
        self.parameters.iter().try_for_each(|parameter| parameter.catch_up(Rows::All))
    }

    /// The state of each parameter, in the order of the parameters: the momentum, or Adam's two moments. Brings all
    /// rows up to date. The tensors share the optimizer's memory.
    ///
    /// # Errors
    /// As [`catch_up_all`](Self::catch_up_all).
    pub fn state(&self) -> Result<Vec<Vec<Tensor>>> {
        self.catch_up_all()?;
        Ok(self.parameters.iter().map(Parameter::state).collect())
    }

    /// Resumes after `steps` steps, with a state for the same parameters.
    ///
    /// # Errors
    /// [`Error::Shape`] where the state does not fit these parameters.
    pub fn restore(&mut self, steps: u64, state: &[Vec<Tensor>]) -> Result<()> {
        let all: Vec<_> = self.parameters.iter().flat_map(Parameter::state).collect();
        let found: Vec<_> = state.iter().flatten().collect();
        let sizes = |tensors: &[&Tensor]| tensors.iter().map(|tensor| tensor.size()).collect::<Vec<_>>();
        let (expected, sizes) = (sizes(&all.iter().collect::<Vec<_>>()), sizes(&found));
        if expected.len() != sizes.len() {
            return Err(Error::shape("state", expected, vec![sizes.len() as i64]));
        }
        if let Some((expected, found)) = expected.iter().zip(sizes).find(|(expected, found)| *expected != found) {
            return Err(Error::shape("state", expected, found));
        }
        self.parameters.iter().for_each(Parameter::forget);
        for (own, value) in all.into_iter().zip(found) {
            tch::no_grad(|| own.f_detach()?.f_copy_(value))?;
        }
        self.steps = steps;
        Ok(())
    }
}
