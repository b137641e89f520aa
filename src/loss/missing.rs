use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use masked_loss_core::losses::{Described, FocalNegative, NegativeEntropy, Setting, Settings};
use masked_loss_core::{Assumed, Elementwise, Entries};

use crate::composed::TensorFormula;
use crate::{Error, Result};

/// What a missing entry counts as. [`Ignore`](Self::Ignore) is the purpose of this crate. The others are published
/// alternatives, for comparison and for data in which only positives were recorded.
///
/// With every other policy, missing entries count too: in the value, the gradient and the denominators. Weights per row
/// and per label multiply missing entries as well; a weight per entry is 1 where the entry is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Missing {
    /// As nothing: no loss, no gradient.
    #[default]
    Ignore,
    /// As a negative: `ℓ(x, 0)`. Cole et al. 2021 (AN); with the loss's `label_smoothing` 0.1, their AN-LS.
    Negative,
    /// As a negative that weighs `1 / (C − 1)`, for one positive per row. Cole et al. 2021 (WAN).
    WeakNegative,
    /// As this label.
    Label(f64),
    /// As uncertain: `−α·H(σ(x))` maximises the entropy; α is 0.1 to 0.2. Zhou et al. 2022 (EM). For logits.
    UnknownEntropy {
        /// `α`
        alpha: f64,
    },
    /// As a negative with its own focal weight, which the gradient treats as a constant: `−σ(x)^γ·ln σ(−x)`, γ 2.
    /// Ben-Baruch et al. 2022 (partial ASL), with [`Asymmetric::partial`](crate::Asymmetric::partial) for the observed
    /// entries. For logits.
    FocalNegative {
        /// `γ`
        gamma: f64,
    },
}

impl Missing {
    /// Every policy with its default parameters, under its name on command lines and in tables.
    pub fn catalogue() -> Vec<(&'static str, Self)> {
        vec![
            ("ignore", Self::Ignore),
            ("negative", Self::Negative),
            ("weak-negative", Self::WeakNegative),
            ("half", Self::Label(0.5)),
            ("entropy", Self::UnknownEntropy { alpha: 0.1 }),
            ("focal-negative", Self::FocalNegative { gamma: 2.0 }),
        ]
    }
}

impl Settings for Missing {
    fn settings(&mut self) -> Vec<(&'static str, Setting<'_>)> {
        match self {
            Self::Ignore | Self::Negative | Self::WeakNegative => Vec::new(),
            Self::Label(label) => vec![("label", Setting::Number(label))],
            Self::UnknownEntropy { alpha } => vec![("alpha", Setting::Number(alpha))],
            Self::FocalNegative { gamma } => vec![("gamma", Setting::Number(gamma))],
        }
    }
}

/// A name of the [`catalogue`](Missing::catalogue), with settings: `negative`, `entropy:alpha=0.2`, `half:label=0.25`.
impl FromStr for Missing {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let described = Described::new(text)?;
        let (_, mut missing) = by_name("missing", described.name(), Self::catalogue())?;
        described.apply(missing.settings(), 1)?;
        Ok(missing)
    }
}

/// The entry of a catalogue that has this name.
pub(super) fn by_name<T>(
    argument: &str,
    name: &str,
    catalogue: impl IntoIterator<Item = (&'static str, T)>,
) -> Result<(&'static str, T)> {
    let mut names = Vec::new();
    for (known, entry) in catalogue {
        if known == name {
            return Ok((known, entry));
        }
        names.push(known);
    }
    Err(masked_loss_core::Error::text(argument, &format!("one of {}", names.join(", ")), name).into())
}

/// A loss that counts missing entries too, see [`Loss::with_missing`](crate::Loss::with_missing).
#[derive(Clone)]
pub struct WithMissing {
    observed: Arc<dyn TensorFormula>,
    missing: Option<(Arc<dyn TensorFormula>, f64, Weight)>,
}

#[derive(Clone, Copy, Debug)]
enum Weight {
    One,
    OneInOthers,
}

impl WithMissing {
    pub(super) fn new(observed: Arc<dyn TensorFormula>, missing: Missing) -> Self {
        let same = || observed.clone();
        let missing = match missing {
            Missing::Ignore => None,
            Missing::Negative => Some((same(), 0.0, Weight::One)),
            Missing::WeakNegative => Some((same(), 0.0, Weight::OneInOthers)),
            Missing::Label(label) => Some((same(), label, Weight::One)),
            Missing::UnknownEntropy { alpha } => {
                Some((formula(NegativeEntropy::default().with_alpha(alpha)), 0.0, Weight::One))
            }
            Missing::FocalNegative { gamma } => {
                Some((formula(FocalNegative::default().with_gamma(gamma)), 0.0, Weight::One))
            }
        };
        Self { observed, missing }
    }

    /// `size` returns the size of the labels. It is called only if the policy needs it.
    pub(super) fn entries(
        &self,
        size: impl FnOnce() -> Result<Vec<i64>>,
    ) -> Result<Entries<'_, dyn TensorFormula + '_>> {
        let Some((formula, label, weight)) = &self.missing else {
            return Ok(Entries { observed: &*self.observed, missing: None, part: None });
        };
        let weight = match weight {
            Weight::One => 1.0,
            Weight::OneInOthers => 1.0 / (size()?.last().unwrap_or(&1) - 1).max(1) as f64,
        };
        let missing = Some(Assumed { formula: &**formula, label: *label, weight });
        Ok(Entries { observed: &*self.observed, missing, part: None })
    }
}

impl fmt::Debug for WithMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("WithMissing");
        match &self.missing {
            None => shown.field("missing", &"ignored"),
            Some((_, label, weight)) => shown.field("label", label).field("weight", weight),
        };
        shown.finish_non_exhaustive()
    }
}

fn formula<E: Elementwise + 'static>(loss: E) -> Arc<dyn TensorFormula> {
    Arc::new(loss)
}
