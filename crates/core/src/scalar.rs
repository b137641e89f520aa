//! The two number types that a pass computes with, and the types in which logits are stored.

use crate::kernel::{Chunk, Formula};
use crate::memory::{Bf16, F16, Stored};
use crate::simd::float::Float;
use crate::simd::groups::GroupLoop;
use crate::simd::{Simd, portable};
#[cfg(target_arch = "x86_64")]
use crate::simd::{avx2, avx512};

/// `f32` or `f64`, with the loops that are compiled for each.
pub trait Scalar: Float {
    /// Runs a formula's loop over a chunk.
    fn compute(formula: &dyn Formula, simd: Simd, chunk: Chunk<'_, Self>);

    /// Runs a loop over groups.
    fn run<L: GroupLoop<Self>>(_: Simd, groups: L) -> L::Output {
        portable::run(groups)
    }

    /// Whether there are non-temporal stores for gradients.
    fn has_non_temporal_stores(_: Simd) -> bool {
        false
    }
}

impl Scalar for f64 {
    fn compute(formula: &dyn Formula, simd: Simd, chunk: Chunk<'_, Self>) {
        formula.run_f64(simd, chunk);
    }
}

impl Scalar for f32 {
    fn compute(formula: &dyn Formula, simd: Simd, chunk: Chunk<'_, Self>) {
        formula.run_f32(simd, chunk);
    }

    #[cfg(target_arch = "x86_64")]
    fn run<L: GroupLoop<Self>>(simd: Simd, groups: L) -> L::Output {
        // SAFETY: a level is chosen only where the machine has its features.
        match simd {
            Simd::Portable => portable::run(groups),
            Simd::Avx2 | Simd::Avx2Bmi2 => unsafe { avx2::run(groups) },
            Simd::Avx512 | Simd::Avx512Vbmi2 => unsafe { avx512::run(groups) },
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn has_non_temporal_stores(simd: Simd) -> bool {
        simd != Simd::Portable
    }
}

/// A type in which logits may be stored.
pub trait Storage: Stored {
    /// The type that they are computed in.
    type Number: Scalar + Stored;
}

impl Storage for f32 {
    type Number = f32;
}
impl Storage for f64 {
    type Number = f64;
}
impl Storage for F16 {
    type Number = f32;
}
impl Storage for Bf16 {
    type Number = f32;
}
