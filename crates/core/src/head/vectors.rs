//! Dot products and sums of a matrix's rows.

use crate::memory::Stored;
use crate::simd::Job;
use crate::simd::float::{Float, fma};

/// Rows that are read at a time, so that the operand that they share is loaded once for all of them.
const TOGETHER: usize = 4;
/// Numbers of a row that are combined at a time.
const LANES: usize = 16;

/// `results[k] = vector · row_k`
pub(super) struct Dots<'a, F, W> {
    pub(super) vector: &'a [F],
    /// Rows as long as the vector.
    pub(super) matrix: &'a [W],
    pub(super) rows: &'a [i32],
    pub(super) results: &'a mut [F],
}

impl<F: Float, W: Stored> Job for Dots<'_, F, W> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self { vector, matrix, rows, results } = self;
        let (fours, ones) = rows.as_chunks::<TOGETHER>();
        let (results, last) = results.as_chunks_mut::<TOGETHER>();
        for (result, four) in results.iter_mut().zip(fours) {
            *result = dots::<F, W, FMA, TOGETHER, LANES>(vector, chosen(matrix, *four, vector.len()));
        }
        for (result, &one) in last.iter_mut().zip(ones) {
            [*result] = dots::<F, W, FMA, 1, { TOGETHER * LANES }>(vector, chosen(matrix, [one], vector.len()));
        }
    }
}

/// `sum += Σ factors[k]·row_k`
pub(super) struct Combine<'a, F, W> {
    pub(super) factors: &'a [F],
    /// Rows as long as the sum.
    pub(super) matrix: &'a [W],
    pub(super) rows: &'a [i32],
    pub(super) sum: &'a mut [F],
}

impl<F: Float, W: Stored> Job for Combine<'_, F, W> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self { factors, matrix, rows, sum } = self;
        let width = sum.len();
        let (fours, ones) = rows.as_chunks::<TOGETHER>();
        let (factors, last) = factors.as_chunks::<TOGETHER>();
        for (factors, four) in factors.iter().zip(fours) {
            add::<F, W, FMA, TOGETHER>(sum, *factors, chosen(matrix, *four, width));
        }
        for (&factor, &one) in last.iter().zip(ones) {
            add::<F, W, FMA, 1>(sum, [factor], chosen(matrix, [one], width));
        }
    }
}

/// Compiles to one conversion, or none.
#[inline(always)]
fn number<F: Float, W: Stored>(stored: W) -> F {
    F::from_f64(stored.to_f64())
}

#[inline(always)]
fn chosen<F, const K: usize>(matrix: &[F], rows: [i32; K], width: usize) -> [&[F]; K] {
    let mut chosen = [&matrix[..0]; K];
    for k in 0..K {
        chosen[k] = &matrix[rows[k] as usize * width..][..width];
    }
    chosen
}

/// Sums in several lanes.
#[inline(always)]
fn dots<F: Float, W: Stored, const FMA: bool, const K: usize, const L: usize>(vector: &[F], rows: [&[W]; K]) -> [F; K] {
    let (whole, rest) = vector.as_chunks::<L>();
    let mut chunks = [&[][..]; K];
    for k in 0..K {
        // Equal lengths known up front leave no bounds check in the loop.
        chunks[k] = &rows[k].as_chunks::<L>().0[..whole.len()];
    }
    let mut lanes = [[F::default(); L]; K];
    for (chunk, numbers) in whole.iter().enumerate() {
        for k in 0..K {
            lanes[k] = fused::<F, W, FMA, L>(numbers, &chunks[k][chunk], lanes[k]);
        }
    }
    let mut sums = [F::default(); K];
    for k in 0..K {
        let stored = lanes[k];
        sums[k] = total(&stored);
        let row = &rows[k][vector.len() - rest.len()..];
        for i in 0..rest.len() {
            sums[k] = fma::<F, FMA>(rest[i], number(row[i]), sums[k]);
        }
    }
    sums
}

#[inline(always)]
fn fused<F: Float, W: Stored, const FMA: bool, const L: usize>(a: &[F; L], b: &[W; L], mut sums: [F; L]) -> [F; L] {
    for i in 0..L {
        sums[i] = fma::<F, FMA>(a[i], number(b[i]), sums[i]);
    }
    sums
}

/// Adds up by halves. Not inlined: storing the lanes contiguously makes the compiler use vectors.
#[inline(never)]
fn total<F: Float, const L: usize>(lanes: &[F; L]) -> F {
    let (mut sums, mut half) = (*lanes, L / 2);
    while half > 0 {
        for i in 0..half {
            sums[i] = sums[i] + sums[i + half];
        }
        half /= 2;
    }
    sums[0]
}

#[inline(always)]
fn add<F: Float, W: Stored, const FMA: bool, const K: usize>(sum: &mut [F], factors: [F; K], rows: [&[W]; K]) {
    for (i, sum) in sum.iter_mut().enumerate() {
        let mut total = *sum;
        for k in 0..K {
            total = fma::<F, FMA>(factors[k], number(rows[k][i]), total);
        }
        *sum = total;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Simd;

    #[test]
    fn rows_of_any_length_and_number_are_combined_at_every_level() {
        for simd in Simd::available() {
            for width in [0, 1, 15, 16, 63, 64, 65, 200] {
                // The numbers are small integers, so no sum is rounded.
                let vector: Vec<f32> = (0..width).map(|i| (i % 7) as f32 - 3.0).collect();
                let matrix: Vec<f32> = (0..9 * width).map(|i| (i % 11) as f32 - 5.0).collect();
                for count in 0..9 {
                    let rows: Vec<i32> = (0..count).map(|k| (k * 5 + 2) % 9).collect();
                    let row = |k: usize| &matrix[rows[k] as usize * width..][..width];
                    let mut results = vec![f32::NAN; rows.len()];
                    simd.run(Dots { vector: &vector, matrix: &matrix, rows: &rows, results: &mut results });
                    let mut expected = vector.clone();
                    for (k, &found) in results.iter().enumerate() {
                        let dot: f32 = vector.iter().zip(row(k)).map(|(a, b)| a * b).sum();
                        assert_eq!(found, dot, "{simd:?}, {width}, {k} of {count}");
                        expected.iter_mut().zip(row(k)).for_each(|(sum, number)| *sum += dot * number);
                    }
                    let mut sum = vector.clone();
                    simd.run(Combine { factors: &results, matrix: &matrix, rows: &rows, sum: &mut sum });
                    assert_eq!(sum, expected, "{simd:?}, {width}, {count}");
                }
            }
        }
    }
}
