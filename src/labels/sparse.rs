//! Labels that are given or stored as observed entries only.

use masked_loss_core::Sparse;
use tch::{Device, Kind, Tensor};

use super::checked::Labels;
use super::factors::Factors;
use super::stored::{Compressed, Stored};
use crate::native::{TorchThreads, slice};
use crate::{Error, Result, check};

impl Labels {
    /// Labels in compressed rows: stored entries are observed, and all others are missing. The format is that of
    /// `indptr`, `indices` and `data` in `scipy.sparse.csr_array`.
    ///
    /// * `starts`: `[N + 1]`, integers: where the entries of each row start, then the end of the last row.
    /// * `columns`: `[K]`, integers: the label of each of the K entries, in any order within a row.
    /// * `values`: `[K]`: the value of each label; 0 is observed like any other value.
    /// * `labels`: C, the number of labels.
    ///
    /// The tensors are on the CPU. The labels are stored in this form: nothing of size `[N, C]` is made.
    ///
    /// ```
    /// use masked_loss::{BceWithLogits, Labels, Loss, Reduction};
    /// use tch::Tensor;
    ///
    /// let ints = |numbers: &[i64]| Tensor::from_slice(numbers);
    /// // Label 2 of row 0 is 1, label 0 of row 1 is 0, and no other is known.
    /// let labels = Labels::from_csr(&ints(&[0, 1, 2]), &ints(&[2, 0]), &ints(&[1, 0]), 3)?;
    /// assert_eq!(labels.size(), [2, 3]);
    /// # Ok::<(), masked_loss::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Kind`] and [`Error::Device`] where the tensors are not as above; [`Error::Range`] for
    /// starts that do not ascend from 0 to K, a label that is not within `0..C` or occurs twice in a row, or a value
    /// that is not finite.
    pub fn from_csr(starts: &Tensor, columns: &Tensor, values: &Tensor, labels: i64) -> Result<Self> {
        let (starts, columns) = (check::integers("starts", starts)?, check::integers("columns", columns)?);
        let entries = columns.len() as i64;
        let falls = starts.windows(2).find(|pair| pair[0] > pair[1]).map(|pair| pair[1]);
        let ends = [starts.first(), starts.last()].map(|end| end.copied().unwrap_or(-1));
        let found = if ends[0] == 0 { falls.or((ends[1] != entries).then_some(ends[1])) } else { Some(ends[0]) };
        if let Some(found) = found {
            return Err(check::outside("starts", format!("numbers that go up from 0 to {entries}"), found));
        }
        Self::compressed(starts, (0..entries).collect(), &columns, values, labels)
    }

    /// Labels in long format: the row, label and value of each observed entry, in any order. All other entries are
    /// missing. Otherwise like [`from_csr`](Self::from_csr).
    ///
    /// * `rows`, `columns`, `values`: `[K]`
    /// * `size`: N and C.
    ///
    /// # Errors
    /// As [`from_csr`](Self::from_csr); [`Error::Range`] for a row that is not within `0..N`.
    pub fn from_entries(rows: &Tensor, columns: &Tensor, values: &Tensor, [count, labels]: [i64; 2]) -> Result<Self> {
        let (rows, columns) = (check::integers("rows", rows)?, check::integers("columns", columns)?);
        if rows.len() != columns.len() {
            return Err(Error::shape("rows", [columns.len()], vec![rows.len() as i64]));
        }
        countable("the number of rows", count)?;
        check::within("rows", &rows, count)?;
        let mut starts = vec![0; count as usize + 1];
        rows.iter().for_each(|&row| starts[row as usize + 1] += 1);
        (1..starts.len()).for_each(|row| starts[row] += starts[row - 1]);
        let (mut next, mut order) = (starts.clone(), vec![0; rows.len()]);
        for (entry, &row) in rows.iter().enumerate() {
            order[next[row as usize] as usize] = entry as i64;
            next[row as usize] += 1;
        }
        Self::compressed(starts, order, &columns, values, labels)
    }

