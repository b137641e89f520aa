//! Sparse matrices in compressed rows (SciPy's CSR).

use anyhow::{Result, bail, ensure};
use tch::{Device, Kind, Tensor};

/// Checked: row starts are within the entries, and columns within the width.
#[derive(Debug)]
pub struct Csr {
    /// `[N + 1]`, `i64`: where the entries of each row start, and where the last ones end.
    starts: Tensor,
    /// The column of each entry; `i32` or `i64`.
    columns: Tensor,
    /// The value of each entry; `u8` or `f32` in features.
    values: Tensor,
    width: i64,
}

impl Csr {
    /// From SciPy's arrays of these names.
    pub fn new(shape: &Tensor, indptr: &Tensor, indices: Tensor, data: Tensor) -> Result<Self> {
        let shape = Vec::<i64>::try_from(shape.to_kind(Kind::Int64).flatten(0, -1))?;
        ensure!(shape.len() == 2, "expected a matrix, found shape {shape:?}");
        let (rows, width) = (shape[0], shape[1]);
        // Places in the flattened matrix are i64.
        ensure!(rows.checked_mul(width).is_some(), "{rows} rows of {width} columns are too many");
        for (name, array) in [("indptr", indptr), ("indices", &indices), ("data", &data)] {
            ensure!(array.dim() == 1, "{name}: expected a vector, found shape {:?}", array.size());
        }
        for (name, array) in [("indptr", indptr), ("indices", &indices)] {
            let is_integer = matches!(array.kind(), Kind::Uint8 | Kind::Int8 | Kind::Int16 | Kind::Int | Kind::Int64);
            ensure!(is_integer, "{name} does not hold integers");
        }
        let indices = if indices.kind() == Kind::Int { indices } else { indices.to_kind(Kind::Int64) };
        let (starts, found) = (indptr.to_kind(Kind::Int64), indptr.size()[0]);
        ensure!(rows >= 0 && found == rows + 1, "indptr has {found} numbers, but {rows} rows need {}", rows + 1);
        let (entries, stored) = (indices.size()[0], data.size()[0]);
        ensure!(entries == stored, "indices has {entries} numbers and data has {stored}");
        let (first, last) = (starts.int64_value(&[0]), starts.int64_value(&[-1]));
        let falls = starts.diff(1, 0, None::<Tensor>, None::<Tensor>).lt(0).any().int64_value(&[]) != 0;
        ensure!(first == 0 && !falls && last <= entries, "indptr does not rise from 0 to at most {entries}");
        if entries > 0 {
            let (least, largest) = (indices.min().int64_value(&[]), indices.max().int64_value(&[]));
            ensure!(
                least >= 0 && largest < width,
                "indices are from {least} to {largest}, but columns from 0 to {}",
                width - 1
            );
        }
        Ok(Self { starts, columns: indices.narrow(0, 0, last), values: data.narrow(0, 0, last), width })
    }

    pub fn rows(&self) -> i64 {
        self.starts.size()[0] - 1
    }

    pub fn width(&self) -> i64 {
        self.width
    }

    pub fn device(&self) -> Device {
        self.starts.device()
    }

    pub fn to_device(&self, device: Device) -> Self {
        let [starts, columns, values] =
            [&self.starts, &self.columns, &self.values].map(|tensor| tensor.to_device(device));
        Self { starts, columns, values, width: self.width }
    }

    /// The arrays.
    pub fn parts(&self) -> [&Tensor; 3] {
        [&self.starts, &self.columns, &self.values]
    }

    /// The cells of a matrix that are not 0.
    pub fn of_dense(cells: &Tensor) -> Self {
        let found = cells.nonzero();
        Self {
            starts: starts(&cells.count_nonzero_dim_intlist(1i64)),
            columns: found.select(1, 1),
            values: cells.masked_select(&cells.ne(0)),
            width: cells.size()[1],
        }
    }

    /// The rows that `index` names.
    pub fn of_rows(&self, index: &Tensor) -> Self {
        let first = self.starts.index_select(0, index);
        let lengths = self.starts.index_select(0, &(index + 1)) - &first;
        let starts = starts(&lengths);
        let shift = (first - starts.narrow(0, 0, lengths.size()[0])).repeat_interleave_self_tensor(&lengths, 0, None);
        let places = Tensor::arange(shift.size()[0], (Kind::Int64, self.device())) + shift;
        let [columns, values] = [&self.columns, &self.values].map(|entries| entries.index_select(0, &places));
        Self { starts, columns, values, width: self.width }
    }

    /// As a matrix of `f32`; duplicate entries are summed, as in SciPy.
    pub fn dense(&self) -> Tensor {
        Tensor::zeros([self.rows() * self.width], (Kind::Float, self.device()))
            .index_add_(0, &self.cells(), &self.values.to_kind(Kind::Float))
            .view([self.rows(), self.width])
    }

    /// Its product with a matrix, as weighted sums of that matrix's rows.
    pub fn times(&self, matrix: &Tensor) -> Tensor {
        const SUM: i64 = 0;
        let (starts, values) = (self.starts.to_kind(self.columns.kind()), self.values.to_kind(matrix.kind()));
        let (products, ..) =
            Tensor::embedding_bag(matrix, &self.columns, &starts, false, SUM, false, Some(values), true);
        products
    }

    /// The same matrix with `convert`ed values.
    pub fn map(self, convert: impl Fn(Tensor) -> Tensor) -> Self {
        Self { values: convert(self.values), ..self }
    }

    /// Fails if a cell has two entries.
    pub fn check_single(&self) -> Result<()> {
        let (sorted, _) = self.cells().sort(0, false);
        let twice = sorted.diff(1, 0, None::<Tensor>, None::<Tensor>).eq(0).nonzero();
        if twice.size()[0] > 0 {
            let cell = sorted.int64_value(&[twice.int64_value(&[0, 0])]);
            let (row, column) = (cell / self.width + 1, cell % self.width);
            bail!("data row {row} has two values in column {column}; sum_duplicates() adds them up");
        }
        Ok(())
    }

    /// The positions of the entries in the flattened matrix.
    fn cells(&self) -> Tensor {
        let lengths = self.starts.diff(1, 0, None::<Tensor>, None::<Tensor>);
        let rows = Tensor::arange(self.rows(), (Kind::Int64, self.device()));
        rows.repeat_interleave_self_tensor(&lengths, 0, None) * self.width + &self.columns
    }

    /// Number of nonzero entries.
    pub fn nonzero(&self) -> i64 {
        self.values.count_nonzero(None).int64_value(&[])
    }

    /// Row, column and value of the first entry that is not finite.
    pub fn first_unusable(&self) -> Option<(i64, i64, f64)> {
        let found = self.values.isfinite().logical_not().nonzero();
        (found.size()[0] > 0).then(|| {
            let place = found.int64_value(&[0, 0]);
            let row = self.starts.le(place).sum(Kind::Int64).int64_value(&[]) - 1;
            (row, self.columns.int64_value(&[place]), self.values.double_value(&[place]))
        })
    }
}

/// Where rows of these lengths start, and where the last one ends.
fn starts(lengths: &Tensor) -> Tensor {
    Tensor::cat(&[lengths.new_zeros([1], (Kind::Int64, lengths.device())), lengths.cumsum(0, Kind::Int64)], 0)
}
