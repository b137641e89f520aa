//! A checksum that detects a changed table.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::features::{Block, chunk};
use super::table::Table;

impl Table {
    /// CRC-32C of the cells as stored in memory, without the names.
    pub fn checksum(&self) -> Result<String> {
        let mut sum = 0;
        for block in self.features.blocks() {
            match block {
                Block::Dense(cells) | Block::Bits { bytes: cells, .. } => sum = append(sum, cells)?,
                Block::Sparse(csr) => {
                    for part in csr.parts() {
                        sum = append(sum, part)?;
                    }
                }
            }
        }
        if self.labels.is_sparse() {
            let entries = self.labels.to_entries()?;
            return Ok(format!("{:08x}", entries.iter().try_fold(sum, append)?));
        }
        let rows = Tensor::arange(self.rows(), (Kind::Int64, self.labels.device()));
        for rows in rows.split(chunk(self.label_names.len() as i64), 0) {
            sum = append(sum, &self.labels.rows(&rows)?.values()?)?;
        }
        Ok(format!("{sum:08x}"))
    }
}

/// Extends the checksum `before` by these cells.
fn append(before: u32, cells: &Tensor) -> Result<u32> {
    let flat = cells.flatten(0, -1);
    flat.split(chunk(1), 0).iter().try_fold(before, |sum, part| {
        let part = part.to_device(Device::Cpu).contiguous();
        let mut bytes = vec![0; part.numel() * part.kind().elt_size_in_bytes()];
        part.f_copy_data_u8(&mut bytes, part.numel())?;
        Ok(crc32c::crc32c_append(sum, &bytes))
    })
}

#[cfg(test)]
mod tests {
    use masked_loss::Labels;

    use super::*;
    use crate::data::csr::Csr;
    use crate::data::features::Features;

    /// The checksum of three rows.
    fn sum(blocks: Vec<Block>, labels: [f64; 3]) -> String {
        sum_of(blocks, Labels::from_nan(&Tensor::from_slice(&labels).view([3, 1])).unwrap())
    }

    fn sum_of(blocks: Vec<Block>, labels: Labels) -> String {
        Table {
            features: Features::new(blocks, None),
            labels,
            label_names: vec!["y".to_owned()],
            numbered: false,
            split: None,
            group: None,
        }
        .checksum()
        .unwrap()
    }

    #[test]
    fn any_cell_changes_it() {
        let dense = |cells: [f32; 3]| Block::Dense(Tensor::from_slice(&cells).view([3, 1]));
        let bytes = |cells: [u8; 3]| Block::Dense(Tensor::from_slice(&cells).view([3, 1]));
        let bits = |cells: [u8; 3]| Block::Bits { bytes: Tensor::from_slice(&cells).view([3, 1]), width: 8 };
        let sparse = |starts: [i64; 4], columns: [i64; 2], values: [f32; 2]| {
            let [starts, columns] = [&starts[..], &columns].map(Tensor::from_slice);
            Block::Sparse(
                Csr::new(&Tensor::from_slice(&[3i64, 2]), &starts, columns, Tensor::from_slice(&values)).unwrap(),
            )
        };
        let labels = [1.0, f64::NAN, 0.0];
        let table = |blocks| sum(blocks, labels);
        assert_eq!(table(vec![dense([1.0, 2.0, 3.0])]), table(vec![dense([1.0, 2.0, 3.0])]));
        let mut sums = vec![
            table(vec![dense([1.0, 2.0, 3.0])]),
            table(vec![dense([1.0, 2.0, 3.5])]),
            table(vec![dense([2.0, 1.0, 3.0])]),
            sum(vec![dense([1.0, 2.0, 3.0])], [0.0, f64::NAN, 0.0]),
            sum(vec![dense([1.0, 2.0, 3.0])], [1.0, 0.0, 0.0]),
            sum(vec![dense([1.0, 2.0, 3.0])], [1.0, f64::NAN, 0.5]),
            table(vec![bytes([1, 0, 1])]),
            table(vec![bytes([1, 1, 1])]),
            table(vec![bits([128, 3, 0])]),
            table(vec![bits([128, 2, 0])]),
            table(vec![sparse([0, 1, 1, 2], [0, 1], [1.0, 2.0])]),
            table(vec![sparse([0, 1, 2, 2], [0, 1], [1.0, 2.0])]),
            table(vec![sparse([0, 1, 1, 2], [0, 0], [1.0, 2.0])]),
            table(vec![sparse([0, 1, 1, 2], [0, 1], [1.0, 3.0])]),
            table(vec![bytes([1, 0, 1]), bits([128, 3, 0])]),
        ];
        // Entries: a label in another row, another label, another value.
        for (row, label, value) in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)] {
            let [row, label, value] = [row, label, value].map(|number: i64| Tensor::from_slice(&[number]));
            let labels = Labels::from_entries(&row, &label, &value, [3, 2]).unwrap();
            sums.push(sum_of(vec![dense([1.0, 2.0, 3.0])], labels));
        }
        let count = sums.len();
        sums.sort();
        sums.dedup();
        assert_eq!(sums.len(), count);
    }
}
