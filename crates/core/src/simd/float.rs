//! What the kernel needs of `f32` and `f64`: their elementary functions, branch-free so that a loop over them
//! vectorises. Nothing here calls the C library.

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

pub trait Float:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + From<i8>
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + 'static
{
    const ONE: Self;
    const INFINITY: Self;
    const NAN: Self;
    /// The smallest positive normal number.
    const MIN_POSITIVE: Self;
    const LOG2_E: Self;
    /// ln 2 in two parts; the high one has trailing zeros, so that multiplying it by an exponent is exact.
    const LN_2: (Self, Self);
    /// Adding this to a small number leaves the number, rounded to an integer, in the last bits.
    const ROUNDER: Self;
    /// Below and above these, `exp` is 0 and ∞.
    const EXP_DOMAIN: (Self, Self);
    /// `(e^r − 1 − r) / r²` for `|r| ≤ ln 2 / 2`, in powers of r: interpolated at Chebyshev nodes.
    const EXP: &'static [Self];
    /// `log1p(e) / e` for `0 ≤ e ≤ 1`, in powers of `e − ½`: interpolated at Chebyshev nodes.
    const LOG1P: &'static [Self];
    /// `2/3, 2/5, ...`, as many as `2·atanh(s)` needs for `|s| ≤ 3 − √8`.
    const ATANH: &'static [Self];

    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
    fn abs(self) -> Self;
    fn is_nan(self) -> bool;
    fn sqrt(self) -> Self;
    /// The number or 0, selected by its bits: the compiler would turn a plain choice into a branch, which is
    /// mispredicted too often.
    fn or_zero(self, keep: bool) -> Self;
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// Two factors whose product is `2^k`, subnormal results included, for `k` rounded by [`Self::ROUNDER`].
    fn power_of_two(rounded: Self) -> (Self, Self);
    /// The same for `k ≤ 0`, with less work: `2^(k + c)`, a normal number, and the constant `2^-c`.
    fn lifted_power_of_two(rounded: Self) -> (Self, Self);
    /// `self = m·2^k` with `√½ ≤ m < √2`, for a positive finite number, subnormal ones included: `(m, k)`.
    fn split(self) -> (Self, Self);
}

/// `factor·a + addend`, with one rounding where the target has an instruction for it; elsewhere `mul_add` would be a
/// call.
#[inline(always)]
pub(crate) fn fma<F: Float, const FMA: bool>(a: F, factor: F, addend: F) -> F {
    if FMA { a.mul_add(factor, addend) } else { a * factor + addend }
}

/// `Σ cₖ xᵏ`. From `c₁` on, two Horner schemes for odd and even powers run at once, which halves the chain of dependent
/// steps. The leading term is added last, so that the rounding of the others is small against it.
#[inline(always)]
fn polynomial<F: Float, const FMA: bool>(x: F, coefficients: &[F]) -> F {
    let square = x * x;
    let mut k = coefficients.len() - 1;
    let (mut high, mut low) = (coefficients[k], coefficients[k - 1]);
    while k >= 4 {
        high = fma::<F, FMA>(high, square, coefficients[k - 2]);
        low = fma::<F, FMA>(low, square, coefficients[k - 3]);
        k -= 2;
    }
    // With an odd number of terms, c₁ is left over.
    let rest = if k == 3 {
        fma::<F, FMA>(low, x, fma::<F, FMA>(high, square, coefficients[1]))
    } else {
        fma::<F, FMA>(high, x, low)
    };
    fma::<F, FMA>(rest, x, coefficients[0])
}

#[inline(always)]
pub(crate) fn select<F>(condition: bool, yes: F, no: F) -> F {
    if condition { yes } else { no }
}

#[inline(always)]
pub(crate) fn exp<F: Float, const FMA: bool>(x: F) -> F {
    let (above_one, rounded) = exp_parts::<F, FMA>(select(x > F::EXP_DOMAIN.1, F::EXP_DOMAIN.1, x));
    let (a, b) = F::power_of_two(rounded);
    (F::ONE + above_one) * a * b
}

