//! Which rows train, which choose the epoch, which are scored.

use anyhow::{Result, bail, ensure};
use masked_loss::Labels;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use tch::Tensor;

use crate::data::Table;

#[derive(Debug, Default)]
pub struct Split {
    pub train: Vec<i64>,
    pub validation: Vec<i64>,
    pub test: Vec<i64>,
}

impl Split {
    /// By the table's split column, else at random.
    pub fn of(table: &Table, seed: i64) -> Result<Self> {
        let split = match &table.split {
            Some(words) => Self::by_words(words)?,
            None => Self::random(table.rows(), seed)?,
        };
        split.check(&table.labels)?;
        Ok(split)
    }

    /// A tenth for validation, a tenth for the test, and at least one row each.
    pub fn random(rows: i64, seed: i64) -> Result<Self> {
        ensure!(rows >= 3, "{rows} rows are too few to split");
        let mut order: Vec<i64> = (0..rows).collect();
        order.shuffle(&mut StdRng::seed_from_u64(seed as u64));
        let tenth = (rows as usize / 10).max(1);
        let test = order.split_off(order.len() - tenth);
        let validation = order.split_off(order.len() - tenth);
        Ok(Self { train: order, validation, test })
    }

    fn by_words(words: &[String]) -> Result<Self> {
        let mut split = Self::default();
        for (row, word) in (0..).zip(words) {
            match word.to_lowercase().as_str() {
                "train" | "0" => split.train.push(row),
                "validation" | "valid" | "val" | "1" => split.validation.push(row),
                "test" | "2" => split.test.push(row),
                _ => bail!("the split says {word:?} in data row {}, not train, validation or test", row + 1),
            }
        }
        Ok(split)
    }

    /// Each part needs something to learn from or to score.
    fn check(&self, labels: &Labels) -> Result<()> {
        for (part, rows) in [("train", &self.train), ("validation", &self.validation), ("test", &self.test)] {
            ensure!(!rows.is_empty(), "the split has no {part} row");
            let observed = labels.rows(&Tensor::from_slice(rows))?.observed_count()?;
            ensure!(observed.int64_value(&[]) > 0, "no label is observed in the {part} rows");
        }
        Ok(())
    }
}
