//! A layer, and the buffers for its gradients.

use super::order::Touched;

/// A linear layer: the logit of row n and label c is `h_n · w_c + b_c`.
/// Weights may be in half precision; everything is computed in `F`.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a, F, W = F> {
    /// `[N, D]`, row by row.
    pub hidden: &'a [F],
    /// `[C, D]`, label by label.
    pub weight: &'a [W],
    /// `[C]`
    pub bias: Option<&'a [W]>,
    /// `D`
    pub width: usize,
}

/// Where the gradients of `loss / divisor` go; the buffers are overwritten.
#[derive(Debug)]
pub struct HeadGradients<'a, F> {
    /// `[N, D]`
    pub hidden: Option<&'a mut [F]>,
    /// The gradients of the layer's parameters, if they are wanted.
    pub layer: Option<LayerGradients<'a, F>>,
}

/// Gradients of a layer's parameters.
#[derive(Debug)]
pub struct LayerGradients<'a, F> {
    /// The labels that are observed in the batch.
    pub touched: &'a Touched,
    /// Whether the gradients hold only the rows of those labels, in order, or `[C, D]` with zeros for the others.
    pub packed: bool,
    /// A row of D numbers for each label.
    pub weight: Option<&'a mut [F]>,
    /// A number for each label.
    pub bias: Option<&'a mut [F]>,
}
