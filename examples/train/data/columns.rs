//! Columns by name.

use std::collections::HashSet;

use anyhow::{Result, bail, ensure};
use globset::Glob;

/// Positions of the names that any of `patterns` (names or globs) means, in the table's order.
pub fn select(names: &[String], patterns: &[String]) -> Result<Vec<usize>> {
    let mut chosen = vec![false; names.len()];
    for pattern in patterns {
        // A name comes first: it may hold what a glob would read as an operator.
        if let Some(position) = names.iter().position(|name| name == pattern) {
            chosen[position] = true;
            continue;
        }
        let glob = Glob::new(pattern)?.compile_matcher();
        let matched: Vec<_> = (0..names.len()).filter(|&position| glob.is_match(&names[position])).collect();
        ensure!(!matched.is_empty(), no_such(pattern, names));
        matched.into_iter().for_each(|position| chosen[position] = true);
    }
    Ok((0..names.len()).filter(|&position| chosen[position]).collect())
}

pub fn no_such(name: &str, names: &[String]) -> String {
    const SHOWN: usize = 10;
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    format!("there is no column {name:?}; there are {}{more}", names[..names.len().min(SHOWN)].join(", "))
}

/// A column that is named twice cannot be meant by its name.
pub fn distinct(names: &[String]) -> Result<()> {
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(*name)) {
        Some(twice) => bail!("two columns are named {twice:?}"),
        None => Ok(()),
    }
}
