//! The fused CPU path: value and gradient in one pass over memory, from the same formula as the composed path.

mod float;
mod half;
mod kernel;
mod lane;
mod memory;
mod native;
mod stream;

pub(crate) use self::native::is_strided;
pub use self::native::release_buffers;
use tch::{Device, Kind, Tensor};

use self::float::Float;
use self::half::{Bf16, F16};
use self::kernel::{Block, Cell, Simd};
use self::memory::{Element, Output, Storage, prefetch, slice};
use self::stream::{Broadcast, Stream};
use crate::{Elementwise, Error, Labels, Reduction, Result, masked};

/// Entries to a block: what it reads and writes stays in the first-level cache, next to what is asked for ahead. Sums
/// are taken by block, so this, not the number of threads, decides their bits.
const BLOCK: usize = 512;

/// Blocks under which another thread costs more than it brings.
const GRAIN: usize = 32;

/// The instructions that the fused path uses on this machine, for people to read.
pub fn simd_level() -> &'static str {
    Simd::best().name()
}

/// Why the fused path cannot serve, if it cannot.
pub(crate) fn unfit(input: &Tensor) -> Option<String> {
    (input.device() != Device::Cpu).then(|| format!("runs on the CPU, and the logits are on {:?}", input.device()))
}

pub(crate) fn forward<E: Elementwise>(
    loss: &E,
    input: &Tensor,
    labels: &Labels,
    reduction: Reduction,
) -> Result<Tensor> {
    if let Some(reason) = unfit(input) {
        return Err(Error::Fused(reason));
    }
    match input.f_kind()? {
        Kind::Double => by_cells::<E, f64>(loss, input, labels, reduction),
        Kind::Half => by_cells::<E, F16>(loss, input, labels, reduction),
        Kind::BFloat16 => by_cells::<E, Bf16>(loss, input, labels, reduction),
        _ => by_cells::<E, f32>(loss, input, labels, reduction),
    }
}

fn by_cells<E: Elementwise, X: Storage>(
    loss: &E,
    input: &Tensor,
    labels: &Labels,
    reduction: Reduction,
) -> Result<Tensor>
where
    X::Number: Cell<X::Number>,
{
    let cells = labels.cells();
    if cells.f_kind()? == Kind::Int8 {
        pass::<E, X, i8>(loss, input, cells, labels, reduction)
    } else {
        pass::<E, X, X::Number>(loss, input, &cells.f_to_kind(X::Number::KIND)?, labels, reduction)
    }
}

fn pass<E: Elementwise, X: Storage, Y: Cell<X::Number> + Element>(
    loss: &E,
    input: &Tensor,
    cells: &Tensor,
    labels: &Labels,
    reduction: Reduction,
) -> Result<Tensor> {
    let size = input.size();
    let dense = input.f_detach()?.f_resolve_neg()?.f_contiguous()?;
    let weights = labels.weights().map(|weights| Broadcast::new::<X::Number>(weights, &size)).transpose()?;
    let parameter: Option<Vec<_>> =
        loss.parameter().map(|labels| labels.iter().map(|&number| X::Number::from_f64(number)).collect());
    let divisor = match reduction {
        Reduction::Mean => labels.observed_count()?.f_int64_value(&[])?.max(1) as f64,
        Reduction::None | Reduction::Sum => 1.0,
    };
    let mut gradient = native::records(input).then(|| native::buffer_like(&dense)).transpose()?;
    let mut values = match reduction {
        Reduction::None => Some(Tensor::f_empty(&size[..], (X::Number::KIND, Device::Cpu))?),
        _ => None,
    };

    let task = Task {
        loss,
        input: slice::<X>(&dense)?,
        cells: slice::<Y>(cells)?,
        weights: weights.as_ref().map(Broadcast::stream).transpose()?,
        parameter: parameter.as_deref().map(Stream::Columns),
        scale: X::Number::from_f64(1.0 / divisor),
        safe: X::Number::from_f64(masked::safe(loss)),
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

/// One pass: all that the threads share.
struct Task<'a, E, X: Storage, Y> {
    loss: &'a E,
    input: &'a [X],
    cells: &'a [Y],
    weights: Option<Stream<'a, X::Number>>,
    parameter: Option<Stream<'a, X::Number>>,
    scale: X::Number,
    safe: X::Number,
    simd: Simd,
}

impl<E: Elementwise, X: Storage, Y: Cell<X::Number>> Task<'_, E, X, Y> {
    /// The sum of the entries' losses.
    fn run(&self, gradient: Option<Output<X::Number>>, values: Option<Output<X::Number>>) -> Result<f64> {
        let mut sums = vec![0.0; self.input.len().div_ceil(BLOCK)];
        let sum_of = Output::new(&mut sums);
        native::parallel(sums.len(), GRAIN, |blocks| {
            let mut buffers = Buffers::new();
            for block in blocks {
                let start = block * BLOCK;
                let length = BLOCK.min(self.input.len() - start);
                self.prefetch(start + length, gradient.as_ref());
                // SAFETY: the outputs outlive this call, and each block is visited once.
                unsafe {
                    let gradient = gradient.as_ref().map(|gradient| gradient.part(start, length));
                    let values = values.as_ref().map(|values| values.part(start, length));
                    sum_of.part(block, 1)[0] = self.block(start, length, gradient, values, &mut buffers);
                }
            }
        })?;
        Ok(sums.iter().sum())
    }

    /// Asks for what the block at `start` will read and write.
    fn prefetch(&self, start: usize, gradient: Option<&Output<X::Number>>) {
        let length = BLOCK.min(self.input.len() - start);
        prefetch(self.input[start..].as_ptr(), length);
        prefetch(self.cells[start..].as_ptr(), length);
        if let Some(gradient) = gradient {
            gradient.prefetch(start, length);
        }
    }

    fn block(
        &self,
        start: usize,
        length: usize,
        gradient: Option<&mut [X::Number]>,
        values: Option<&mut [X::Number]>,
        buffers: &mut Buffers<X::Number>,
    ) -> f64 {
        let Buffers { input, value, weights, parameter } = buffers;
        let input = X::read(&self.input[start..][..length], input);
        let weights = Stream::read(self.weights.as_ref(), start, &mut weights[..length]);
        let parameter = Stream::read(self.parameter.as_ref(), start, &mut parameter[..length]);
        let value = values.unwrap_or(&mut value[..length]);
        let cells = &self.cells[start..][..length];
        let (scale, safe) = (self.scale, self.safe);
        let gradient = gradient.unwrap_or_default();
        self.simd.run(self.loss, Block { input, cells, parameter, weights, value, gradient, scale, safe })
    }
}

/// A thread's own room for one block.
struct Buffers<F> {
    input: [F; BLOCK],
    value: [F; BLOCK],
    weights: [F; BLOCK],
    parameter: [F; BLOCK],
}

impl<F: Float> Buffers<F> {
    fn new() -> Self {
        let room = [F::default(); BLOCK];
        Self { input: room, value: room, weights: room, parameter: room }
    }
}
