//! Labels as the user's tensors hold them, read where they lie.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tch::{Device, Kind, Tensor};

use super::BLOCK;
use super::cache::Buffer;
use super::float::Float;
use super::loops::{Each, SumBits};
use super::memory::{Element, Stored, read, slice};
use super::native;
use super::pack::{Pack, Selection};
use super::rows::Rows;
use super::simd::{Job, Simd};
use super::targets::{Buffers, Label, Lines, Targets};
use crate::Result;
use crate::labels::Raw;

/// The element types in which labels are read where they lie.
pub(super) trait Given: Stored + PartialEq {
    /// What labels are held as that are neither 0 nor 1.
    type Number: Float + Element;

    fn number(self) -> Self::Number;
    fn is_nan(self) -> bool;
    /// As far as the type has this number.
    fn from_f64(number: f64) -> Option<Self>;
    /// A bit for each kind of label: 1 for 0, 2 for 1, 4 for anything else.
    fn kind(self) -> i8;
}

macro_rules! given {
    ($($type:ty, held as $number:ty, $is_nan:expr, $from:expr;)*) => {$(
        impl Given for $type {
            type Number = $number;
            #[inline(always)]
            fn number(self) -> Self::Number {
                self as $number
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                $is_nan(self)
            }
            fn from_f64(number: f64) -> Option<Self> {
                $from(number)
            }
            #[inline(always)]
            fn kind(self) -> i8 {
                let rest = if self == 1 as $type { 2 } else { 4 };
                if self == 0 as $type { 1 } else { rest }
            }
        }
    )*};
}
given!(
    f32, held as f32, f32::is_nan, |number| Some(number as f32);
    f64, held as f64, f64::is_nan, Some;
    i64, held as f64, |_| false, whole;
    u8, held as f32, |_| false, whole;
    i8, held as f32, |_| false, whole;
);

fn whole<L: TryFrom<i64>>(number: f64) -> Option<L> {
    (number as i64 as f64 == number).then(|| L::try_from(number as i64).ok()).flatten()
}

/// Tensors that can be read where they lie: in a type that is read as it is, contiguous, on the CPU.
pub(crate) struct RawTensors {
    labels: Tensor,
    missing: Gaps<Tensor>,
}

/// Which labels are missing.
enum Gaps<T> {
    None,
    /// 1 where known, 0 where missing: bytes.
    Bytes(T),
    /// The same, as `f32`.
    Floats(T),
    Nan,
    Sentinel(f64),
}

impl RawTensors {
    /// None of tensors that are elsewhere, or of a mask that holds anything but 0 and 1.
    pub(crate) fn new(raw: Raw<'_>) -> Result<Option<Self>> {
        let labels = raw.labels();
        let on_cpu = |tensor: &Tensor| tensor.device() == Device::Cpu;
        if !on_cpu(labels) {
            return Ok(None);
        }
        let missing = match raw {
            Raw::Complete(_) => Gaps::None,
            Raw::Nan(_) => Gaps::Nan,
            Raw::Sentinel(_, sentinel) if sentinel.is_nan() => Gaps::Nan,
            Raw::Sentinel(_, sentinel) => Gaps::Sentinel(sentinel),
            Raw::Mask { mask, .. } if !on_cpu(mask) => return Ok(None),
            Raw::Mask { mask, .. } => match mask.f_kind()? {
                Kind::Bool | Kind::Uint8 | Kind::Int8 => Gaps::Bytes(dense(mask)?.f_view_dtype(Kind::Uint8)?),
                Kind::Float => Gaps::Floats(dense(mask)?),
                // Nothing but 0 and 1 becomes 0 and 1.
                Kind::Half | Kind::BFloat16 => Gaps::Floats(dense(&mask.f_to_kind(Kind::Float)?)?),
                _ if !raw.mask_is_binary()? => return Ok(None),
                _ => Gaps::Bytes(dense(&mask.f_to_kind(Kind::Uint8)?)?),
            },
        };
        let labels = match labels.f_kind()? {
            Kind::Bool => dense(labels)?.f_view_dtype(Kind::Uint8)?,
            Kind::Half | Kind::BFloat16 | Kind::Int16 => dense(&labels.f_to_kind(Kind::Float)?)?,
            Kind::Int => dense(&labels.f_to_kind(Kind::Double)?)?,
            _ => dense(labels)?,
        };
        let nowhere = |tensor: &Tensor| tensor.numel() > 0 && tensor.data_ptr().is_null();
        let mask_nowhere = matches!(&missing, Gaps::Bytes(mask) | Gaps::Floats(mask) if nowhere(mask));
        Ok((!mask_nowhere && !nowhere(&labels)).then_some(Self { labels, missing }))
    }

    pub(super) fn size(&self) -> Vec<i64> {
        self.labels.size()
    }

    /// How many labels are observed; none if the mask holds anything but 0 and 1.
    pub(crate) fn count(&self) -> Result<Option<usize>> {
        struct Count;
        impl Visitor for Count {
            type Output = Option<usize>;
            fn visit<L: Given>(self, source: &Source<'_, L>) -> Result<Option<usize>> {
                let count = source.count()?;
                Ok((!source.at_fault()).then_some(count))
            }
        }
        self.visit(&(f64::MIN..=f64::MAX), Count)
    }

