//! How an optimizer moves weights: all rows, or some.

mod element;
mod moving;

pub use self::moving::Moving;
use crate::{Result, check_setting};

/// An update rule, with PyTorch's names and definitions.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// `m ← μ·m + g`, `w ← w − rate·m`; the weight decay is added to g.
    Sgd {
        /// `μ`
        momentum: f64,
    },
    /// `m ← β₁·m + (1 − β₁)·g`, `v ← β₂·v + (1 − β₂)·g²`, `w ← w − rate·m̂ / (√v̂ + ε)`, with `m̂ = m / (1 − β₁ᵗ)` and
    /// `v̂ = v / (1 − β₂ᵗ)` in step t; the weight decay is added to g.
    Adam {
        /// `β₁` and `β₂`
        betas: [f64; 2],
        /// `ε`
        epsilon: f64,
    },
    /// [`Adam`](Self::Adam) with decoupled weight decay: `w ← (1 − rate·decay)·w` comes first.
    AdamW {
        /// `β₁` and `β₂`
        betas: [f64; 2],
        /// `ε`
        epsilon: f64,
    },
}

impl Rule {
    /// Adam with PyTorch's settings.
    pub const ADAM: Self = Self::Adam { betas: [0.9, 0.999], epsilon: 1e-8 };
    /// AdamW with PyTorch's settings.
    pub const ADAM_W: Self = Self::AdamW { betas: [0.9, 0.999], epsilon: 1e-8 };

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Range`](crate::Error::Range) for a momentum or an ε that is negative or not finite, and for a β outside
    /// [0, 1).
    pub fn validate(self) -> Result<()> {
        match self {
            Self::Sgd { momentum } => check_setting("momentum", momentum, 0.0..=f64::MAX),
            Self::Adam { betas, epsilon } | Self::AdamW { betas, epsilon } => {
                betas.into_iter().try_for_each(|beta| check_setting("betas", beta, 0.0..=1f64.next_down()))?;
                check_setting("epsilon", epsilon, 0.0..=f64::MAX)
            }
        }
    }

    /// Step `number`, counting from 1.
    pub fn step(self, number: u64, rate: f64, weight_decay: f64) -> Step {
        match self {
            Self::Sgd { momentum } => Step::Momentum { momentum, rate, decay: weight_decay },
            Self::Adam { betas, epsilon } => {
                Step::Moments(Moments::new(betas, epsilon, number, rate, [1.0, weight_decay]))
            }
            Self::AdamW { betas, epsilon } => {
                Step::Moments(Moments::new(betas, epsilon, number, rate, [1.0 - rate * weight_decay, 0.0]))
            }
        }
    }

    /// Whether the state has a second number for each weight.
    pub fn has_second(self) -> bool {
        !matches!(self, Self::Sgd { .. })
    }
}

/// One step of a [`Rule`]: the numbers that are the same for all weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// A step of [`Rule::Sgd`].
    Momentum {
        /// `μ`
        momentum: f64,
        /// The learning rate.
        rate: f64,
        /// The weight decay, which is added to the gradient.
        decay: f64,
    },
    /// A step of Adam or AdamW.
    Moments(Moments),
}

/// The numbers of a step of Adam: `w ← shrink·w`, `g ← g + decay·w`, `m ← m + gain₁·(g − m)`, `v ← keep·v + gain₂·g²`,
/// `w ← w − rate·m / (scale·√v + ε)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// The factor that is applied to a weight first.
    pub shrink: f64,
    /// The weight decay, which is added to the gradient.
    pub decay: f64,
    /// `1 − β₁` and `1 − β₂`
    pub gains: [f64; 2],
    /// `β₂`
    pub keep: f64,
    /// The learning rate over `1 − β₁ᵗ`.
    pub rate: f64,
    /// `1 / √(1 − β₂ᵗ)`
    pub scale: f64,
    /// `ε`
    pub epsilon: f64,
}

impl Moments {
    fn new(betas: [f64; 2], epsilon: f64, number: u64, rate: f64, [shrink, decay]: [f64; 2]) -> Self {
        let [first, second] = betas.map(|beta| 1.0 - beta.powf(number as f64));
        let gains = betas.map(|beta| 1.0 - beta);
        Self { shrink, decay, gains, keep: betas[1], rate: rate / first, scale: 1.0 / second.sqrt(), epsilon }
    }
}
