//! `f16` and `bf16` to `f32`, a block at a time, free of branches so that the loops vectorise.

/// A half-precision format, by its bits.
pub(crate) trait Half: Copy + Default + Send + Sync {
    fn widen(self) -> f32;
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
    fn agrees<H: Half>(kind: Kind, of_bits: impl Fn(u16) -> H) {
        for (bits, expected) in widened(kind).into_iter().enumerate() {
            let found = of_bits(bits as u16).widen();
            assert!(found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()), "{bits:#x}");
        }
    }

    #[test]
    fn both_formats_widen_as_libtorch_does() {
        agrees(Kind::BFloat16, Bf16);
        agrees(Kind::Half, F16);
    }
}
