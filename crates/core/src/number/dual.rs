use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::Real;

/// A number with its derivative: arithmetic on it is forward-mode differentiation.
///
/// `Dual<f64>` is the oracle of the tests. The fused kernel computes with `Dual` over a vectorisable scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dual<T> {
    /// f(x)
    pub value: T,
    /// f′(x)
    pub derivative: T,
}

impl<T: Real> Dual<T> {
    /// The variable of differentiation: its derivative is 1.
    #[inline(always)]
    pub fn variable(value: T) -> Self {
        let derivative = value.constant(1.0);
        Self { value, derivative }
    }

    /// A number that does not depend on the variable: derivative 0.
    #[inline(always)]
    pub fn fixed(value: T) -> Self {
        let derivative = value.constant(0.0);
        Self { value, derivative }
    }

    /// f(self), given f's value and slope there (the chain rule).
    #[inline(always)]
    fn chain(&self, value: T, slope: T) -> Self {
        Self { value, derivative: slope * &self.derivative }
    }
}

impl<T: Real> Neg for Dual<T> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self { value: -self.value, derivative: -self.derivative }
    }
}

impl<T: Real> Add<&Self> for Dual<T> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: &Self) -> Self {
        Self { value: self.value + &other.value, derivative: self.derivative + &other.derivative }
    }
}

impl<T: Real> Sub<&Self> for Dual<T> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: &Self) -> Self {
        Self { value: self.value - &other.value, derivative: self.derivative - &other.derivative }
    }
}

impl<T: Real> Mul<&Self> for Dual<T> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: &Self) -> Self {
        let derivative = self.derivative * &other.value + self.value.clone() * &other.derivative;
        Self { value: self.value * &other.value, derivative }
    }
}

impl<T: Real> Div<&Self> for Dual<T> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: &Self) -> Self {
        let value = self.value / &other.value;
        let derivative = (self.derivative - value.clone() * &other.derivative) / &other.value;
        Self { value, derivative }
    }
}

/// `a ∘ b` from `a ∘ &b`.
macro_rules! by_value {
    ($($operator:ident $method:ident),*) => {$(
        impl<T: Real> $operator for Dual<T> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                $operator::$method(self, &other)
            }
        }
    )*};
}
by_value!(Add add, Sub sub, Mul mul, Div div);

impl<T: Real> Real for Dual<T> {
    #[inline(always)]
    fn scale(&self, factor: f64) -> Self {
        Self { value: self.value.scale(factor), derivative: self.derivative.scale(factor) }
    }
    #[inline(always)]
    fn weighted(&self, weight: &Self) -> Self {
        Self { value: self.value.weighted(&weight.value), derivative: self.derivative.weighted(&weight.value) }
    }
    #[inline(always)]
    fn share(&self, weight: &Self) -> Self {
        Self { value: self.value.share(&weight.value), derivative: self.derivative.share(&weight.value) }
    }
    #[inline(always)]
    fn damped(&self, factor: &Self) -> Self {
        let derivative = self.derivative.weighted(&factor.value) + self.value.share(&factor.derivative);
        Self { value: self.value.clone() * &factor.value, derivative }
    }
    #[inline(always)]
    fn shift(&self, offset: f64) -> Self {
        Self { value: self.value.shift(offset), derivative: self.derivative.clone() }
    }
    #[inline(always)]
    fn size(&self) -> Self {
        let derivative = self.value.select_lt(0.0, &-self.derivative.clone(), &self.derivative);
        Self { value: self.value.size(), derivative }
    }
    #[inline(always)]
    fn exp(&self) -> Self {
        let value = self.value.exp();
        self.chain(value.clone(), value)
    }
    #[inline(always)]
    fn ln(&self) -> Self {
        self.chain(self.value.ln(), self.value.constant(1.0) / &self.value)
    }
    #[inline(always)]
    fn powf(&self, exponent: f64) -> Self {
        // An exponent of 0 has slope 0, also at 0, where `0 * ∞` would be NaN.
        let lower = if exponent == 0.0 { 0.0 } else { exponent - 1.0 };
        // For an exponent between 0 and 1 the slope at 0 is 0, where `∞ * 0` would be NaN. NaN is its own slope.
        let bound = if 0.0 < exponent && exponent < 1.0 { 0.0 } else { f64::INFINITY };
        let slope = self.value.powf(lower).scale(exponent);
        self.chain(self.value.powf(exponent), (-self.value.clone()).select_lt(bound, &slope, &self.value))
    }
    #[inline(always)]
    fn sigmoid(&self) -> Self {
        let value = self.value.sigmoid();
        self.chain(value.clone(), value * (-self.value.clone()).sigmoid())
    }
    #[inline(always)]
    fn log_sigmoid(&self) -> Self {
        self.chain(self.value.log_sigmoid(), (-self.value.clone()).sigmoid())
    }
    #[inline(always)]
    fn select_lt(&self, threshold: f64, below: &Self, otherwise: &Self) -> Self {
        Self {
            value: self.value.select_lt(threshold, &below.value, &otherwise.value),
            derivative: self.value.select_lt(threshold, &below.derivative, &otherwise.derivative),
        }
    }
    #[inline(always)]
    fn detach(&self) -> Self {
        Self::fixed(self.value.clone())
    }
    #[inline(always)]
    fn constant(&self, value: f64) -> Self {
        Self::fixed(self.value.constant(value))
    }
}
