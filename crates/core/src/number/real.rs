use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// The arithmetic that a loss formula may use.
///
/// A formula is written once, over `R: Real`. It is evaluated with `f64` (a value), with [`Dual`](crate::Dual) (value
/// and derivative, in the fused kernel and in the tests' oracle) and, in `masked-loss`, with tensors (a graph of
/// libtorch operations). Operators take their right-hand side by value or by reference: `x.sigmoid() - y`.
///
/// Scalar types implement every operation without branches, so that a loop over it vectorises.
pub trait Real:
    Clone
    + Debug
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + for<'a> Add<&'a Self, Output = Self>
    + for<'a> Sub<&'a Self, Output = Self>
    + for<'a> Mul<&'a Self, Output = Self>
    + for<'a> Div<&'a Self, Output = Self>
{
    /// `self * factor`.
    fn scale(&self, factor: f64) -> Self;

    /// `self * weight`, where the weight does not depend on the variable; it may be a label. The derivative leaves out
    /// the product rule's term for the weight.
    #[inline(always)]
    fn weighted(&self, weight: &Self) -> Self {
        self.clone() * weight
    }

    /// [`weighted`](Self::weighted), but 0 where the weight is 0, even if `self` is infinite or NaN. For the loss of
    /// the class that is not the label's, which may be infinite.
    fn share(&self, weight: &Self) -> Self;

    /// `self * factor`, for `self ≥ 0`, which may become infinite. Where `self` is 1e4 or more, the factor must be
    /// constant, as a sigmoid is by then, and not 0: the derivative is `factor` times that of `self`.
    #[inline(always)]
    fn damped(&self, factor: &Self) -> Self {
        self.clone() * factor
    }

    /// `self + offset`.
    fn shift(&self, offset: f64) -> Self;

    /// `e^self`.
    fn exp(&self) -> Self;

    /// Natural logarithm: −∞ at 0, NaN below.
    fn ln(&self) -> Self;

    /// `self^exponent`, for `self ≥ 0`; 1 for an exponent of 0. At 0 the derivative is 0 also for exponents below 1,
    /// whose slope is infinite there.
    ///
    /// The fused kernel multiplies if all exponents of a formula are integers from 0 to 7, and otherwise uses `exp` and
    /// `ln`.
    fn powf(&self, exponent: f64) -> Self;

    /// `1 / (1 + e^-self)`, to full relative precision in both tails.
    fn sigmoid(&self) -> Self;

    /// `ln(sigmoid(self))` without overflow or cancellation; its derivative is `sigmoid(-self)`.
    fn log_sigmoid(&self) -> Self;

    /// `if self < threshold { below } else { otherwise }`; NaN is not below. No gradient flows to `self`, nor to the
    /// side that is not selected.
    fn select_lt(&self, threshold: f64, below: &Self, otherwise: &Self) -> Self;

    /// The same value, with no derivative (a stop-gradient).
    fn detach(&self) -> Self;

    /// A constant of the same type.
    fn constant(&self, value: f64) -> Self;

    /// `1 - self`.
    #[inline(always)]
    fn one_minus(&self) -> Self {
        (-self.clone()).shift(1.0)
    }

    /// `max(self, floor)`, keeping NaN; below the floor the derivative is 0.
    #[inline(always)]
    fn at_least(&self, floor: f64) -> Self {
        self.select_lt(floor, &self.constant(floor), self)
    }

    /// `|self|`, with derivative 1 at 0, where [`abs`](Self::abs) has 0: a function that is smooth in x and written in
    /// `|x|` stays smooth.
    #[inline(always)]
    fn size(&self) -> Self {
        self.select_lt(0.0, &-self.clone(), self)
    }

    /// `|self|`, keeping NaN; at 0 the derivative is 0.
    #[inline(always)]
    fn abs(&self) -> Self {
        // 0 and NaN are neither above nor below 0, and are their own sign.
        let not_below = (-self.clone()).select_lt(0.0, &self.constant(1.0), &self.detach());
        self.weighted(&self.select_lt(0.0, &self.constant(-1.0), &not_below))
    }
}

/// The reference implementation: the standard library's functions, one entry at a time.
impl Real for f64 {
    fn scale(&self, factor: f64) -> Self {
        self * factor
    }
    fn share(&self, weight: &Self) -> Self {
        if *weight == 0.0 { 0.0 } else { self * weight }
    }
    fn shift(&self, offset: f64) -> Self {
        self + offset
    }
    fn exp(&self) -> Self {
        f64::exp(*self)
    }
    fn ln(&self) -> Self {
        f64::ln(*self)
    }
    fn powf(&self, exponent: f64) -> Self {
        f64::powf(*self, exponent)
    }
    fn sigmoid(&self) -> Self {
        let tail = (-self.abs()).exp();
        (if *self < 0.0 { tail } else { 1.0 }) / (1.0 + tail)
    }
    fn log_sigmoid(&self) -> Self {
        (if *self > 0.0 { 0.0 } else { *self }) - (-self.abs()).exp().ln_1p()
    }
    fn select_lt(&self, threshold: f64, below: &Self, otherwise: &Self) -> Self {
        if *self < threshold { *below } else { *otherwise }
    }
    fn detach(&self) -> Self {
        *self
    }
    fn constant(&self, value: f64) -> Self {
        value
    }
}