/// `exp` for `x ≤ 0`: the range of its exponents allows a simpler last step.
#[inline(always)]
pub(crate) fn exp_below_one<F: Float, const FMA: bool>(x: F) -> F {
    let (above_one, rounded) = exp_parts::<F, FMA>(x);
    let (raised, lower) = F::lifted_power_of_two(rounded);
    let power = raised * lower;
    fma::<F, FMA>(above_one, power, power)
}

/// `e^x = (1 + m)·2^k`: returns m, and k as rounded by [`Float::ROUNDER`].
#[inline(always)]
fn exp_parts<F: Float, const FMA: bool>(x: F) -> (F, F) {
    // Selected by comparison, to keep NaN.
    let x = select(x < F::EXP_DOMAIN.0, F::EXP_DOMAIN.0, x);
    let rounded = fma::<F, FMA>(x, F::LOG2_E, F::ROUNDER);
    let k = rounded - F::ROUNDER;
    let r = fma::<F, FMA>(k, -F::LN_2.1, fma::<F, FMA>(k, -F::LN_2.0, x));
    // The leading term is added last, so that the rounding of the others is small against it.
    (fma::<F, FMA>(r * r, polynomial::<F, FMA>(r, F::EXP), r), rounded)
}

/// `ln(1 + e)` for `0 ≤ e ≤ 1`.
#[inline(always)]
pub(crate) fn log1p_unit<F: Float, const FMA: bool>(e: F) -> F {
    e * polynomial::<F, FMA>(e - F::from_f64(0.5), F::LOG1P)
}

#[inline(always)]
pub(crate) fn ln<F: Float, const FMA: bool>(x: F) -> F {
    let zero = F::default();
    let (m, k) = x.split();
    // ln m = 2·atanh(f / (2 + f)), arranged so that the leading term f is added last.
    let f = m - F::ONE;
    let s = f / (F::ONE + F::ONE + f);
    let z = s * s;
    let half_square = F::from_f64(0.5) * f * f;
    let tail = s * fma::<F, FMA>(z, polynomial::<F, FMA>(z, F::ATANH), half_square);
    let small = half_square - fma::<F, FMA>(k, F::LN_2.1, tail);
    let result = fma::<F, FMA>(k, F::LN_2.0, f - small);
    let result = select(x == zero, -F::INFINITY, result);
    let result = select(x < zero, F::NAN, result);
    // ∞ and NaN are their own logarithms.
    select(x < F::INFINITY, result, x)
}

macro_rules! float {
    ($type:ident, $bits:ident, $int:ident, mantissa $mantissa:literal, bias $bias:literal) => {
        #[inline(always)]
        fn from_f64(value: f64) -> Self {
            value as $type
        }
        #[inline(always)]
        fn to_f64(self) -> f64 {
            f64::from(self)
        }
        #[inline(always)]
        fn abs(self) -> Self {
            $type::abs(self)
        }
        #[inline(always)]
        fn is_nan(self) -> bool {
            $type::is_nan(self)
        }
        #[inline(always)]
        fn sqrt(self) -> Self {
            $type::sqrt(self)
        }
        #[inline(always)]
        fn or_zero(self, keep: bool) -> Self {
            Self::from_bits(self.to_bits() & $bits::from(keep).wrapping_neg())
        }
        #[inline(always)]
        fn mul_add(self, factor: Self, addend: Self) -> Self {
            $type::mul_add(self, factor, addend)
        }
        #[inline(always)]
        fn power_of_two(rounded: Self) -> (Self, Self) {
            // k is the distance from ROUNDER in units of the last place. Twice the bias keeps it positive, so that an
            // unsigned shift halves it; each half is then a normal exponent, even where the sum is not.
            let k = rounded.to_bits().wrapping_sub(Self::ROUNDER.to_bits()).wrapping_add(2 * $bias);
            let half = k >> 1;
            ($type::from_bits(half << $mantissa), $type::from_bits(k.wrapping_sub(half) << $mantissa))
        }
        #[inline(always)]
        fn lifted_power_of_two(rounded: Self) -> (Self, Self) {
            const LIFT: $bits = $bias / 2;
            let k = rounded.to_bits().wrapping_sub(Self::ROUNDER.to_bits() - ($bias + LIFT));
            ($type::from_bits(k << $mantissa), $type::from_bits(($bias - LIFT) << $mantissa))
        }
        #[inline(always)]
        fn split(self) -> (Self, Self) {
            const LIFT: $type = ((1 as $bits) << ($mantissa + 1)) as $type;
            let subnormal = self < $type::MIN_POSITIVE;
            let lifted = select(subnormal, self * LIFT, self).to_bits();
            let root = std::$type::consts::FRAC_1_SQRT_2.to_bits();
            // Counting from √½ leaves k in the exponent's bits, and m's distance from √½ in the rest.
            let above = lifted.wrapping_sub(root);
            let m = $type::from_bits((above & ((1 << $mantissa) - 1)).wrapping_add(root));
            let k = (above as $int) >> $mantissa;
            (m, k as i32 as $type - select(subnormal, ($mantissa + 1) as $type, 0.0))
        }
    };
}

