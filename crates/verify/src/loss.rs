//! One loss on one file of tensors, value and gradient out: `scripts/verify_gradients.py` holds them against PyTorch.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Parser;
use clap::builder::PossibleValuesParser;
use masked_loss::{
    BceWithLogits, Censored, Elementwise, Error, Labels, Loss, Missing, Path as LossPath, Reduction, UnbiasedBce,
    Weights, catalogue,
};
use tch::{Kind, TchError, Tensor};

/// Computes a loss and its gradient.
///
/// IN holds `logits` [N, C] (probabilities or predictions where the loss takes those) and `labels` [N, C], NaN where
/// missing; for unbiased-bce `inverse_propensity` [C]. Optional: `mask` [N, C], 1 where the label is known, instead of
/// NaN; `weights` per entry [N, C], row [N, 1] or label [1, C]; `pos_weight` [C] for bce; `bound` [N, C] for regression;
/// `upstream`, the gradient that comes from above, in the loss's shape, else 1.
///
/// OUT gets `loss`, `grad` with respect to the logits, and `observed`, the number of known labels.
///
/// Exit status: 1 where a file is at fault, 2 for a wrong argument, 3 where the fused path cannot serve.
#[derive(Parser)]
struct Arguments {
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(names()))]
    loss: String,
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(REDUCTIONS.map(|(name, _)| name)))]
    reduction: String,
    /// What a missing entry counts as
    #[arg(long, value_name = "NAME", default_value = "ignore")]
    #[arg(value_parser = PossibleValuesParser::new(Missing::catalogue().into_iter().map(|(name, _)| name)))]
    missing: String,
    #[arg(long, value_name = "NAME", default_value = "auto")]
    #[arg(value_parser = PossibleValuesParser::new(["auto", "composed", "fused"]))]
    path: String,
    /// Safetensors file to read; may be repeated, each with an --output of its own
    #[arg(long, value_name = "IN", required = true)]
    input: Vec<PathBuf>,
    /// Safetensors file to write
    #[arg(long, value_name = "OUT", required = true)]
    output: Vec<PathBuf>,
}

const REDUCTIONS: [(&str, Reduction); 7] = [
    ("mean", Reduction::Mean),
    ("sum", Reduction::Sum),
    ("none", Reduction::None),
    ("mean-all", Reduction::MeanAll),
    ("mean-per-row", Reduction::MeanPerRow),
    ("mean-per-label", Reduction::MeanPerLabel),
    ("weighted-mean", Reduction::WeightedMean),
];

/// Not in the catalogue, as it has no default.
const UNBIASED_BCE: &str = "unbiased-bce";

fn names() -> impl Iterator<Item = &'static str> {
    catalogue().into_iter().map(|named| named.name).chain([UNBIASED_BCE])
}

/// The loss of that name, with the parameters that the file has for it.
fn loss(name: &str, missing: Missing, file: &mut Tensors) -> Result<Box<dyn Loss>> {
    if name == UNBIASED_BCE {
        let numbers = file.numbers("inverse_propensity")?;
        let inverse_propensity = numbers.context("there is no tensor `inverse_propensity`")?;
        return Ok(Box::new(UnbiasedBce { inverse_propensity }.with_missing(missing)));
    }
    if name == "bce"
        && let Some(pos_weight) = file.numbers("pos_weight")?
    {
        let bce = BceWithLogits { pos_weight: Some(pos_weight), ..Default::default() };
        return Ok(Box::new(bce.with_missing(missing)));
    }
    let named = catalogue().into_iter().find(|named| named.name == name).context("there is no loss of that name")?;
    // Only numbers are bounds, not classes.
    let bound = if named.labels.end().is_infinite() { file.take("bound") } else { None };
    Ok(match bound {
        Some(bound) => Box::new(Censored { loss: named.loss, bound }),
        None => Box::new(named.with_missing(missing)),
    })
}

