//! Moves weights on several threads.

use super::Step;
use super::element::{Piece, Replayed, Stepped};
use crate::memory::Disjoint;
use crate::scalar::Scalar;
use crate::simd::Simd;
use crate::{Result, Threads};

/// About how many numbers a thread takes at a time.
const PIECE: usize = 1 << 12;

/// A weight and its optimizer state, row by row. The results have the same bits for any number of threads.
#[derive(Debug)]
pub struct Moving<'a, F> {
    /// `[C, D]`
    pub weight: &'a mut [F],
    /// `[C, D]`: the momentum, or Adam's first moment; 0 before the first step.
    pub first: &'a mut [F],
    /// `[C, D]`: Adam's second moment; empty if the rule has none.
    pub second: &'a mut [F],
    /// `D`
    pub width: usize,
}

impl<F: Scalar> Moving<'_, F> {
    /// Takes one step for all rows.
    ///
    /// # Errors
    /// [`Error::Threads`](crate::Error::Threads), [`Error::Environment`](crate::Error::Environment).
    ///
    /// # Panics
    /// If the lengths do not fit each other.
    pub fn step(self, threads: &dyn Threads, step: &Step, gradient: &[F]) -> Result<()> {
        let (simd, count, parts) = (Simd::chosen()?, self.weight.len(), Parts::new(self, step));
        assert_eq!(gradient.len(), count, "a gradient for each weight");
        threads.run(count.div_ceil(PIECE), 4, &|range| {
            for start in range.map(|piece| piece * PIECE) {
                let length = PIECE.min(count - start);
                // SAFETY: the weights outlive this call, and each piece is visited once.
                let piece = unsafe { parts.piece(start, length) };
                simd.run(Stepped { piece, step, gradient: &gradient[start..start + length] });
            }
        })
    }

    /// Takes one step for some rows; `gradient` has D numbers for each, row by row. The other rows and their state keep
    /// their bits.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    ///
    /// # Panics
    /// If the lengths do not fit each other, or the rows are not in ascending order.
    pub fn step_rows(self, threads: &dyn Threads, step: &Step, rows: &[i32], gradient: &[F]) -> Result<()> {
        let width = self.width;
        assert_eq!(gradient.len(), rows.len() * width, "a gradient for each row");
        self.each(threads, step, rows, |simd, place, piece| {
            simd.run(Stepped { piece, step, gradient: &gradient[place * width..][..width] });
        })
    }

    /// Catches some rows up: each row takes those of `steps` that it has missed, with gradients of zero, exactly as
    /// [`step`](Self::step) would have. `taken`: how many of the steps each of `rows` has taken.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    ///
    /// # Panics
    /// As [`step_rows`](Self::step_rows), and if a row has taken more steps than there are.
    pub fn replay(self, threads: &dyn Threads, steps: &[Step], rows: &[i32], taken: &[usize]) -> Result<()> {
        assert_eq!(taken.len(), rows.len(), "a number of steps for each row");
        let Some(last) = steps.last() else { return Ok(()) };
        self.each(threads, last, rows, |simd, place, piece| {
            simd.run(Replayed { piece, steps: &steps[taken[place]..] });
        })
    }

    fn each(
        self,
        threads: &dyn Threads,
        step: &Step,
        rows: &[i32],
        visit: impl Fn(Simd, usize, Piece<'_, F>) + Sync,
    ) -> Result<()> {
        let (simd, width, parts) = (Simd::chosen()?, self.width, Parts::new(self, step));
        assert!(rows.is_sorted_by(|a, b| a < b) && rows.first().is_none_or(|&row| row >= 0), "rows that ascend");
        threads.run(rows.len(), (PIECE / width.max(1)).max(1), &|range| {
            for place in range {
                // SAFETY: the weights outlive this call, and each row is visited once.
                visit(simd, place, unsafe { parts.piece(rows[place] as usize * width, width) });
            }
        })
    }
}

struct Parts<F> {
    weight: Disjoint<F>,
    first: Disjoint<F>,
    /// `None` if the rule's state has one number for each weight.
    second: Option<Disjoint<F>>,
}

impl<F: Scalar> Parts<F> {
    fn new(Moving { weight, first, second, .. }: Moving<'_, F>, step: &Step) -> Self {
        assert_eq!(weight.len(), first.len(), "a first number for each weight");
        let second = matches!(step, Step::Moments(_)).then_some(second);
        assert!(second.as_ref().is_none_or(|second| second.len() == weight.len()), "a second number for each weight");
        Self { weight: Disjoint::new(weight), first: Disjoint::new(first), second: second.map(Disjoint::new) }
    }

    /// # Safety
    /// The memory is alive, and nothing else uses this piece.
    unsafe fn piece(&self, start: usize, length: usize) -> Piece<'_, F> {
        // SAFETY: the caller guarantees it.
        unsafe {
            let second = self.second.as_ref().map_or(&mut [][..], |second| second.part(start, length));
            Piece { weight: self.weight.part(start, length), first: self.first.part(start, length), second }
        }
    }
}
