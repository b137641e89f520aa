use tch::Tensor;

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
    /// The numbers of the entries from `start` on, put into `block`; none if there is no stream.
    pub(super) fn read<'b>(stream: Option<&Self>, start: usize, block: &'b mut [F]) -> &'b [F] {
        match stream {
            Some(stream) => {
                stream.fill(start, block);
                block
            }
            None => &[],
        }
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

/// A contiguous tensor of `F` and how it lies against entries of shape `size`.
pub(super) struct Broadcast {
    tensor: Tensor,
    size: Vec<i64>,
}

impl Broadcast {
    /// `tensor` can be broadcast to `size`.
    pub(super) fn new<F: Element>(tensor: &Tensor, size: &[i64]) -> Result<Self> {
        let tensor = tensor.f_detach()?.f_to_kind(F::KIND)?;
        let own = tensor.size();
        let per_label = own.last() == size.last() && own.iter().rev().skip(1).all(|&length| length == 1);
        let per_row = own.len() == size.len() && own[0] == size[0] && own[1..].iter().all(|&length| length == 1);
        let tensor = if per_label || per_row { tensor } else { tensor.f_expand(size, false)? };
        Ok(Self { tensor: tensor.f_contiguous()?, size: size.to_vec() })
    }

    pub(super) fn stream<F: Element + Float>(&self) -> Stream<'_, F> {
        let numbers = slice::<F>(&self.tensor);
        if self.tensor.size() == self.size {
            Stream::Entries(numbers)
        } else if self.tensor.size().last() == self.size.last() {
            Stream::Columns(numbers)
        } else {
            Stream::Rows(numbers, self.size[1..].iter().product::<i64>() as usize)
        }
    }
}