fn main() -> ExitCode {
    let Err(error) = run(&Arguments::parse()) else {
        return ExitCode::SUCCESS;
    };
    // What libtorch says goes on with a stack trace.
    eprintln!("{}", format!("{error:#}").lines().next().unwrap_or_default());
    match error.downcast_ref() {
        Some(Error::Fused(_)) => ExitCode::from(3),
        _ => ExitCode::FAILURE,
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    ensure!(arguments.input.len() == arguments.output.len(), "every --input needs an --output");
    for (input, output) in arguments.input.iter().zip(&arguments.output) {
        let file = Tensors::read(input)?;
        let answer = answer(arguments, file).with_context(|| input.display().to_string())?;
        write(&answer, output).with_context(|| format!("{}: cannot be written", output.display()))?;
    }
    Ok(())
}

fn answer(arguments: &Arguments, mut file: Tensors) -> Result<[(&'static str, Tensor); 3]> {
    let missing = named(&arguments.missing, Missing::catalogue())?;
    let reduction = named(&arguments.reduction, REDUCTIONS)?;
    let loss = loss(&arguments.loss, missing, &mut file)?;
    let logits = file.expect("logits")?;
    let labels = labels(&mut file)?;
    let upstream = file.take("upstream");
    file.is_used_up()?;

    // Integers have no gradient; the library says so in its own words.
    let leaf = if logits.is_floating_point() { logits.f_set_requires_grad(true)? } else { logits };
    let value = loss.forward_on(path(&arguments.path), &leaf, &labels, reduction)?;
    backward(&value, upstream)?;
    Ok([("loss", value.f_detach()?), ("grad", leaf.f_grad()?), ("observed", labels.observed_count()?)])
}

fn path(name: &str) -> LossPath {
    match name {
        "composed" => LossPath::Composed,
        "fused" => LossPath::Fused,
        _ => LossPath::Auto,
    }
}

/// What goes by that name; clap has let no other one through.
fn named<T>(name: &str, among: impl IntoIterator<Item = (&'static str, T)>) -> Result<T> {
    let found = among.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, found)| found).with_context(|| format!("nothing is called {name}"))
}

fn labels(file: &mut Tensors) -> Result<Labels> {
    let values = file.expect("labels")?;
    let labels = match file.take("mask") {
        Some(mask) => Labels::from_mask(&values, &mask)?,
        None => Labels::from_nan(&values)?,
    };
    let Some(weights) = file.take("weights") else {
        return Ok(labels);
    };
    let flat = weights.f_reshape([-1])?;
    let by = match (&weights.size()[..], &labels.size()[..]) {
        (given, size) if given == size => Weights::PerEntry(&weights),
        ([given, 1], [rows, _]) if given == rows => Weights::PerRow(&flat),
        ([1, given], [_, columns]) if given == columns => Weights::PerLabel(&flat),
        (given, size) => bail!("weights: expected shape {size:?}, or 1 in one of the two places, found {given:?}"),
    };
    Ok(labels.with_weights(by)?)
}

/// With an upstream gradient `u`, the gradient of `Σ u·ℓ`.
fn backward(value: &Tensor, upstream: Option<Tensor>) -> Result<()> {
    let scaled = match upstream {
        None => value.shallow_clone(),
        Some(upstream) => {
            let (expected, found) = (value.size(), upstream.size());
            ensure!(found == expected, "upstream: expected shape {expected:?}, found {found:?}");
            value.f_mul(&upstream.f_to_kind(value.f_kind()?)?)?
        }
    };
    Ok(scaled.f_sum(scaled.f_kind()?)?.f_backward()?)
}

/// What a file holds and nobody has taken out yet.
struct Tensors(BTreeMap<String, Tensor>);

impl Tensors {
    fn read(path: &Path) -> Result<Self> {
        // Opened first: the system's word on a file that is not there is the clearer one.
        File::open(path).with_context(|| path.display().to_string())?;
        match Tensor::read_safetensors(path) {
            Ok(tensors) => Ok(Self(tensors.into_iter().collect())),
            Err(TchError::SafeTensorError { err, .. }) => {
                bail!("{}: it is damaged or no safetensors file ({err})", path.display())
            }
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    fn take(&mut self, name: &str) -> Option<Tensor> {
        self.0.remove(name)
    }

    fn expect(&mut self, name: &str) -> Result<Tensor> {
        self.take(name).ok_or_else(|| anyhow!("there is no tensor `{name}`"))
    }

    /// One for each label.
    fn numbers(&mut self, name: &str) -> Result<Option<Vec<f64>>> {
        let numbers = |tensor: Tensor| Vec::try_from(tensor.f_to_kind(Kind::Double)?);
        self.take(name).map(numbers).transpose().with_context(|| format!("{name}: expected a vector"))
    }

    /// A misspelt `pos_weight` must not pass for none.
    fn is_used_up(&self) -> Result<()> {
        match self.0.keys().next() {
            Some(name) => bail!("the loss has no use for the tensor `{name}`"),
            None => Ok(()),
        }
    }
}

/// The file is there as a whole or not at all.
fn write(tensors: &[(&str, Tensor)], path: &Path) -> Result<()> {
    let name = path.file_name().context("it is no file name")?.to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let contiguous: Vec<_> =
        tensors.iter().map(|(name, tensor)| Ok((name, tensor.f_contiguous()?))).collect::<Result<_>>()?;
    let written = Tensor::write_safetensors(&contiguous, &temporary).map_err(anyhow::Error::from);
    let done = written.and_then(|()| Ok(fs::rename(&temporary, path)?));
    if done.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    done
}