impl Float for f32 {
    const ONE: Self = 1.0;
    const INFINITY: Self = f32::INFINITY;
    const NAN: Self = f32::NAN;
    const MIN_POSITIVE: Self = f32::MIN_POSITIVE;
    const LOG2_E: Self = std::f32::consts::LOG2_E;
    const LN_2: (Self, Self) = (0.693_359_4, -2.121_944_4e-4);
    const ROUNDER: Self = 12_582_912.0; // 1.5 * 2^23
    const EXP_DOMAIN: (Self, Self) = (-104.0, 89.0);
    const EXP: &'static [Self] = &[0.5, 0.16666576, 0.041666556, 0.008363179, 0.0013926184];
    const LOG1P: &'static [Self] = &[
        0.8109302,
        -0.28852668,
        0.1326095,
        -0.06771119,
        0.036625605,
        -0.02023034,
        0.0116395755,
        -0.008569656,
        0.0051261024,
    ];
    const ATANH: &'static [Self] = &[2.0 / 3.0, 2.0 / 5.0, 2.0 / 7.0, 2.0 / 9.0];
    float!(f32, u32, i32, mantissa 23, bias 127);
}

impl Float for f64 {
    const ONE: Self = 1.0;
    const INFINITY: Self = f64::INFINITY;
    const NAN: Self = f64::NAN;
    const MIN_POSITIVE: Self = f64::MIN_POSITIVE;
    const LOG2_E: Self = std::f64::consts::LOG2_E;
    const LN_2: (Self, Self) = (0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10);
    const ROUNDER: Self = 6_755_399_441_055_744.0; // 1.5 * 2^52
    const EXP_DOMAIN: (Self, Self) = (-746.0, 710.0);
    const EXP: &'static [Self] = &[
        0.5,
        0.1666666666666667,
        0.04166666666666667,
        0.008333333333326136,
        0.0013888888888883748,
        0.00019841269874820627,
        2.4801587325547743e-05,
        2.7557255400206422e-06,
        2.75572736431103e-07,
        2.5105217004720745e-08,
        2.0914686968086876e-09,
    ];
    const LOG1P: &'static [Self] = &[
        0.8109302162163288,
        -0.2885270990993239,
        0.13260975375420375,
        -0.06768864331096429,
        0.036611854523044426,
        -0.020548811919120714,
        0.011833792115498273,
        -0.006945394974985513,
        0.004136178969492579,
        -0.0024918411947988627,
        0.0015153851053375097,
        -0.0009288574279277324,
        0.0005730446084677868,
        -0.00035482048783102383,
        0.00022119170895766566,
        -0.0001421000228999903,
        8.933303406819272e-05,
        -4.4828443252232565e-05,
        2.8278083585626545e-05,
        -3.8362374451601246e-05,
        2.4437973948580947e-05,
    ];
    const ATANH: &'static [Self] = &[
        2.0 / 3.0,
        2.0 / 5.0,
        2.0 / 7.0,
        2.0 / 9.0,
        2.0 / 11.0,
        2.0 / 13.0,
        2.0 / 15.0,
        2.0 / 17.0,
        2.0 / 19.0,
        2.0 / 21.0,
    ];
    float!(f64, u64, i64, mantissa 52, bias 1023);
}
