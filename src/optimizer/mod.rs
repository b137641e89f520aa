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

/// SGD, Adam and AdamW, with PyTorch's definitions, for dense gradients and for those that are sparse in their rows, as
/// [`Linear::sparse_gradient`](crate::Linear::sparse_gradient) and `tch::nn::Embedding` make them.
///
/// Of a sparse gradient only its rows move: time and memory traffic do not depend on the other rows. What that means for them
/// is a choice:
///
/// * **Lazy**, the default: a row that the gradient does not have keeps its bits, and so does what is remembered of it:
///   momentum, moments and weight decay reach a row only in steps whose gradient has it. So do
///   [`torch.optim.SparseAdam`](https://docs.pytorch.org/docs/stable/generated/torch.optim.SparseAdam.html), which has the same
///   numbers but for its ε, and the embeddings of recommender systems. Adam's correction of its moments goes by all steps. It is
///   not the dense optimizer: that one moves a row on by its memory for some time after each gradient.
/// * [`with_catch_up`](Self::with_catch_up): the dense optimizer to the bit. A row takes the steps that it missed when it is used
///   next. The time for that is the number of missed steps times the row's length, but the row is in the processor's cache. Call
///   [`catch_up`](Self::catch_up) with a batch's labels before its forward pass, and [`catch_up_all`](Self::catch_up_all) before
///   all weights are read.
///
/// On the CPU, contiguous parameters of `f32` and `f64` move in one pass over memory; steps are the same bits for any number of
/// threads. Others move by libtorch's operations.
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
/// let hidden = body.forward(&features).relu();
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
    /// For these parameters. The weight decay is a factor, 0 for none.
    ///
    /// # Errors
    /// [`Error::Range`] for settings that are out of range; [`Error::Kind`] for a parameter that is not dense and floating-point.
    pub fn new(rule: Rule, weight_decay: f64, parameters: &[Tensor]) -> Result<Self> {
        rule.validate()?;
        check_setting("weight_decay", weight_decay, 0.0..=f64::MAX)?;
        let parameters = parameters.iter().map(|weight| Parameter::new(weight, rule)).collect::<Result<_>>()?;
        Ok(Self { rule, weight_decay, catches_up: false, steps: 0, parameters })
    }

    /// Rows that a sparse gradient does not have catch up, so that the weights are those of the dense optimizer, to the bit.
    pub fn with_catch_up(self) -> Self {
        Self { catches_up: true, ..self }
    }

    /// How many steps were taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Sets the gradients to zero; sparse ones then hold no row.
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

    /// The next step, for weights of a last layer that move while its loss is computed: no gradient of all of them is ever in
    /// memory. See [`Update`].
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

    /// Brings the rows of those labels up to date that are observed in a batch, in every parameter with a row for each label.
    /// Nothing happens without [`with_catch_up`](Self::with_catch_up).
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

    /// What is remembered of each parameter, in their order: the momentum, or Adam's two moments. All rows are brought up to
    /// date. The tensors share the optimizer's memory.
    ///
    /// # Errors
    /// As [`catch_up_all`](Self::catch_up_all).
    pub fn state(&self) -> Result<Vec<Vec<Tensor>>> {
        self.catch_up_all()?;
        Ok(self.parameters.iter().map(Parameter::state).collect())
    }

    /// Continues after `steps` steps, with a state of the same parameters.
    ///
    /// # Errors
    /// [`Error::Shape`] where the state is not of these parameters.
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
