//! Features that give a label away.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use anyhow::Result;
use tch::{Kind, Tensor};

use super::features::chunk;
use super::table::Table;

/// In a table of fewer rows, a feature may number them by chance.
const ROWS: i64 = 10;
/// Most features that a note names.
const NAMED: usize = 3;
/// Observed rows of each class of a label on which every feature is tried first.
const SCREENED: usize = 32;
/// Most pairs of a feature and a label that are tried, from the labels with the most rows of their rarer class.
const TRIED: i64 = 1 << 22;
/// Most pairs that are then tried on all rows, in total and for each label.
const KEPT: usize = 512;
const OF_LABEL: usize = 8;
/// A separation is noted if chance separates any label by any feature with at most this probability.
const CHANCE: f64 = 0.01;

/// Notes on features that number the rows, and on features that alone separate the classes of a label.
pub fn notes(table: &Table) -> Result<Vec<String>> {
    let counting = counting(table)?;
    let name = |feature: usize| match table.features.names() {
        Some(names) => format!("{:?}", names[feature]),
        None => feature.to_string(),
    };
    let mut notes = Vec::new();
    if !counting.is_empty() {
        let which = list(counting.iter().map(|&feature| name(feature)));
        notes.push(format!("these features grow by the same step from row to row, as a row number does: {which}"));
    }
    let pairs = separating(table)?.into_iter().filter(|(feature, _)| !counting.contains(feature));
    let pairs: Vec<_> =
        pairs.map(|(feature, label)| format!("{} ({:?})", name(feature), table.label_names[label])).collect();
    if !pairs.is_empty() {
        let which = list(pairs.into_iter());
        notes.push(format!(
            "each of these features alone separates the classes of a label on all its observed rows: {which}"
        ));
    }
    Ok(notes)
}

fn list(names: impl ExactSizeIterator<Item = String>) -> String {
    let rest = names.len().saturating_sub(NAMED);
    let more = if rest > 0 { format!(" and at least {rest} more") } else { String::new() };
    names.take(NAMED).collect::<Vec<_>>().join(", ") + &more
}

/// Features whose value changes by the same number from each row to the next, within the precision of `f32`.
fn counting(table: &Table) -> Result<Vec<usize>> {
    let (rows, features) = (table.rows(), &table.features);
    if rows < ROWS {
        return Ok(Vec::new());
    }
    let at = |index: &Tensor| features.inputs(index).to_kind(Kind::Double);
    let ends = at(&Tensor::from_slice(&[0, rows - 1]).to_device(features.device()));
    let (first, rise) = (ends.get(0), ends.get(1) - ends.get(0));
    // Rounding moves a number by half of this at most, and the line between the ends by as much.
    let rounding = ends.abs().amax(0i64, false) * f64::from(f32::EPSILON);
    let mut kept = rise.abs().gt_tensor(&(&rounding * ROWS));
    // Few features are left after the first rows.
    let (mut start, mut end) = (0, ROWS);
    while start < rows && kept.any().int64_value(&[]) != 0 {
        let index = Tensor::arange_start(start, end, (Kind::Int64, features.device()));
        let line = &first + (index.to_kind(Kind::Double) / (rows - 1)).unsqueeze(1) * &rise;
        kept = kept.logical_and(&(at(&index) - line).abs().le_tensor(&rounding).all_dim(0, false));
        (start, end) = (end, rows.min(end + chunk(features.width())));
    }
    let kept = Vec::<i64>::try_from(kept.nonzero().flatten(0, -1))?;
    Ok(kept.into_iter().map(|feature| feature as usize).collect())
}

/// The first rows of class 0 and of class 1 of a label, and the number of rows of each class that repeat no other.
#[derive(Clone, Default)]
struct Classes {
    counts: [usize; 2],
    rows: [Vec<i64>; 2],
    /// Whether some value is neither 0 nor 1.
    soft: bool,
}

/// Pairs of a feature and a label for which the feature of all positives is above, or below, that of all negatives.
fn separating(table: &Table) -> Result<Vec<(usize, usize)>> {
    let features = &table.features;
    let mut pairs = Vec::new();
    for (label, classes) in candidates(table)? {
        let [negative, positive] = classes.rows.map(|rows| {
            let cells = features.inputs(&Tensor::from_slice(&rows).to_device(features.device()));
            [cells.amin(0i64, false), cells.amax(0i64, false)]
        });
        let kept = Vec::<i64>::try_from(apart(&negative, &positive).nonzero().flatten(0, -1))?;
        pairs.extend(kept.into_iter().take(OF_LABEL).map(|feature| (feature, label as i64)));
        if pairs.len() >= KEPT {
            pairs.truncate(KEPT);
            break;
        }
    }
    confirmed(table, &pairs)
}

