//! What training minimizes: a loss, and what a missing label counts as.

use anyhow::{Result, ensure};
use masked_loss::masked_loss_core::losses::{Described, Setting, Settings};
use masked_loss::{
    Accumulator, Backend, ClassSelective, Correction, Labels, LargeLoss, Linear, Loss, Missing, Named, Reduction,
    SelfPaced, WithMissing, catalogue,
};
use tch::{Device, Kind, Tensor};

/// A loss, and a policy for missing labels.
pub struct Objective {
    loss: WithMissing,
    relabel: Option<Relabel>,
}

/// Policies that depend on the predictions or on the epoch.
#[derive(Clone)]
enum Relabel {
    SelfPaced(SelfPaced),
    LargeLoss(LargeLoss),
    ClassSelective(ClassSelective),
}

/// The losses that take logits and labels from 0 to 1.
fn losses() -> impl Iterator<Item = Named> {
    catalogue().into_iter().filter(is_for_classes)
}

fn is_for_classes(named: &Named) -> bool {
    named.input_range == (f64::NEG_INFINITY..=f64::INFINITY) && named.label_range == (0.0..=1.0)
}

/// The losses with their settings, for the help.
pub fn losses_help() -> String {
    losses().map(|named| with_settings(named.name, named.settings())).collect::<Vec<_>>().join(", ")
}

/// The policies with their settings, for the help.
pub fn policies_help() -> String {
    let listed = |name, settings: Vec<(&'static str, Setting<'_>)>| {
        with_settings(name, &settings.iter().map(|(setting, _)| *setting).collect::<Vec<_>>())
    };
    let elementwise = Missing::catalogue().into_iter().map(|(name, mut policy)| listed(name, policy.settings()));
    let relabelling = relabelling().into_iter().map(|(name, mut policy, _)| listed(name, policy.settings()));
    elementwise.chain(relabelling).collect::<Vec<_>>().join(", ")
}

fn with_settings(name: &str, settings: &[&str]) -> String {
    match settings {
        [] => name.to_owned(),
        settings => format!("{name} ({})", settings.join(", ")),
    }
}

pub fn policies() -> Vec<&'static str> {
    let elementwise = Missing::catalogue().into_iter().map(|(name, _)| name);
    elementwise.chain(relabelling().into_iter().map(|(name, ..)| name)).collect()
}

/// Relabelling policies, each with the policy for labels that are still missing afterwards.
fn relabelling() -> [(&'static str, Relabel, Missing); 4] {
    let large_loss = |correction| Relabel::LargeLoss(LargeLoss::default().with_correction(correction));
    [
        ("self-paced", Relabel::SelfPaced(SelfPaced::default()), Missing::Negative),
        ("large-loss-reject", large_loss(Correction::Reject), Missing::Negative),
        ("large-loss-flip", large_loss(Correction::Flip), Missing::Negative),
        ("class-selective", Relabel::ClassSelective(ClassSelective::default()), Missing::FocalNegative { gamma: 2.0 }),
    ]
}

/// A text of the command line that describes a loss.
pub fn parse_loss(text: &str) -> Result<String> {
    begins_with_one_of(text, &losses().map(|named| named.name).collect::<Vec<_>>())?;
    Objective::new(text, "ignore", 1)?.check()?;
    Ok(text.to_owned())
}

/// A text of the command line that describes a policy for missing labels.
pub fn parse_policy(text: &str) -> Result<String> {
    begins_with_one_of(text, &policies())?;
    Objective::new("bce", text, 1)?.check()?;
    Ok(text.to_owned())
}

fn begins_with_one_of(text: &str, names: &[&str]) -> Result<()> {
    ensure!(names.contains(&Described::new(text)?.name()), "expected one of {}", names.join(", "));
    Ok(())
}

impl Relabel {
    fn settings(&mut self) -> Vec<(&'static str, Setting<'_>)> {
        match self {
            Self::SelfPaced(policy) => policy.settings(),
            Self::LargeLoss(policy) => policy.settings(),
            Self::ClassSelective(policy) => policy.settings(),
        }
    }

    /// The labels of a batch in an epoch counted from 1.
    fn relabel(&self, logits: &Tensor, labels: &Labels, epoch: usize) -> masked_loss::Result<Labels> {
        match self {
            Self::SelfPaced(policy) => policy.relabel(logits, labels, epoch),
            Self::LargeLoss(policy) => policy.relabel(logits, labels, epoch),
            // The published estimate of a label's prior: the mean prediction.
            Self::ClassSelective(policy) => {
                let priors = logits.detach().sigmoid().mean_dim(0i64, false, Kind::Float);
                policy.relabel(logits, labels, &priors)
            }
        }
    }
}

impl Objective {
    /// From texts such as `focal:gamma=1.5` and `self-paced:threshold=0.7`, for this number of labels.
    pub fn new(loss: &str, missing: &str, labels: usize) -> Result<Self> {
        let loss = Named::from_text(loss, labels)?;
        let described = Described::new(missing)?;
        let Some((_, mut relabel, rest)) = relabelling().into_iter().find(|(name, ..)| *name == described.name())
        else {
            return Ok(Self { loss: loss.with_missing(missing.parse()?), relabel: None });
        };
        described.apply(relabel.settings(), labels)?;
        Ok(Self { loss: loss.with_missing(rest), relabel: Some(relabel) })
    }

    /// Whether the settings are what loss and policy accept: they say so when they are used.
    fn check(&self) -> Result<()> {
        let logits = Tensor::zeros([1, 1], (Kind::Float, Device::Cpu));
        let labels = Labels::from_nan(&(&logits * f64::NAN))?;
        let labels = self.relabel.as_ref().map_or(Ok(labels.clone()), |policy| policy.relabel(&logits, &labels, 1))?;
        Ok(self.loss.forward_on(Backend::Composed, &logits, &labels, Reduction::Sum).map(drop)?)
    }

    /// Adds the gradients and the loss of a batch to the window. Epochs count from 1.
    pub fn backward(
        &self,
        window: &mut Accumulator,
        hidden: &Tensor,
        output: &Linear<'_>,
        labels: &Labels,
        epoch: u64,
    ) -> Result<()> {
        let Some(relabel) = &self.relabel else {
            return Ok(window.backward_linear(&self.loss, hidden, output, labels)?);
        };
        let logits = output.logits(hidden)?;
        let relabelled = relabel.relabel(&logits, labels, epoch as usize)?;
        Ok(window.backward(&self.loss, &logits, &relabelled)?)
    }
}