    /// Whether only the observed entries are stored.
    pub fn is_sparse(&self) -> bool {
        matches!(self.table, Stored::Sparse(_))
    }

    /// The observed entries, row by row: each one's row, label and value, in the form that
    /// [`from_entries`](Self::from_entries) takes. Rows and labels are `i64`; all are `[K]`, on the labels' device.
    ///
    /// # Errors
    /// [`Error::Shape`] for labels that are not `[N, C]`.
    pub fn to_entries(&self) -> Result<[Tensor; 3]> {
        let size = self.size();
        if size.len() != 2 {
            return Err(Error::Shape { argument: "labels", expected: "[N, C]".into(), found: size });
        }
        if self.device() != Device::Cpu {
            let (observed, values) = (self.observed()?, self.shared_values()?);
            let places = observed.f_nonzero()?;
            let [rows, columns] = [0, 1].map(|axis| places.f_select(1, axis));
            return Ok([rows?, columns?, values.f_masked_select(&observed)?]);
        }
        let labels = self.observed_alone()?;
        let Some((entries, _)) = labels.own_entries()? else { unreachable!("the labels are sparse") };
        let values = match entries.values.f_kind()? {
            Kind::Int8 => entries.values.f_to_kind(Kind::Float)?,
            _ => entries.values.f_detach_copy()?,
        };
        let rows = Tensor::f_arange(size[0], (Kind::Int64, Device::Cpu))?;
        let rows = rows.f_repeat_interleave_self_tensor(&self.observed_per_row, 0, None)?;
        Ok([rows, entries.columns.f_to_kind(Kind::Int64)?, values])
    }

    /// Makes labels from entries; `order` lists them row by row.
    fn compressed(
        starts: Vec<i64>,
        mut order: Vec<i64>,
        columns: &[i64],
        values: &Tensor,
        labels: i64,
    ) -> Result<Self> {
        check::dense("values", values)?;
        check::like("values", values, &[columns.len() as i64], Device::Cpu)?;
        countable("the number of labels", labels)?;
        check::within("columns", columns, labels)?;
        let column = |entry: i64| columns[entry as usize];
        for row in starts.windows(2) {
            let entries = &mut order[row[0] as usize..row[1] as usize];
            if !entries.is_sorted_by_key(|&entry| column(entry)) {
                entries.sort_by_key(|&entry| column(entry));
            }
            if let Some(twice) = entries.windows(2).find(|pair| column(pair[0]) == column(pair[1])) {
                return Err(check::outside("columns", "no label twice in a row".into(), column(twice[0])));
            }
        }
        let sorted: Vec<i32> = order.iter().map(|&entry| column(entry) as i32).collect();
        let values = Self::complete(&values.f_index_select(0, &Tensor::f_from_slice(&order)?)?)?;
        let counts: Vec<i64> = starts.windows(2).map(|row| row[1] - row[0]).collect();
        let entries = Compressed {
            starts: Tensor::f_from_slice(&starts)?,
            columns: Tensor::f_from_slice(&sorted)?,
            values: values.cells()?,
            labels,
        };
        Ok(Self::new(Stored::Sparse(entries), Tensor::f_from_slice(&counts)?, values.range()))
    }

    /// The same labels and weights, storing only the observed entries. This saves memory where few are observed: 5
    /// bytes or more for each entry instead of 1 or more for each cell. Labels with weights on single missing entries,
    /// which some policies set, stay a matrix.
    ///
    /// # Errors
    /// [`Error::Shape`] for labels that are not `[N, C]`; [`Error::Device`] for labels that are not on the CPU.
    pub fn to_sparse(&self) -> Result<Self> {
        if let (Stored::Dense(_), Device::Cpu) = (&self.table, self.device())
            && let Some(entries) = self.own(&self.weights)?.entries
            && entries.f_ne(1)?.f_logical_and(&self.missing()?)?.f_any()?.f_int64_value(&[])? != 0
        {
            return Ok(self.clone());
        }
        self.observed_alone()
    }

