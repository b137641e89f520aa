//! Converts `f16` and `bf16` to `f32`, a block at a time, without branches so that the loops vectorise.

/// A half-precision format, by its bits.
pub(crate) trait Half: Copy + Default + Send + Sync {
    fn widen(self) -> f32;
}

/// bfloat16: the upper half of an `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bf16(pub u16);

impl Half for Bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
}

/// IEEE binary16: 5 bits of exponent, 10 of mantissa.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct F16(pub u16);

impl Half for F16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        let magnitude = u32::from(self.0 & 0x7fff) << 13;
        let sign = u32::from(self.0 & 0x8000) << 16;
        // Multiplying moves the exponent's bias from 15 to 127, and also handles subnormal numbers.
        let scaled = f32::from_bits(magnitude) * f32::from_bits((127 + 112) << 23);
        let special = if magnitude >= 0x0f80_0000 { 0x7f80_0000 } else { 0 };
        f32::from_bits(scaled.to_bits() | special | sign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows the definition of the formats, in `f64`.
    fn exact(bits: u16, exponent_bits: u32, mantissa_bits: u32) -> f64 {
        let mantissa = f64::from(u32::from(bits) & ((1 << mantissa_bits) - 1)) / f64::from(1u32 << mantissa_bits);
        let exponent = i32::from(bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
        let bias = (1 << (exponent_bits - 1)) - 1;
        let magnitude = match exponent {
            0 => mantissa * f64::from(2.0f32).powi(1 - bias),
            largest if largest == (1 << exponent_bits) - 1 => {
                if mantissa == 0.0 {
                    f64::INFINITY
                } else {
                    f64::NAN
                }
            }
            _ => (1.0 + mantissa) * f64::from(2.0f32).powi(exponent - bias),
        };
        if bits >> 15 == 1 { -magnitude } else { magnitude }
    }

    #[test]
    fn both_formats_widen_exactly() {
        for bits in 0..=u16::MAX {
            for (found, expected) in [(F16(bits).widen(), exact(bits, 5, 10)), (Bf16(bits).widen(), exact(bits, 8, 7))]
            {
                let expected = expected as f32;
                assert!(
                    found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()),
                    "{bits:#x}: {found:e}, should be {expected:e}"
                );
            }
        }
    }
}
