//! A number with a bound on its rounding error.

use std::ops::{Add, Div, Mul, Neg, Sub};

use masked_loss::Real;

/// Computed in `f64`, with a bound on the effect of rounding after every operation. The bound is large for the
/// difference of two numbers that are almost equal.
#[derive(Clone, Copy, Debug)]
pub struct Tracked {
    pub value: f64,
    /// In units of the machine epsilon of any type.
    pub error: f64,
}

impl Tracked {
    pub fn exact(value: f64) -> Self {
        Self { value, error: 0.0 }
    }

    /// The rounded result of an operation, whose operands bring an error.
    fn rounded(value: f64, brought: f64) -> Self {
        Self { value, error: brought + value.abs() }
    }
}

impl Neg for Tracked {
    type Output = Self;
    fn neg(self) -> Self {
        Self { value: -self.value, ..self }
    }
}

macro_rules! operators {
    ($($operator:ident $method:ident: $a:ident, $b:ident => $value:expr, $brought:expr;)*) => {$(
        impl $operator<&Self> for Tracked {
            type Output = Self;
            fn $method(self, other: &Self) -> Self {
                let ($a, $b) = (self, other);
                Self::rounded($value, $brought)
            }
        }
        impl $operator for Tracked {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                $operator::$method(self, &other)
            }
        }
    )*};
}
operators! {
    Add add: a, b => a.value + b.value, a.error + b.error;
    Sub sub: a, b => a.value - b.value, a.error + b.error;
    Mul mul: a, b => a.value * b.value, a.error * b.value.abs() + b.error * a.value.abs();
    Div div: a, b => a.value / b.value, (a.error + (a.value / b.value).abs() * b.error) / b.value.abs();
}

impl Real for Tracked {
    fn scale(&self, factor: f64) -> Self {
        Self::rounded(self.value * factor, self.error * factor.abs())
    }
    fn share(&self, weight: &Self) -> Self {
        if weight.value == 0.0 { *weight } else { *self * weight }
    }
    fn shift(&self, offset: f64) -> Self {
        Self::rounded(self.value + offset, self.error)
    }
    fn exp(&self) -> Self {
        Self::rounded(self.value.exp(), self.value.exp() * self.error)
    }
    fn ln(&self) -> Self {
        Self::rounded(self.value.ln(), self.error / self.value.abs())
    }
    fn powf(&self, exponent: f64) -> Self {
        let value = self.value.powf(exponent);
        let slope = if exponent == 0.0 { 0.0 } else { exponent * self.value.powf(exponent - 1.0) };
        // An integer power is a few products; any other uses `exp` and `ln`.
        let by_ln = if exponent.fract() == 0.0 || value == 0.0 { 0.0 } else { value * exponent * self.value.ln() };
        Self::rounded(value, slope.abs() * self.error + by_ln.abs())
    }
    fn sigmoid(&self) -> Self {
        let slope = self.value.sigmoid() * (-self.value).sigmoid();
        Self::rounded(self.value.sigmoid(), slope * self.error)
    }
    fn log_sigmoid(&self) -> Self {
        Self::rounded(self.value.log_sigmoid(), (-self.value).sigmoid() * self.error)
    }
    fn select_lt(&self, threshold: f64, below: &Self, otherwise: &Self) -> Self {
        if self.value < threshold { *below } else { *otherwise }
    }
    fn detach(&self) -> Self {
        *self
    }
    fn constant(&self, value: f64) -> Self {
        Self::rounded(value, 0.0)
    }
}
