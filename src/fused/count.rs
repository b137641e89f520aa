//! How much is observed, and what it weighs: passes over labels that make no matrix.

use std::ops::Range;
use std::sync::Mutex;

use tch::{Device, Kind, Tensor};

use super::BLOCK;
use super::cache::Buffer;
use super::encode::rows_of_blocks;
use super::loops::{AddUp, Sums, total};
use super::memory::{Element, Output, slice};
use super::native;
use super::rows::{Rows, pieces};
use super::simd::{Job, Simd};
use super::weights::Weights;
use crate::Result;

/// A label as it is held.
trait Held: Element + Default {
    fn is_observed(self) -> bool;
}

impl Held for i8 {
    #[inline(always)]
    fn is_observed(self) -> bool {
        self >= 0
    }
}

impl Held for f32 {
    #[inline(always)]
    fn is_observed(self) -> bool {
        !self.is_nan()
    }
}

impl Held for f64 {
    #[inline(always)]
    fn is_observed(self) -> bool {
        !self.is_nan()
    }
}

/// Labels in memory: some rows of a table.
pub(crate) struct Table<'a> {
    /// Contiguous.
    pub(crate) cells: &'a Tensor,
    /// `i64`, within bounds; all rows if `None`.
    pub(crate) index: Option<&'a Tensor>,
}

impl<'a> Table<'a> {
    pub(super) fn index(&self) -> Result<Option<&'a [i64]>> {
        self.index.map(slice::<i64>).transpose()
    }

    pub(crate) fn rows(&self) -> usize {
        self.index.unwrap_or(self.cells).size()[0] as usize
    }

    /// Entries in a row.
    pub(crate) fn width(&self) -> usize {
        self.cells.size()[1..].iter().product::<i64>() as usize
    }

    /// How many entries of each row are observed: `[N]`, `i64`.
    pub(crate) fn observed_per_row(&self) -> Result<Tensor> {
        let mut counts = Tensor::f_zeros([self.rows() as i64], (Kind::Int64, Device::Cpu))?;
        let output = Output::<i64>::of(&mut counts)?;
        self.visit(PerRow(&|row, count| {
            // SAFETY: `counts` outlives this call, and each row is visited by one thread.
            unsafe { output.part(row, 1)[0] += count as i64 };
        }))?;
        Ok(counts)
    }

    /// How many rows each label is observed in, the labels being the last dimension: `[C]`, `i64`.
    pub(crate) fn observed_per_label(&self) -> Result<Tensor> {
        let labels = match self.cells.size()[..] {
            // Rows and labels are the same.
            [_] => self.rows(),
            [.., labels] => labels as usize,
            [] => 0,
        };
        let counts = Mutex::new(vec![0; labels]);
        if labels > 0 {
            self.visit(PerLabel(&counts))?;
        }
        Ok(Tensor::f_from_slice(&counts.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()))?)
    }

    fn visit<V: Visitor>(&self, visitor: V) -> Result<V::Output> {
        match self.cells.f_kind()? {
            Kind::Int8 => visitor.visit(self, self.entries::<i8>()?),
            Kind::Double => visitor.visit(self, self.entries::<f64>()?),
            _ => visitor.visit(self, self.entries::<f32>()?),
        }
    }

    pub(super) fn entries<T: Element>(&self) -> Result<Rows<'a, T>> {
        Ok(Rows::new(slice(self.cells)?, self.width(), self.index()?))
    }

    /// Calls `body` for blocks of whole rows, or of parts of one, on several threads.
    fn parallel(&self, body: impl Fn(&mut dyn Iterator<Item = Range<usize>>) + Sync) -> Result<()> {
        let width = self.width();
        native::parallel(self.rows(), rows_of_blocks(width), |rows| {
            let step = if width < BLOCK { BLOCK / width.max(1) * width } else { width };
            let ends = (rows.start * width, rows.end * width);
            body(&mut (ends.0..ends.1).step_by(step.max(1)).flat_map(|start| {
                let end = ends.1.min(start + step);
                (start..end).step_by(BLOCK).map(move |start| start..end.min(start + BLOCK))
            }));
        })
    }
}

trait Visitor {
    type Output;
    fn visit<T: Held>(self, table: &Table<'_>, entries: Rows<'_, T>) -> Result<Self::Output>;
}

struct PerRow<'a>(&'a (dyn Fn(usize, usize) + Sync));

