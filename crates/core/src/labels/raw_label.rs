//! One raw label, and loops over a block of them.

use crate::memory::Stored;
use crate::simd::Job;
use crate::simd::float::Float;

/// The element types of labels that are read in place.
pub(crate) trait RawLabel: Stored + PartialEq {
    fn is_nan(self) -> bool;
    /// This number as a label, if the type can represent it.
    fn from_f64(number: f64) -> Option<Self>;
    /// A bit for each kind of label: 1 for the label 0, 2 for the label 1, 4 for any other.
    fn kind(self) -> i8;
}

macro_rules! raw_labels {
    ($($type:ty, $is_nan:expr, $from:expr;)*) => {$(
        impl RawLabel for $type {
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
raw_labels!(
    f32, f32::is_nan, |number| Some(number as f32);
    f64, f64::is_nan, Some;
    i64, |_| false, whole;
    u8, |_| false, whole;
    i8, |_| false, whole;
);

fn whole<L: TryFrom<i64>>(number: f64) -> Option<L> {
    (number as i64 as f64 == number).then(|| L::try_from(number as i64).ok()).flatten()
}

/// Which kinds occur among the observed labels, see [`RawLabel::kind`].
#[derive(Clone, Copy, Default)]
pub(crate) struct Seen(pub(crate) u8);

impl Seen {
    pub(crate) fn zero(self) -> bool {
        self.0 & 1 != 0
    }

    pub(crate) fn one(self) -> bool {
        self.0 & 2 != 0
    }

    /// Neither 0 nor 1.
    pub(crate) fn soft(self) -> bool {
        self.0 & 4 != 0
    }
}

/// A block's labels as one-byte cells, −1 where missing.
pub(crate) struct ToCells<'a, L> {
    pub(crate) labels: &'a [L],
    pub(crate) mask: &'a [u8],
    pub(crate) cells: &'a mut [i8],
}

impl<L: RawLabel> Job for ToCells<'_, L> {
    type Output = Seen;
    #[inline(always)]
    fn run<const FMA: bool>(self) -> Seen {
        /// Entries to a part: enough that the second loop does not wait for the first one's stores to reach the cache.
        const APART: usize = 1024;
        let mut seen = 0;
        let chunks = self.labels.chunks(APART).zip(self.mask.chunks(APART)).zip(self.cells.chunks_mut(APART));
        for ((labels, mask), cells) in chunks {
            // Two loops: the compiler would vectorise a single one for the wider type only.
            for (cell, label) in cells.iter_mut().zip(labels) {
                *cell = label.kind();
            }
            for (cell, &known) in cells.iter_mut().zip(mask) {
                let (kind, missing) = (*cell, known == 0);
                seen |= if missing { 0 } else { kind };
                *cell = if missing { -1 } else { kind >> 1 };
            }
        }
        Seen(seen as u8)
    }
}

/// A block's labels as numbers, NaN where missing; the least and the largest observed one.
pub(crate) struct ToNumbers<'a, L, N> {
    pub(crate) labels: &'a [L],
    pub(crate) mask: &'a [u8],
    pub(crate) numbers: &'a mut [N],
}

impl<L: RawLabel, N: Float> Job for ToNumbers<'_, L, N> {
    type Output = (N, N);
    #[inline(always)]
    fn run<const FMA: bool>(self) -> Self::Output {
        const LANES: usize = 16;
        for ((number, &label), &known) in self.numbers.iter_mut().zip(self.labels).zip(self.mask) {
            *number = if known != 0 { N::from_f64(label.to_f64()) } else { N::NAN };
        }
        let (mut least, mut largest) = ([N::INFINITY; LANES], [-N::INFINITY; LANES]);
        for chunk in self.numbers.chunks(LANES) {
            for (lane, &number) in chunk.iter().enumerate() {
                // NaN is neither.
                least[lane] = if number < least[lane] { number } else { least[lane] };
                largest[lane] = if number > largest[lane] { number } else { largest[lane] };
            }
        }
        let least = least.into_iter().fold(N::INFINITY, |a, b| if b < a { b } else { a });
        (least, largest.into_iter().fold(-N::INFINITY, |a, b| if b > a { b } else { a }))
    }
}

/// Whether every observed label is within a range.
pub(crate) struct Within<'a, L> {
    pub(crate) labels: &'a [L],
    pub(crate) mask: &'a [u8],
    pub(crate) accepted: (f64, f64),
}

impl<L: RawLabel> Job for Within<'_, L> {
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
