//! Micro-batches whose gradients add up to those of one big batch, however unevenly the labels are distributed.
//!
//! Calling backward on the mean of each micro-batch, divided by their number, gives a label in a micro-batch with few labels
//! more weight than one in a micro-batch with many. `Accumulator` calls backward on sums and divides once.
//!
//! `scripts/with-libtorch cargo run --release --example micro_batches`

use anyhow::{Result, ensure};
use masked_loss::{Accumulator, BceWithLogits, Labels, Loss, Reduction};
use tch::nn::{self, Module};
use tch::{Device, Kind, Tensor};

const ROWS: i64 = 64;
const MICRO_BATCH: i64 = 16;
const FEATURES: i64 = 20;
const LABELS: i64 = 10;

fn main() -> Result<()> {
    tch::manual_seed(0);
    let mut variables = nn::VarStore::new(Device::Cpu);
    let network = nn::linear(variables.root(), FEATURES, LABELS, Default::default());
    variables.double();
    let parameters = variables.trainable_variables();

    // The first rows have most of their labels, the last ones few.
    let features = Tensor::randn([ROWS, FEATURES], (Kind::Double, Device::Cpu));
    let observed =
        Tensor::linspace(0.9, 0.02, ROWS, (Kind::Double, Device::Cpu)).unsqueeze(1).expand([ROWS, LABELS], false);
    let values = observed.rand_like().round();
    let labels = Labels::from_mask(&values, &observed.bernoulli())?;
    let micro_batches = Tensor::arange(ROWS, (Kind::Int64, Device::Cpu)).split(MICRO_BATCH, 0);
    for rows in &micro_batches {
        print!("{:>4} labels", labels.rows(rows)?.observed_count()?.int64_value(&[]));
    }
    println!(" in the micro-batches\n");

    let loss = BceWithLogits::default();
    let logits = |rows: &Tensor| network.forward(&features.index_select(0, rows));

    let whole = loss.forward(&network.forward(&features), &labels, Reduction::Mean)?;
    whole.backward();
    let (whole, expected) = (whole.double_value(&[]), take_gradients(&parameters));

    let mut window = Accumulator::new(Reduction::Mean)?;
    for rows in &micro_batches {
        window.backward(&loss, &logits(rows), &labels.rows(rows)?)?;
    }
    let accumulated = window.finish(&parameters)?.double_value(&[]);
    let difference = furthest(&take_gradients(&parameters), &expected);

    let mut mean_of_means = 0.0;
    for rows in &micro_batches {
        let mean = loss.forward(&logits(rows), &labels.rows(rows)?, Reduction::Mean)? / micro_batches.len() as f64;
        mean.backward();
        mean_of_means += mean.double_value(&[]);
    }
    let usual_difference = furthest(&take_gradients(&parameters), &expected);

    println!("                 loss               largest difference of a gradient");
    println!("one batch        {whole:.15}");
    println!("Accumulator      {accumulated:.15}  {difference:.1e}");
    println!("mean of means    {mean_of_means:.15}  {usual_difference:.1e}");
    ensure!((accumulated - whole).abs() < 1e-14 && difference < 1e-15, "the micro-batches do not add up to the batch");
    ensure!(usual_difference > 1e-3, "the mean of means should differ");
    Ok(())
}

/// The gradients of all parameters, which are zero afterwards.
fn take_gradients(parameters: &[Tensor]) -> Vec<Tensor> {
    let take = |parameter: &Tensor| {
        let mut gradient = parameter.grad();
        let taken = gradient.copy();
        let _ = gradient.zero_();
        taken
    };
    parameters.iter().map(take).collect()
}

fn furthest(found: &[Tensor], expected: &[Tensor]) -> f64 {
    let differences = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs().max());
    differences.map(|difference| difference.double_value(&[])).fold(0.0, f64::max)
}
