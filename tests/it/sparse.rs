//! Labels given as observed entries only behave like a matrix of them.

use masked_loss::{
    Backend, BceWithLogits, Correction, Error, Labels, LargeLoss, Loss, Missing, Named, PartialBce, Propensity,
    Reduction, Result, Weights,
};
use rand::Rng;
use rand::seq::SliceRandom;
use tch::{Device, Kind, Tensor};

use crate::common::{Case, REDUCTIONS, device, losses, numbers, rng, uniform, value_and_gradient};

/// On the CPU, where sparse labels are made.
fn cpu<T: tch::kind::Element>(numbers: &[T]) -> Tensor {
    Tensor::from_slice(numbers)
}

/// Row, label and value of each observed entry of a case.
fn entries(case: &Case) -> Vec<(i64, i64, f64)> {
    let labels = case.size[1];
    let observed = (0..).zip(case.observed.iter().zip(&case.label)).filter(|(_, (observed, _))| **observed);
    observed.map(|(place, (_, &value))| (place / labels, place % labels, value)).collect()
}

fn from_entries(entries: &[(i64, i64, f64)], size: &[i64]) -> Result<Labels> {
    let column = |of: fn(&(i64, i64, f64)) -> i64| cpu(&entries.iter().map(of).collect::<Vec<_>>());
    let values = cpu(&entries.iter().map(|entry| entry.2).collect::<Vec<_>>());
    Labels::from_entries(&column(|entry| entry.0), &column(|entry| entry.1), &values, [size[0], size[1]])
}

fn from_csr(entries: &[(i64, i64, f64)], size: &[i64]) -> Result<Labels> {
    let starts: Vec<i64> =
        (0..=size[0]).map(|row| entries.iter().filter(|entry| entry.0 < row).count() as i64).collect();
    let columns: Vec<i32> = entries.iter().map(|entry| entry.1 as i32).collect();
    let values: Vec<f64> = entries.iter().map(|entry| entry.2).collect();
    Labels::from_csr(&cpu(&starts), &cpu(&columns), &cpu(&values), size[1])
}

/// Compares every property of two labels.
fn same(what: &str, named: &Named, input: &Tensor, [sparse, matrix]: [&Labels; 2]) {
    assert_eq!((sparse.size(), sparse.range()), (matrix.size(), matrix.range()), "{what}");
    let bits = |tensor: Tensor| numbers(&tensor).into_iter().map(f64::to_bits).collect::<Vec<_>>();
    let all = |labels: &Labels| {
        let each = [labels.values(), labels.observed(), labels.observed_count(), labels.observed_per_label()];
        each.map(|tensor| bits(tensor.unwrap()))
    };
    assert_eq!(all(sparse), all(matrix), "{what}");
    for reduction in REDUCTIONS {
        let of = |labels: &Labels| {
            let labels = labels.to_device(device()).unwrap();
            let (value, gradient) = value_and_gradient(named, Backend::Auto, input, &labels, reduction, 1.0);
            [value, gradient].map(|numbers| numbers.into_iter().map(f64::to_bits).collect::<Vec<_>>())
        };
        assert_eq!(of(sparse), of(matrix), "{what}, {reduction:?}");
    }
}

#[test]
fn sparse_labels_are_those_of_a_matrix() {
    let mut rng = rng(1);
    let size = [23i64, 9];
    for (named, soft) in losses(9).iter().flat_map(|named| [(named, false), (named, true)]) {
        for share in [0.0, 0.2, 1.0] {
            let case = Case::draw(&mut rng, named, &size, share, soft);
            let matrix = Labels::from_nan(&case.raw().to_device(Device::Cpu)).unwrap();
            let mut entries = entries(&case);
            let csr = from_csr(&entries, &size).unwrap();
            entries.shuffle(&mut rng);
            let index: Vec<i64> = (0..12).map(|_| rng.random_range(0..size[0])).collect();
            for (way, sparse) in
                [csr, from_entries(&entries, &size).unwrap(), matrix.to_sparse().unwrap()].iter().enumerate()
            {
                let what = format!("{}, {share} observed, {way}", named.name);
                same(&what, named, &case.input(Kind::Float), [sparse, &matrix]);
                let index = cpu(&index);
                let input = case.input(Kind::Float).index_select(0, &index.to_device(device()));
                let [some, others] = [sparse, &matrix].map(|labels| labels.rows(&index).unwrap());
                same(&what, named, &input, [&some, &others]);
                same(&what, named, &input, [&some, &others.to_sparse().unwrap()]);
                // A batch of a batch.
                let again = cpu(&[3i64, 0, 3]);
                let [some, others] = [some, others].map(|labels| labels.rows(&again).unwrap());
                same(&what, named, &input.index_select(0, &again.to_device(device())), [&some, &others]);
            }
        }
    }
}

