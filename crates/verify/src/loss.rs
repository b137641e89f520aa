//! A loss of single entries: `scripts/verify_gradients.py` compares value and gradient with PyTorch's.

use anyhow::{Result, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use masked_loss::{Backend, BceWithLogits, Censored, Labels, Loss, Missing, Named, Reduction, UnbiasedBce, Weights};

use crate::gradients::{Answer, Files, differentiate};
use crate::tensors::Tensors;

/// Computes a loss of single entries and its gradient.
///
/// IN holds `logits` [N, C] (or the probabilities or predictions that the loss takes) and `labels` [N, C], NaN where
/// missing; for unbiased-bce `inverse_propensity` [C]. Optional: `mask` [N, C], 1 where the label is observed, instead
/// of NaN; `weights` per entry [N, C], row [N, 1] or label [1, C]; `pos_weight` [C] for bce; `bound` [N, C] for
/// regression; `upstream`, the upstream gradient, in the loss's shape (default 1).
///
/// OUT gets `loss`, `grad` with respect to the logits, and `observed`, the number of observed labels.
#[derive(Args)]
pub struct Arguments {
    #[arg(long, value_name = "NAME[:SETTING=VALUE]", value_parser = parse_loss, help = losses_help())]
    loss: String,
    #[arg(long, value_name = "NAME", value_parser = one_of(reductions()))]
    reduction: Reduction,
    /// What a missing entry counts as
    #[arg(long, value_name = "NAME", default_value = "ignore", value_parser = one_of(Missing::catalogue()))]
    missing: Missing,
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = one_of(backends()))]
    backend: Backend,
    #[command(flatten)]
    files: Files,
}

/// Not in the catalogue, as it has no default.
const UNBIASED_BCE: &str = "unbiased-bce";

fn losses() -> impl Iterator<Item = &'static str> {
    masked_loss::catalogue().into_iter().map(|named| named.name).chain([UNBIASED_BCE])
}

fn losses_help() -> String {
    let settings = masked_loss::catalogue().into_iter().flat_map(|named| {
        let of = |setting: &&str| format!("{}:{setting}", named.name);
        named.settings().iter().map(of).collect::<Vec<_>>()
    });
    let names: Vec<_> = losses().collect();
    let settings: Vec<_> = settings.collect();
    format!("[possible values: {}] [settings: {}]", names.join(", "), settings.join(", "))
}

fn parse_loss(text: &str) -> Result<String, String> {
    match losses().any(|name| text.split(':').next() == Some(name)) {
        true => Ok(text.to_owned()),
        false => Err(format!("expected one of {}", losses().collect::<Vec<_>>().join(", "))),
    }
}

fn reductions() -> Vec<(&'static str, Reduction)> {
    vec![
        ("mean", Reduction::Mean),
        ("sum", Reduction::Sum),
        ("none", Reduction::None),
        ("mean-all", Reduction::MeanAll),
        ("mean-per-row", Reduction::MeanPerRow),
        ("mean-per-label", Reduction::MeanPerLabel),
        ("weighted-mean", Reduction::WeightedMean),
    ]
}

fn backends() -> Vec<(&'static str, Backend)> {
    vec![("auto", Backend::Auto), ("composed", Backend::Composed), ("fused", Backend::Fused)]
}

/// Parses the name of a value.
fn one_of<T: Clone + Send + Sync + 'static>(named: Vec<(&'static str, T)>) -> impl TypedValueParser<Value = T> {
    let names: Vec<_> = named.iter().map(|(name, _)| *name).collect();
    PossibleValuesParser::new(names).try_map(move |given| {
        let found = named.iter().find(|(name, _)| *name == given);
        found.map(|(_, value)| value.clone()).ok_or("it has no value")
    })
}

pub fn run(arguments: &Arguments) -> Result<()> {
    arguments.files.answer(|tensors| answer(arguments, tensors))
}

fn answer(arguments: &Arguments, tensors: &mut Tensors) -> Result<Answer> {
    let (logits, labels) = (tensors.expect("logits")?, labels(tensors)?);
    let loss = loss(&arguments.loss, arguments.missing, &labels, tensors)?;
    // Integers have no gradient; the library's own message says so.
    let logits = if logits.is_floating_point() { logits.f_set_requires_grad(true)? } else { logits };
    let value = loss.forward_on(arguments.backend, &logits, &labels, arguments.reduction)?;
    let mut answer = differentiate(&value, &logits, tensors.take("upstream"))?;
    answer.push(("observed", labels.observed_count()?));
    Ok(answer)
}

/// The loss of that name, with its parameters from the file.
fn loss(name: &str, missing: Missing, labels: &Labels, tensors: &mut Tensors) -> Result<Box<dyn Loss>> {
    if name == UNBIASED_BCE {
        let inverse_propensity = tensors.expect_vector("inverse_propensity")?;
        return Ok(Box::new(UnbiasedBce::new(inverse_propensity).with_missing(missing)));
    }
    if name == "bce"
        && let Some(pos_weight) = tensors.vector("pos_weight")?
    {
        let bce = BceWithLogits::default().with_pos_weight(pos_weight);
        return Ok(Box::new(bce.with_missing(missing)));
    }
    let named = Named::from_text(name, *labels.size().last().unwrap_or(&0) as usize)?;
    Ok(match labels.bounds()? {
        Some(_) if named.label_range.end().is_finite() => {
            bail!("the loss does not use the tensor `bound`: a class is no bound")
        }
        Some(_) => Box::new(Censored::new(named.loss)),
        None => Box::new(named.with_missing(missing)),
    })
}

fn labels(tensors: &mut Tensors) -> Result<Labels> {
    let values = tensors.expect("labels")?;
    let labels = match tensors.take("mask") {
        Some(mask) => Labels::from_mask(&values, &mask)?,
        None => Labels::from_nan(&values)?,
    };
    let labels = match tensors.take("bound") {
        Some(bounds) => labels.with_bounds(&bounds)?,
        None => labels,
    };
    let Some(weights) = tensors.take("weights") else {
        return Ok(labels);
    };
    let flat = weights.f_reshape([-1])?;
    let weights = match (&weights.size()[..], &labels.size()[..]) {
        (given, size) if given == size => Weights::PerEntry(&weights),
        ([given, 1], [rows, _]) if given == rows => Weights::PerRow(&flat),
        ([1, given], [_, columns]) if given == columns => Weights::PerLabel(&flat),
        (given, size) => bail!("weights: expected shape {size:?}, or 1 in one dimension, found {given:?}"),
    };
    Ok(labels.with_weights(weights)?)
}
