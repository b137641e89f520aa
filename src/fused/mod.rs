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
mod weights;

use std::marker::PhantomData;
use std::sync::atomic::AtomicBool;

pub(crate) use self::native::is_strided;
pub use self::native::release_buffers;
use tch::{Device, Kind, Tensor};

use self::block::{Packed, Parameters, Part, Source, Wanted};
use self::cache::{Ahead, Buffer, fence};
use self::count::PerRowWeights;
pub(crate) use self::count::Table;
pub(crate) use self::encode::encode;
use self::float::Float;
use self::half::{Bf16, F16};
pub(crate) use self::kernel::{Block, entries, takes_tails};
use self::loops::{AddUp, Sums, total};
use self::memory::{Element, Output, Storage, read, slice};
use self::pack::Pack;
pub(crate) use self::raw::RawTensors;
use self::rows::Rows;
pub(crate) use self::simd::Simd;
use self::targets::{Buffers, Label, Numbers, Targets};
use self::weights::Weights;
use crate::formula;
use crate::labels::Factors;
use crate::{Labels, Result};

/// Entries that one thread computes in one go, and whose losses are added up by themselves, at most. A thread more would
/// cost more than it brings to fewer.
const BLOCK: usize = 16384;

/// Entries to a block, of so many in all: this, not the number of threads, decides the bits of a sum. A few large blocks
/// could not be shared out evenly.
fn block_length(entries: usize) -> usize {
    if entries < 8 * BLOCK { BLOCK / 4 } else { BLOCK }
}

/// Entries that a formula is computed for at a time.
const CHUNK: usize = 256;

/// Fewer entries than these are likely to be in the caches when a pass begins: a prefetch would only be in the way.
const IN_CACHES: usize = 1 << 19;

/// Bytes of a gradient that is likely to be out of the caches before anybody reads it: writing it past them spares the
/// reading of what is to be overwritten.
const PAST_CACHES: usize = 32 << 20;

/// The instructions that the fused path uses on this machine, for people to read.
pub fn simd_level() -> &'static str {
    Simd::best().name()
}

/// Whether the fused path can serve.
pub(crate) fn serves(input: &Tensor) -> bool {
    input.device() == Device::Cpu
}

/// What a pass computes.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) entries: formula::Entries<'a>,
    pub(crate) input: &'a Tensor,
    /// None for the losses of the entries themselves.
    pub(crate) divisor: Option<f64>,
}

impl Job<'_> {
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

struct RawPass<'a, X>(Job<'a>, PhantomData<X>);

impl<X: Storage> raw::Visitor for RawPass<'_, X> {
    type Output = Option<Tensor>;
    fn visit<L: raw::Given>(self, source: &raw::Source<'_, L>) -> Result<Option<Tensor>> {
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

/// What counts as a missing entry's loss.
struct Assumption<'a, F> {
    part: Part<'a, F>,
    label: F,
    weight: F,
}

/// One pass: all that the threads share.
struct Task<'a, X: Storage> {
    observed: Part<'a, X::Number>,
    missing: Option<Assumption<'a, X::Number>>,
    input: Rows<'a, X>,
    entries: usize,
    targets: &'a dyn Targets<X::Number>,
    weights: &'a Weights<'a, X::Number>,
    scale: X::Number,
    simd: Simd,
    /// Whether an input was found that a formula does not accept.
    outside: AtomicBool,
}

impl<X: Storage> Task<'_, X> {
    /// The sum of the entries' losses.
    fn run(&self, gradient: Option<Output<X::Number>>, values: Option<Output<X::Number>>) -> Result<f64> {
        let block_length = block_length(self.entries);
        let mut sums = vec![0.0; self.entries.div_ceil(block_length)];
        let sum_of = Output::new(&mut sums);
        // What is assumed of missing entries is added to what is there.
        let past_caches = self.missing.is_none()
            && X::Number::streams(self.simd)
            && gradient.as_ref().is_some_and(|gradient| gradient.bytes() >= PAST_CACHES);
        native::parallel(sums.len(), BLOCK / block_length, |blocks| {
            let mut room = Room::new();
            for block in blocks {
                let start = block * block_length;
                let length = block_length.min(self.entries - start);
                // SAFETY: the outputs outlive this call, and each block is visited once.
                unsafe {
                    let gradient = gradient.as_ref().map(|gradient| gradient.part(start, length)).unwrap_or_default();
                    let values = values.as_ref().map(|values| values.part(start, length)).unwrap_or_default();
                    let wanted = Wanted { gradient, values, past_caches };
                    sum_of.part(block, 1)[0] = self.block(start, length, wanted, &mut room);
                }
            }
            if past_caches {
                fence();
            }
        })?;
        Ok(sums.iter().sum())
    }

    fn block(&self, start: usize, length: usize, wanted: Wanted<'_, X::Number>, room: &mut Room<X::Number>) -> f64 {
        let Room { input, labels, weights, more_values, more_gradient, packed } = room;
        let Wanted { gradient, values, past_caches } = wanted;
        let (observed, label) = self.targets.read(self.simd, start, length, labels);
        // What goes past the caches need not be there; and if this block's gradient does, the next one's most often does.
        let overwritten = if past_caches && !observed.is_all() { &[] } else { &*gradient };
        let ahead = &mut Ahead::of(self.input.address(start), self.targets.ahead(start + length), overwritten);
        let source = Source {
            start,
            which: observed,
            input: read(self.simd, &self.input, start, length, input),
            label,
            weights: self.weights.read(self.simd, start, length, weights),
            scale: self.scale,
            outside: &self.outside,
        };
        let wanted = Wanted { gradient: &mut *gradient, values: &mut *values, past_caches };
        let sum = if self.entries < IN_CACHES {
            self.observed.compute(self.simd, &source, wanted, packed, &mut ())
        } else {
            self.observed.compute(self.simd, &source, wanted, packed, ahead)
        };
        let Some(Assumption { part, label, weight }) = &self.missing else { return sum };
        // The same over the other entries, while they are in the cache.
        let (which, label, scale) = (&observed.complement(), Label::Same(*label), self.scale * *weight);
        let wanted = Wanted {
            gradient: &mut more_gradient.get()[..gradient.len()],
            values: &mut more_values.get()[..values.len()],
            past_caches: false,
        };
        let source = Source { which, label, scale, ..source };
        let assumed = part.compute(self.simd, &source, wanted, packed, &mut ());
        add_scaled(values, more_values.get(), *weight);
        add_scaled(gradient, more_gradient.get(), X::Number::ONE);
        sum + weight.to_f64() * assumed
    }
}

fn add_scaled<F: Float>(sum: &mut [F], terms: &[F], weight: F) {
    for (sum, &term) in sum.iter_mut().zip(terms) {
        *sum = *sum + term * weight;
    }
}

/// A thread's own memory for one block.
struct Room<F> {
    input: Buffer<F>,
    labels: Buffers<F>,
    weights: [Buffer<F>; 2],
    more_values: Buffer<F>,
    more_gradient: Buffer<F>,
    packed: Packed<F>,
}

impl<F: Float> Room<F> {
    fn new() -> Self {
        let [input, more_values, more_gradient] = [const { Buffer::new() }; 3];
        let weights = [const { Buffer::new() }; 2];
        Self { input, labels: Buffers::new(), weights, more_values, more_gradient, packed: Packed::new() }
    }
}
