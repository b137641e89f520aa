//! The fused CPU path.

use tch::Tensor;

use crate::{Elementwise, Error, Labels, Reduction, Result};

pub(crate) fn unfit(_input: &Tensor) -> Option<String> {
    Some("is not built".into())
}

pub(crate) fn forward<E: Elementwise + ?Sized>(
    _loss: &E,
    input: &Tensor,
    _labels: &Labels,
    _reduction: Reduction,
) -> Result<Tensor> {
    Err(Error::Fused(unfit(input).unwrap_or_default()))
}
