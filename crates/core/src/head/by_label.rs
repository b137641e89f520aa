//! The gradients of the weights, label by label.

use std::ops::Range;

use super::layer::LayerGradients;
use super::units::{piece_length, units};
use super::vectors::Combine;
use crate::memory::{Disjoint, Stored};
use crate::scalar::Scalar;
use crate::simd::Simd;
use crate::simd::float::Float;
use crate::sizes::CHUNK;
use crate::{Result, Threads};

/// Computes the gradients from each entry's derivative, in the order of the batch, and from the hidden vectors and
/// their width. `all` is the number of labels.
pub(super) fn run<F: Scalar + Stored>(
    threads: &dyn Threads,
    simd: Simd,
    (hidden, width): (&[F], usize),
    all: usize,
    slopes: &[F],
    gradients: LayerGradients<'_, F>,
) -> Result<()> {
    let LayerGradients { touched, packed, weight, bias } = gradients;
    let labels = touched.labels();
    let rows = if packed { labels.len() } else { all };
    let output = |slice: &mut [F], width: usize| {
        assert_eq!(slice.len(), rows * width, "a gradient for each label");
        Disjoint::new(slice)
    };
    let (weight, bias) = (weight.map(|weight| output(weight, width)), bias.map(|bias| output(bias, 1)));
    // The rows of a label, with the untouched rows after it; the first label also takes the untouched rows before it.
    let rows_of = |place: usize| match packed {
        true => place..place + 1,
        false => {
            let end = labels.get(place + 1).map_or(all, |&next| next as usize);
            if place == 0 { 0..end } else { labels[place] as usize..end }
        }
    };
    if labels.is_empty() {
        // SAFETY: no part is in use.
        unsafe { clear(&weight, &bias, 0..rows, width) };
        return Ok(());
    }
    let units = units(&touched.starts, piece_length::<F>(width));
    threads.run(units.len(), 4, &|range| {
        let mut factors = [F::default(); CHUNK];
        for place in range.flat_map(|unit| units[unit].clone()) {
            let row = if packed { place } else { labels[place] as usize };
            // SAFETY: the gradients outlive this call, and each label's rows are visited by one thread.
            unsafe {
                clear(&weight, &bias, rows_of(place), width);
                let mut sum = 0.0;
                let (mut start, end) = (touched.starts[place], touched.starts[place + 1]);
                while start < end {
                    let now = start..end.min(start + CHUNK);
                    start = now.end;
                    let factors = &mut factors[..now.len()];
                    for (factor, &entry) in factors.iter_mut().zip(&touched.entries[now.clone()]) {
                        *factor = slopes[entry as usize];
                        sum += Float::to_f64(*factor);
                    }
                    if let Some(weight) = &weight {
                        let (rows, sum) = (&touched.rows[now], weight.part(row * width, width));
                        simd.run(Combine { factors, matrix: hidden, rows, sum });
                    }
                }
                if let Some(bias) = &bias {
                    bias.part(row, 1)[0] = F::from_f64(sum);
                }
            }
        }
    })
}

/// # Safety
/// Nothing else uses these rows.
unsafe fn clear<F: Scalar>(weight: &Option<Disjoint<F>>, bias: &Option<Disjoint<F>>, rows: Range<usize>, width: usize) {
    for (output, width) in [(weight, width), (bias, 1)] {
        if let Some(output) = output {
            // SAFETY: the caller guarantees it.
            unsafe { output.part(rows.start * width, rows.len() * width) }.fill(F::default());
        }
    }
}
