//! Value and derivative of one block of entries, in loops that vectorise. Knows slices, no tensors.

use super::float::{Float, select};
use super::lane::Lane;
use crate::formula::Formula;
use crate::{Dual, Elementwise};

/// One block's cells, as they lie in memory: what is missing and what the label is.
pub(crate) trait Cell<F>: Copy + Send + Sync + Sized {
    fn observed(self) -> bool;
    fn label(self) -> F;
    /// [`Simd::run`] for a formula whose type is not known.
    fn run(formula: &dyn Formula, simd: Simd, block: Block<'_, F, Self>) -> f64;
}

macro_rules! cells {
    ($number:ident, $bytes:ident, $numbers:ident) => {
        /// One byte: −1 is missing.
        impl Cell<$number> for i8 {
            #[inline(always)]
            fn observed(self) -> bool {
                self >= 0
            }
            #[inline(always)]
            fn label(self) -> $number {
                $number::from(self)
            }
            fn run(formula: &dyn Formula, simd: Simd, block: Block<'_, $number, Self>) -> f64 {
                formula.$bytes(simd, block)
            }
        }

        /// Floating point: NaN is missing.
        impl Cell<$number> for $number {
            #[inline(always)]
            fn observed(self) -> bool {
                !self.is_nan()
            }
            #[inline(always)]
            fn label(self) -> $number {
                self
            }
            fn run(formula: &dyn Formula, simd: Simd, block: Block<'_, $number, Self>) -> f64 {
                formula.$numbers(simd, block)
            }
        }
    };
}
cells!(f32, f32_bytes, f32_numbers);
cells!(f64, f64_bytes, f64_numbers);

/// What a block's kernel reads and writes; all slices have the same length, or none where they may be empty.
pub(crate) struct Block<'a, F, Y> {
    pub(crate) input: &'a [F],
    pub(crate) cells: &'a [Y],
    /// The per-label parameter, one for each entry; empty if the loss has none.
    pub(crate) parameter: &'a [F],
    /// What each entry's loss and derivative are multiplied by; empty for 1.
    pub(crate) weights: &'a [F],
    /// Each entry's loss.
    pub(crate) value: &'a mut [F],
    /// Each entry's derivative times `scale`; empty if none is wanted.
    pub(crate) gradient: &'a mut [F],
    pub(crate) scale: F,
    /// What a loss accepts; stands in for a missing input.
    pub(crate) safe: F,
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
        let vector = [
            (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self::Avx2),
            (is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl"))
            .then_some(Self::Avx512),
        ];
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

    /// Runs a loss's formula over a block and adds up its values.
    pub(crate) fn run<E: Elementwise + ?Sized, F: Float, Y: Cell<F>>(self, loss: &E, block: Block<'_, F, Y>) -> f64 {
        match self {
            // NEON, which every 64-bit ARM has, multiplies and adds in one; SSE2 does not.
            Self::Portable => formula::<E, F, Y, { cfg!(target_arch = "aarch64") }>(loss, block),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `available` saw the features.
            Self::Avx2 => unsafe { avx2(loss, block) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Self::Avx512 => unsafe { avx512(loss, block) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<E: Elementwise + ?Sized, F: Float, Y: Cell<F>>(loss: &E, block: Block<'_, F, Y>) -> f64 {
    formula::<E, F, Y, true>(loss, block)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma")]
fn avx512<E: Elementwise + ?Sized, F: Float, Y: Cell<F>>(loss: &E, block: Block<'_, F, Y>) -> f64 {
    formula::<E, F, Y, true>(loss, block)
}

#[inline(always)]
fn formula<E: Elementwise + ?Sized, F: Float, Y: Cell<F>, const FMA: bool>(
    loss: &E,
    mut block: Block<'_, F, Y>,
) -> f64 {
    if loss.integer_powers() {
        by_outputs::<E, F, Y, FMA, true>(loss, &mut block);
    } else {
        by_outputs::<E, F, Y, FMA, false>(loss, &mut block);
    }
    for numbers in [&mut *block.value, &mut *block.gradient] {
        for (number, &weight) in numbers.iter_mut().zip(block.weights) {
            *number = *number * weight;
        }
    }
    sum(block.value)
}

#[inline(always)]
fn by_outputs<E: Elementwise + ?Sized, F: Float, Y: Cell<F>, const FMA: bool, const INTEGER: bool>(
    loss: &E,
    block: &mut Block<'_, F, Y>,
) {
    match (block.parameter.is_empty(), block.gradient.is_empty()) {
        (true, true) => each::<E, F, Y, FMA, INTEGER, false, false>(loss, block),
        (true, false) => each::<E, F, Y, FMA, INTEGER, false, true>(loss, block),
        (false, true) => each::<E, F, Y, FMA, INTEGER, true, false>(loss, block),
        (false, false) => each::<E, F, Y, FMA, INTEGER, true, true>(loss, block),
    }
}

/// The loop. Without a gradient the compiler drops the derivative's arithmetic.
// No closure stands between the loop and the formula: it could not be made to inline.
#[inline(always)]
fn each<E, F, Y, const FMA: bool, const INTEGER: bool, const PARAMETER: bool, const GRADIENT: bool>(
    loss: &E,
    block: &mut Block<'_, F, Y>,
) where
    E: Elementwise + ?Sized,
    F: Float,
    Y: Cell<F>,
{
    let Block { input, cells, parameter, value, gradient, scale, safe, .. } = block;
    // Equal lengths known up front leave no bounds check in the loop.
    let n = input.len();
    let (cells, value) = (&cells[..n], &mut value[..n]);
    let parameter = if PARAMETER { &parameter[..n] } else { parameter };
    let gradient = if GRADIENT { &mut gradient[..n] } else { gradient };
    let (scale, safe) = (*scale, *safe);
    let zero = F::default();
    for i in 0..n {
        // Selected, never multiplied: what stands in a missing entry must not reach the arithmetic.
        let observed = cells[i].observed();
        let x = Dual::variable(Lane::<F, FMA, INTEGER>(select(observed, input[i], safe)));
        let y = Dual::fixed(Lane(select(observed, cells[i].label(), zero)));
        let found =
            if PARAMETER { loss.entry_with(&x, &y, &Dual::fixed(Lane(parameter[i]))) } else { loss.entry(&x, &y) };
        value[i] = select(observed, found.value.0, zero);
        if GRADIENT {
            gradient[i] = select(observed, found.derivative.0 * scale, zero);
        }
    }
}

/// `Σ x`, in lanes of the number's own type over a block, and in `f64` from there.
#[inline(always)]
fn sum<F: Float>(values: &[F]) -> f64 {
    const LANES: usize = 32;
    let mut lanes = [F::default(); LANES];
    let mut chunks = values.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = *lane + value;
        }
    }
    lanes.iter().chain(chunks.remainder()).map(|&x| x.to_f64()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Asymmetric, BceWithLogits, SigmoidFocal};

    /// Every level that this machine has, on a block whose length no vector divides, against the oracle.
    fn every_level_agrees<E: Elementwise>(loss: &E, weight: f32) {
        let input: Vec<f32> = (0..1021).map(|i| (i as f32 - 510.0) * 0.02).collect();
        let cells: Vec<i8> = (0..1021).map(|i| (i % 3) as i8 - 1).collect();
        let weights = vec![weight; input.len()];
        for simd in Simd::available() {
            let (mut value, mut gradient) = (vec![f32::NAN; input.len()], vec![f32::NAN; input.len()]);
            let sum = simd.run(
                loss,
                Block {
                    input: &input,
                    cells: &cells,
                    parameter: &[],
                    weights: &weights,
                    value: &mut value,
                    gradient: &mut gradient,
                    scale: 0.5,
                    safe: 0.0,
                },
            );
            assert!((sum - value.iter().map(|&v| f64::from(v)).sum::<f64>()).abs() < 1e-5 * sum.abs(), "{simd:?}");
            for i in 0..input.len() {
                if cells[i] < 0 {
                    assert_eq!((value[i], gradient[i]), (0.0, 0.0), "{simd:?}");
                    continue;
                }
                let (x, y) = (Dual::variable(f64::from(input[i])), Dual::fixed(f64::from(cells[i])));
                let exact = loss.entry(&x, &y);
                let close = |found: f32, exact: f64| {
                    let exact = exact * f64::from(weight);
                    (f64::from(found) - exact).abs() <= 2e-6 * exact.abs() + 1e-8
                };
                assert!(close(value[i], exact.value), "{simd:?} at {}: {} {exact:?}", input[i], value[i]);
                assert!(close(gradient[i], 0.5 * exact.derivative), "{simd:?} at {}: {exact:?}", input[i]);
            }
        }
    }

    #[test]
    fn every_simd_level_computes_the_formula() {
        assert!(Simd::available().any(|simd| simd == Simd::best()));
        every_level_agrees(&BceWithLogits::default(), 1.0);
        every_level_agrees(&SigmoidFocal::default(), 3.0);
        every_level_agrees(&SigmoidFocal { alpha: None, gamma: 1.5 }, 1.0);
        every_level_agrees(&Asymmetric::default(), 1.0);
    }
}
