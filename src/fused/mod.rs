//! The fused CPU path: value and gradient in one pass over memory, from the same formula as the composed path.

mod block;
mod cache;
mod count;
mod encode;
mod float;
mod half;
mod kernel;
mod lane;
mod loops;
mod memory;
mod native;
mod pack;
mod raw;
mod rows;
mod simd;
mod tails;
mod targets;
mod task;
mod weights;

use std::marker::PhantomData;
use std::sync::atomic::AtomicBool;

pub(crate) use self::native::is_strided;
pub use self::native::release_buffers;
use tch::{Device, Kind, Tensor};

use self::block::Parameters;
use self::count::PerRowWeights;
pub(crate) use self::count::Table;
pub(crate) use self::encode::encode;
use self::float::Float;
use self::half::{Bf16, F16};
pub(crate) use self::kernel::{Block, entries, takes_tails};
use self::loops::{AddUp, Sums, total};
use self::memory::{Element, Output, Storage, slice};
pub(crate) use self::raw::RawTensors;
use self::rows::Rows;
pub(crate) use self::simd::Simd;
use self::targets::{Numbers, Targets};
use self::task::{Assumption, Task};
use self::weights::Weights;
use crate::formula;
use crate::labels::Factors;
use crate::{Labels, Result};

/// Entries that one thread computes in one go, and whose losses are added up by themselves, at most.
const BLOCK: usize = 16384;

/// Entries that a formula is computed for at a time.
const CHUNK: usize = 256;

/// The instructions that the fused path uses on this machine, for people to read.
pub fn simd_level() -> &'static str {
    Simd::best().name()
}

/// Whether the fused path can serve.
pub(crate) fn serves(input: &Tensor) -> bool {
    input.device() == Device::Cpu
}

/// A pass over all entries, and what it computes.
#[derive(Clone, Copy)]
pub(crate) struct Pass<'a> {
    pub(crate) entries: formula::Entries<'a>,
    pub(crate) input: &'a Tensor,
    /// None for the losses of the entries themselves.
    pub(crate) divisor: Option<f64>,
}

impl Pass<'_> {
    /// The loss of checked labels, with the weights in place of their own; none if an input is not what the loss accepts.
    pub(crate) fn labels(self, labels: &Labels, weights: &Factors) -> Result<Option<Tensor>> {
        match self.input.f_kind()? {
            Kind::Double => self.of_labels::<f64>(labels, weights),
            Kind::Half => self.of_labels::<F16>(labels, weights),
            Kind::BFloat16 => self.of_labels::<Bf16>(labels, weights),
            _ => self.of_labels::<f32>(labels, weights),
        }
    }

    fn of_labels<X: Storage>(self, labels: &Labels, weights: &Factors) -> Result<Option<Tensor>> {
        let table = labels.table();
        let weights = &Weights::of(weights, &table)?;
        match table.cells.f_kind()? {
            Kind::Int8 => self.pass::<X>(&table.entries::<i8>()?, weights),
            Kind::Double => self.pass::<X>(&Numbers(table.entries::<f64>()?), weights),
            _ => self.pass::<X>(&Numbers(table.entries::<f32>()?), weights),
        }
    }

    /// The loss of raw labels; none if one of them, or an input, is not what the loss accepts.
    pub(crate) fn raw(self, raw: &RawTensors) -> Result<Option<Tensor>> {
        let accepted = self.entries.observed.labels();
        match self.input.f_kind()? {
            Kind::Double => raw.visit(&accepted, RawPass::<f64>(self, PhantomData)),
            Kind::Half => raw.visit(&accepted, RawPass::<F16>(self, PhantomData)),
            Kind::BFloat16 => raw.visit(&accepted, RawPass::<Bf16>(self, PhantomData)),
            _ => raw.visit(&accepted, RawPass::<f32>(self, PhantomData)),
        }
    }

    fn pass<X: Storage>(
        self,
        targets: &dyn Targets<X::Number>,
        weights: &Weights<'_, X::Number>,
    ) -> Result<Option<Tensor>> {
        let Self { entries, input, divisor } = self;
        let dense = input.f_detach()?.f_resolve_neg()?.f_contiguous()?;
        let parameters = Parameters::of(entries.observed);
        let assumed_parameters = entries.missing.map(|assumed| Parameters::of(assumed.formula));
        let mut gradient = native::records(input).then(|| native::buffer_like(&dense)).transpose()?;
        let mut values = match divisor {
            None => Some(Tensor::f_empty(input.size(), (X::Number::KIND, Device::Cpu))?),
            Some(_) => None,
        };
        // 0 / 0 is 0.
        let divisor = divisor.filter(|&divisor| divisor != 0.0).unwrap_or(1.0);
        let task = Task {
            observed: parameters.part(entries.observed),
            missing: entries.missing.zip(assumed_parameters.as_ref()).map(|(assumed, parameters)| {
                let [label, weight] = [assumed.label, assumed.weight].map(X::Number::from_f64);
                Assumption { part: parameters.part(assumed.formula), label, weight }
            }),
            input: Rows::new(slice::<X>(&dense)?, 0, None),
            entries: dense.numel(),
            targets,
            weights,
            scale: X::Number::from_f64(1.0 / divisor),
            simd: Simd::best(),
            outside: AtomicBool::new(false),
        };
        let sum =
            task.run(gradient.as_mut().map(Output::of).transpose()?, values.as_mut().map(Output::of).transpose()?)?;
        if task.outside.into_inner() {
            return Ok(None);
        }
        let mut result = match values {
            Some(values) => values,
            None => Tensor::f_from_slice(&[X::Number::from_f64(sum / divisor)])?.f_reshape([0i64; 0])?,
        };
        if let Some(gradient) = gradient {
            native::attach(&mut result, input, &gradient)?;
        }
        Ok(Some(result))
    }
}

struct RawPass<'a, X>(Pass<'a>, PhantomData<X>);

impl<X: Storage> raw::Visitor for RawPass<'_, X> {
    type Output = Option<Tensor>;
    fn visit<L: raw::Given>(self, source: &raw::RawSlices<'_, L>) -> Result<Option<Tensor>> {
        let found = self.0.pass::<X>(source, &Weights::NONE)?;
        Ok(found.filter(|_| !source.at_fault()))
    }
}

/// The sum of an `f64` tensor on the CPU, in an order that depends on its size alone.
pub(crate) fn sum(numbers: &Tensor) -> Result<f64> {
    let (numbers, mut sums) = (numbers.f_contiguous()?, Sums::default());
    Simd::best().run(AddUp { values: slice::<f64>(&numbers)?, sums: &mut sums });
    Ok(total(sums))
}

/// The weights of the observed entries of each row, or of all its entries, added up: `[N]`, `f64`. Those per entry are the
/// table's.
pub(crate) fn weight_per_row(table: &Table<'_>, weights: &Factors, everything: bool) -> Result<Tensor> {
    PerRowWeights { weights: &Weights::of(weights, table)?, everything }.run(table)
}
