//! What training minimizes: a loss, and what a missing label counts as.

use anyhow::{Context, Result};
use masked_loss::{
    Accumulator, ClassSelective, Correction, Labels, LargeLoss, Linear, Missing, Named, SelfPaced, WithMissing,
    catalogue,
};
use tch::{Kind, Tensor};

/// A loss by name, and a policy for missing labels by name.
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
pub fn losses() -> impl Iterator<Item = Named> {
    let logits = f64::NEG_INFINITY..=f64::INFINITY;
    catalogue().into_iter().filter(move |named| named.inputs == logits && named.labels == (0.0..=1.0))
}

pub fn policies() -> Vec<&'static str> {
    let elementwise = Missing::catalogue().into_iter().map(|(name, _)| name);
    elementwise.chain(relabelling().into_iter().map(|(name, ..)| name)).collect()
}

/// Relabelling policies, each with the policy for labels that are still missing afterwards.
fn relabelling() -> Vec<(&'static str, Relabel, Missing)> {
    let large_loss = |correction| Relabel::LargeLoss(LargeLoss { correction, step: 0.002 });
    vec![
        ("self-paced", Relabel::SelfPaced(SelfPaced::default()), Missing::Negative),
        ("large-loss-reject", large_loss(Correction::Reject), Missing::Negative),
        ("large-loss-flip", large_loss(Correction::Flip), Missing::Negative),
        ("class-selective", Relabel::ClassSelective(ClassSelective::default()), Missing::FocalNegative { gamma: 2.0 }),
    ]
}

impl Objective {
    pub fn new(loss: &str, missing: &str) -> Result<Self> {
        let named = losses().find(|named| named.name == loss).with_context(|| format!("no loss is called {loss}"))?;
        if let Some((_, relabel, rest)) = relabelling().into_iter().find(|(name, ..)| *name == missing) {
            return Ok(Self { loss: named.with_missing(rest), relabel: Some(relabel) });
        }
        let policy = Missing::catalogue().into_iter().find(|(name, _)| *name == missing);
        let (_, policy) = policy.with_context(|| format!("no policy for missing labels is called {missing}"))?;
        Ok(Self { loss: named.with_missing(policy), relabel: None })
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
        let (logits, epoch) = (&output.logits(hidden)?, epoch as usize);
        let relabelled = match relabel {
            Relabel::SelfPaced(policy) => policy.relabel(logits, labels, epoch)?,
            Relabel::LargeLoss(policy) => policy.relabel(logits, labels, epoch)?,
            // The published estimate of a label's prior: the mean prediction.
            Relabel::ClassSelective(policy) => {
                let priors = logits.detach().sigmoid().mean_dim(0i64, false, Kind::Float);
                policy.relabel(logits, labels, &priors)?
            }
        };
        Ok(window.backward(&self.loss, logits, &relabelled)?)
    }
}
