//! Labels that are counted, weighed and encoded.

use std::panic::{AssertUnwindSafe, catch_unwind};

use masked_loss_core::losses::BceWithLogits;
use masked_loss_core::{
    Cells, CellsMut, Encoded, Entries, EntryWeights, Observed, Pass, Raw, RawLabels, Serial, Sparse, Table, Weights,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::case::{Case, SIZES, Spread, raw};

#[test]
fn rows_of_a_table_are_counted_weighed_and_encoded() {
    for (&(rows, width), threads) in SIZES.iter().zip([1, 2, 3].into_iter().cycle()) {
        let (case, threads) = (Case::draw(8, (rows, width), false, 0.3), &Spread(threads));
        let (mut rng, cells) = (SmallRng::seed_from_u64(9), case.cells());
        let observed = |row: usize, column: usize| case.mask[row * width + column] == 1;

        let index: Vec<i64> = (0..if rows == 0 { 0 } else { 11 }).map(|_| rng.random_range(0..rows as i64)).collect();
        let some = Table { rows: index.len(), index: Some(&index), ..case.table(Cells::Bytes(&cells)) };
        let count = |row: usize| (0..width).filter(|&column| observed(row, column)).count() as i64;
        let per_row: Vec<i64> = index.iter().map(|&row| count(row as usize)).collect();
        let per_label = (0..width).map(|c| index.iter().filter(|&&row| observed(row as usize, c)).count() as i64);
        let per_label: Vec<i64> = per_label.collect();

        let entries: Vec<f32> = (0..rows * width).map(|_| f32::from(rng.random_range(0..8u8)) / 4.0).collect();
        let labels: Vec<f64> = (0..width).map(|column| (column % 5) as f64).collect();
        let weights = Weights { entries: Some(EntryWeights::F32(&entries)), rows: None, labels: Some(&labels) };
        let weight = |row: usize, column: usize| f64::from(entries[row * width + column]) * labels[column];

        let soft: Vec<f64> = cells.iter().map(|&cell| if cell < 0 { f64::NAN } else { f64::from(cell) }).collect();
        let single: Vec<f32> = soft.iter().map(|&cell| cell as f32).collect();
        let (mut counts, mut totals) = (vec![-1; index.len()], vec![f64::NAN; index.len()]);
        for cells in [Cells::F64(&soft), Cells::F32(&single), Cells::Bytes(&cells)] {
            let some = Table { cells, ..some };
            some.observed_per_row(threads, &mut counts).unwrap();
            assert_eq!(counts, per_row);
            assert_eq!(some.observed_per_label(threads, width).unwrap(), per_label);
            for everything in [true, false] {
                some.weight_per_row(threads, &weights, everything, &mut totals).unwrap();
                for (&row, &total) in index.iter().zip(&totals) {
                    let counted = (0..width).filter(|&c| everything || observed(row as usize, c));
                    let exact = counted.map(|c| weight(row as usize, c)).sum::<f64>();
                    assert_eq!(total, exact + 0.0, "exact: few digits");
                }
            }
        }

        // The same rows with their observed entries alone.
        let table = Table { cells: Cells::F64(&soft), ..some };
        let found = table.observed_entries(threads, &counts).unwrap();
        let of_bytes = some.observed_entries(threads, &counts).unwrap();
        assert_eq!(
            (&found.starts, &found.columns, &found.places),
            (&of_bytes.starts, &of_bytes.columns, &of_bytes.places)
        );
        let expected = index.iter().flat_map(|&row| (0..width).map(move |column| row as usize * width + column));
        let expected = expected.filter(|&place| case.mask[place] == 1).map(|place| place as i64);
        assert!(expected.eq(found.places.iter().copied()));
        let cells_of: Vec<i8> = found.places.iter().map(|&place| cells[place as usize]).collect();
        let (starts, columns) = (&found.starts[..], &found.columns[..]);
        let sparse = Sparse { starts, columns, cells: Cells::Bytes(&cells_of), labels: width, index: None };
        assert!(columns.iter().zip(&found.places).all(|(&column, &place)| column as usize == place as usize % width));
        assert_eq!(sparse.observed_per_label(), some.observed_per_label(threads, width).unwrap());
        let own: Vec<f32> = found.places.iter().map(|&place| entries[place as usize]).collect();
        let weights = Weights { entries: Some(EntryWeights::F32(&own)), ..weights };
        assert_eq!(sparse.weight_per_row(&weights), totals);

        let labels: Vec<i64> = case.label.iter().map(|&label| label as i64).collect();
        let raw = raw(RawLabels::I64(&labels), &case.mask);
        assert_eq!(raw.count(threads).unwrap(), Some(case.mask.iter().filter(|&&mask| mask == 1).count()));
        let (mut encoded, mut counts) = (vec![9; rows * width], vec![-1; rows]);
        let result = raw.encode(threads, CellsMut::Bytes(&mut encoded), &mut counts).unwrap();
        let (least, largest) = (cells.iter().filter(|&&c| c >= 0).min(), cells.iter().max().filter(|&&c| c >= 0));
        let range = least.zip(largest).map(|(&least, &largest)| (f64::from(least), f64::from(largest)));
        assert_eq!(result, Encoded::Complete(range));
        assert_eq!(encoded, cells);
        assert_eq!(counts, (0..rows).map(count).collect::<Vec<_>>());
    }
}

#[test]
fn labels_that_bytes_do_not_hold_are_soft_or_faulty() {
    let (labels, mut counts) = ([0.0f32, 1.0, 0.5, f32::NAN], [0; 2]);
    let raw = |observed| Raw { labels: RawLabels::F32(&labels), observed };
    let (mut bytes, mut numbers) = ([0; 4], [0.0f32; 4]);
    let nan = raw(Observed::NotNan);
    assert_eq!(nan.encode(&Serial, CellsMut::Bytes(&mut bytes), &mut counts).unwrap(), Encoded::Soft);
    let found = nan.encode(&Serial, CellsMut::F32(&mut numbers), &mut counts).unwrap();
    assert_eq!((found, counts), (Encoded::Complete(Some((0.0, 1.0))), [2, 1]));
    assert!(numbers[..3] == labels[..3] && numbers[3].is_nan());
    let found = raw(Observed::All).encode(&Serial, CellsMut::F32(&mut numbers), &mut counts).unwrap();
    assert_eq!(found, Encoded::Faulty);
    let found = raw(Observed::Bytes(&[1, 1, 1, 7])).encode(&Serial, CellsMut::F32(&mut numbers), &mut counts).unwrap();
    assert_eq!(found, Encoded::Faulty);
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let (cells, loss) = ([1i8, 0, -1, 1, 0, 0, 1, -1], BceWithLogits::default());
    let table = Table { cells: Cells::Bytes(&cells), rows: 2, width: 4, index: None };
    let none = Weights::default();
    let pass = |table: Table<'_>, weights: Weights<'_>, loss: &BceWithLogits| {
        let entries = Entries::observed(loss);
        let pass = Pass { entries, input: &[0.5f32; 8][..], gradient: None, values: None, divisor: 1.0 };
        pass.labels(&Serial, &table, &weights).unwrap()
    };
    assert!(pass(table, none, &loss).is_some());
    let refused = |table: Table<'_>, weights: Weights<'_>, loss: &BceWithLogits| {
        catch_unwind(AssertUnwindSafe(|| pass(table, weights, loss))).is_err()
    };
    for weights in [
        Weights { labels: Some(&[1.0; 3]), ..none },
        Weights { labels: Some(&[]), ..none },
        Weights { rows: Some(&[1.0; 3]), ..none },
        Weights { entries: Some(EntryWeights::F32(&[1.0; 9])), ..none },
    ] {
        assert!(refused(table, weights, &loss), "{weights:?}");
    }
    for index in [[0, 2], [0, -1], [0, i64::MIN]] {
        assert!(refused(Table { index: Some(&index), ..table }, none, &loss), "{index:?}");
    }
    for table in [
        Table { rows: 3, ..table },
        Table { cells: Cells::Bytes(&cells[..7]), index: Some(&[0, 0]), ..table },
        Table { rows: 1 << 62, width: 8, ..table },
        Table { rows: 8, width: (1 << 63) + 1, ..table },
    ] {
        assert!(refused(table, none, &loss), "{table:?}");
        let mut counts = vec![0; table.rows.min(8)];
        assert!(catch_unwind(AssertUnwindSafe(|| table.observed_per_row(&Serial, &mut counts))).is_err());
    }
    for numbers in [0, 3, 5] {
        let loss = BceWithLogits::default().with_pos_weight(vec![1.0; numbers]);
        assert!(refused(table, none, &loss), "{numbers} numbers");
    }
    assert!(catch_unwind(|| table.observed_per_label(&Serial, 3)).is_err());
    let mut counts = [0; 2];
    let mut totals = [f64::NAN; 2];
    table.weight_per_row(&Serial, &none, false, &mut totals).unwrap();
    table.observed_per_row(&Serial, &mut counts).unwrap();
    assert_eq!((totals, counts), ([3.0; 2], [3; 2]), "without weights, each counts 1");
    let raw = Raw { labels: RawLabels::F64(&[1e300; 2]), observed: Observed::All };
    assert!(catch_unwind(AssertUnwindSafe(|| raw.encode(&Serial, CellsMut::F32(&mut [0.0; 2]), &mut counts))).is_err());
}
