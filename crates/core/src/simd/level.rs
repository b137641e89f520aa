//! The SIMD instructions that a machine has, and the choice among them at run time.

use std::env;
use std::sync::LazyLock;

use crate::{Error, Result};

/// A loop that is compiled for each level of instructions. `FMA`: whether the target has fused multiply-add.
pub(crate) trait Job {
    type Output;
    /// Mark this, and everything that it calls, `#[inline(always)]`: only then is it compiled for the level.
    fn run<const FMA: bool>(self) -> Self::Output;
}

/// The instructions that kernels use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Simd {
    /// The instructions that every machine of this architecture has: SSE2 or NEON.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX2 with instructions that gather and scatter bits.
    #[cfg(target_arch = "x86_64")]
    Avx2Bmi2,
    /// AVX-512.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX-512 with an instruction that packs bytes.
    #[cfg(target_arch = "x86_64")]
    Avx512Vbmi2,
}

impl Simd {
    /// The levels that this machine has, the best one last.
    pub fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let vector = {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("popcnt");
            let bmi2 = avx2 && bmi2_is_fast();
            let avx512 = bmi2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            let vbmi2 = avx512 && is_x86_feature_detected!("avx512vbmi2");
            [
                avx2.then_some(Self::Avx2),
                bmi2.then_some(Self::Avx2Bmi2),
                avx512.then_some(Self::Avx512),
                vbmi2.then_some(Self::Avx512Vbmi2),
            ]
        };
        #[cfg(not(target_arch = "x86_64"))]
        let vector: [Option<Self>; 0] = [];
        std::iter::once(Self::Portable).chain(vector.into_iter().flatten())
    }

    /// The level that kernels use: the best one that this machine has, or the one that the environment variable
    /// `MASKED_LOSS_SIMD` names, such as `portable` or `avx2`. The variable is read once; an empty value means unset.
    ///
    /// # Errors
    /// [`Error::Environment`] if the variable does not name a level that this machine has.
    pub fn chosen() -> Result<Self> {
        // Detect once: on a virtual machine the host answers the query, which takes longer than a small loss.
        static CHOSEN: LazyLock<Result<Simd>> = LazyLock::new(|| match env::var_os(Simd::VARIABLE) {
            Some(wanted) if !wanted.is_empty() => Simd::parse(&wanted.to_string_lossy()),
            _ => Ok(Simd::available().last().unwrap_or(Simd::Portable)),
        });
        CHOSEN.clone()
    }

    /// The name of the environment variable that chooses a level.
    pub const VARIABLE: &str = "MASKED_LOSS_SIMD";

    fn parse(wanted: &str) -> Result<Self> {
        let known = || Self::available().map(Self::key);
        Self::available().find(|level| level.key() == wanted).ok_or_else(|| Error::Environment {
            variable: Self::VARIABLE,
            expected: known().collect::<Vec<_>>().join(", "),
            found: wanted.to_owned(),
        })
    }

    /// The level's name in the environment variable.
    pub fn key(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Bmi2 => "avx2+bmi2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vbmi2 => "avx512+vbmi2",
        }
    }

    /// The level's name in words.
    pub fn name(self) -> &'static str {
        match self {
            // Part of every 64-bit Arm processor.
            Self::Portable if cfg!(target_arch = "aarch64") => "NEON",
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "AVX2 and FMA",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Bmi2 => "AVX2, FMA and BMI2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "AVX-512 (F, BW, DQ, VL) and BMI2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vbmi2 => "AVX-512 (F, BW, DQ, VL, VBMI2)",
        }
    }

    pub(crate) fn run<J: Job>(self, job: J) -> J::Output {
        match self {
            // Every 64-bit Arm processor has NEON, with fused multiply-add; SSE2 has none.
            Self::Portable => job.run::<{ cfg!(target_arch = "aarch64") }>(),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `available` detected the features.
            Self::Avx2 | Self::Avx2Bmi2 => unsafe { avx2(job) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Self::Avx512 | Self::Avx512Vbmi2 => unsafe { avx512(job) },
        }
    }
}

/// Whether the machine has BMI2 in hardware: AMD before Zen 3, and Hygon, gather bits in microcode, bit by bit.
#[cfg(target_arch = "x86_64")]
fn bmi2_is_fast() -> bool {
    use std::arch::x86_64::__cpuid;
    #[allow(unused_unsafe)] // safe in newer versions of Rust
    // SAFETY: every x86-64 processor has the instruction and both leaves.
    let (vendor, signature) = unsafe { (__cpuid(0), __cpuid(1).eax) };
    // The last four bytes of "AuthenticAMD" and "HygonGenuine".
    let slow_before_family_19h = [u32::from_le_bytes(*b"cAMD"), u32::from_le_bytes(*b"uine")].contains(&vendor.ecx);
    let family = (signature >> 8 & 0xf) + (signature >> 20 & 0xff);
    is_x86_feature_detected!("bmi2") && !(slow_before_family_19h && family < 0x19)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,popcnt")]
fn avx2<J: Job>(job: J) -> J::Output {
    job.run::<true>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma,popcnt")]
fn avx512<J: Job>(job: J) -> J::Output {
    job.run::<true>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_chosen_by_its_name_or_refused() {
        for level in Simd::available() {
            assert_eq!(Simd::parse(level.key()), Ok(level));
        }
        let error = Simd::parse("sse9").unwrap_err().to_string();
        assert!(error.starts_with("MASKED_LOSS_SIMD: expected one of portable"), "{error}");
        assert!(error.ends_with("found `sse9`"), "{error}");
        assert!(Simd::parse("").is_err());
    }
}
