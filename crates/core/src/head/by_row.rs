//! Logits, losses, slopes, and the gradient of the hidden vectors, row by row, while a row's weights are in the cache.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use super::layer::Linear;
use super::units::{piece_length, units};
use super::vectors::Combine;
use crate::labels::{Cells, Label, Sparse, Weights};
use crate::memory::Disjoint;
use crate::pass::{ChunkBuffers, Chunks, Prepared};
use crate::scalar::{Scalar, Storage};
use crate::simd::Simd;
use crate::simd::loops::Sums;
use crate::sizes::{CHUNK, GROUP};
use crate::{Result, Threads};

/// What all rows share.
pub(super) struct Walk<'a, F, W> {
    pub(super) linear: Linear<'a, F, W>,
    pub(super) labels: &'a Sparse<'a>,
    pub(super) weights: &'a Weights<'a>,
    /// Where each row's entries start in the batch, then the end of the last row.
    pub(super) places: &'a [usize],
    pub(super) formula: Prepared<'a, F>,
    pub(super) scale: F,
    pub(super) simd: Simd,
    pub(super) outside: &'a AtomicBool,
    /// Each entry's derivative, in the order of the batch, if it is wanted.
    pub(super) slopes: Option<Disjoint<F>>,
    /// The gradient of the hidden vectors, if it is wanted.
    pub(super) hidden: Option<Disjoint<F>>,
}

/// Entries that are computed at once: parts of rows.
struct Piece<F> {
    parts: Vec<Part>,
    count: usize,
    numbers: Box<Numbers<F>>,
}

/// Consecutive entries of a row.
struct Part {
    row: usize,
    /// Positions in the table's entries.
    entries: Range<usize>,
    /// Position in the piece's entries.
    start: usize,
}

#[repr(align(64))]
struct Numbers<F> {
    logits: [F; CHUNK],
    labels: [F; CHUNK],
    parameters: [F; CHUNK],
    weights: [F; CHUNK],
    slopes: [F; CHUNK],
    chunk: ChunkBuffers<F>,
}

