//! `compare`: the same rows under several losses and policies.

use std::collections::HashSet;

use anyhow::{Context, Result, bail};

use crate::cli::args::Compare;
use crate::cli::training::Training;
use crate::data::{Table, leaks};
use crate::note::note;
use crate::report::terminal;
use crate::run::evaluate::evaluate;
use crate::run::fit::fit;
use crate::run::split::{self, Split};

pub fn run(Compare { source, splitting, training, seeds, losses, policies }: &Compare) -> Result<()> {
    let last = training.seed.checked_add(i64::from(*seeds) - 1);
    let last = last.with_context(|| format!("--seed {} is too large for --seeds {seeds}", training.seed))?;
    let losses = if losses.is_empty() { std::slice::from_ref(&training.loss) } else { losses };
    let both = ["ignore", "negative"].map(String::from);
    let policies = match (policies.is_empty(), &*training.missing) {
        (false, _) => &policies[..],
        (true, "ignore") => &both[..],
        (true, _) => std::slice::from_ref(&training.missing),
    };
    once("--losses", losses)?;
    once("--policies", policies)?;
    let device = training.start()?;
    let table = Table::read(source)?;
    leaks::notes(&table)?.iter().for_each(note);
    let table = table.to_device(device)?;
    let split = Split::of(&table, splitting, training.seed)?;
    split::remark(&table, &split, splitting).map_or(Ok(()), terminal::print)?;
    let mut runs = Vec::new();
    for loss in losses {
        for missing in policies {
            let (mut auroc, mut precision, mut scored) = (Vec::new(), Vec::new(), Vec::new());
            for seed in training.seed..=last {
                let training = Training { loss: loss.clone(), missing: missing.clone(), seed, ..training.clone() };
                let split = Split::of(&table, splitting, seed)?;
                let test = evaluate(&fit(&table, &split, &training)?.network, &table, &split.test)?;
                auroc.extend(test.macro_auroc);
                precision.extend(test.macro_average_precision);
                scored.push(test.scored_labels);
            }
            let [auroc, precision] = [auroc, precision].map(|values| terminal::spread(&values, (*seeds).into()));
            let labels = terminal::scored_labels(&scored, table.label_names.len());
            runs.push((format!("{loss}, missing: {missing}"), [auroc, precision, labels]));
        }
    }
    terminal::print(format_args!(
        "Test rows, mean and standard deviation over {seeds} seeds:\n{}",
        terminal::spreads(&runs)
    ))
}

/// A repeated name would be trained twice.
fn once(option: &str, names: &[String]) -> Result<()> {
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(*name)) {
        Some(twice) => bail!("{option} names {twice} twice"),
        None => Ok(()),
    }
}
