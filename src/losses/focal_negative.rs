use crate::{Elementwise, Real, Result, check};

/// `−σ(x)^γ·ln σ(−x)`, whatever the label; the weight is a constant to the gradient, which is `σ(x)^γ·σ(x)`. As in
/// [`Asymmetric`](crate::Asymmetric) the logarithm is floored at `ln 1e−8`.
pub(crate) struct FocalNegative {
    pub(crate) gamma: f64,
}

impl Elementwise for FocalNegative {
    #[inline(always)]
    fn entry<R: Real>(&self, x: &R, _: &R) -> R {
        let weight = x.sigmoid().powf(self.gamma).detach();
        -((-x.clone()).log_sigmoid().at_least(super::asymmetric::FLOOR.ln()) * weight)
    }

    fn validate(&self) -> Result<()> {
        check::setting("gamma", self.gamma, 0.0..=f64::MAX)
    }

    fn integer_powers(&self) -> bool {
        super::small_integer(self.gamma)
    }
}
