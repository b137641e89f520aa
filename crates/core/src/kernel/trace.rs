//! Finds out which operations a formula uses, by evaluating it without numbers.

use std::ops::{Add, Div, Mul, Neg, Sub};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::{Dual, Elementwise, Real};

/// What the kernel needs to know about a formula. One evaluation is enough, as formulas do not branch on numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uses {
    /// Whether it takes sigmoids of its input.
    pub(crate) sigmoid: bool,
    /// Whether all its exponents are integers from 0 to 7.
    pub(crate) integer_powers: bool,
}

impl Uses {
    pub(crate) fn of<E: Elementwise + ?Sized>(loss: &E) -> Self {
        let found = Found::default();
        let number = |logit| Trace { logit, found: &found };
        let (x, y) = (Dual::variable(number(true)), Dual::fixed(number(false)));
        match loss.parameter() {
            Some(_) => loss.entry_with(&x, &y, &Dual::fixed(number(false))),
            None => loss.entry(&x, &y),
        };
        Self { sigmoid: found.sigmoid.into_inner(), integer_powers: !found.other_power.into_inner() }
    }
}

#[derive(Debug, Default)]
struct Found {
    sigmoid: AtomicBool,
    other_power: AtomicBool,
}

/// Stands in for a number.
#[derive(Clone, Copy, Debug)]
struct Trace<'a> {
    /// Whether it is ± the formula's input: [`Lane`](super::lane::Lane) keeps the sigmoid's parts for the same numbers.
    logit: bool,
    found: &'a Found,
}

impl Trace<'_> {
    fn other(self) -> Self {
        Self { logit: false, ..self }
    }

    fn sigmoid_of(self) -> Self {
        if self.logit {
            self.found.sigmoid.store(true, Relaxed);
        }
        self.other()
    }
}

impl Neg for Trace<'_> {
    type Output = Self;
    fn neg(self) -> Self {
        self
    }
}

macro_rules! operators {
    ($($operator:ident $method:ident),*) => {$(
        impl $operator for Trace<'_> {
            type Output = Self;
            fn $method(self, _: Self) -> Self {
                self.other()
            }
        }
        impl $operator<&Self> for Trace<'_> {
            type Output = Self;
            fn $method(self, _: &Self) -> Self {
                self.other()
            }
        }
    )*};
}
operators!(Add add, Sub sub, Mul mul, Div div);

impl Real for Trace<'_> {
    fn scale(&self, _: f64) -> Self {
        self.other()
    }
    fn share(&self, _: &Self) -> Self {
        self.other()
    }
    fn shift(&self, _: f64) -> Self {
        self.other()
    }
    fn size(&self) -> Self {
        *self
    }
    fn exp(&self) -> Self {
        self.other()
    }
    fn ln(&self) -> Self {
        self.other()
    }
    fn powf(&self, exponent: f64) -> Self {
        if !(0..8).any(|integer| exponent == f64::from(integer)) {
            self.found.other_power.store(true, Relaxed);
        }
        self.other()
    }
    fn sigmoid(&self) -> Self {
        self.sigmoid_of()
    }
    fn log_sigmoid(&self) -> Self {
        self.sigmoid_of()
    }
    fn select_lt(&self, _: f64, below: &Self, otherwise: &Self) -> Self {
        Self { logit: below.logit && otherwise.logit, ..*self }
    }
    fn detach(&self) -> Self {
        *self
    }
    fn constant(&self, _: f64) -> Self {
        self.other()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::{Asymmetric, BceProbabilities, BceWithLogits, Hill, SigmoidFocal, SquaredError};

    #[test]
    fn sigmoids_of_the_input_are_found() {
        assert!(Uses::of(&BceWithLogits::default()).sigmoid);
        assert!(Uses::of(&BceWithLogits { pos_weight: Some(vec![2.0]), label_smoothing: 0.0 }).sigmoid);
        assert!(Uses::of(&Hill::default()).sigmoid);
        assert!(!Uses::of(&SquaredError).sigmoid);
        assert!(!Uses::of(&BceProbabilities).sigmoid);
    }

    #[test]
    fn powers_of_every_kind_are_found() {
        for gamma in [0.0, 1.0, 2.0, 7.0] {
            assert!(Uses::of(&SigmoidFocal { alpha: None, gamma }).integer_powers, "{gamma}");
        }
        for gamma in [0.5, 1.5, 8.0, f64::NAN] {
            assert!(!Uses::of(&SigmoidFocal { alpha: None, gamma }).integer_powers, "{gamma}");
            assert!(!Uses::of(&Asymmetric { gamma_negative: gamma, ..Default::default() }).integer_powers, "{gamma}");
        }
    }
}