#[test]
fn sparse_labels_are_weighted_like_those_of_a_matrix() {
    let mut rng = rng(2);
    let (size, losses) = ([14i64, 6], losses(6));
    let case = Case::draw(&mut rng, &losses[0], &size, 0.4, false);
    let matrix = Labels::from_nan(&case.raw().to_device(Device::Cpu)).unwrap();
    let sparse = matrix.to_sparse().unwrap();
    let mut of = |size: &[i64]| cpu(&uniform(&mut rng, size.iter().product(), 0.5..2.0)).view(size);
    let (of_rows, of_labels, of_entries) = (of(&size[..1]), of(&size[1..]), of(&size));
    // The product of two such weights is beyond the range of f32.
    let huge = Tensor::full([14], 1e30, (Kind::Double, Device::Cpu));
    let index = cpu(&[3i64, 3, 0, 11, 7]);
    type Step<'a> = &'a dyn Fn(Labels) -> Result<Labels>;
    let rows: Step<'_> = &|labels| labels.rows(&index);
    let of_row: Step<'_> = &|labels| labels.with_weights(Weights::PerRow(&of_rows));
    let of_label: Step<'_> = &|labels| labels.with_weights(Weights::PerLabel(&of_labels));
    let of_entry: Step<'_> = &|labels| {
        let index = cpu(&(0..labels.size()[0]).collect::<Vec<_>>());
        labels.with_weights(Weights::PerEntry(&of_entries.index_select(0, &index)))
    };
    let by_far: Step<'_> = &|labels| {
        let huge = huge.narrow(0, 0, labels.size()[0]);
        labels.with_weights(Weights::PerRow(&huge))
    };
    let balanced: Step<'_> = &Labels::with_balanced_weights;
    let partial: Step<'_> = &|labels| labels.with_partial_bce_weights(PartialBce::default());
    for (place, steps) in [
        &[of_row, of_label, of_entry][..],
        &[of_entry, rows, of_label],
        &[of_label, of_row, rows, of_entry, of_entry],
        &[balanced, rows],
        &[rows, balanced, of_label],
        &[of_entry, balanced, partial, rows],
        &[by_far, of_entry],
        &[of_entry, by_far, rows],
    ]
    .into_iter()
    .enumerate()
    {
        let weighted = |labels: &Labels| steps.iter().try_fold(labels.clone(), |labels, step| step(labels)).unwrap();
        let labels = [weighted(&sparse), weighted(&matrix)];
        let input = case.input(Kind::Float).narrow(0, 0, labels[0].size()[0]);
        for named in losses.iter().filter(|named| named.input_range.contains(&-8.0)) {
            same(&format!("{place}, {}", named.name), named, &input, [&labels[0], &labels[1]]);
        }
    }
    assert_eq!(
        sparse.inverse_propensity(Propensity::default()).unwrap(),
        matrix.inverse_propensity(Propensity::default()).unwrap()
    );
    let (some, others) = (rows(sparse).unwrap(), rows(matrix).unwrap());
    assert_eq!(
        some.inverse_propensity(Propensity::default()).unwrap(),
        others.inverse_propensity(Propensity::default()).unwrap()
    );
}

#[test]
fn labels_with_weights_of_missing_entries_stay_a_matrix() {
    let raw = cpu(&[1.0, f64::NAN, f64::NAN, 0.0]).view([2, 2]);
    let logits = cpu(&[0.5, 2.0, -1.0, 0.3]).view([2, 2]);
    // Rejects the missing entry with the largest loss.
    let policy = LargeLoss::default().with_correction(Correction::Reject).with_step(0.25);
    let labels = policy.relabel(&logits, &Labels::from_nan(&raw).unwrap(), 2).unwrap();
    let loss = BceWithLogits::default().with_missing(Missing::Negative);
    let of = |labels: &Labels| loss.forward(&logits, labels, Reduction::Sum).unwrap().double_value(&[]);
    assert_eq!(of(&labels.to_sparse().unwrap()), of(&labels));
    assert!(of(&labels) < of(&Labels::from_nan(&raw).unwrap()));
}

#[test]
fn a_million_labels_need_no_matrix() {
    // A matrix of all rows would take a terabyte.
    let labels = 1_000_000i64;
    let sparse =
        Labels::from_entries(&cpu(&[7i64, 2]), &cpu(&[999_999i64, 5]), &cpu(&[1i64, 0]), [1_000_000, labels]).unwrap();
    let batch = sparse.with_balanced_weights().unwrap().to_sparse().unwrap().rows(&cpu(&[7i64, 8])).unwrap();
    assert_eq!((batch.size(), batch.range()), (vec![2, labels], Some((0.0, 1.0))));
    assert_eq!(batch.observed_count().unwrap().int64_value(&[]), 1);
    let counts = batch.observed_per_label().unwrap();
    assert_eq!((counts.int64_value(&[999_999]), counts.sum(Kind::Int64).int64_value(&[])), (1, 1));
}

