use std::cell::RefCell;

use masked_loss_core::Step;
use tch::Tensor;

use super::parameter::{Parameter, Rows};
use crate::{Error, Result};

/// A step that moves the weights of a last layer while its loss is computed, and all other parameters at its end.
///
/// Put it into [`Linear::update`](crate::Linear::update). The forward pass then moves weight and bias, by the gradient
/// of the loss that it returns, and backward computes no gradient for them: for a wide layer, memory holds only the
/// gradient of some labels at a time. Call backward once, on the unscaled loss. If you accumulate or clip gradients,
/// use [`Optimizer::step`](crate::Optimizer::step).
///
/// ```
/// # use masked_loss::{BceWithLogits, Labels, Linear, Loss, Optimizer, Reduction, Rule};
/// # use tch::nn::{self, Module};
/// # use tch::{Device, Kind, Tensor};
/// # let variables = nn::VarStore::new(Device::Cpu);
/// # let body = nn::linear(variables.root() / "body", 3, 4, Default::default());
/// # let head = nn::linear(variables.root() / "head", 4, 5, Default::default());
/// # let features = Tensor::ones([1, 3], (Kind::Float, Device::Cpu));
/// # let labels = Labels::complete(&Tensor::ones([1, 5], (Kind::Float, Device::Cpu)))?;
/// # let mut optimizer = Optimizer::new(Rule::ADAM, 0.0, &variables.trainable_variables())?;
/// optimizer.zero_grad()?;
/// let update = optimizer.update(1e-3)?;
/// let layer = Linear::from(&head).with_update(&update);
/// let hidden = body.forward(&features).tanh();
/// let loss = BceWithLogits::default().forward_linear(&hidden, &layer, &labels, Reduction::Mean)?; // the head moves
/// loss.backward();
/// update.finish()?; // the body moves
/// # assert!(!head.ws.grad().defined() && body.ws.grad().defined());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "the other parameters move in `finish`"]
pub struct Update<'a> {
    parameters: &'a [Parameter],
    catches_up: bool,
    step: Step,
    /// Whether each parameter has moved.
    moved: RefCell<Vec<bool>>,
}

impl<'a> Update<'a> {
    pub(super) fn new(parameters: &'a [Parameter], catches_up: bool, step: Step) -> Self {
        Self { parameters, catches_up, step, moved: RefCell::new(vec![false; parameters.len()]) }
    }

    /// Moves the parameters that have a gradient and have not moved yet.
    ///
    /// # Errors
    /// As [`Optimizer::step`](crate::Optimizer::step).
    pub fn finish(self) -> Result<()> {
        let mut rest = self.parameters.iter().zip(self.moved.into_inner()).filter(|(_, moved)| !moved);
        rest.try_for_each(|(parameter, _)| parameter.step(&self.step, self.catches_up))
    }

    /// Returns the index of a parameter that is about to move, after bringing these rows (or all) up to date.
    pub(crate) fn claim(&self, name: &'static str, weight: &Tensor, rows: Option<&[i32]>) -> Result<usize> {
        let refused = |reason| Err(Error::Update { argument: name, reason });
        let Some(place) = self.parameters.iter().position(|parameter| parameter.is(weight)) else {
            return refused("is not one of the optimizer's parameters");
        };
        if std::mem::replace(&mut self.moved.borrow_mut()[place], true) {
            return refused("has moved in this step already");
        }
        self.parameters[place].catch_up(rows.map_or(Rows::All, Rows::Some))?;
        Ok(place)
    }

    /// Moves some rows of a parameter.
    pub(crate) fn rows(&self, place: usize, rows: &[i32], gradient: &Tensor) -> Result<()> {
        self.parameters[place].step_rows(&self.step, rows, gradient, self.catches_up)
    }

    /// Moves contiguous rows of a parameter, from `start` on.
    pub(crate) fn part(&self, place: usize, start: i64, gradient: &Tensor) -> Result<()> {
        self.parameters[place].step_part(&self.step, start, gradient.size()[0], gradient)
    }
}
