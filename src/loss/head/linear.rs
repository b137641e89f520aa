use tch::Tensor;

use crate::{Error, Labels, Result, Update, check};

/// Which logits of a last layer are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Head {
    /// On the CPU: [`Observed`](Self::Observed) where it can serve and few labels are observed, else, in `f32` and `f64`,
    /// [`Chunked`](Self::Chunked) for 2²⁴ logits or more. Otherwise [`Dense`](Self::Dense).
    #[default]
    Auto,
    /// All, by one multiplication of matrices: any device, any loss.
    Dense,
    /// All, some labels at a time, so that about two million logits are in memory, or one for each row: any device, every
    /// [`Elementwise`](crate::Elementwise) loss, [`with_missing`](crate::Loss::with_missing) entries too. Value and gradients
    /// are computed together; of labels that nobody observed, runs of 64 or more are skipped on the CPU.
    Chunked,
    /// Those of observed entries alone, on the CPU. Of sparse labels nothing of size `[N, C]` is made, and neither time nor memory
    /// depends on what is missing; labels in a matrix are searched for the observed ones. Weights in half precision are read where
    /// they lie, and computed with in `f32`. Value and gradients are computed in one pass, and are the same bits for any number
    /// of threads.
    Observed,
}

/// Of a layer with an update.
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
    /// `w`: `[C, D]`, as `tch::nn::Linear` has it in `ws`.
    pub weight: &'a Tensor,
    /// `b`: `[C]`
    pub bias: Option<&'a Tensor>,
    /// Which logits are computed.
    pub head: Head,
    /// Whether the gradients of weight and bias are sparse tensors that hold the rows of those labels alone that are observed
    /// in the batch, as those of `tch::nn::Embedding` with `sparse`. Optimizers must know of such gradients, and weight and bias
    /// must be leaves: libtorch's own operations take few sparse gradients. Where all logits are computed, gradients are not
    /// sparse; with [`Head::Auto`] that may differ from batch to batch.
    pub sparse_gradient: bool,
    /// Moves weight and bias during the forward pass, so that no gradient of all of them is ever in memory. For
    /// [`Head::Observed`], where labels that are not observed in the batch do not move unless the optimizer catches up, and
    /// [`Head::Chunked`], where all do; [`Head::Auto`] chooses between them. After an error some weights may have moved.
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

    /// The places of weight and bias among the parameters that an update moves, with these rows up to date, or all.
    pub(super) fn claim(&self, update: &Update<'_>, rows: Option<&[i32]>) -> Result<[Option<usize>; 2]> {
        let weight = update.claim("weight", self.weight, rows)?;
        let bias = self.bias.map(|bias| update.claim("bias", bias, rows)).transpose()?;
        Ok([Some(weight), bias])
    }

    /// All logits: `[N, C]`.
    ///
    /// # Errors
    /// [`Error::Torch`] where the tensors do not fit each other.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        Ok(hidden.f_linear(self.weight, self.bias)?)
    }

    /// What a loss of another kind than one formula makes of all logits.
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
