use crate::Real;

/// `−y·ln σ(x) − (1 − y)·ln σ(−x)`, written as `|x|·u − ln σ(|x|)`, where u is the share of the class that the sign of x
/// contradicts. Both terms have the same sign, and one exponential serves both classes.
#[inline(always)]
pub(super) fn cross_entropy<R: Real>(x: &R, y: &R) -> R {
    let (size, against) = (x.size(), x.select_lt(0.0, y, &y.one_minus()));
    size.share(&against) - size.log_sigmoid()
}

/// The same with a weight for each class: `−positive·ln σ(x) − negative·ln σ(−x)`.
#[inline(always)]
pub(super) fn weighted_cross_entropy<R: Real>(x: &R, positive: &R, negative: &R) -> R {
    let (size, against) = (x.size(), x.select_lt(0.0, positive, negative));
    size.share(&against) - size.log_sigmoid().share(&(positive.clone() + negative))
}
