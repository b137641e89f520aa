//! Labels made from raw tensors, in one pass where they are hard.

use std::sync::Mutex;

use tch::{Device, Kind, Tensor};

use super::BLOCK;
use super::cache::Buffer;
use super::float::Float;
use super::memory::{Element, Output};
use super::native;
use super::raw::{Given, RawSlices, RawTensors, Seen, Visitor};
use super::rows::pieces;
use super::simd::Simd;
use crate::Result;

/// What [`Labels`](crate::Labels) hold.
pub(crate) struct Encoded {
    pub(crate) cells: Tensor,
    pub(crate) observed_per_row: Tensor,
    pub(crate) range: Option<(f64, f64)>,
}

/// None where a label or the mask holds something that it may not.
pub(crate) fn encode(raw: &RawTensors) -> Result<Option<Encoded>> {
    raw.visit(&(f64::MIN..=f64::MAX), Encode { size: raw.size() })
}

struct Encode {
    size: Vec<i64>,
}

impl Visitor for Encode {
    type Output = Option<Encoded>;
    fn visit<L: Given>(self, source: &RawSlices<'_, L>) -> Result<Option<Encoded>> {
        let Some((rows, rest)) = self.size.split_first() else { return Ok(None) };
        let encoding = Encoding { source, rows: *rows as usize, width: rest.iter().product::<i64>() as usize };
        let encoded = match encoding.bytes(&self.size)? {
            Some(encoded) => encoded,
            None => encoding.numbers(&self.size)?,
        };
        Ok((!source.at_fault()).then_some(encoded))
    }
}

struct Encoding<'a, L> {
    source: &'a RawSlices<'a, L>,
    rows: usize,
    width: usize,
}

impl<L: Given> Encoding<'_, L> {
    /// A byte an entry; none if labels are neither 0 nor 1.
    fn bytes(&self, size: &[i64]) -> Result<Option<Encoded>> {
        let mut cells = Tensor::f_empty(size, (Kind::Int8, Device::Cpu))?;
        let (output, all_seen) = (Output::<i8>::of(&mut cells)?, Mutex::new(Seen::default()));
        let observed_per_row = self.run(|simd, start, mask| {
            // SAFETY: `cells` outlives this call, and each entry is visited once.
            let cells = unsafe { output.part(start, mask.len()) };
            let seen = self.source.cells(simd, start, mask, cells);
            let mut all_seen = all_seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            *all_seen = all_seen.or(seen);
            !all_seen.soft
        })?;
        let seen = all_seen.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        let range = match (seen.zero, seen.one) {
            (false, false) => None,
            (zero, one) => Some((if zero { 0.0 } else { 1.0 }, if one { 1.0 } else { 0.0 })),
        };
        Ok((!seen.soft).then_some(Encoded { cells, observed_per_row, range }))
    }

    fn numbers(&self, size: &[i64]) -> Result<Encoded> {
        let mut cells = Tensor::f_empty(size, (L::Number::KIND, Device::Cpu))?;
        let output = Output::<L::Number>::of(&mut cells)?;
        let range = Mutex::new((f64::INFINITY, f64::NEG_INFINITY));
        let observed_per_row = self.run(|simd, start, mask| {
            // SAFETY: as above.
            let numbers = unsafe { output.part(start, mask.len()) };
            let (least, largest) = self.source.numbers(simd, start, mask, numbers);
            let mut range = range.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            *range = (range.0.min(least.to_f64()), range.1.max(largest.to_f64()));
            !self.source.at_fault()
        })?;
        let (least, largest) = range.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        Ok(Encoded { cells, observed_per_row, range: (least <= largest).then_some((least, largest)) })
    }

    /// Visits all entries in blocks, each with its mask, and counts what is observed of each row: `[N]`, `i64`. A visit may
    /// end the pass.
    fn run(&self, visit: impl Fn(Simd, usize, &[u8]) -> bool + Sync) -> Result<Tensor> {
        let mut counts = Tensor::f_zeros([self.rows as i64], (Kind::Int64, Device::Cpu))?;
        let (output, simd) = (Output::<i64>::of(&mut counts)?, Simd::best());
        native::parallel(self.rows, rows_of_blocks(self.width), |rows| {
            // SAFETY: `counts` outlives this call, and each row is visited once.
            let counts = unsafe { output.part(rows.start, rows.len()) };
            let mut buffer = Buffer::new();
            for start in (rows.start * self.width..rows.end * self.width).step_by(BLOCK) {
                let length = BLOCK.min(rows.end * self.width - start);
                let mask = self.source.mask(simd, start, length, &mut buffer);
                for piece in pieces(start, length, self.width) {
                    counts[piece.row - rows.start] += self.source.sum(simd, &mask[piece.at]) as i64;
                }
                if !visit(simd, start, mask) {
                    break;
                }
            }
        })?;
        Ok(counts)
    }
}

/// Rows that are worth a thread.
pub(super) fn rows_of_blocks(width: usize) -> usize {
    (4 * BLOCK).div_ceil(width.max(1))
}
