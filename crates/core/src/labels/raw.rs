//! Raw labels: a caller's labels before any check.

use std::ops::RangeInclusive;

use super::raw_label::RawLabel;
use super::source::{Mask, Source};
use crate::{Result, Threads};

/// Labels in the caller's memory, with a rule for which of them are missing.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    /// The labels; values at missing entries are ignored.
    pub labels: RawLabels<'a>,
    /// Which of them are observed.
    pub observed: Observed<'a>,
}

/// Labels of one of these types.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the names are enough
pub enum RawLabels<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
    I64(&'a [i64]),
    I8(&'a [i8]),
    U8(&'a [u8]),
}

/// Which labels are observed.
#[derive(Clone, Copy, Debug)]
pub enum Observed<'a> {
    /// All.
    All,
    /// Those whose byte is 1; 0 means missing.
    Bytes(&'a [u8]),
    /// Those whose number is 1; 0 means missing.
    Floats(&'a [f32]),
    /// Those that are not NaN.
    NotNan,
    /// Those that differ from this sentinel, rounded to the labels' type.
    Not(f64),
}

/// Evaluates an expression with a [`Source`] of the labels' own type.
macro_rules! with_source {
    ($raw:expr, $accepted:expr, $source:ident => $body:expr) => {
        match $raw.labels {
            $crate::RawLabels::F32(labels) => {
                let $source = $raw.source(labels, $accepted);
                $body
            }
            $crate::RawLabels::F64(labels) => {
                let $source = $raw.source(labels, $accepted);
                $body
            }
            $crate::RawLabels::I64(labels) => {
                let $source = $raw.source(labels, $accepted);
                $body
            }
            $crate::RawLabels::I8(labels) => {
                let $source = $raw.source(labels, $accepted);
                $body
            }
            $crate::RawLabels::U8(labels) => {
                let $source = $raw.source(labels, $accepted);
                $body
            }
        }
    };
}
pub(crate) use with_source;

/// Any finite number.
pub(crate) const FINITE: RangeInclusive<f64> = f64::MIN..=f64::MAX;

impl<'a> Raw<'a> {
    /// How many labels are observed; `None` if the mask holds a value other than 0 and 1.
    ///
    /// # Errors
    /// [`Error::Threads`](crate::Error::Threads), [`Error::Environment`](crate::Error::Environment).
    pub fn count(&self, threads: &dyn Threads) -> Result<Option<usize>> {
        with_source!(self, &FINITE, source => {
            let count = source.count(threads)?;
            Ok((!source.at_fault()).then_some(count))
        })
    }

    /// `accepted`: the range of observed labels.
    pub(crate) fn source<L: RawLabel>(&self, labels: &'a [L], accepted: &RangeInclusive<f64>) -> Source<'a, L> {
        let mask = match self.observed {
            Observed::All => Mask::All,
            Observed::Bytes(mask) => Mask::Bytes(mask),
            Observed::Floats(mask) => Mask::Floats(mask),
            Observed::NotNan => Mask::NotNan,
            // A sentinel that the type cannot represent marks no label.
            Observed::Not(sentinel) => L::from_f64(sentinel).map_or(Mask::All, Mask::Not),
        };
        Source::new(labels, mask, (accepted.start().max(f64::MIN), accepted.end().min(f64::MAX)))
    }
}
