use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use masked_loss_core::Elementwise;
use masked_loss_core::losses::{
    AbsoluteError, Asymmetric, BceProbabilities, BceWithLogits, Described, Hill, Huber, Settings, SigmoidFocal,
    SquaredError,
};

use super::missing::{Missing, WithMissing, by_name};
use super::traits::Loss;
use crate::Result;
use crate::composed::TensorFormula;

/// A loss under a name, with the ranges that it accepts.
#[non_exhaustive]
pub struct Named {
    /// Its name on command lines and in tables.
    pub name: &'static str,
    /// The loss.
    pub loss: Box<dyn Loss + Send + Sync>,
    formula: Arc<dyn TensorFormula>,
    /// See [`Elementwise::input_range`].
    pub input_range: RangeInclusive<f64>,
    /// See [`Elementwise::label_range`].
    pub label_range: RangeInclusive<f64>,
    settings: Vec<&'static str>,
}

impl Named {
    /// Gives a loss a name.
    pub fn new<E: Elementwise + 'static>(name: &'static str, loss: E) -> Self {
        let (input_range, label_range, formula) = (loss.input_range(), loss.label_range(), Arc::new(loss));
        let loss = Box::new(WithMissing::new(formula.clone(), Missing::Ignore));
        Self { name, loss, formula, input_range, label_range, settings: Vec::new() }
    }

    /// The loss that a text describes: a name of the [`catalogue`], then settings after colons, named like their fields.
    /// If a setting has one number per label, the text gives one number, which is repeated for all `labels`.
    ///
    /// ```
    /// use masked_loss::Named;
    ///
    /// let loss = Named::from_text("focal:gamma=1.5:alpha=none", 12)?;
    /// assert_eq!(loss.name, "focal");
    /// let error = Named::from_text("focal:gama=2", 12).unwrap_err();
    /// assert_eq!(error.to_string(), "focal: expected one of the settings alpha, gamma, found `gama`");
    /// # Ok::<(), masked_loss::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Text`](crate::Error::Text) for an unknown name or setting, or a value of another type;
    /// [`Error::Range`](crate::Error::Range) for a value that the loss does not accept.
    pub fn from_text(text: &str, labels: usize) -> Result<Self> {
        let described = Described::new(text)?;
        let (name, make) = by_name("loss", described.name(), MAKERS)?;
        make(name, &described, labels)
    }

    /// The names of the settings that [`from_text`](Self::from_text) takes for this loss.
    pub fn settings(&self) -> &[&'static str] {
        &self.settings
    }

    /// See [`Loss::with_missing`].
    pub fn with_missing(&self, missing: Missing) -> WithMissing {
        WithMissing::new(self.formula.clone(), missing)
    }
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, input_range, label_range, .. } = self;
        let mut shown = f.debug_struct("Named");
        shown.field("name", name).field("input_range", input_range).field("label_range", label_range);
        shown.finish_non_exhaustive()
    }
}

type Make = fn(&'static str, &Described<'_>, usize) -> Result<Named>;

const MAKERS: [(&str, Make); 8] = [
    ("bce", make::<BceWithLogits>),
    ("bce-probabilities", make::<BceProbabilities>),
    ("focal", make::<SigmoidFocal>),
    ("asymmetric", make::<Asymmetric>),
    ("hill", make::<Hill>),
    ("huber", make::<Huber>),
    ("squared", make::<SquaredError>),
    ("absolute", make::<AbsoluteError>),
];

fn make<E: Elementwise + Settings + 'static>(
    name: &'static str,
    described: &Described<'_>,
    labels: usize,
) -> Result<Named> {
    let mut loss = E::default();
    described.apply(loss.settings(), labels)?;
    loss.validate()?;
    let settings = loss.settings().into_iter().map(|(name, _)| name).collect();
    Ok(Named { settings, ..Named::new(name, loss) })
}

/// Every loss with its default settings, for tests, programs and benchmarks.
pub fn catalogue() -> Vec<Named> {
    let names = MAKERS.map(|(name, _)| name);
    names.into_iter().map(|name| Named::from_text(name, 0).expect("default settings are accepted")).collect()
}
