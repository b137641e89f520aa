//! The instructions that the machine has, chosen when the program runs.

/// A loop that is compiled for each level of instructions. `FMA`: whether the target multiplies and adds in one.
pub(crate) trait Job {
    type Output;
    /// Marked `#[inline(always)]`, as all that it calls: only then it is compiled for the level.
    fn run<const FMA: bool>(self) -> Self::Output;
}

/// The instructions that the kernel may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Simd {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Simd {
    /// The levels that this machine has, the best one last.
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let vector = {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("popcnt");
            let avx512 = avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            [avx2.then_some(Self::Avx2), avx512.then_some(Self::Avx512)]
        };
        #[cfg(not(target_arch = "x86_64"))]
        let vector: [Option<Self>; 0] = [];
        std::iter::once(Self::Portable).chain(vector.into_iter().flatten())
    }

    pub(crate) fn best() -> Self {
        Self::available().last().unwrap_or(Self::Portable)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            // Part of every 64-bit Arm processor.
            Self::Portable if cfg!(target_arch = "aarch64") => "NEON",
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "AVX2 and FMA",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "AVX-512 (F, BW, DQ, VL)",
        }
    }

    pub(crate) fn run<J: Job>(self, job: J) -> J::Output {
        match self {
            // NEON, which every 64-bit ARM has, multiplies and adds in one; SSE2 does not.
            Self::Portable => job.run::<{ cfg!(target_arch = "aarch64") }>(),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `available` saw the features.
            Self::Avx2 => unsafe { avx2(job) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Self::Avx512 => unsafe { avx512(job) },
        }
    }
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
