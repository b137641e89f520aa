//! Features as stored in memory. One batch at a time is converted for the network.

use anyhow::{Result, bail};
use tch::{Device, Kind, Tensor};

use super::columns;
use super::csr::Csr;

/// Blocks of columns; each block has all rows.
pub struct Features {
    blocks: Vec<Block>,
    /// Whether each block has so few nonzero cells that its batches are sparse.
    sparse: Vec<bool>,
    /// None for arrays: their columns have positions only.
    names: Option<Vec<String>>,
}

#[derive(Debug)]
pub enum Block {
    /// `[N, F]`, `u8` (fingerprints stay at one byte a bit) or `f32`.
    Dense(Tensor),
    /// `[N, F/8]`, `u8`: eight features to a byte, the first in the highest bit, as in `numpy.packbits`, and 0 after
    /// the last one.
    Bits {
        bytes: Tensor,
        width: i64,
    },
    Sparse(Csr),
}

impl Features {
    /// At least one block; all have the same number of rows.
    pub fn new(blocks: Vec<Block>, names: Option<Vec<String>>) -> Self {
        let slim = |cells: Tensor| match cells.kind() {
            Kind::Uint8 | Kind::Bool => cells.to_kind(Kind::Uint8),
            _ => cells.to_kind(Kind::Float),
        };
        let slim = |block| match block {
            Block::Dense(cells) => Block::Dense(slim(cells)),
            Block::Sparse(csr) => Block::Sparse(csr.map(slim)),
            bits => bits,
        };
        let blocks: Vec<_> = blocks.into_iter().map(slim).collect();
        Self { sparse: blocks.iter().map(Block::is_sparse).collect(), blocks, names }
    }

    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    pub fn rows(&self) -> i64 {
        self.blocks.first().map_or(0, Block::rows)
    }

    pub fn width(&self) -> i64 {
        self.blocks.iter().map(Block::width).sum()
    }

    pub fn device(&self) -> Device {
        match self.blocks.first() {
            Some(Block::Dense(cells) | Block::Bits { bytes: cells, .. }) => cells.device(),
            Some(Block::Sparse(csr)) => csr.device(),
            None => Device::Cpu,
        }
    }

    /// Row numbers as a tensor on the device of the features.
    pub fn index(&self, rows: &[i64]) -> Tensor {
        Tensor::from_slice(rows).to_device(self.device())
    }

    pub fn to_device(&self, device: Device) -> Self {
        let blocks = self.blocks.iter().map(|block| block.to_device(device)).collect();
        Self { blocks, sparse: self.sparse.clone(), names: self.names.clone() }
    }

    /// The rows that `index` names, as `f32`.
    pub fn inputs(&self, index: &Tensor) -> Tensor {
        Batch { blocks: self.blocks.iter().map(|block| Block::Dense(block.inputs(index))).collect() }.dense()
    }

    /// The rows that `index` names, in a form that the network takes.
    pub fn batch(&self, index: &Tensor) -> Batch {
        let is_cpu = self.device() == Device::Cpu;
        let of_block = |(block, &is_sparse): (&Block, &bool)| match block {
            block if !is_sparse || !is_cpu => Block::Dense(block.inputs(index)),
            Block::Sparse(csr) => Block::Sparse(csr.of_rows(index)),
            Block::Dense(cells) => Block::Sparse(Csr::of_dense(&cells.index_select(0, index))),
            Block::Bits { bytes, width } => {
                Block::Sparse(Csr::of_dense(&unpacked(&bytes.index_select(0, index), *width)))
            }
        };
        Batch { blocks: self.blocks.iter().zip(&self.sparse).map(of_block).collect() }
    }

    /// Fails unless all features are finite and all names differ.
    pub fn check(&self) -> Result<()> {
        // A generated name of a list or of bits may equal that of a column.
        columns::distinct(self.names.iter().flatten())?;
        let mut before = 0;
        for block in &self.blocks {
            if let Some((row, column, found)) = block.first_unusable() {
                let place = (before + column) as usize;
                let name = self.names.as_ref().map_or_else(|| place.to_string(), |names| names[place].clone());
                let fault = match (found.is_nan(), &self.names) {
                    (false, _) => "it must be finite as f32",
                    (true, None) => "only labels may be missing",
                    (true, Some(_)) => columns::MISSING,
                };
                bail!("feature {name:?} is {found} in data row {}: {fault}", row + 1);
            }
            before += block.width();
        }
        Ok(())
    }
}

