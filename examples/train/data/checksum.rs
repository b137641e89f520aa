//! A table in a few digits, by which a changed one is told.

use anyhow::Result;
use tch::{Device, Tensor};

use super::{Block, Table, chunk};

impl Table {
    /// CRC-32C of its cells as they lie in memory. The way its file names or orders its columns is not in it.
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
        for rows in Tensor::arange(self.rows(), (tch::Kind::Int64, self.features.device()))
            .split(chunk(self.label_names.len() as i64), 0)
        {
            sum = append(sum, &self.labels.rows(&rows)?.values()?)?;
        }
        Ok(format!("{sum:08x}"))
    }
}

/// Goes on from the checksum of what was before.
fn append(before: u32, cells: &Tensor) -> Result<u32> {
    let flat = cells.flatten(0, -1);
    flat.split(chunk(1), 0).iter().try_fold(before, |sum, part| {
        let part = part.to_device(Device::Cpu).contiguous();
        let mut bytes = vec![0; part.numel() * part.kind().elt_size_in_bytes()];
        part.f_copy_data_u8(&mut bytes, part.numel())?;
        Ok(crc32c::crc32c_append(sum, &bytes))
    })
}
