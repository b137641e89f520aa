//! Value and derivative of the entries that count, in loops that vectorise. Knows slices, no tensors.

use std::cell::Cell;

use super::float::Float;
use super::lane::Lane;
use super::simd::Simd;
use super::tails::{Known, Recorder, tail};
use crate::formula::Formula;
use crate::{Dual, Elementwise};

/// A number to compute with: its kernel for a formula whose type is not known.
pub(crate) trait Number: Float {
    fn run(formula: &dyn Formula, simd: Simd, block: Block<'_, Self>);
}

impl Number for f32 {
    fn run(formula: &dyn Formula, simd: Simd, block: Block<'_, Self>) {
        formula.run_f32(simd, block)
    }
}

impl Number for f64 {
    fn run(formula: &dyn Formula, simd: Simd, block: Block<'_, Self>) {
        formula.run_f64(simd, block)
    }
}

/// What a block's kernel reads and writes: entries side by side. All slices have the same length, or none where they may
/// be empty.
pub(crate) struct Block<'a, F> {
    pub(crate) input: &'a [F],
    pub(crate) label: &'a [F],
    /// The per-label parameter, one for each entry; empty if the loss has none.
    pub(crate) parameter: &'a [F],
    /// Each entry's loss.
    pub(crate) value: &'a mut [F],
    /// Each entry's derivative times `scale`; empty if none is wanted.
    pub(crate) slope: &'a mut [F],
    pub(crate) scale: F,
    /// See [`takes_tails`].
    pub(crate) takes_tails: bool,
}

/// Whether a formula takes sigmoids of its input: found out by one evaluation, since formulas do not branch on numbers, nor
/// does a [`Lane`].
pub(crate) fn takes_tails<E: Elementwise + ?Sized>(loss: &E) -> bool {
    let taken = Cell::default();
    let lane = |value| Dual::fixed(Lane::<f32, Recorder, false, true>::new(value));
    let x = Dual::variable(Lane::logit(0.0, Recorder(&taken)));
    match loss.parameter() {
        Some(_) => loss.entry_with(&x, &lane(0.0), &lane(1.0)),
        None => loss.entry(&x, &lane(0.0)),
    };
    taken.get()
}

/// A loss's formula over a block.
pub(crate) fn entries<E: Elementwise + ?Sized, F: Float>(loss: &E, simd: Simd, block: Block<'_, F>) {
    if loss.integer_powers() {
        by_outputs::<E, F, true>(loss, simd, block);
    } else {
        by_outputs::<E, F, false>(loss, simd, block);
    }
}

fn by_outputs<E: Elementwise + ?Sized, F: Float, const INTEGER: bool>(loss: &E, simd: Simd, block: Block<'_, F>) {
    match (block.parameter.is_empty(), block.slope.is_empty()) {
        (true, true) => by_level::<E, F, INTEGER, false, false>(loss, simd, block),
        (true, false) => by_level::<E, F, INTEGER, false, true>(loss, simd, block),
        (false, true) => by_level::<E, F, INTEGER, true, false>(loss, simd, block),
        (false, false) => by_level::<E, F, INTEGER, true, true>(loss, simd, block),
    }
}

fn by_level<E: Elementwise + ?Sized, F: Float, const INTEGER: bool, const PARAMETER: bool, const DERIVATIVE: bool>(
    loss: &E,
    simd: Simd,
    Block { input, label, parameter, value, slope, scale, takes_tails }: Block<'_, F>,
) {
    // Not a `Job`: slices that are parameters of the function that is compiled for a level are known not to overlap. For
    // as many that may overlap the compiler gives up on vectors.
    macro_rules! run {
        ($level:ident) => {
            $level::<E, F, INTEGER, PARAMETER, DERIVATIVE>(
                loss,
                input,
                label,
                parameter,
                value,
                slope,
                scale,
                takes_tails,
            )
        };
    }
    match simd {
        Simd::Portable => run!(each_portable),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: such a level is only chosen where the machine has its features.
        Simd::Avx2 | Simd::Avx2Bmi2 => unsafe { run!(each_avx2) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Simd::Avx512 | Simd::Avx512Vbmi2 => unsafe { run!(each_avx512) },
    }
}

/// The loop, compiled for a level. Without a derivative the compiler drops its arithmetic. `e^−|x|` has a loop of its own:
/// one over a whole formula would be one long chain of dependent steps, of which a processor overlaps too few.
// No closure stands between the loop and the formula: it could not be made to inline.
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
            takes_tails: bool,
        ) where
            E: Elementwise + ?Sized,
            F: Float,
        {
            // Equal lengths known up front leave no bounds check in the loop.
            let n = input.len();
            let (label, value) = (&label[..n], &mut value[..n]);
            let parameter = if PARAMETER { &parameter[..n] } else { parameter };
            let slope = if DERIVATIVE { &mut slope[..n] } else { slope };
            if takes_tails {
                for i in 0..n {
                    value[i] = tail::<F, { $fma }>(input[i]);
                }
            }
            for i in 0..n {
                // Of these only what the formula takes is computed.
                let tails = Known::of::<{ $fma }>(value[i]);
                let x = Dual::variable(Lane::<F, Known<F>, { $fma }, INTEGER>::logit(input[i], tails));
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
    use crate::{Asymmetric, BceWithLogits, SigmoidFocal, SquaredError};

    /// Every level that this machine has, on a block whose length no vector divides, against the oracle.
    fn every_level_agrees<E: Elementwise>(loss: &E) {
        let input: Vec<f32> = (0..1021).map(|i| (i as f32 - 510.0) * 0.02).collect();
        let label: Vec<f32> = (0..1021).map(|i| (i % 2) as f32).collect();
        for simd in Simd::available() {
            let [mut value, mut slope] = [(); 2].map(|()| vec![f32::NAN; input.len()]);
            let block = Block {
                input: &input,
                label: &label,
                parameter: &[],
                value: &mut value,
                slope: &mut slope,
                scale: 0.5,
                takes_tails: takes_tails(loss),
            };
            entries(loss, simd, block);
            for i in 0..input.len() {
                let (x, y) = (Dual::variable(f64::from(input[i])), Dual::fixed(f64::from(label[i])));
                let exact = loss.entry(&x, &y);
                let close = |found: f32, exact: f64| (f64::from(found) - exact).abs() <= 2e-6 * exact.abs() + 1e-8;
                assert!(close(value[i], exact.value), "{simd:?} at {}: {} {exact:?}", input[i], value[i]);
                assert!(close(slope[i], 0.5 * exact.derivative), "{simd:?} at {}: {exact:?}", input[i]);
            }
        }
    }

    #[test]
    fn every_simd_level_computes_the_formula() {
        assert!(Simd::available().any(|simd| simd == Simd::best()));
        every_level_agrees(&BceWithLogits::default());
        every_level_agrees(&SigmoidFocal::default());
        every_level_agrees(&SigmoidFocal { alpha: None, gamma: 1.5 });
        every_level_agrees(&Asymmetric::default());
        every_level_agrees(&SquaredError);
    }

    #[test]
    fn what_a_formula_takes_is_found_out() {
        assert!(takes_tails(&BceWithLogits::default()));
        assert!(takes_tails(&BceWithLogits { pos_weight: Some(vec![2.0]), label_smoothing: 0.0 }));
        assert!(takes_tails(&crate::Hill::default()));
        assert!(!takes_tails(&SquaredError));
        assert!(!takes_tails(&crate::BceProbabilities));
    }
}
