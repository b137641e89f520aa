//! Loops that are compiled for several levels of instructions.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
pub(crate) mod float;
pub(crate) mod groups;
mod level;
pub(crate) mod loops;
pub(crate) mod portable;

pub(crate) use self::level::Job;
pub use self::level::Simd;
