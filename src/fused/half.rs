//! `f16` and `bf16` to `f32` and back, a block at a time, free of branches so that the loops vectorise.

/// A half-precision format, by its bits.
pub(crate) trait Half: Copy + Default + Send + Sync {
    fn widen(self) -> f32;
    /// Rounds to nearest, ties to even.
    fn narrow(value: f32) -> Self;
}

/// bfloat16: the upper half of an `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Bf16(pub(crate) u16);

impl Half for Bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
    #[inline(always)]
    fn narrow(value: f32) -> Self {
        let bits = value.to_bits();
        let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
        // Rounding could carry a NaN's last bits away.
        Self(((if value.is_nan() { bits | 0x0040_0000 } else { rounded }) >> 16) as u16)
    }
}

/// IEEE binary16: 5 bits of exponent, 10 of mantissa.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct F16(pub(crate) u16);

impl Half for F16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        let magnitude = u32::from(self.0 & 0x7fff) << 13;
        let sign = u32::from(self.0 & 0x8000) << 16;
        // Moving the exponent's bias from 15 to 127 by a multiplication serves subnormal numbers too.
        let scaled = f32::from_bits(magnitude) * f32::from_bits((127 + 112) << 23);
        let special = if magnitude >= 0x0f80_0000 { 0x7f80_0000 } else { 0 };
        f32::from_bits(scaled.to_bits() | special | sign)
    }
    #[inline(always)]
    fn narrow(value: f32) -> Self {
        let sign = (value.to_bits() >> 16) & 0x8000;
        let bits = value.to_bits() & 0x7fff_ffff;
        // Normal results: the mantissa is rounded in the integer, a carry moves the exponent as it should.
        let normal = (bits.wrapping_add(0x0fff + ((bits >> 13) & 1)).wrapping_sub(112 << 23)) >> 13;
        // Subnormal ones: adding 0.5 leaves the right bits at the end, rounded by the addition.
        let subnormal = (f32::from_bits(bits) + 0.5).to_bits().wrapping_sub(0x3f00_0000);
        let finite = if bits < (113 << 23) { subnormal } else { normal };
        let overflow = if bits > 0x7f80_0000 { 0x7e00 } else { 0x7c00 };
        Self((sign | if bits >= 0x477f_f000 { overflow } else { finite }) as u16)
    }
}

pub(crate) fn widen<H: Half>(from: &[H], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.widen();
    }
}

pub(crate) fn narrow<H: Half>(from: &[f32], to: &mut [H]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = H::narrow(*from);
    }
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::*;

    /// All 65,536 values, as libtorch widens them.
    fn widened(kind: Kind) -> Vec<f32> {
        let bits: Vec<i16> = (0..=u16::MAX).map(|bits| bits as i16).collect();
        Vec::try_from(Tensor::from_slice(&bits).view_dtype(kind).to_kind(Kind::Float)).unwrap()
    }

    /// As libtorch narrows them.
    fn narrowed(kind: Kind, values: &[f32]) -> Vec<i16> {
        Vec::try_from(Tensor::from_slice(values).to_kind(kind).view_dtype(Kind::Int16)).unwrap()
    }

    fn agrees<H: Half>(kind: Kind, of_bits: impl Fn(u16) -> H, bits_of: impl Fn(H) -> u16) {
        for (bits, expected) in widened(kind).into_iter().enumerate() {
            let found = of_bits(bits as u16).widen();
            assert!(found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()), "{bits:#x}");
        }
        let values: Vec<f32> = (0..u32::MAX).step_by(4093).map(f32::from_bits).collect();
        for (value, expected) in values.iter().zip(narrowed(kind, &values)) {
            let found = bits_of(H::narrow(*value));
            let both_nan = value.is_nan() && H::narrow(*value).widen().is_nan();
            assert!(found == expected as u16 || both_nan, "{value:e}: {found:#x}, libtorch has {expected:#x}");
        }
    }

    #[test]
    fn both_formats_convert_as_libtorch_does() {
        agrees(Kind::BFloat16, Bf16, |half| half.0);
        agrees(Kind::Half, F16, |half| half.0);
    }
}
