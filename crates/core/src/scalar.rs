//! The two numbers that a pass computes with, and how logits lie in memory.

use crate::kernel::{Chunk, Formula};
use crate::memory::{Bf16, F16, Stored};
use crate::simd::float::Float;
use crate::simd::groups::GroupLoop;
use crate::simd::{Simd, portable};
#[cfg(target_arch = "x86_64")]
use crate::simd::{avx2, avx512};

/// `f32` or `f64`: what is compiled for each of them.
pub trait Scalar: Float {
    /// A formula's loop over a chunk.
    fn compute(formula: &dyn Formula, simd: Simd, chunk: Chunk<'_, Self>);

    /// A loop over groups.
    fn run<L: GroupLoop<Self>>(_: Simd, groups: L) -> L::Output {
        portable::run(groups)
    }

    /// Whether gradients can be written by non-temporal stores.
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
        // SAFETY: a level is only chosen where the machine has its features.
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

/// A type that logits may have in memory.
pub trait Storage: Stored {
    /// What they are computed with.
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
