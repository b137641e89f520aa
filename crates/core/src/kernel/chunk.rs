//! The loop over a formula, compiled for each level of instructions.

use super::lane::Lane;
use super::sigmoid::{Sigmoid, exp_of_minus_size};
use super::trace::Uses;
use crate::simd::Simd;
use crate::simd::float::Float;
use crate::{Dual, Elementwise};

/// Packed entries that the loop reads and writes. All slices have the same length, except those that may be empty.
pub struct Chunk<'a, F> {
    pub(crate) input: &'a [F],
    pub(crate) label: &'a [F],
    /// The per-label parameter, one for each entry; empty if the loss has none.
    pub(crate) parameter: &'a [F],
    /// Each entry's loss.
    pub(crate) value: &'a mut [F],
    /// Each entry's derivative times `scale`; empty if none is wanted.
    pub(crate) slope: &'a mut [F],
    pub(crate) scale: F,
    pub(crate) uses: Uses,
}

/// A loss's formula over a chunk.
pub(super) fn compute<E: Elementwise + ?Sized, F: Float>(loss: &E, simd: Simd, chunk: Chunk<'_, F>) {
    // Ask the loss, not the chunk: if the loss never has a parameter, the other loops are not compiled.
    let (parameter, derivative) = (loss.parameter().is_some(), !chunk.slope.is_empty());
    let Chunk { input, label, parameter: parameters, value, slope, scale, uses } = chunk;
    let Uses { sigmoid, integer_powers } = uses;
    // Not a `Job`: the compiler knows that slices do not overlap only where they are parameters of the function that is
    // compiled for a level. With this many slices that may overlap, it does not vectorise.
    macro_rules! run {
        ($level:ident, $($constant:literal)*) => {
            $level::<E, F, $($constant),*>(loss, input, label, parameters, value, slope, scale, sigmoid)
        };
    }
    macro_rules! by_constants {
        ($level:ident) => {
            match (integer_powers, parameter, derivative) {
                (false, false, false) => run!($level, false false false),
                (false, false, true) => run!($level, false false true),
                (false, true, false) => run!($level, false true false),
                (false, true, true) => run!($level, false true true),
                (true, false, false) => run!($level, true false false),
                (true, false, true) => run!($level, true false true),
                (true, true, false) => run!($level, true true false),
                (true, true, true) => run!($level, true true true),
            }
        };
    }
    match simd {
        Simd::Portable => by_constants!(each_portable),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: such a level is chosen only where the machine has its features.
        Simd::Avx2 | Simd::Avx2Bmi2 => unsafe { by_constants!(each_avx2) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Simd::Avx512 | Simd::Avx512Vbmi2 => unsafe { by_constants!(each_avx512) },
    }
}

/// The loop, compiled for a level. Without a derivative the compiler drops its arithmetic. `e^−|x|` has a loop of its
/// own: a single loop over a whole formula would be one long chain of dependent steps, and a processor overlaps too few
/// of them.
// There is no closure between the loop and the formula: the compiler would not inline it.
macro_rules! each {
    ($(#[$level:meta])* $name:ident, fma $fma:expr) => {
        $(#[$level])*
        #[allow(clippy::too_many_arguments)]
        fn $name<E, F, const INTEGER: bool, const PARAMETER: bool, const DERIVATIVE: bool>(
            loss: &E,
            input: &[F],
            label: &[F],
            parameter: &[F],
            value: &mut [F],
            slope: &mut [F],
            scale: F,
            sigmoid: bool,
        ) where
            E: Elementwise + ?Sized,
            F: Float,
        {
            // Equal lengths known up front leave no bounds check in the loop.
            let n = input.len();
            let (label, value) = (&label[..n], &mut value[..n]);
            let parameter = if PARAMETER { &parameter[..n] } else { parameter };
            let slope = if DERIVATIVE { &mut slope[..n] } else { slope };
            if sigmoid {
                for i in 0..n {
                    value[i] = exp_of_minus_size::<F, { $fma }>(input[i]);
                }
            }
            for i in 0..n {
                // Only the parts that the formula uses are computed.
                let sigmoid = Sigmoid::of::<{ $fma }>(value[i]);
                let x = Dual::variable(Lane::<F, { $fma }, INTEGER>::logit(input[i], sigmoid));
                let y = Dual::fixed(Lane::new(label[i]));
                let found = if PARAMETER {
                    loss.entry_with(&x, &y, &Dual::fixed(Lane::new(parameter[i])))
                } else {
                    loss.entry(&x, &y)
                };
                value[i] = found.value.value;
                if DERIVATIVE {
                    slope[i] = found.derivative.value * scale;
                }
            }
        }
    };
}
each!(each_portable, fma cfg!(target_arch = "aarch64"));
each! {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    each_avx2, fma true
}
each! {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma")]
    each_avx512, fma true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Real;
    use crate::losses::{Asymmetric, BceWithLogits, SigmoidFocal, SquaredError};

    /// Compares every level that this machine has with the oracle, on a chunk whose length is no multiple of a
    /// vector's.
    fn every_level_agrees<E: Elementwise>(loss: &E) {
        let input: Vec<f32> = (0..1021).map(|i| (i as f32 - 510.0) * 0.02).collect();
        let label: Vec<f32> = (0..1021).map(|i| (i % 2) as f32).collect();
        for simd in Simd::available() {
            let [mut value, mut slope] = [(); 2].map(|()| vec![f32::NAN; input.len()]);
            let chunk = Chunk {
                input: &input,
                label: &label,
                parameter: &[],
                value: &mut value,
                slope: &mut slope,
                scale: 0.5,
                uses: Uses::of(loss),
            };
            compute(loss, simd, chunk);
            for i in 0..input.len() {
                let (x, y) = (Dual::variable(f64::from(input[i])), Dual::fixed(f64::from(label[i])));
                let exact = loss.entry(&x, &y);
                let close = |found: f32, exact: f64| (f64::from(found) - exact).abs() <= 2e-6 * exact.abs() + 1e-8;
                assert!(close(value[i], exact.value), "{simd:?} at {}: {} {exact:?}", input[i], value[i]);
                assert!(close(slope[i], 0.5 * exact.derivative), "{simd:?} at {}: {exact:?}", input[i]);
            }
        }
    }

    /// Takes a sigmoid of its input in every way that the trace must find, and in ways that hide the input.
    struct Hidden(u8);

    impl Elementwise for Hidden {
        #[inline(always)]
        fn entry<R: Real>(&self, x: &R, y: &R) -> R {
            let negative = -x.clone();
            match self.0 {
                0 => negative.sigmoid(),
                1 => x.size().log_sigmoid(),
                2 => x.detach().sigmoid() * x,
                3 => x.select_lt(0.5, &negative, x).sigmoid(),
                4 => x.select_lt(0.5, y, x).sigmoid(),
                5 => (x.clone() + y).sigmoid(),
                6 => x.abs().log_sigmoid(),
                7 => x.at_least(-1.0).sigmoid(),
                _ => y.sigmoid() * x,
            }
        }
    }

    #[test]
    fn the_trace_finds_every_sigmoid_that_the_lanes_keep() {
        let (input, label) = ([-2.0f32, 0.25, 0.75, 3.0], [1.0f32, 0.0, 0.5, 1.0]);
        for way in 0..9 {
            let of = |uses| {
                let (mut value, mut slope) = ([f32::NAN; 4], [f32::NAN; 4]);
                let chunk = Chunk {
                    input: &input,
                    label: &label,
                    parameter: &[],
                    value: &mut value,
                    slope: &mut slope,
                    scale: 1.0,
                    uses,
                };
                compute(&Hidden(way), Simd::Portable, chunk);
                (value, slope)
            };
            let uses = Uses::of(&Hidden(way));
            assert_eq!(of(uses), of(Uses { sigmoid: true, ..uses }), "{way}");
            assert_eq!(uses.sigmoid, way < 4, "{way}: no other keeps the input");
        }
    }

    #[test]
    fn every_simd_level_computes_the_formula() {
        every_level_agrees(&BceWithLogits::default());
        every_level_agrees(&SigmoidFocal::default());
        every_level_agrees(&SigmoidFocal { alpha: None, gamma: 1.5 });
        every_level_agrees(&Asymmetric::default());
        every_level_agrees(&SquaredError);
    }
}