impl<F: Scalar, W: Storage<Number = F>> Walk<'_, F, W> {
    /// The sum of the losses.
    pub(super) fn run(&self, threads: &dyn Threads) -> Result<f64> {
        let piece_length = piece_length::<F>(self.linear.width);
        let units = units(self.places, piece_length);
        let mut sums = vec![0.0; units.len()];
        let output = Disjoint::new(&mut sums);
        threads.run(units.len(), 4, &|range| {
            let mut piece = Piece::new();
            for unit in range {
                let sum = self.unit(units[unit].clone(), piece_length, &mut piece);
                // SAFETY: the sums outlive this call, and each unit is visited once.
                unsafe { output.part(unit, 1)[0] = sum };
            }
        })?;
        Ok(sums.iter().fold(0.0, |total, sum| total + sum))
    }

    fn unit(&self, rows: Range<usize>, piece_length: usize, piece: &mut Piece<F>) -> f64 {
        let mut sum = 0.0;
        for row in rows {
            if let Some(hidden) = &self.hidden {
                // SAFETY: the gradient outlives the walk, and each row is visited by one thread.
                unsafe { hidden.part(row * self.linear.width, self.linear.width) }.fill(F::default());
            }
            let mut entries = self.labels.row(row);
            while !entries.is_empty() {
                let end = entries.end.min(entries.start + piece_length - piece.count);
                piece.push(row, entries.start..end);
                entries.start = end;
                if piece.count == piece_length {
                    sum += self.piece(piece);
                }
            }
        }
        if piece.count > 0 { sum + self.piece(piece) } else { sum }
    }

    /// Computes a piece and empties it.
    fn piece(&self, piece: &mut Piece<F>) -> f64 {
        let Piece { parts, count, numbers } = piece;
        let Numbers { logits, labels, parameters, weights, slopes, chunk } = &mut **numbers;
        let (simd, Linear { weight, width, .. }) = (self.simd, self.linear);
        for part in &*parts {
            let (at, columns) = (part.at(), part.columns(self.labels));
            self.linear.of_row(simd, part.row, columns, &mut logits[at.clone()]);
            self.read_labels(part.entries.clone(), &mut labels[at.clone()]);
            if let Some(numbers) = &self.formula.parameter {
                for (parameter, &label) in parameters[at.clone()].iter_mut().zip(columns) {
                    *parameter = numbers.of_label(label as usize);
                }
            }
            self.read_weights(part, columns, &mut weights[at]);
        }
        // Whole vectors: the loop over a formula is slow on a remainder.
        let n = count.next_multiple_of(GROUP / 4);
        logits[*count..n].fill(F::default());
        labels[*count..n].fill(F::default());
        let derive = self.slopes.is_some();
        let mut chunks = Chunks {
            formula: &self.formula,
            simd,
            count: *count,
            label: Label::Numbers(labels),
            parameter: if self.formula.parameter.is_some() { parameters } else { &[] },
            weights: if self.weights.is_empty() { &[] } else { weights },
            scale: self.scale,
            outside: self.outside,
            buffers: chunk,
            sums: Sums::default(),
        };
        chunks.compute(0..n, &logits[..n], None, if derive { &mut slopes[..n] } else { &mut [] });
        let sum = chunks.total();
        for part in parts.iter().filter(|_| derive) {
            let slopes = &slopes[part.at()];
            // SAFETY: both outlive the walk, and each row is visited by one thread.
            unsafe {
                if let Some(all) = &self.slopes {
                    let place = self.places[part.row] + part.entries.start - self.labels.row(part.row).start;
                    all.part(place, slopes.len()).copy_from_slice(slopes);
                }
                if let Some(gradient) = &self.hidden {
                    let (rows, sum) = (part.columns(self.labels), gradient.part(part.row * width, width));
                    simd.run(Combine { factors: slopes, matrix: weight, rows, sum });
                }
            }
        }
        parts.clear();
        *count = 0;
        sum
    }

    fn read_labels(&self, entries: Range<usize>, labels: &mut [F]) {
        match self.labels.cells {
            Cells::Bytes(cells) => fill(labels, &cells[entries], |&cell| F::from(cell)),
            Cells::F32(cells) => fill(labels, &cells[entries], |&cell| F::from_f64(f64::from(cell))),
            Cells::F64(cells) => fill(labels, &cells[entries], |&cell| F::from_f64(cell)),
        }
    }

    /// Reads each factor in the type to compute with, and multiplies in the order of a dense pass.
    fn read_weights(&self, part: &Part, columns: &[i32], weights: &mut [F]) {
        let Weights { entries, rows, labels } = self.weights;
        let row = rows.map_or(F::ONE, |rows| F::from_f64(rows[part.row]));
        match labels {
            Some(labels) => fill(weights, columns, |&label| F::from_f64(labels[label as usize]) * row),
            None => weights.fill(row),
        }
        if entries.is_some() {
            weights
                .iter_mut()
                .zip(part.entries.clone())
                .for_each(|(weight, entry)| *weight = *weight * F::from_f64(self.weights.of_entry(entry)));
        }
    }
}

impl<F: Scalar> Piece<F> {
    fn new() -> Self {
        let [logits, labels, parameters, weights, slopes] = [[F::default(); CHUNK]; 5];
        let numbers = Numbers { logits, labels, parameters, weights, slopes, chunk: ChunkBuffers::new() };
        Self { parts: Vec::new(), count: 0, numbers: Box::new(numbers) }
    }

    fn push(&mut self, row: usize, entries: Range<usize>) {
        let start = self.count;
        self.count += entries.len();
        self.parts.push(Part { row, entries, start });
    }
}

impl Part {
    fn at(&self) -> Range<usize> {
        self.start..self.start + self.entries.len()
    }

    fn columns<'a>(&self, labels: &Sparse<'a>) -> &'a [i32] {
        &labels.columns[self.entries.clone()]
    }
}

fn fill<T, F>(to: &mut [F], from: &[T], with: impl Fn(&T) -> F) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = with(from));
}