impl Visitor for PerRow<'_> {
    type Output = ();
    fn visit<T: Held>(self, table: &Table<'_>, entries: Rows<'_, T>) -> Result<()> {
        let (width, simd) = (table.width(), Simd::best());
        table.parallel(|blocks| {
            let mut buffer = Buffer::new();
            for block in blocks {
                let cells = entries.read(block.start, block.len(), &mut buffer);
                for piece in pieces(block.start, block.len(), width) {
                    self.0(piece.row, simd.run(Count(&cells[piece.at])));
                }
            }
        })
    }
}

struct PerLabel<'a>(&'a Mutex<Vec<i64>>);

impl Visitor for PerLabel<'_> {
    type Output = ();
    fn visit<T: Held>(self, table: &Table<'_>, entries: Rows<'_, T>) -> Result<()> {
        let simd = Simd::best();
        let labels = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).len();
        table.parallel(|blocks| {
            let (mut buffer, mut counts) = (Buffer::new(), vec![0u16; labels]);
            let flush = |counts: &mut [u16]| {
                let mut sums = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                for (sum, count) in sums.iter_mut().zip(counts) {
                    *sum += i64::from(std::mem::take(count));
                }
            };
            let mut most = 0;
            for block in blocks {
                // How often a label can be in a block.
                let often = block.len() / labels + 2;
                if most + often > usize::from(u16::MAX) {
                    flush(&mut counts);
                    most = 0;
                }
                most += often;
                let cells = entries.read(block.start, block.len(), &mut buffer);
                for piece in pieces(block.start, block.len(), labels) {
                    let counts = &mut counts[piece.column..][..piece.at.len()];
                    simd.run(AddObserved { cells: &cells[piece.at], counts });
                }
            }
            flush(&mut counts);
        })
    }
}

/// The weights of a table's entries, added up for each row: `[N]`, `f64`; those of the observed entries, or of all.
pub(super) struct PerRowWeights<'a> {
    pub(super) weights: &'a Weights<'a, f64>,
    pub(super) everything: bool,
}

impl PerRowWeights<'_> {
    pub(super) fn run(self, table: &Table<'_>) -> Result<Tensor> {
        table.visit(self)
    }
}

impl Visitor for PerRowWeights<'_> {
    type Output = Tensor;
    fn visit<T: Held>(self, table: &Table<'_>, entries: Rows<'_, T>) -> Result<Tensor> {
        let (width, simd) = (table.width(), Simd::best());
        let mut totals = Tensor::f_zeros([table.rows() as i64], (Kind::Double, Device::Cpu))?;
        let output = Output::<f64>::of(&mut totals)?;
        table.parallel(|blocks| {
            let (mut buffer, mut chosen) = (Buffer::new(), Buffer::<f64>::new());
            let mut weight_buffers = [const { Buffer::new() }; 2];
            for block in blocks {
                let cells = entries.read(block.start, block.len(), &mut buffer);
                let weights = self.weights.read(simd, block.start, block.len(), &mut weight_buffers);
                let chosen = &mut chosen.get()[..block.len()];
                simd.run(Choose { cells, weights, chosen, everything: self.everything });
                for piece in pieces(block.start, block.len(), width) {
                    let mut sums = Sums::default();
                    simd.run(AddUp { values: &chosen[piece.at], sums: &mut sums });
                    // SAFETY: `totals` outlives this call, and each row is visited by one thread.
                    unsafe { output.part(piece.row, 1)[0] += total(sums) };
                }
            }
        })?;
        Ok(totals)
    }
}

struct Count<'a, T>(&'a [T]);

impl<T: Held> Job for Count<'_, T> {
    type Output = usize;
    #[inline(always)]
    fn run<const FMA: bool>(self) -> usize {
        self.0.iter().map(|cell| u32::from(cell.is_observed())).sum::<u32>() as usize
    }
}

struct AddObserved<'a, T> {
    cells: &'a [T],
    counts: &'a mut [u16],
}

impl<T: Held> Job for AddObserved<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (count, cell) in self.counts.iter_mut().zip(self.cells) {
            *count += u16::from(cell.is_observed());
        }
    }
}

/// Each entry's weight, 0 where it does not count.
struct Choose<'a, T> {
    cells: &'a [T],
    weights: &'a [f64],
    chosen: &'a mut [f64],
    everything: bool,
}

impl<T: Held> Job for Choose<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for ((chosen, cell), &weight) in self.chosen.iter_mut().zip(self.cells).zip(self.weights) {
            *chosen = if cell.is_observed() | self.everything { weight } else { 0.0 };
        }
    }
}