/// The pairs that hold on all rows.
fn confirmed(table: &Table, pairs: &[(i64, i64)]) -> Result<Vec<(usize, usize)>> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let (features, labels): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
    let device = table.features.device();
    let [features, labels] = [features, labels].map(|columns| Tensor::from_slice(&columns).to_device(device));
    let mut bounds: [Option<[Tensor; 2]>; 2] = [None, None];
    for rows in parts(table) {
        let x = table.features.inputs(&Tensor::from_slice(&rows).to_device(device)).index_select(1, &features);
        let y = values(table, &rows, &labels)?;
        for (class, bounds) in [0.0, 1.0].into_iter().zip(&mut bounds) {
            let others = y.ne(class);
            let low = x.masked_fill(&others, f64::INFINITY).amin(0i64, false);
            let high = x.masked_fill(&others, f64::NEG_INFINITY).amax(0i64, false);
            *bounds = Some(match bounds.take() {
                Some([least, most]) => [least.minimum(&low), most.maximum(&high)],
                None => [low, high],
            });
        }
    }
    let [Some(negative), Some(positive)] = bounds else { return Ok(Vec::new()) };
    let holds = Vec::<bool>::try_from(apart(&negative, &positive))?;
    let held = pairs.iter().zip(holds).filter(|(_, holds)| *holds);
    Ok(held.map(|(&(feature, label), _)| (feature as usize, label as usize)).collect())
}

/// The labels of these columns in some rows; NaN where missing.
fn values(table: &Table, rows: &[i64], columns: &Tensor) -> Result<Tensor> {
    if !table.labels.is_sparse() {
        return Ok(table.labels_of(rows)?.values()?.index_select(1, columns));
    }
    let [in_rows, labels, values] = table.labels_of(rows)?.to_entries()?;
    let places = labels.unsqueeze(1).eq_tensor(&columns.unsqueeze(0)).nonzero();
    let [entries, columns_of] = [0, 1].map(|axis| places.select(1, axis));
    let matrix = Tensor::full([rows.len() as i64, columns.size()[0]], f64::NAN, (values.kind(), values.device()));
    Ok(matrix.index_put(
        &[Some(in_rows.index_select(0, &entries)), Some(columns_of)],
        &values.index_select(0, &entries),
        false,
    ))
}

/// Where the ranges of two classes, from least to most, do not overlap.
fn apart([low, high]: &[Tensor; 2], [least, most]: &[Tensor; 2]) -> Tensor {
    high.lt_tensor(least).logical_or(&most.lt_tensor(low))
}

/// The labels that no feature is likely to separate by chance.
fn candidates(table: &Table) -> Result<Vec<(usize, Classes)>> {
    let (labels, width) = (table.label_names.len(), table.features.width());
    let mut seen = vec![Classes::default(); labels];
    let repeated = repeated(table)?;
    for entries in table.entries() {
        for (row, label, value) in entries?.iter() {
            let (classes, class) = (&mut seen[label], usize::from(value == 1.0));
            if value == class as f64 {
                classes.counts[class] += usize::from(!repeated[row]);
                if classes.rows[class].len() < SCREENED {
                    classes.rows[class].push(row as i64);
                }
            } else {
                classes.soft = true;
            }
        }
    }
    let limit = (CHANCE / (width as f64 * labels as f64)).ln();
    let surprising = |classes: &Classes| !classes.soft && ln_chance(classes.counts) < limit;
    let mut candidates: Vec<_> = seen.into_iter().enumerate().filter(|(_, classes)| surprising(classes)).collect();
    candidates.sort_by_key(|(_, classes)| Reverse(classes.counts.into_iter().min()));
    candidates.truncate((TRIED / width.max(1)) as usize);
    Ok(candidates)
}

/// Which rows repeat an earlier row of their group.
fn repeated(table: &Table) -> Result<Vec<bool>> {
    let Some(groups) = &table.group else { return Ok(vec![false; table.rows() as usize]) };
    let (mut seen, mut repeated) = (HashSet::new(), Vec::new());
    for rows in parts(table) {
        let index = Tensor::from_slice(&rows).to_device(table.features.device());
        let cells = Vec::<f32>::try_from(table.features.inputs(&index).flatten(0, -1))?;
        for (&row, cells) in rows.iter().zip(cells.chunks(table.features.width().max(1) as usize)) {
            let mut hash = DefaultHasher::new();
            cells.iter().for_each(|cell| cell.to_bits().hash(&mut hash));
            repeated.push(groups[row as usize].as_ref().is_some_and(|group| !seen.insert((group, hash.finish()))));
        }
    }
    Ok(repeated)
}

/// The rows, some at a time.
fn parts(table: &Table) -> impl Iterator<Item = Vec<i64>> {
    let rows = table.rows();
    let labels = if table.labels.is_sparse() { KEPT as i64 } else { table.label_names.len() as i64 };
    let step = chunk(table.features.width().max(labels));
    (0..rows).step_by(step as usize).map(move |start| (start..rows.min(start + step)).collect())
}

/// `ln(2 / C(n + p, p))`: the log probability that random numbers of one class are all above or all below those of the
/// other.
fn ln_chance([negative, positive]: [usize; 2]) -> f64 {
    let (fewer, more) = (negative.min(positive), negative.max(positive));
    let ways: f64 = (1..=fewer).map(|k| ((more + k) as f64 / k as f64).ln()).sum();
    2f64.ln() - ways
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chance_is_that_of_all_orders() {
        // 2 of the 6 ways to choose which two of four are positive.
        assert!((ln_chance([2, 2]).exp() - 2.0 / 6.0).abs() < 1e-12);
        assert!((ln_chance([1, 9]).exp() - 2.0 / 10.0).abs() < 1e-12);
        assert!(ln_chance([1_000_000, 1_000_000]).is_finite());
        // One class separates nothing.
        assert!(ln_chance([5, 0]) > 0.0);
    }
}
