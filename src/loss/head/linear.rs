use tch::Tensor;

use crate::{Error, Labels, Result, Update, check};

/// Which logits of a last layer are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Head {
    /// On the CPU: [`Observed`](Self::Observed) if it supports the call and few labels are observed, else, in `f32` and
    /// `f64`, [`Chunked`](Self::Chunked) for 2²⁴ logits or more. In all other cases [`Dense`](Self::Dense).
    #[default]
    Auto,
    /// All logits, by one matrix multiplication: any device, any loss.
    Dense,
    /// All logits, a chunk of labels at a time, so that about two million logits are in memory, or one for each row if that
    /// is more: any device, every [`Elementwise`](crate::Elementwise) loss, also
    /// [`with_missing`](crate::Loss::with_missing) entries. Value and gradients are computed together. On the CPU, labels
    /// that nobody observed are skipped at both ends, and in runs of 64 or more.
    Chunked,
    /// Only the logits of observed entries, on the CPU. With sparse labels, nothing of size `[N, C]` is allocated, and
    /// neither time nor memory depends on the number of missing entries; a matrix of labels is searched for the observed
    /// ones. Half-precision weights are read in place, and the arithmetic is in `f32`. One pass computes value and
    /// gradients, with the same bits for any number of threads.
    Observed,
}

/// The error for a layer with an update.
pub(super) const NO_UPDATE: &str = "with an update needs a loss that is one formula, and a sum or a mean of it";

impl Head {
    pub(super) fn refuses(self, reason: &str) -> Error {
        Error::Head(format!("{self:?} {reason}"))
    }
}

/// A linear last layer, for [`Loss::forward_linear`](crate::Loss::forward_linear): the logit of row n and label c is
/// `hₙ · w_c + b_c`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Linear<'a> {
    /// `w`: `[C, D]`, like `ws` of `tch::nn::Linear`.
    pub weight: &'a Tensor,
    /// `b`: `[C]`
    pub bias: Option<&'a Tensor>,
    /// Which logits are computed.
    pub head: Head,
    /// Whether the gradients of weight and bias are sparse tensors that hold only the rows of the batch's observed labels,
    /// like those of `tch::nn::Embedding` with `sparse`. The optimizer must support such gradients, and weight and bias
    /// must be leaves, because few of libtorch's operations accept sparse gradients. Heads that compute all logits give
    /// dense gradients, so with [`Head::Auto`] the layout may differ from batch to batch.
    pub sparse_gradient: bool,
    /// Updates weight and bias during the forward pass, so that their whole gradient is never in memory.
    /// [`Head::Observed`] updates only labels that are observed in the batch, unless the optimizer catches up;
    /// [`Head::Chunked`] updates all labels; [`Head::Auto`] chooses between the two. After an error, some weights may
    /// already be updated.
    pub update: Option<&'a Update<'a>>,
}

impl<'a> Linear<'a> {
    /// A layer with this weight and bias, [`Head::Auto`], gradients that are not sparse, and no update.
    pub fn new(weight: &'a Tensor, bias: Option<&'a Tensor>) -> Self {
        Self { weight, bias, head: Head::Auto, sparse_gradient: false, update: None }
    }

    /// Sets `head`.
    #[must_use]
    pub fn with_head(self, head: Head) -> Self {
        Self { head, ..self }
    }

    /// Sets `sparse_gradient`.
    #[must_use]
    pub fn with_sparse_gradient(self, sparse_gradient: bool) -> Self {
        Self { sparse_gradient, ..self }
    }

    /// Sets `update`.
    #[must_use]
    pub fn with_update(self, update: impl Into<Option<&'a Update<'a>>>) -> Self {
        Self { update: update.into(), ..self }
    }

    pub(super) fn check(&self, hidden: &Tensor, labels: &Labels) -> Result<()> {
        check::floating("hidden", hidden)?;
        let (size, device) = (labels.size(), labels.device());
        let [rows, count] = size[..] else {
            return Err(Error::Shape { argument: "labels", expected: "[N, C]".into(), found: size });
        };
        let found = hidden.size();
        let [_, width] = found[..] else {
            return Err(Error::Shape { argument: "hidden", expected: format!("[{rows}, D]"), found });
        };
        check::like("hidden", hidden, &[rows, width], device)?;
        for (name, parameter, size) in
            [("weight", Some(self.weight), &[count, width][..]), ("bias", self.bias, &[count])]
        {
            let Some(parameter) = parameter else { continue };
            check::floating(name, parameter)?;
            check::like(name, parameter, size, device)?;
            let (expected, kind) = (hidden.f_kind()?, parameter.f_kind()?);
            if kind != expected {
                let expected = format!("{expected:?}, the type of hidden");
                return Err(Error::Kind { argument: name, expected, found: format!("{kind:?}") });
            }
        }
        Ok(())
    }

    /// Brings these rows (or all) of weight and bias up to date, and returns the indices of both in the update's parameters.
    pub(super) fn claim(&self, update: &Update<'_>, rows: Option<&[i32]>) -> Result<[Option<usize>; 2]> {
        let weight = update.claim("weight", self.weight, rows)?;
        let bias = self.bias.map(|bias| update.claim("bias", bias, rows)).transpose()?;
        Ok([Some(weight), bias])
    }

    /// All logits: `[N, C]`.
    ///
    /// # Errors
    /// [`Error::Torch`] if the tensors do not match.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        Ok(hidden.f_linear(self.weight, self.bias)?)
    }

    /// Applies a loss that is not one formula to all logits.
    pub(in crate::loss) fn by_all_logits<T>(
        &self,
        hidden: &Tensor,
        labels: &Labels,
        loss: impl FnOnce(&Tensor) -> Result<T>,
    ) -> Result<T> {
        self.check(hidden, labels)?;
        match self.head {
            Head::Observed | Head::Chunked => Err(self.head.refuses("is for losses that are one formula")),
            Head::Auto | Head::Dense if self.update.is_some() => Err(self.head.refuses(NO_UPDATE)),
            Head::Auto | Head::Dense => loss(&self.logits(hidden)?),
        }
    }
}

impl<'a> From<&'a tch::nn::Linear> for Linear<'a> {
    fn from(layer: &'a tch::nn::Linear) -> Self {
        Self::new(&layer.ws, layer.bs.as_ref())
    }
}
