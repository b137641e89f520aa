//! Plain loops over slices, compiled for each level of instructions.

use super::Job;
use super::float::Float;

/// `to[i] = with(from[i])`
pub(crate) struct Map<'a, A, B, G> {
    pub(crate) from: &'a [A],
    pub(crate) to: &'a mut [B],
    pub(crate) with: G,
}

impl<A: Copy, B, G: Fn(A) -> B> Job for Map<'_, A, B, G> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (to, &from) in self.to.iter_mut().zip(self.from) {
            *to = (self.with)(from);
        }
    }
}

/// `numbers[i] *= factors[i]`, for as many as there are factors; a factor of 0 gives 0, even for infinity and NaN.
pub(crate) struct Multiply<'a, F> {
    pub(crate) factors: &'a [F],
    pub(crate) numbers: &'a mut [F],
}

impl<F: Float> Job for Multiply<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (number, &factor) in self.numbers.iter_mut().zip(self.factors) {
            *number = (*number * factor).or_zero(factor != F::default());
        }
    }
}

/// Whether a number is outside a range; NaN is not.
pub(crate) struct AnyOutside<'a, F> {
    pub(crate) numbers: &'a [F],
    pub(crate) least: F,
    pub(crate) largest: F,
}

impl<F: Float> Job for AnyOutside<'_, F> {
    type Output = bool;
    #[inline(always)]
    fn run<const FMA: bool>(self) -> bool {
        let outside = |&number: &F| (number < self.least) | (number > self.largest);
        self.numbers.iter().fold(false, |any, number| any | outside(number))
    }
}

/// The sum of bytes that are 0 or 1; `None` if there are others.
pub(crate) struct SumBits<'a>(pub(crate) &'a [u8]);

impl SumBits<'_> {
    pub(crate) fn of_few(&self) -> Option<usize> {
        let sum = self.0.iter().map(|&bit| usize::from(bit)).sum();
        self.0.iter().all(|&bit| bit <= 1).then_some(sum)
    }
}

impl Job for SumBits<'_> {
    type Output = Option<usize>;
    #[inline(always)]
    fn run<const FMA: bool>(self) -> Option<usize> {
        const LANES: usize = 64;
        let (mut sum, mut any) = (0, [0; LANES]);
        let (whole, rest) = self.0.as_chunks::<LANES>();
        // In bytes, as long as they cannot overflow.
        for chunks in whole.chunks(usize::from(u8::MAX)) {
            let mut lanes = [0; LANES];
            for chunk in chunks {
                for i in 0..LANES {
                    lanes[i] += chunk[i] & 1;
                    any[i] |= chunk[i];
                }
            }
            sum += lanes.iter().map(|&lane| usize::from(lane)).sum::<usize>();
        }
        sum += rest.iter().map(|&bit| usize::from(bit)).sum::<usize>();
        any.iter().chain(rest).all(|&bits| bits <= 1).then_some(sum)
    }
}

/// Partial sums, enough to fill a few vectors.
pub(crate) type Sums = [f64; LANES];
const LANES: usize = 32;

/// The sum of the partial sums, in a fixed order.
pub(crate) fn total(mut sums: Sums) -> f64 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            sums[i] += sums[i + half];
        }
        half /= 2;
    }
    sums[0]
}

/// Adds up values: a few at a time in their own type, and those sums in `f64`.
pub(crate) struct Sum<'a, F> {
    pub(crate) values: &'a [F],
    pub(crate) sums: &'a mut Sums,
}

impl<F: Float> Job for Sum<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let mut lanes = [F::default(); LANES];
        let (chunks, rest) = self.values.as_chunks::<LANES>();
        // No closure: the compiler might compile it separately, without the level's instructions.
        for chunk in chunks {
            for i in 0..LANES {
                lanes[i] = lanes[i] + chunk[i];
            }
        }
        for i in 0..rest.len() {
            lanes[i] = lanes[i] + rest[i];
        }
        for (sum, lane) in self.sums.iter_mut().zip(lanes) {
            *sum += lane.to_f64();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Simd;

    #[test]
    fn factors_multiply_and_values_add_up_at_every_level() {
        for simd in Simd::available() {
            for length in [0, 1, 31, 32, 100] {
                let factors: Vec<f32> = (0..length).map(|i| i as f32).collect();
                let mut numbers = vec![1.5f32; length];
                let mut sums = [0.0; LANES];
                for factors in [&[][..], &factors] {
                    simd.run(Multiply { factors, numbers: &mut numbers });
                    simd.run(Sum { values: &numbers, sums: &mut sums });
                }
                let product = (length * length.saturating_sub(1) / 2) as f64;
                assert_eq!(total(sums), 1.5 * (length as f64 + product), "{simd:?}");
            }
        }
    }
}