/// Some rows of features: sparse blocks, or `f32`.
#[derive(Debug)]
pub struct Batch {
    blocks: Vec<Block>,
}

impl Batch {
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    pub fn dense(&self) -> Tensor {
        match &self.blocks[..] {
            [block] => block.dense(),
            blocks => Tensor::cat(&blocks.iter().map(Block::dense).collect::<Vec<_>>(), 1),
        }
    }
}

/// How many rows of this width take about 16 MiB.
pub fn chunk(width: i64) -> i64 {
    ((1 << 22) / width.max(1)).max(1)
}

impl Block {
    fn rows(&self) -> i64 {
        match self {
            Self::Dense(cells) | Self::Bits { bytes: cells, .. } => cells.size()[0],
            Self::Sparse(csr) => csr.rows(),
        }
    }

    pub fn width(&self) -> i64 {
        match self {
            Self::Dense(cells) => cells.size()[1],
            Self::Bits { width, .. } => *width,
            Self::Sparse(csr) => csr.width(),
        }
    }

    fn to_device(&self, device: Device) -> Self {
        match self {
            Self::Dense(cells) => Self::Dense(cells.to_device(device)),
            Self::Bits { bytes, width } => Self::Bits { bytes: bytes.to_device(device), width: *width },
            Self::Sparse(csr) => Self::Sparse(csr.to_device(device)),
        }
    }

    fn inputs(&self, index: &Tensor) -> Tensor {
        match self {
            Self::Dense(cells) => cells.index_select(0, index).to_kind(Kind::Float),
            Self::Bits { bytes, width } => unpacked(&bytes.index_select(0, index), *width).to_kind(Kind::Float),
            Self::Sparse(csr) => csr.of_rows(index).dense(),
        }
    }

    /// All rows, as `f32`.
    pub fn dense(&self) -> Tensor {
        match self {
            Self::Dense(cells) => cells.to_kind(Kind::Float),
            Self::Bits { bytes, width } => unpacked(bytes, *width).to_kind(Kind::Float),
            Self::Sparse(csr) => csr.dense(),
        }
    }

    /// Whether so few cells are nonzero that a sparse product is faster.
    fn is_sparse(&self) -> bool {
        const SHARE: i64 = 8;
        SHARE * self.nonzero() <= self.rows() * self.width()
    }

    /// How a cell is stored in memory.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Dense(cells) if cells.kind() == Kind::Uint8 => "bytes",
            Self::Dense(_) => "f32",
            Self::Bits { .. } => "bits",
            Self::Sparse(_) => "sparse",
        }
    }

    /// Number of nonzero cells.
    pub fn nonzero(&self) -> i64 {
        match self {
            Self::Dense(cells) => cells.count_nonzero(None).int64_value(&[]),
            Self::Bits { bytes, .. } => {
                (0..8).map(|bit| bytes.bitwise_and(1 << bit).count_nonzero(None).int64_value(&[])).sum()
            }
            Self::Sparse(csr) => csr.nonzero(),
        }
    }

    /// Row, column and value of the first cell that is not finite.
    fn first_unusable(&self) -> Option<(i64, i64, f64)> {
        match self {
            Self::Bits { .. } => None,
            Self::Dense(cells) if cells.kind() == Kind::Uint8 => None,
            Self::Dense(cells) => {
                let step = chunk(self.width());
                cells.split(step, 0).into_iter().zip((0..).step_by(step as usize)).find_map(|(part, before)| {
                    let (row, column) = first_true(&part.isfinite().logical_not())?;
                    Some((before + row, column, part.double_value(&[row, column])))
                })
            }
            Self::Sparse(csr) => csr.first_unusable(),
        }
    }
}

/// Which bits of packed rows are 1.
fn unpacked(bytes: &Tensor, width: i64) -> Tensor {
    let places = Tensor::from_slice(&[128u8, 64, 32, 16, 8, 4, 2, 1]).to_device(bytes.device());
    bytes.unsqueeze(-1).bitwise_and_tensor(&places).ne(0).flatten(1, -1).narrow(1, 0, width)
}

/// Row and column of the first true cell.
pub fn first_true(mask: &Tensor) -> Option<(i64, i64)> {
    let found = mask.nonzero();
    (found.size()[0] > 0).then(|| (found.int64_value(&[0, 0]), found.int64_value(&[0, 1])))
}
