//! The fused CPU path: value and gradient in one pass over memory, from the same formula as the composed path.

mod block;
mod cache;
mod cells;
mod float;
mod half;
mod kernel;
mod lane;
mod loops;
mod memory;
mod native;
mod pack;
mod simd;
mod stream;
mod tails;

pub(crate) use self::native::is_strided;
pub use self::native::release_buffers;
use tch::{Device, Kind, Tensor};

use self::block::{Packed, Parameters, Part, Source, Wanted};
use self::cache::{Ahead, Buffer, fence};
use self::cells::{Cell, Label};
use self::float::Float;
use self::half::{Bf16, F16};
pub(crate) use self::kernel::{Block, entries, takes_tails};
use self::loops::{AddUp, Sums, total};
use self::memory::{Element, Output, Storage, slice};
use self::pack::Pack;
pub(crate) use self::simd::Simd;
use self::stream::{Broadcast, Stream};
use crate::formula;
use crate::reduction::Divisor;
use crate::{Error, Labels, Result};

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

/// Bytes of a gradient that is likely to be out of the caches before anybody reads it: writing it past them spares the
/// reading of what is to be overwritten.
const PAST_CACHES: usize = 32 << 20;

/// The instructions that the fused path uses on this machine, for people to read.
pub fn simd_level() -> &'static str {
    Simd::best().name()
}

/// Why the fused path cannot serve, if it cannot.
pub(crate) fn unfit(input: &Tensor) -> Option<String> {
    (input.device() != Device::Cpu).then(|| format!("runs on the CPU, and the logits are on {:?}", input.device()))
}

pub(crate) fn forward(
    entries: formula::Entries<'_>,
    input: &Tensor,
    labels: &Labels,
    divisor: &Divisor,
) -> Result<Tensor> {
    if let Some(reason) = unfit(input) {
        return Err(Error::Fused(reason));
    }
    match input.f_kind()? {
        Kind::Double => by_cells::<f64>(entries, input, labels, divisor),
        Kind::Half => by_cells::<F16>(entries, input, labels, divisor),
        Kind::BFloat16 => by_cells::<Bf16>(entries, input, labels, divisor),
        _ => by_cells::<f32>(entries, input, labels, divisor),
    }
}

fn by_cells<X: Storage>(
    entries: formula::Entries<'_>,
    input: &Tensor,
    labels: &Labels,
    divisor: &Divisor,
) -> Result<Tensor>
where
    i8: Cell<X::Number>,
    X::Number: Cell<X::Number>,
{
    let cells = labels.cells();
    if cells.f_kind()? == Kind::Int8 {
        pass::<X, i8>(entries, input, cells, labels, divisor)
    } else {
        pass::<X, X::Number>(entries, input, &cells.f_to_kind(X::Number::KIND)?, labels, divisor)
    }
}

fn pass<X: Storage, Y: Cell<X::Number> + Element>(
    entries: formula::Entries<'_>,
    input: &Tensor,
    cells: &Tensor,
    labels: &Labels,
    divisor: &Divisor,
) -> Result<Tensor>
where
    X::Number: Cell<X::Number>,
{
    let size = input.size();
    let dense = input.f_detach()?.f_resolve_neg()?.f_contiguous()?;
    let weights = labels.weights().map(|weights| Broadcast::new::<X::Number>(weights, &size)).transpose()?;
    let parameters = Parameters::of(entries.observed);
    let assumed_parameters = entries.missing.map(|assumed| Parameters::of(assumed.formula));
    let divisor = divisor.number()?;
    let records = native::records(input);
    let mut gradient = records.then(|| native::buffer_like(&dense)).transpose()?;
    let mut values = match divisor {
        None => Some(Tensor::f_empty(&size[..], (X::Number::KIND, Device::Cpu))?),
        Some(_) => None,
    };
    let divisor = divisor.unwrap_or(1.0);

    let task = Task {
        observed: parameters.part(entries.observed),
        missing: entries.missing.zip(assumed_parameters.as_ref()).map(|(assumed, parameters)| {
            let [label, weight] = [assumed.label, assumed.weight].map(X::Number::from_f64);
            Assumption { part: parameters.part(assumed.formula), label, weight }
        }),
        input: slice::<X>(&dense)?,
        cells: slice::<Y>(cells)?,
        weights: weights.as_ref().map(Broadcast::stream).transpose()?,
        scale: X::Number::from_f64(1.0 / divisor),
        simd: Simd::best(),
    };
    let sum = task.run(gradient.as_mut().map(Output::of).transpose()?, values.as_mut().map(Output::of).transpose()?)?;

    let mut result = match values {
        Some(values) => values,
        None => Tensor::f_from_slice(&[X::Number::from_f64(sum / divisor)])?.f_reshape([0i64; 0])?,
    };
    if let Some(gradient) = gradient {
        native::attach(&mut result, input, &gradient)?;
    }
    Ok(result)
}

