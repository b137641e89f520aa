//! Text columns of 0s and 1s: a feature for each character.

use anyhow::{Result, ensure};
use tch::Tensor;

use super::features::Block;

/// A column, packed as it is read.
pub struct Bits {
    name: String,
    width: usize,
    rows: usize,
    bytes: Vec<u8>,
}

impl Bits {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), width: 0, rows: 0, bytes: Vec::new() }
    }

    /// The next row's cell.
    pub fn push(&mut self, cell: &str) -> Result<()> {
        let cell = cell.trim();
        let (name, found) = (&self.name, cell.len());
        self.rows += 1;
        let row = self.rows;
        ensure!(
            cell.bytes().all(|digit| matches!(digit, b'0' | b'1')),
            "{cell:?} in data row {row}, column {name:?} is not made of 0s and 1s"
        );
        if row == 1 {
            self.width = found;
        }
        let expected = self.width;
        ensure!(found == expected, "data row {row} has {found} bits in column {name:?} where the first has {expected}");
        let pack = |digits: &[u8]| (0..).zip(digits).fold(0, |byte, (place, digit)| byte | (digit & 1) << (7 - place));
        self.bytes.extend(cell.as_bytes().chunks(8).map(pack));
        Ok(())
    }

    pub fn names(&self) -> impl Iterator<Item = String> {
        (0..self.width).map(|bit| format!("{}[{bit}]", self.name))
    }

    pub fn block(&self) -> Block {
        let bytes = Tensor::from_slice(&self.bytes).view([self.rows as i64, self.width.div_ceil(8) as i64]);
        Block::Bits { bytes, width: self.width as i64 }
    }
}