    /// Hands the labels in their own type to a visitor. `accepted`: what an observed label may be.
    pub(super) fn visit<V: Visitor>(&self, accepted: &RangeInclusive<f64>, visitor: V) -> Result<V::Output> {
        match self.labels.f_kind()? {
            Kind::Double => visitor.visit(&self.source::<f64>(accepted)?),
            Kind::Int64 => visitor.visit(&self.source::<i64>(accepted)?),
            Kind::Uint8 => visitor.visit(&self.source::<u8>(accepted)?),
            Kind::Int8 => visitor.visit(&self.source::<i8>(accepted)?),
            _ => visitor.visit(&self.source::<f32>(accepted)?),
        }
    }

    fn source<L: Given>(&self, accepted: &RangeInclusive<f64>) -> Result<Source<'_, L>> {
        let missing = match &self.missing {
            Gaps::None => Known::All,
            Gaps::Bytes(mask) => Known::Bytes(slice(mask)?),
            Gaps::Floats(mask) => Known::Floats(slice(mask)?),
            Gaps::Nan => Known::Numbers,
            Gaps::Sentinel(sentinel) => L::from_f64(*sentinel).map_or(Known::All, Known::AllBut),
        };
        let accepted = (accepted.start().max(f64::MIN), accepted.end().min(f64::MAX));
        Ok(Source { labels: slice(&self.labels)?, known: missing, accepted, at_fault: AtomicBool::new(false) })
    }
}

fn dense(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.f_detach()?.f_resolve_neg()?.f_contiguous()?)
}

/// What is done with labels of a type that is not known before.
pub(super) trait Visitor {
    type Output;
    fn visit<L: Given>(self, source: &Source<'_, L>) -> Result<Self::Output>;
}

/// Raw labels, to be read by several threads.
pub(super) struct Source<'a, L> {
    labels: &'a [L],
    known: Known<'a, L>,
    accepted: (f64, f64),
    /// Whether a block was read in which a label or the mask holds something that it may not.
    at_fault: AtomicBool,
}

enum Known<'a, L> {
    All,
    Bytes(&'a [u8]),
    Floats(&'a [f32]),
    Numbers,
    AllBut(L),
}

impl<L: Given> Source<'_, L> {
    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(super) fn at_fault(&self) -> bool {
        self.at_fault.load(Ordering::Relaxed)
    }

    fn fault(&self) {
        self.at_fault.store(true, Ordering::Relaxed);
    }

    /// How many labels are observed.
    pub(super) fn count(&self) -> Result<usize> {
        if let Known::All = self.known {
            return Ok(self.len());
        }
        let (simd, count) = (Simd::best(), AtomicUsize::new(0));
        // One thread adds up bytes faster than another is there, unless there are many.
        native::parallel(self.len().div_ceil(BLOCK), 4, |blocks| {
            let mut buffer = Buffer::new();
            for block in blocks {
                let start = block * BLOCK;
                let mask = self.mask(simd, start, BLOCK.min(self.len() - start), &mut buffer);
                count.fetch_add(self.sum(simd, mask), Ordering::Relaxed);
            }
        })?;
        Ok(count.into_inner())
    }

    /// 1 for each label of a block that is observed, 0 for each that is missing; not checked.
    pub(super) fn mask<'a>(&'a self, simd: Simd, start: usize, length: usize, buffer: &'a mut Buffer<u8>) -> &'a [u8] {
        if let Known::Bytes(mask) = self.known {
            return &mask[start..][..length];
        }
        let to = &mut buffer.get()[..length];
        let from = &self.labels[start..][..length];
        match self.known {
            Known::All | Known::Bytes(_) => to.fill(1),
            // What is neither 0 nor 1 becomes 2.
            Known::Floats(mask) => {
                let from = &mask[start..][..length];
                simd.run(Each { from, to: &mut *to, with: |known: f32| (known.kind() >> 1) as u8 });
            }
            Known::Numbers => simd.run(Each { from, to: &mut *to, with: |label: L| u8::from(!label.is_nan()) }),
            Known::AllBut(sentinel) => {
                simd.run(Each { from, to: &mut *to, with: |label: L| u8::from(label != sentinel) });
            }
        }
        to
    }

    /// How many labels a part of a mask says are observed; a fault if there is anything but 0 and 1 in it.
    pub(super) fn sum(&self, simd: Simd, mask: &[u8]) -> usize {
        simd.run(SumBits(mask)).unwrap_or_else(|| {
            self.fault();
            0
        })
    }

    /// A block's labels as one-byte cells, −1 where missing.
    pub(super) fn cells(&self, simd: Simd, start: usize, mask: &[u8], cells: &mut [i8]) -> Seen {
        simd.run(Cells { labels: &self.labels[start..][..mask.len()], mask, cells })
    }

    /// A block's labels as numbers, NaN where missing; the least and the largest observed one.
    pub(super) fn numbers(
        &self,
        simd: Simd,
        start: usize,
        mask: &[u8],
        numbers: &mut [L::Number],
    ) -> (L::Number, L::Number) {
        let (labels, everything) = (&self.labels[start..][..mask.len()], (f64::MIN, f64::MAX));
        if !simd.run(Within { labels, mask, accepted: everything }) {
            self.fault();
        }
        simd.run(Numbers { labels, mask, numbers })
    }
}