/// The sum of an `f64` tensor on the CPU, in an order that depends on its size alone.
pub(crate) fn sum(numbers: &Tensor) -> Result<f64> {
    let (numbers, mut sums) = (numbers.f_contiguous()?, Sums::default());
    Simd::best().run(AddUp { values: slice::<f64>(&numbers)?, sums: &mut sums });
    Ok(total(sums))
}

/// What counts as a missing entry's loss.
struct Assumption<'a, F> {
    part: Part<'a, F>,
    label: F,
    weight: F,
}

/// One pass: all that the threads share.
struct Task<'a, X: Storage, Y> {
    observed: Part<'a, X::Number>,
    missing: Option<Assumption<'a, X::Number>>,
    input: &'a [X],
    cells: &'a [Y],
    weights: Option<Stream<'a, X::Number>>,
    scale: X::Number,
    simd: Simd,
}

impl<X: Storage, Y: Cell<X::Number>> Task<'_, X, Y>
where
    X::Number: Cell<X::Number>,
{
    /// The sum of the entries' losses.
    fn run(&self, gradient: Option<Output<X::Number>>, values: Option<Output<X::Number>>) -> Result<f64> {
        let block_length = block_length(self.input.len());
        let mut sums = vec![0.0; self.input.len().div_ceil(block_length)];
        let sum_of = Output::new(&mut sums);
        // What is assumed of missing entries is added to what is there.
        let past_caches = self.missing.is_none()
            && X::Number::streams(self.simd)
            && gradient.as_ref().is_some_and(|gradient| gradient.bytes() >= PAST_CACHES);
        native::parallel(sums.len(), BLOCK / block_length, |blocks| {
            let mut room = Room::new();
            for block in blocks {
                let start = block * block_length;
                let length = block_length.min(self.input.len() - start);
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
        let (stored, cells) = (&self.input[start..][..length], &self.cells[start..][..length]);
        let (observed, label) = Y::observed(self.simd, cells, labels);
        // What goes past the caches need not be there; and if this block's gradient does, the next one's most often does.
        let overwritten = if past_caches && !observed.is_all() { &[] } else { &*gradient };
        let ahead = &mut Ahead::of(stored, cells, overwritten);
        let source = Source {
            start,
            which: observed,
            input: X::read(self.simd, stored, input),
            label,
            weights: Stream::read(self.weights.as_ref(), start, length, weights),
            scale: self.scale,
        };
        let wanted = Wanted { gradient: &mut *gradient, values: &mut *values, past_caches };
        let sum = self.observed.compute(self.simd, &source, wanted, packed, ahead);
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

/// A thread's own room for one block.
struct Room<F> {
    input: Buffer<F>,
    labels: cells::Room<F>,
    weights: Buffer<F>,
    more_values: Buffer<F>,
    more_gradient: Buffer<F>,
    packed: Packed<F>,
}

impl<F: Float> Room<F> {
    fn new() -> Self {
        let [input, weights, more_values, more_gradient] = [const { Buffer::new() }; 4];
        Self { input, labels: cells::Room::new(), weights, more_values, more_gradient, packed: Packed::new() }
    }
}
