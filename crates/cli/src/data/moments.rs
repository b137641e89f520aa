//! Means and deviations of features.

use tch::{Kind, Tensor};

use super::features::{Features, chunk};

impl Features {
    /// The mean and the standard deviation of each feature over some rows (`[F]`, `f32`). A constant feature has
    /// deviation 1.
    pub fn moments(&self, rows: &Tensor) -> [Tensor; 2] {
        let parts = rows.split(chunk(self.width()), 0);
        let inputs = |rows: &Tensor| self.inputs(rows).to_kind(Kind::Double);
        let total = |origin: &Tensor, of: fn(Tensor) -> Tensor| {
            let sums = parts.iter().map(|rows| of(inputs(rows) - origin).sum_dim_intlist(0i64, false, Kind::Double));
            sums.reduce(|sum, part| sum + part).unwrap_or_else(|| origin.zeros_like()) / rows.size()[0] as f64
        };
        // One value of each feature: all differences of a constant feature are exactly 0.
        let origin = inputs(&rows.narrow(0, 0, 1)).squeeze_dim(0);
        let mean = &origin + total(&origin, |difference| difference);
        let deviation = total(&mean, |difference| difference.square()).sqrt().to_kind(Kind::Float);
        [mean.to_kind(Kind::Float), deviation.masked_fill(&deviation.eq(0.0), 1.0)]
    }
}
