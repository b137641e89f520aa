use std::ops::{Add, Div, Mul, Neg, Sub};

use super::sigmoid::Sigmoid;
use crate::Real;
use crate::simd::float::{Float, exp, ln, select};

/// A scalar in the kernel's loops: every operation inlines to straight-line code. `FMA`: whether the target multiplies
/// and adds in one instruction. `INTEGER`: whether exponents are integers from 0 to 7.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane<F, const FMA: bool, const INTEGER: bool> {
    pub(crate) value: F,
    /// The parts of the sigmoid, which a logit and its negative share. Whether they are present depends only on how a
    /// formula is written, never on numbers, so the compiler resolves the `Option`.
    sigmoid: Option<Sigmoid<F>>,
}

impl<F: Float, const FMA: bool, const INTEGER: bool> Lane<F, FMA, INTEGER> {
    #[inline(always)]
    pub(crate) fn new(value: F) -> Self {
        Self { value, sigmoid: None }
    }

    #[inline(always)]
    pub(crate) fn logit(value: F, sigmoid: Sigmoid<F>) -> Self {
        Self { value, sigmoid: Some(sigmoid) }
    }

    /// Only the parts that are used are computed.
    #[inline(always)]
    fn parts(self) -> Sigmoid<F> {
        match self.sigmoid {
            Some(sigmoid) => sigmoid,
            None => Sigmoid::at::<FMA>(self.value),
        }
    }

    #[inline(always)]
    fn negative(self) -> bool {
        self.value < F::default()
    }
}

impl<F: Float, const FMA: bool, const INTEGER: bool> Neg for Lane<F, FMA, INTEGER> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self { value: -self.value, ..self }
    }
}

macro_rules! operators {
    ($($operator:ident $method:ident),*) => {$(
        impl<F: Float, const FMA: bool, const INTEGER: bool> $operator for Lane<F, FMA, INTEGER> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self::new($operator::$method(self.value, other.value))
            }
        }
        impl<F: Float, const FMA: bool, const INTEGER: bool> $operator<&Self> for Lane<F, FMA, INTEGER> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: &Self) -> Self {
                Self::new($operator::$method(self.value, other.value))
            }
        }
    )*};
}
operators!(Add add, Sub sub, Mul mul, Div div);

