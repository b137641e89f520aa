//! Weights derived from the labels. Compute them on the whole training table, before `rows` cuts batches: a batch has
//! other counts.

use tch::{Kind, Tensor};

use masked_loss_core::{check_setting, settings};

use super::cells::sum_per_label;
use super::checked::Labels;
use super::edit::Weights;
use super::stored::Stored;
use crate::{Error, Result, check};

/// The numbers of [`Labels::with_partial_bce_weights`]: a row weighs `g(r) = α·r^γ + β`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PartialBce {
    /// `α`
    pub alpha: f64,
    /// `β`
    pub beta: f64,
    /// `γ`
    pub gamma: f64,
}

impl Default for PartialBce {
    /// `α` −4.45, `β` 5.45, `γ` 1, as published: a straight line.
    fn default() -> Self {
        Self { alpha: -4.45, beta: 5.45, gamma: 1.0 }
    }
}

settings!(PartialBce { alpha: Number(f64), with_alpha; beta: Number(f64), with_beta; gamma: Number(f64), with_gamma });

/// The numbers of [`Labels::inverse_propensity`]: how fast positives that nobody recorded grow fewer as a label grows
/// frequent.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Propensity {
    /// `a ≥ 0`
    pub a: f64,
    /// `b > 0`
    pub b: f64,
}

impl Default for Propensity {
    /// `a` 0.55, `b` 1.5, as published.
    fn default() -> Self {
        Self { a: 0.55, b: 1.5 }
    }
}

settings!(Propensity { a: Number(f64), with_a; b: Number(f64), with_b });

impl Labels {
    /// Gives the two classes of each label the same total weight: an observed entry weighs `n / n_class`, where `n`
    /// counts the label's observed entries and `n_class` those of the entry's class. A label with only one class gets
    /// weights of 1.
    ///
    /// Multiplies weights that are already set. Call it on the whole training table, before [`rows`](Self::rows) cuts
    /// batches; the weights are stored as `f32`.
    ///
    /// * Labels: 0 or 1.
    /// * Source: DeepChem's `BalancingTransformer`.
    ///
    /// # Errors
    /// [`Error::Range`] for an observed label that is neither 0 nor 1; as [`with_weights`](Self::with_weights).
    pub fn with_balanced_weights(self) -> Result<Self> {
        let observed = self.observed_per_label()?.f_to_kind(Kind::Double)?;
        let positives = self.positives_per_label()?;
        let negatives = observed.f_sub(&positives)?;
        // Round to single precision before expanding them to the entries.
        let [positives, negatives] =
            [positives, negatives].map(|of_class| observed.f_div(&of_class)?.f_to_kind(Kind::Float));
        let (positives, negatives) = (positives?, negatives?);
        if let Stored::Sparse(_) = &self.table {
            return self.weighing_each(|entries| {
                let [positives, negatives] =
                    [&positives, &negatives].map(|of_class| of_class.f_index_select(0, &entries.columns));
                Ok(positives?.f_where_self(&entries.values.f_eq(1)?, &negatives?)?)
            });
        }
        let weights = positives.f_where_self(&self.cells()?.f_eq(1)?, &negatives)?;
        self.with_weights(Weights::PerEntry(&weights))
    }

    /// Weighs each row by `g(r) = α·r^γ + β`, where `r` is the observed share of its entries. With the published
    /// numbers the weight is 1 for a full row, and about 5 for a row with a tenth observed.
    ///
    /// The published loss divides each row by C, like [`Reduction::MeanAll`](crate::Reduction::MeanAll). Multiplies
    /// weights that are already set. With a negative `γ`, a row without an observed entry weighs 0.
    ///
    /// * Source: Durand et al. 2019, *Learning a Deep ConvNet for Multi-label Classification with Partial Labels*.
    ///
    /// # Errors
    /// [`Error::Range`] for a number that is not finite; as [`with_weights`](Self::with_weights).
    pub fn with_partial_bce_weights(self, PartialBce { alpha, beta, gamma }: PartialBce) -> Result<Self> {
        for (name, number) in [("alpha", alpha), ("beta", beta), ("gamma", gamma)] {
            check_setting(name, number, f64::MIN..=f64::MAX)?;
        }
        let entries: i64 = self.size()[1..].iter().product();
        let share = self.observed_per_row().f_to_kind(Kind::Double)?.f_div_scalar(entries.max(1) as f64)?;
        let mut weights = share.f_pow_tensor_scalar(gamma)?.f_mul_scalar(alpha)?.f_add_scalar(beta)?;
        if gamma < 0.0 {
            weights = weights.f_masked_fill(&share.f_eq(0)?, 0.0)?;
        }
        self.with_weights(Weights::PerRow(&weights.f_to_kind(Kind::Float)?))
    }

    /// `1/π_l` for each of the C labels, where `π_l` is the probability that a positive is recorded: the fewer
    /// positives a label has, the more of them go unrecorded.
    ///
    /// `1/π_l = 1 + K·(N_l + b)^−a` with `K = (ln N − 1)(b + 1)^a`, N rows, and `N_l` the label's observed positives.
    /// For [`UnbiasedBce`](crate::UnbiasedBce) and
    /// [`BceWithLogits::convex_propensity`](crate::BceWithLogits::convex_propensity). Call it on the whole training
    /// table.
    ///
    /// * Labels: 0 or 1.
    /// * Source: Jain et al. 2016, *Extreme Multi-label Loss Functions for Recommendation, Tagging, Ranking & Other
    ///   Missing Label Applications*.
    ///
    /// # Errors
    /// [`Error::Shape`] for fewer than 3 rows, which make K negative; [`Error::Range`] for an observed label that is
    /// neither 0 nor 1, a negative `a`, or a `b` that is not above 0.
    pub fn inverse_propensity(&self, Propensity { a, b }: Propensity) -> Result<Vec<f64>> {
        check_setting("a", a, 0.0..=f64::MAX)?;
        check_setting("b", b, f64::MIN_POSITIVE..=f64::MAX)?;
        let size = self.size();
        let rows: i64 = size[..size.len() - 1].iter().product();
        if rows < 3 {
            return Err(Error::Shape { argument: "labels", expected: "of 3 rows or more".into(), found: size });
        }
        let k = ((rows as f64).ln() - 1.0) * (b + 1.0).powf(a);
        let positives: Vec<f64> = Vec::try_from(&self.positives_per_label()?)?;
        Ok(positives.into_iter().map(|positives| 1.0 + k * (positives + b).powf(-a)).collect())
    }

    /// The number of each label's observed positives: `[C]`, `f64`; an error for labels that are neither 0 nor 1.
    fn positives_per_label(&self) -> Result<Tensor> {
        let hard = |values: &Tensor, observed: Option<Tensor>| {
            let soft = values.f_ne(0)?.f_logical_and(&values.f_ne(1)?)?;
            let soft = observed.map_or(Ok(soft.shallow_clone()), |observed| soft.f_logical_and(&observed))?;
            match check::first(values, &soft)? {
                Some(found) => {
                    Err(Error::Range { argument: "labels", expected: "0 or 1 where observed".into(), found })
                }
                None => Ok(values.f_eq(1)?),
            }
        };
        if let Some((entries, _)) = self.own_entries()? {
            return entries.sum_per_label(&hard(&entries.values, None)?, Kind::Double);
        }
        let positive = hard(&self.cells()?, Some(self.observed()?))?;
        Ok(sum_per_label(&positive, Kind::Int64)?.f_to_kind(Kind::Double)?)
    }
}