#[test]
fn what_is_wrong_with_entries_is_named() {
    let csr = |starts: &[i64], columns: &[i64], values: &[f64]| {
        Labels::from_csr(&cpu(starts), &cpu(columns), &cpu(values), 3).unwrap_err().to_string()
    };
    for (error, expected) in [
        (csr(&[0, 1, 0], &[0], &[1.0]), "starts: expected numbers that go up from 0 to 1, found 0"),
        (csr(&[0, 2], &[0], &[1.0]), "starts: expected numbers that go up from 0 to 1, found 2"),
        (csr(&[1, 1], &[0], &[1.0]), "starts: expected numbers that go up from 0 to 1, found 1"),
        (csr(&[], &[], &[]), "starts: expected numbers that go up from 0 to 0, found -1"),
        (csr(&[0, 1], &[3], &[1.0]), "columns: expected numbers within 0..3, found 3"),
        (csr(&[0, 1], &[-1], &[1.0]), "columns: expected numbers within 0..3, found -1"),
        (csr(&[0, 3], &[2, 0, 2], &[1.0, 0.0, 1.0]), "columns: expected no label twice in a row, found 2"),
        (csr(&[0, 1], &[0], &[f64::NAN]), "labels: expected a finite number where observed, found NaN"),
        (csr(&[0, 1], &[0], &[1.0, 0.0]), "values: expected shape [1], found [2]"),
    ] {
        assert_eq!(error, expected);
    }
    let long = |rows: &[i64], columns: &[i64], size| {
        Labels::from_entries(&cpu(rows), &cpu(columns), &cpu(&[1.0]), size).unwrap_err().to_string()
    };
    assert_eq!(long(&[2], &[0], [2, 3]), "rows: expected numbers within 0..2, found 2");
    assert_eq!(long(&[0, 1], &[0], [2, 3]), "rows: expected shape [1], found [2]");
    assert_eq!(long(&[0], &[0], [-1, 3]), "the number of rows: expected within 0..=2147483647, found -1");
    assert_eq!(
        long(&[0], &[0], [1, 1 << 31]),
        "the number of labels: expected within 0..=2147483647, found 2147483648"
    );
    let one = cpu(&[0i64]);
    let floats = Labels::from_entries(&cpu(&[0.0]), &one, &one, [1, 1]).unwrap_err();
    assert!(matches!(floats, Error::Kind { argument: "rows", .. }), "{floats}");
    let matrix = Labels::from_csr(&cpu(&[0i64, 1]), &one.view([1, 1]), &one, 1).unwrap_err();
    assert!(matches!(matrix, Error::Shape { argument: "columns", .. }), "{matrix}");
    let cube =
        Labels::complete(&Tensor::zeros([2, 2, 2], (Kind::Float, Device::Cpu))).unwrap().to_sparse().unwrap_err();
    assert_eq!(cube.to_string(), "labels: expected shape [N, C], found [2, 2, 2]");
    let out_of_bounds = from_entries(&[(0, 0, 1.0)], &[2, 2]).unwrap().rows(&cpu(&[2i64]));
    assert!(matches!(out_of_bounds, Err(Error::Range { argument: "index", .. })));
}

#[test]
fn entries_are_given_back_as_they_were_taken() {
    let named = &losses(5)[0];
    for (seed, soft) in [(1, false), (2, true)] {
        let case = Case::draw(&mut rng(seed), named, &[7, 5], 0.4, soft);
        let matrix = case.labels();
        let labels = [matrix.clone(), matrix.to_device(Device::Cpu).unwrap().to_sparse().unwrap()];
        for labels in &labels {
            let backwards = Tensor::arange(7, (Kind::Int64, labels.device())).flip([0]);
            for (labels, turned) in [(labels.clone(), false), (labels.rows(&backwards).unwrap(), true)] {
                let mut expected = entries(&case);
                if turned {
                    expected.sort_by_key(|entry| -entry.0);
                    expected.iter_mut().for_each(|entry| entry.0 = 6 - entry.0);
                }
                let [rows, columns, values] = labels.to_entries().unwrap().map(|tensor| numbers(&tensor));
                let of = |part: fn(&(i64, i64, f64)) -> f64| expected.iter().map(part).collect::<Vec<_>>();
                assert_eq!((rows, columns), (of(|entry| entry.0 as f64), of(|entry| entry.1 as f64)));
                // Soft labels are stored in f32.
                assert!(values.iter().zip(of(|entry| entry.2)).all(|(a, b)| (a - b).abs() < 1e-6));
            }
        }
    }
    let vector = Labels::complete(&cpu(&[1.0, 0.0])).unwrap();
    assert!(matches!(vector.to_entries(), Err(Error::Shape { argument: "labels", .. })));
}
