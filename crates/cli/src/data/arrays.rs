//! Tables in arrays: X, Y and the names of Y's columns.

use anyhow::{Context, Result, anyhow, bail, ensure};
use masked_loss::Labels;
use tch::{Kind, Tensor};

use super::cell;
use super::columns::{self, Claims, Role};
use super::csr::Csr;
use super::decode::Decoder;
use super::features::{Block, Features};
use super::raw::Raw;
use crate::cli::names;
use crate::cli::source::Source;

/// The requested arrays of a file. X or Y is always present, for the number of rows.
pub struct Arrays {
    pub x: Option<Block>,
    pub y: Option<Y>,
    pub labels: Option<Vec<String>>,
    pub split: Option<Vec<String>>,
    pub group: Option<Vec<String>>,
}

/// Labels as stored in a file.
pub enum Y {
    /// A vector is one column.
    Dense(Tensor),
    /// Stored entries are observed. -1 is a negative, because a sparse matrix easily loses an entry of 0.
    Sparse(Csr),
}

impl Y {
    /// Rows and columns.
    fn size(&self) -> Result<[i64; 2]> {
        match self {
            Self::Dense(y) if y.dim() == 1 => Ok([y.size()[0], 1]),
            Self::Dense(y) => matrix("Y", y),
            Self::Sparse(csr) => {
                let (width, most) = (csr.width(), i64::from(i32::MAX));
                ensure!(width <= most, "Y: expected at most {most} columns, found {width}");
                Ok([csr.rows(), width])
            }
        }
    }

    /// Some columns, decoded.
    fn labels(&self, columns: &[usize], decoder: &mut Decoder) -> Result<Labels> {
        match self {
            Self::Dense(y) => {
                let index: Vec<i64> = columns.iter().map(|&column| column as i64).collect();
                let chosen = y.reshape(self.size()?).index_select(1, &Tensor::from_slice(&index));
                Ok(Labels::from_nan(&decoder.array(&chosen)?)?)
            }
            Self::Sparse(csr) => decoder.csr(csr, columns),
        }
    }
}

/// Unsigned integers are read as `i64`.
pub const TOO_LARGE: &str = "it holds an integer of 2^63 or more, which does not fit in a signed 64-bit integer";

impl Arrays {
    /// Checks that the arrays have the same rows, and keeps the selected labels.
    pub fn select(self, source: &Source) -> Result<Raw> {
        ensure!(source.bits.is_empty(), "--bits needs a table with named columns: an .npz holds bits in X_bits");
        if let Some(name) = source.split.as_ref().filter(|_| source.split == source.group) {
            bail!("array {name} is named by both --split and --group");
        }
        for (option, name) in [("--split", &source.split), ("--group", &source.group)] {
            let data = ["X", "X_bits", "Y", "labels"].into_iter().find(|data| name.as_deref() == Some(data));
            ensure!(data.is_none(), "{option} {} names an array that is not a column", data.unwrap_or_default());
        }
        let features = self.x.map(|block| Features::new(vec![block], None));
        let y = self.y;
        let sizes = [
            ("X", features.as_ref().map(Features::rows)),
            ("Y", y.as_ref().map(Y::size).transpose()?.map(|[rows, _]| rows)),
            ("the split", self.split.as_ref().map(|words| words.len() as i64)),
            ("the group", self.group.as_ref().map(|words| words.len() as i64)),
        ];
        let mut sizes = sizes.into_iter().filter_map(|(name, rows)| Some((name, rows?)));
        let (name, rows) = sizes.next().context("it has neither features nor labels")?;
        for (other, found) in sizes {
            ensure!(rows == found, "{name} has {rows} rows and {other} has {found}");
        }
        let numbered = self.labels.is_none();
        let (mut labels, mut label_names, mut notes) = (None, Vec::new(), Vec::new());
        if let Some(y) = y.filter(|_| source.has_labels()) {
            let (columns, names) = chosen(y.size()?[1], self.labels, source)?;
            let decoder = Decoder::new(source, &names);
            let mut decoder = if matches!(y, Y::Sparse(_)) { decoder.signed() } else { decoder };
            labels = Some(y.labels(&columns, &mut decoder)?);
            notes = decoder.notes();
            label_names = names;
        } else if !source.has_labels() && (!source.labels.is_empty() || !source.ignore.is_empty()) {
            notes.push("--labels and --ignore have no effect, because Y is not read".to_owned());
        }
        let features = features.filter(|_| source.has_features());
        Ok(Raw { rows, features, labels, notes, label_names, numbered, split: self.split, group: self.group })
    }
}

/// The selected columns of `count` labels, and their names.
pub fn chosen(count: i64, names: Option<Vec<String>>, source: &Source) -> Result<(Vec<usize>, Vec<String>)> {
    ensure!(count <= i64::from(i32::MAX), "{count} labels are too many: expected at most {}", i32::MAX);
    let names = names.map_or_else(|| positions(count), |names| columns::trimmed(&names));
    ensure!(names.len() as i64 == count, "there are {} label names for the {count} columns of Y", names.len());
    let (wanted, ignored) = (names::all(&source.labels), names::all(&source.ignore));
    let mut claims = Claims::new(&names);
    claims.by_name(Role::Ignored, &ignored)?;
    claims.by_name(Role::Label, &wanted)?;
    claims.by_glob(Role::Ignored, &ignored)?;
    if wanted.is_empty() {
        claims.unclaimed(|_| true, Role::Label);
    }
    claims.by_glob(Role::Label, &wanted)?;
    let kept = (0..names.len()).filter(|&column| claims.roles[column] != Some(Role::Ignored));
    columns::distinct(kept.map(|column| &names[column]))?;
    let chosen = claims.of(Some(Role::Label));
    let names = chosen.iter().map(|&column| names[column].clone()).collect();
    Ok((chosen, names))
}

/// Rows and columns of an array that must be a matrix.
pub fn matrix(name: &str, array: &Tensor) -> Result<[i64; 2]> {
    let size = array.size();
    <[i64; 2]>::try_from(size).map_err(|size| anyhow!("{name}: expected a matrix, found shape {size:?}"))
}

fn positions(count: i64) -> Vec<String> {
    (0..count).map(|position| position.to_string()).collect()
}

/// Numbers as words, for a file that has numbers instead of names.
pub fn words(array: &Tensor) -> Result<Vec<String>> {
    let flat = array.flatten(0, -1);
    Ok(match flat.kind() {
        Kind::Bool => Vec::<bool>::try_from(flat)?.iter().map(bool::to_string).collect(),
        Kind::Uint8 | Kind::Int8 | Kind::Int16 | Kind::Int | Kind::Int64 => {
            Vec::<i64>::try_from(flat.to_kind(Kind::Int64))?.iter().map(i64::to_string).collect()
        }
        _ => Vec::<f64>::try_from(flat.to_kind(Kind::Double))?.into_iter().map(cell::word).collect(),
    })
}