impl<L: Given, F: Float + Pack> Targets<F> for Source<'_, L> {
    fn read<'a>(
        &'a self,
        simd: Simd,
        start: usize,
        length: usize,
        buffers: &'a mut Buffers<F>,
    ) -> (&'a Selection, Label<'a, F>) {
        let Buffers { selection, mask, cells, bytes, numbers, packed } = buffers;
        let mask = self.mask(simd, start, length, mask);
        let (cells, bytes) = (&mut cells.get()[..length], bytes.get());
        let seen = self.cells(simd, start, mask, cells);
        self.sum(simd, mask);
        selection.set(simd, cells, bytes);
        if !seen.soft {
            return (selection, Label::Bytes(bytes));
        }
        let labels = &self.labels[start..][..length];
        if !simd.run(Within { labels, mask, accepted: self.accepted }) {
            self.fault();
        }
        let numbers = read(simd, &Rows::new(self.labels, 0, None), start, length, numbers);
        (selection, Label::Numbers(selection.packed(simd, numbers, packed)))
    }

    fn ahead(&self, entry: usize) -> [Lines; 2] {
        let mask = match self.known {
            Known::Bytes(mask) => Lines::of(mask.as_ptr().wrapping_add(entry)),
            Known::Floats(mask) => Lines::of(mask.as_ptr().wrapping_add(entry)),
            _ => Lines::NONE,
        };
        [Lines::of(self.labels.as_ptr().wrapping_add(entry)), mask]
    }
}

/// Which labels there are among the observed ones.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) zero: bool,
    pub(super) one: bool,
    /// Neither.
    pub(super) soft: bool,
}

impl Seen {
    pub(super) fn and(self, other: Self) -> Self {
        Self { zero: self.zero | other.zero, one: self.one | other.one, soft: self.soft | other.soft }
    }
}

struct Cells<'a, L> {
    labels: &'a [L],
    mask: &'a [u8],
    cells: &'a mut [i8],
}

impl<L: Given> Job for Cells<'_, L> {
    type Output = Seen;
    #[inline(always)]
    fn run<const FMA: bool>(self) -> Seen {
        /// Entries from which on what one loop wrote is in the cache for the next: sooner, it would have to wait for it.
        const APART: usize = 1024;
        let mut seen = 0;
        let chunks = self.labels.chunks(APART).zip(self.mask.chunks(APART)).zip(self.cells.chunks_mut(APART));
        for ((labels, mask), cells) in chunks {
            // Two loops: one over both has vectors for the wider type alone.
            for (cell, label) in cells.iter_mut().zip(labels) {
                *cell = label.kind();
            }
            for (cell, &known) in cells.iter_mut().zip(mask) {
                let (kind, missing) = (*cell, known == 0);
                seen |= if missing { 0 } else { kind };
                *cell = if missing { -1 } else { kind >> 1 };
            }
        }
        Seen { zero: seen & 1 != 0, one: seen & 2 != 0, soft: seen & 4 != 0 }
    }
}

struct Numbers<'a, L: Given> {
    labels: &'a [L],
    mask: &'a [u8],
    numbers: &'a mut [L::Number],
}

impl<L: Given> Job for Numbers<'_, L> {
    type Output = (L::Number, L::Number);
    #[inline(always)]
    fn run<const FMA: bool>(self) -> Self::Output {
        const LANES: usize = 16;
        for ((number, &label), &known) in self.numbers.iter_mut().zip(self.labels).zip(self.mask) {
            *number = if known != 0 { label.number() } else { L::Number::NAN };
        }
        let (mut least, mut largest) = ([L::Number::INFINITY; LANES], [-L::Number::INFINITY; LANES]);
        for chunk in self.numbers.chunks(LANES) {
            for (lane, &number) in chunk.iter().enumerate() {
                // NaN is neither.
                least[lane] = if number < least[lane] { number } else { least[lane] };
                largest[lane] = if number > largest[lane] { number } else { largest[lane] };
            }
        }
        let least = least.into_iter().fold(L::Number::INFINITY, |a, b| if b < a { b } else { a });
        (least, largest.into_iter().fold(-L::Number::INFINITY, |a, b| if b > a { b } else { a }))
    }
}

/// Whether every observed label is within a range.
struct Within<'a, L> {
    labels: &'a [L],
    mask: &'a [u8],
    accepted: (f64, f64),
}

impl<L: Given> Job for Within<'_, L> {
    type Output = bool;
    #[inline(always)]
    fn run<const FMA: bool>(self) -> bool {
        let (least, largest) = self.accepted;
        let mut outside = false;
        for (&label, &known) in self.labels.iter().zip(self.mask) {
            let label = label.to_f64();
            // NaN is not within.
            outside |= (known != 0) & !((label >= least) & (label <= largest));
        }
        !outside
    }
}
