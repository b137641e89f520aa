//! A synthetic problem whose full truth is known.

use anyhow::Result;
use masked_loss::Labels;
use tch::{Device, Kind, Tensor};

use crate::args::{Missing, Training};
use crate::data::Table;
use crate::evaluate::evaluate;
use crate::fit::fit;
use crate::report;
use crate::split::Split;

const ROWS: i64 = 6000;
const FEATURES: i64 = 32;
const LABELS: i64 = 12;

/// Trains on the same rows three times, and scores each on the full truth of the test rows.
pub fn run(config: &Training, device: Device) -> Result<()> {
    tch::manual_seed(config.seed);
    let options = (Kind::Float, Device::Cpu);
    let features = Tensor::randn([ROWS, FEATURES], options);
    let truth = truth(&features);
    let split = Split::random(ROWS, config.seed)?;
    let partial = hide(&features, &truth, &split);
    let observed = partial.index_select(0, &Tensor::from_slice(&split.train)).isfinite().to_kind(Kind::Double);
    let observed = observed.mean(Kind::Double).double_value(&[]);

    let table = |labels: &Tensor| -> Result<Table> {
        let label_names = (1..=LABELS).map(|label| format!("label {label}")).collect();
        let labels = Labels::from_nan(labels)?;
        Table { features: features.shallow_clone(), labels, label_names, split: None }.to_device(device)
    };
    let (partial, complete) = (table(&partial)?, table(&truth)?);
    report::print(format_args!(
        "A synthetic problem: {ROWS} rows, {LABELS} labels, of which {:.0} % are observed in the rows to train on.\n\
         Three networks, scored on the full truth of {} test rows:",
        100.0 * observed,
        split.test.len(),
    ))?;

    let mut runs = Vec::new();
    for (name, table, missing) in [
        ("left out of the loss", &partial, Missing::Mask),
        ("taken as negative", &partial, Missing::Negative),
        ("none, all are known", &complete, Missing::Mask),
    ] {
        let fit = fit(table, &split, &Training { missing, ..config.clone() })?;
        runs.push((name, evaluate(&fit.network, &complete, &split.test)?));
    }
    report::print(report::comparison(&runs))
}

/// Labels that a random network of one hidden layer draws.
fn truth(features: &Tensor) -> Tensor {
    let hidden = features.matmul(&projection(FEATURES, 64)).tanh();
    ((hidden.matmul(&projection(64, LABELS)) * 6.0) - 1.5).sigmoid().bernoulli()
}

/// Which labels of a row are measured depends on the row, as in the laboratory: what is tested for what is a choice.
fn hide(features: &Tensor, truth: &Tensor, split: &Split) -> Tensor {
    let observed = (features.matmul(&projection(FEATURES, LABELS)) * 2.0 - 2.0).sigmoid().bernoulli();
    let partial = truth.masked_fill(&observed.eq(0.0), f64::NAN);
    let test = Tensor::from_slice(&split.test);
    partial.index_copy(0, &test, &truth.index_select(0, &test))
}

fn projection(inputs: i64, outputs: i64) -> Tensor {
    Tensor::randn([inputs, outputs], (Kind::Float, Device::Cpu)) / (inputs as f64).sqrt()
}
