//! The tensors that store labels: bytes with [`MISSING`], or floating point with NaN where missing.

use masked_loss_core::{Cells, Table};
use tch::{Device, Kind, Tensor};

use crate::Result;
use crate::native::{TorchThreads, slice, slice_mut};

/// Marks a missing label in one-byte cells.
pub(crate) const MISSING: i8 = -1;

/// Rows of contiguous cells on the CPU. The index is within bounds.
pub(super) fn table<'a>(cells: &'a Tensor, index: Option<&'a Tensor>) -> Result<Table<'a>> {
    let size = cells.size();
    Ok(Table {
        cells: match cells.f_kind()? {
            Kind::Int8 => Cells::Bytes(slice(cells)?),
            Kind::Double => Cells::F64(slice(cells)?),
            _ => Cells::F32(slice(cells)?),
        },
        rows: index.map_or(size[0], |index| index.size()[0]) as usize,
        width: size[1..].iter().product::<i64>() as usize,
        index: index.map(slice).transpose()?,
    })
}

/// Boolean: whether a cell's label is observed.
pub(super) fn observed(cells: &Tensor) -> Result<Tensor> {
    Ok(match cells.f_kind()? {
        Kind::Int8 => cells.f_ge(0)?,
        _ => cells.f_isnan()?.f_logical_not()?,
    })
}

/// Counts the observed cells of each row: `[N]`, `i64`. The cells are in the labels' shape.
pub(super) fn observed_per_row(cells: &Tensor) -> Result<Tensor> {
    if cells.device() == Device::Cpu {
        let mut counts = Tensor::f_empty(&cells.size()[..1], (Kind::Int64, Device::Cpu))?;
        table(cells, None)?.observed_per_row(&TorchThreads, slice_mut(&mut counts)?)?;
        return Ok(counts);
    }
    let observed = observed(cells)?;
    let rows = cells.size()[0];
    let width = cells.size()[1..].iter().product::<i64>();
    Ok(observed.f_reshape([rows, width])?.f_sum_dim_intlist(1i64, false, Kind::Int64)?)
}

/// The sum over every dimension but the last: `[C]`.
pub(crate) fn sum_per_label(entries: &Tensor, kind: Kind) -> Result<Tensor> {
    let labels = *entries.size().last().unwrap_or(&0);
    let rows = if labels == 0 { 0 } else { entries.numel() as i64 / labels };
    Ok(entries.f_reshape([rows, labels])?.f_sum_dim_intlist(0i64, false, kind)?)
}