    /// The same, dropping weights of missing entries.
    pub(crate) fn observed_alone(&self) -> Result<Self> {
        if self.entries()?.is_some() {
            return Ok(self.clone());
        }
        if self.device() != Device::Cpu {
            return Err(Error::Device { argument: "labels", expected: Device::Cpu, found: self.device() });
        }
        let size = self.size();
        let [_, labels] = size[..] else {
            return Err(Error::Shape { argument: "labels", expected: "[N, C]".into(), found: size });
        };
        countable("the number of labels", labels)?;
        let (table, _) = self.table(&Factors::default())?;
        let found = table.observed_entries(&TorchThreads, slice(&self.observed_per_row)?)?;
        let places = Tensor::f_from_slice(&found.places)?;
        let held = |cells: &Tensor| -> Result<_> { Ok(cells.f_reshape([-1])?.f_index_select(0, &places)?) };
        let Stored::Dense(cells) = &self.table else { unreachable!("sparse labels are returned above") };
        let entries = Compressed {
            starts: Tensor::f_from_slice(&found.starts)?,
            columns: Tensor::f_from_slice(&found.columns)?,
            values: held(cells)?,
            labels,
        };
        let weights = self.weights.clone().try_map_entries(|numbers, _| held(numbers))?;
        let weight_per_row = self.weight_per_row.as_ref().map(Tensor::shallow_clone);
        let sparse = Self::new(Stored::Sparse(entries), self.observed_per_row.shallow_clone(), self.range);
        Ok(Self { weights, weight_per_row, ..sparse })
    }

    /// The observed entries, if they are stored as such.
    pub(crate) fn entries(&self) -> Result<Option<Sparse<'_>>> {
        match &self.table {
            Stored::Sparse(entries) => Ok(Some(entries.slices(self.index.as_ref())?)),
            Stored::Dense(_) => Ok(None),
        }
    }

    /// The entries of only these rows, if the labels are sparse; and their positions in the table, if it has other
    /// rows.
    pub(super) fn own_entries(&self) -> Result<Option<(Compressed, Option<Tensor>)>> {
        Ok(match (&self.table, &self.index) {
            (Stored::Dense(_), _) => None,
            (Stored::Sparse(entries), None) => Some((entries.clone(), None)),
            (Stored::Sparse(entries), Some(index)) => {
                let (entries, places) = entries.of_rows(index)?;
                Some((entries, Some(places)))
            }
        })
    }

    /// The entries of these rows alone, with their weights and bounds, where entries are what is held.
    pub(super) fn own_weighted(&self) -> Result<Option<(Compressed, Factors)>> {
        let Some((entries, places)) = self.own_entries()? else { return Ok(None) };
        let weights = self.weights.clone();
        Ok(Some(match places {
            Some(places) => (entries, weights.try_map_entries(|numbers, _| Ok(numbers.f_index_select(0, &places)?))?),
            None => (entries, weights),
        }))
    }

    /// Sparse labels with a further weight for each entry.
    pub(super) fn weighing_each(self, weights_of: impl FnOnce(&Compressed) -> Result<Tensor>) -> Result<Self> {
        let Some((entries, weights)) = self.own_weighted()? else { unreachable!("labels that are held as a matrix") };
        let weights = weights.with_entries(&weights_of(&entries)?)?;
        let labels = Self { table: Stored::Sparse(entries), index: None, ..self };
        let labels = match weights.fits()? {
            true => labels.with_factors(weights),
            false => {
                let (size, weights) = (labels.size(), labels.own(&weights)?);
                labels.alone(weights.expanded(&size)?)?
            }
        };
        labels.with_totals()
    }
}

fn countable(name: &'static str, found: i64) -> Result<()> {
    match (0..=i64::from(i32::MAX)).contains(&found) {
        true => Ok(()),
        false => Err(check::outside(name, format!("within 0..={}", i32::MAX), found)),
    }
}
