use super::elementwise::Elementwise;
use crate::{Real, Result, check_setting, settings};

/// Hill loss: a negative that looks like a positive may be a missed positive, so its loss falls again.
///
/// `ℓ(x, y) = −y·(1 − q)^γ·ln q + (1 − y)·(λ − p)·p²` with `p = σ(x)` and `q = σ(x − m)`. Its gradient, for a positive:
/// `(1 − q)^γ (γ q ln q − (1 − q))`; for a negative: `p²(1 − p)(2λ − 3p)`, which is `3p²(1 − p)²` at `λ = 1.5`.
///
/// * Shapes: logits and labels `[N, C]` (any rank from 1).
/// * Labels: within [0, 1].
/// * Errors: see `Loss::forward`.
/// * Source: Zhang et al. 2021, *Simple and Robust Loss Design for Multi-Label Learning with Missing Labels*. Published
///   as a sum. The authors take the logarithm of `q`; the log-sigmoid here does not overflow.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Hill {
    /// `λ ≥ 0`: the loss of a negative falls beyond `p = 2λ/3`.
    pub lambda: f64,
    /// `m`: the margin that is subtracted from the logits of positives.
    pub margin: f64,
    /// `γ ≥ 0`: how fast easy positives fade.
    pub gamma: f64,
}

impl Default for Hill {
    /// `λ` 1.5, `m` 1, `γ` 2: the paper's choice.
    fn default() -> Self {
        Self { lambda: 1.5, margin: 1.0, gamma: 2.0 }
    }
}

impl Hill {
    /// `(λ − p)·p²`.
    #[inline(always)]
    fn negative<R: Real>(&self, x: &R) -> R {
        let (p, rest) = (x.sigmoid(), (-x.clone()).sigmoid());
        let low = (-p.clone()).shift(self.lambda) * &p * &p;
        // In powers of 1 − p, so that the slope is no difference of numbers near 1.
        let high = rest.shift(self.lambda - 3.0) * &rest;
        let high = high.shift(3.0 - 2.0 * self.lambda) * &rest;
        x.select_lt(0.0, &low, &high.shift(self.lambda - 1.0))
    }
}

settings!(Hill {
    lambda: Number(f64), with_lambda;
    margin: Number(f64), with_margin;
    gamma: Number(f64), with_gamma
});

impl Elementwise for Hill {
    #[inline(always)]
    fn entry<R: Real>(&self, x: &R, y: &R) -> R {
        let moved = x.shift(-self.margin);
        let positive = (-moved.log_sigmoid()).damped(&(-moved).sigmoid().powf(self.gamma));
        positive.share(y) + self.negative(x).weighted(&y.one_minus())
    }

    fn validate(&self) -> Result<()> {
        check_setting("lambda", self.lambda, 0.0..=f64::MAX)?;
        check_setting("margin", self.margin, f64::MIN..=f64::MAX)?;
        check_setting("gamma", self.gamma, 0.0..=f64::MAX)
    }
}