impl<F: Float, const FMA: bool, const INTEGER: bool> Real for Lane<F, FMA, INTEGER> {
    #[inline(always)]
    fn scale(&self, factor: f64) -> Self {
        Self::new(self.value * F::from_f64(factor))
    }
    #[inline(always)]
    fn share(&self, weight: &Self) -> Self {
        Self::new((self.value * weight.value).or_zero(weight.value != F::default()))
    }
    #[inline(always)]
    fn shift(&self, offset: f64) -> Self {
        Self::new(self.value + F::from_f64(offset))
    }
    // Knowing that the result is not negative, the compiler drops the other side of a later selection.
    #[inline(always)]
    fn size(&self) -> Self {
        Self { value: self.value.abs(), ..*self }
    }
    #[inline(always)]
    fn exp(&self) -> Self {
        Self::new(exp::<F, FMA>(self.value))
    }
    #[inline(always)]
    fn ln(&self) -> Self {
        Self::new(ln::<F, FMA>(self.value))
    }
    #[inline(always)]
    fn powf(&self, exponent: f64) -> Self {
        let x = self.value;
        if !INTEGER {
            let power = exp::<F, FMA>(F::from_f64(exponent) * ln::<F, FMA>(x));
            return Self::new(select(exponent == 0.0, F::ONE, power));
        }
        // The exponent's bits choose among x, x² and x⁴: no branch in the loop.
        let bits = exponent as u8;
        let chosen = |bit: u8, power: F| select(bits & bit != 0, power, F::ONE);
        let (square, fourth) = (x * x, x * x * (x * x));
        let power = chosen(1, x) * chosen(2, square) * chosen(4, fourth);
        Self::new(select(bits < 8 && f64::from(bits) == exponent, power, F::NAN))
    }
    #[inline(always)]
    fn sigmoid(&self) -> Self {
        let Sigmoid { near, far, .. } = self.parts();
        Self::new(select(self.negative(), far, near))
    }
    #[inline(always)]
    fn log_sigmoid(&self) -> Self {
        Self::new(select(self.negative(), self.value, F::default()) - self.parts().log)
    }
    #[inline(always)]
    fn select_lt(&self, threshold: f64, below: &Self, otherwise: &Self) -> Self {
        let value = select(self.value < F::from_f64(threshold), below.value, otherwise.value);
        // Whether a sigmoid is present must not depend on numbers; both sides have the same one.
        Self { value, sigmoid: below.sigmoid.and(otherwise.sigmoid) }
    }
    #[inline(always)]
    fn detach(&self) -> Self {
        *self
    }
    #[inline(always)]
    fn constant(&self, value: f64) -> Self {
        Self::new(F::from_f64(value))
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

    fn worst<const FMA: bool>(
        f: impl Fn(Lane<f32, FMA, false>) -> Lane<f32, FMA, false>,
        exact: impl Fn(f64) -> f64,
    ) -> u64 {
        all_f32().map(|x| ulps_f32(f(Lane::new(x)).value, exact(f64::from(x)))).max().unwrap_or(0)
    }

    fn holds_f32<const FMA: bool>() {
        let worst = [
            ("exp", worst::<FMA>(|x| x.exp(), f64::exp)),
            ("ln", worst::<FMA>(|x| x.ln(), f64::ln)),
            ("sigmoid", worst::<FMA>(|x| x.sigmoid(), |x| Real::sigmoid(&x))),
            ("log_sigmoid", worst::<FMA>(|x| x.log_sigmoid(), |x| Real::log_sigmoid(&x))),
        ];
        assert!(worst.iter().all(|&(_, ulps)| ulps <= 2), "{worst:?}");
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes hours")]
    fn f32_is_within_2_ulp_over_its_whole_range() {
        holds_f32::<true>();
        holds_f32::<false>();
    }

    fn close_f64(found: f64, exact: f64) -> bool {
        // Four ULP of f64: its oracle, the C library, is off by up to one itself.
        found == exact
            || (found.is_nan() && exact.is_nan())
            || (found - exact).abs() <= 4.0 * f64::EPSILON * exact.abs().max(f64::MIN_POSITIVE)
    }

    fn holds_f64<const FMA: bool>() {
        for bits in (0..u64::MAX).step_by((1 << 45) - 12_345) {
            let x = f64::from_bits(bits);
            let lane = Lane::<f64, FMA, false>::new(x);
            for (name, found, exact) in [
                ("exp", lane.exp(), x.exp()),
                ("ln", lane.ln(), x.ln()),
                ("sigmoid", lane.sigmoid(), Real::sigmoid(&x)),
                ("log_sigmoid", lane.log_sigmoid(), Real::log_sigmoid(&x)),
            ] {
                assert!(close_f64(found.value, exact), "{name}({x:e}) = {:e}, should be {exact:e}", found.value);
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes hours")]
    fn f64_is_within_4_ulp_over_its_whole_range() {
        holds_f64::<true>();
        holds_f64::<false>();
    }

    #[test]
    fn powers_are_those_of_the_standard_library() {
        for x in [0.0, 1e-3, 0.3, 1.0, 2.5] {
            for exponent in 0..8 {
                let exact = f64::powi(x, exponent);
                let exponent = f64::from(exponent);
                let integer = Lane::<f64, true, true>::new(x).powf(exponent).value;
                let any = Lane::<f64, true, false>::new(x).powf(exponent).value;
                // exp and ln lose as many digits as the logarithm's size takes: up to 50 ULP here.
                assert!(close_f64(integer, exact), "{x}^{exponent} = {integer:e}, should be {exact:e}");
                assert!((any - exact).abs() <= 64.0 * f64::EPSILON * exact, "{x}^{exponent} = {any:e}");
            }
            let (half, exact) = (Lane::<f64, true, false>::new(x).powf(0.5).value, x.sqrt());
            assert!((half - exact).abs() <= 64.0 * f64::EPSILON * exact, "{x}^0.5 = {half:e}");
        }
        for exponent in [0.5, 8.0, -1.0, f64::NAN] {
            assert!(
                Lane::<f64, true, true>::new(0.5).powf(exponent).value.is_nan(),
                "promised an integer, given {exponent}"
            );
        }
    }
}
