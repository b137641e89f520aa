use tch::Tensor;

use super::cache::Buffer;
use super::float::Float;
use super::memory::{Element, slice};
use crate::Result;

/// Numbers that belong to entries, rows or labels, read as if there were one for each entry.
pub(super) enum Stream<'a, F> {
    Entries(&'a [F]),
    /// Each number serves as many entries in a row as the second field says.
    Rows(&'a [F], usize),
    Columns(&'a [F]),
}

impl<'a, F: Float> Stream<'a, F> {
    /// The numbers of `length` entries from `start` on, put into `room`; none if there is no stream.
    pub(super) fn read<'b>(stream: Option<&Self>, start: usize, length: usize, room: &'b mut Buffer<F>) -> &'b [F] {
        let Some(stream) = stream else { return &[] };
        let block = &mut room.get()[..length];
        stream.fill(start, block);
        block
    }

    fn fill(&self, start: usize, block: &mut [F]) {
        match *self {
            Self::Entries(all) => block.copy_from_slice(&all[start..][..block.len()]),
            Self::Rows(rows, length) => {
                let mut row = start / length;
                let mut rest = block;
                let mut room = length - start % length;
                while !rest.is_empty() {
                    let now = rest.split_off_mut(..room.min(rest.len())).unwrap_or_default();
                    now.fill(rows[row]);
                    (row, room) = (row + 1, length);
                }
            }
            Self::Columns(labels) => {
                let mut rest = block;
                let mut column = start % labels.len();
                while !rest.is_empty() {
                    let now = rest.split_off_mut(..(labels.len() - column).min(rest.len())).unwrap_or_default();
                    now.copy_from_slice(&labels[column..][..now.len()]);
                    column = 0;
                }
            }
        }
    }
}

/// A contiguous tensor of numbers and how it lies against the entries.
pub(super) struct Broadcast {
    tensor: Tensor,
    along: Along,
}

enum Along {
    Entries,
    Columns,
    /// With the number of entries in a row.
    Rows(usize),
}

impl Broadcast {
    /// `tensor` can be broadcast to `size`.
    pub(super) fn new<F: Element>(tensor: &Tensor, size: &[i64]) -> Result<Self> {
        let tensor = tensor.f_detach()?.f_resolve_neg()?.f_to_kind(F::KIND)?;
        let own = tensor.size();
        let (along, tensor) = if own == size {
            (Along::Entries, tensor)
        } else if own.last() == size.last() && own.iter().rev().skip(1).all(|&length| length == 1) {
            (Along::Columns, tensor)
        } else if own[0] == size[0] && own[1..].iter().all(|&length| length == 1) {
            (Along::Rows(size[1..].iter().product::<i64>() as usize), tensor)
        } else {
            (Along::Entries, tensor.f_expand(size, false)?)
        };
        Ok(Self { tensor: tensor.f_contiguous()?, along })
    }

    pub(super) fn stream<F: Element + Float>(&self) -> Result<Stream<'_, F>> {
        let numbers = slice::<F>(&self.tensor)?;
        Ok(match self.along {
            Along::Entries => Stream::Entries(numbers),
            Along::Columns => Stream::Columns(numbers),
            Along::Rows(length) => Stream::Rows(numbers, length),
        })
    }
}
