//! The observed entries of a batch, label by label.

use crate::labels::Sparse;

/// The labels that are observed in a batch, and their entries. Found once, and used for all the gradients that are
/// limited to these labels.
#[derive(Debug)]
pub struct Touched {
    labels: Vec<i32>,
    /// Where each of these labels' entries start, then the end of the last label.
    pub(super) starts: Vec<usize>,
    /// Each entry's position in the batch, counted row by row.
    pub(super) entries: Vec<u32>,
    /// Each entry's row in the batch.
    pub(super) rows: Vec<i32>,
}

impl Touched {
    /// Finds the labels and entries of a batch.
    ///
    /// # Panics
    /// If the batch has 2³¹ rows or entries, or an index is out of bounds.
    pub fn new(labels: &Sparse<'_>) -> Self {
        let (mut columns, mut rows) = (Vec::new(), Vec::new());
        for row in 0..labels.rows() {
            let entries = &labels.columns[labels.row(row)];
            columns.extend_from_slice(entries);
            rows.resize(columns.len(), i32::try_from(row).expect("fewer than 2^31 rows"));
        }
        let entries = sorted(&columns, labels.labels);
        let mut touched = Self { labels: Vec::new(), starts: Vec::new(), entries: Vec::new(), rows: Vec::new() };
        for (place, &entry) in entries.iter().enumerate() {
            let label = columns[entry as usize];
            if touched.labels.last() != Some(&label) {
                touched.labels.push(label);
                touched.starts.push(place);
            }
            touched.rows.push(rows[entry as usize]);
        }
        touched.starts.push(entries.len());
        Self { entries, ..touched }
    }

    /// The labels, ascending.
    pub fn labels(&self) -> &[i32] {
        &self.labels
    }
}

/// Where each row's entries start in the batch, then the end of the last row.
pub(super) fn places(labels: &Sparse<'_>) -> Vec<usize> {
    let mut end = 0;
    let ends = (0..labels.rows()).map(|row| {
        end += labels.row(row).len();
        end
    });
    std::iter::once(0).chain(ends).collect()
}

/// The stable sorting order of these numbers, which are all below `limit`. The time depends on their count, and hardly
/// on the limit.
fn sorted(numbers: &[i32], limit: usize) -> Vec<u32> {
    const BITS: u32 = 11;
    assert!(u32::try_from(numbers.len()).is_ok(), "fewer than 2^32 entries");
    let mut order: Vec<u32> = (0..numbers.len() as u32).collect();
    let mut next = order.clone();
    let digits = usize::BITS - limit.saturating_sub(1).leading_zeros();
    for shift in (0..digits).step_by(BITS as usize) {
        let digit = |place: u32| numbers[place as usize] as usize >> shift & ((1 << BITS) - 1);
        let mut ends = [0; 1 << BITS];
        order.iter().for_each(|&place| ends[digit(place)] += 1);
        let mut before = 0;
        for end in &mut ends {
            before += std::mem::replace(end, before);
        }
        for &place in &order {
            let end = &mut ends[digit(place)];
            next[*end] = place;
            *end += 1;
        }
        std::mem::swap(&mut order, &mut next);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_a_stable_sort() {
        for limit in [1, 2, 2048, 2049, 5_000_000] {
            let numbers: Vec<i32> = (0..10_000u64).map(|i| (i * i * 7919 % limit) as i32).collect();
            let mut expected: Vec<u32> = (0..10_000).collect();
            expected.sort_by_key(|&place| numbers[place as usize]);
            assert_eq!(sorted(&numbers, limit as usize), expected, "{limit}");
        }
        assert!(sorted(&[], 0).is_empty());
    }
}
