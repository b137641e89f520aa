use std::ops::{Add, Div, Mul, Neg, Sub};

use super::float::{Float, exp, exp_below, ln, log1p_unit, select};
use crate::Real;

/// A scalar as the kernel's loops see it: every operation inlines to straight-line code. `FMA`: whether the target
/// multiplies and adds in one instruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lane<F, const FMA: bool>(pub(crate) F);

impl<F: Float, const FMA: bool> Neg for Lane<F, FMA> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

macro_rules! operators {
    ($($operator:ident $method:ident),*) => {$(
        impl<F: Float, const FMA: bool> $operator for Lane<F, FMA> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self($operator::$method(self.0, other.0))
            }
        }
        impl<F: Float, const FMA: bool> $operator<&Self> for Lane<F, FMA> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: &Self) -> Self {
                Self($operator::$method(self.0, other.0))
            }
        }
    )*};
}
operators!(Add add, Sub sub, Mul mul, Div div);

impl<F: Float, const FMA: bool> Lane<F, FMA> {
    /// `e^-|x|`: never overflows, and the same for x and −x.
    #[inline(always)]
    fn tail(self) -> F {
        exp_below::<F, FMA>(-self.0.abs())
    }
}

impl<F: Float, const FMA: bool> Real for Lane<F, FMA> {
    #[inline(always)]
    fn scale(&self, factor: f64) -> Self {
        Self(self.0 * F::from_f64(factor))
    }
    #[inline(always)]
    fn shift(&self, offset: f64) -> Self {
        Self(self.0 + F::from_f64(offset))
    }
    #[inline(always)]
    fn exp(&self) -> Self {
        Self(exp::<F, FMA>(self.0))
    }
    #[inline(always)]
    fn ln(&self) -> Self {
        Self(ln::<F, FMA>(self.0))
    }
    #[inline(always)]
    fn sigmoid(&self) -> Self {
        let tail = self.tail();
        Self(F::ONE / (F::ONE + tail) * select(self.0 < F::default(), tail, F::ONE))
    }
    #[inline(always)]
    fn log_sigmoid(&self) -> Self {
        let zero = F::default();
        Self(select(self.0 < zero, self.0, zero) - log1p_unit::<F, FMA>(self.tail()))
    }
    #[inline(always)]
    fn select_lt(&self, threshold: f64, below: &Self, otherwise: &Self) -> Self {
        select(self.0 < F::from_f64(threshold), *below, *otherwise)
    }
    #[inline(always)]
    fn detach(&self) -> Self {
        *self
    }
    #[inline(always)]
    fn constant(&self, value: f64) -> Self {
        Self(F::from_f64(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many representable numbers lie between `found` and the exact value, rounded to `f32`.
    fn ulps_f32(found: f32, exact: f64) -> u64 {
        let ordered = |x: f32| {
            let bits = i64::from(x.to_bits() as i32);
            if bits < 0 { i64::from(i32::MIN) - bits } else { bits }
        };
        if found.is_nan() && exact.is_nan() { 0 } else { ordered(found).abs_diff(ordered(exact as f32)) }
    }

    /// Every exponent, both signs, 2^20 values and the edges.
    fn all_f32() -> impl Iterator<Item = f32> {
        let edges = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MIN_POSITIVE, 1e-45, -1e-45, 1.0];
        (0..u32::MAX).step_by(4093).map(f32::from_bits).chain(edges)
    }

    fn worst<const FMA: bool>(f: impl Fn(Lane<f32, FMA>) -> Lane<f32, FMA>, exact: impl Fn(f64) -> f64) -> u64 {
        all_f32().map(|x| ulps_f32(f(Lane(x)).0, exact(f64::from(x)))).max().unwrap_or(0)
    }

    fn holds_f32<const FMA: bool>() {
        assert!(worst::<FMA>(|x| x.exp(), f64::exp) <= 2);
        assert!(worst::<FMA>(|x| x.ln(), f64::ln) <= 2);
        assert!(worst::<FMA>(|x| x.sigmoid(), |x| Real::sigmoid(&x)) <= 2);
        assert!(worst::<FMA>(|x| x.log_sigmoid(), |x| Real::log_sigmoid(&x)) <= 2);
    }

    #[test]
    fn f32_is_within_2_ulp_over_its_whole_range() {
        holds_f32::<true>();
        holds_f32::<false>();
    }

    fn close_f64(found: f64, exact: f64) -> bool {
        // Four of f64's ULP: its oracle, the C library, is off by up to one itself.
        found == exact
            || (found.is_nan() && exact.is_nan())
            || (found - exact).abs() <= 4.0 * f64::EPSILON * exact.abs().max(f64::MIN_POSITIVE)
    }

    fn holds_f64<const FMA: bool>() {
        for bits in (0..u64::MAX).step_by((1 << 45) - 12_345) {
            let x = f64::from_bits(bits);
            let lane = Lane::<f64, FMA>(x);
            for (name, found, exact) in [
                ("exp", lane.exp(), x.exp()),
                ("ln", lane.ln(), x.ln()),
                ("sigmoid", lane.sigmoid(), Real::sigmoid(&x)),
                ("log_sigmoid", lane.log_sigmoid(), Real::log_sigmoid(&x)),
            ] {
                assert!(close_f64(found.0, exact), "{name}({x:e}) = {:e}, should be {exact:e}", found.0);
            }
        }
    }

    #[test]
    fn f64_is_within_4_ulp_over_its_whole_range() {
        holds_f64::<true>();
        holds_f64::<false>();
    }
}
