//! The roles of columns, by their names.

use std::collections::HashSet;

use anyhow::{Context, Result, bail, ensure};
use globset::Glob;

use crate::cli::names;
use crate::cli::source::Source;

/// What the columns of a table are, by their positions in it.
pub struct Roles {
    pub features: Vec<usize>,
    /// Features too, a character each.
    pub bits: Vec<usize>,
    pub labels: Vec<usize>,
    pub split: Option<usize>,
    pub group: Option<usize>,
}

impl Roles {
    pub fn new(header: &[String], source: &Source) -> Result<Self> {
        let ignored = select(header, &names::all(&source.ignore))?;
        let needed = |name| [&source.split, &source.group].into_iter().flatten().any(|needed| needed == name);
        let kept = header.iter().enumerate().filter(|(column, name)| needed(*name) || !ignored.contains(column));
        distinct(kept.map(|(_, name)| name))?;
        let find =
            |name: &String| header.iter().position(|column| column == name).with_context(|| no_such(name, header));
        let split = source.split.as_ref().map(find).transpose()?;
        let group = source.group.as_ref().map(find).transpose()?;
        let mut others = ignored;
        others.extend(split.iter().chain(&group));
        let mut labels = select(header, &names::all(&source.labels))?;
        match &source.unlabelled {
            Some(known) => others.extend((0..header.len()).filter(|&column| known.contains(&header[column]))),
            None => ensure!(!labels.is_empty(), "--labels is missing, the names of the label columns"),
        }
        labels.retain(|column| !others.contains(column));
        let (mut bits, mut features) = (select(header, &names::all(&source.bits))?, Vec::new());
        if source.has_features() {
            bits.retain(|column| !others.contains(column) && !labels.contains(column));
            let free = |column: &usize| ![&others, &labels, &bits].iter().any(|taken| taken.contains(column));
            features.extend((0..header.len()).filter(free));
        } else {
            bits.clear();
        }
        if source.unlabelled.is_some() {
            labels.clear();
        }
        Ok(Self { features, bits, labels, split, group })
    }

    /// All columns with a role, in the table's order.
    pub fn all(&self) -> Vec<usize> {
        let lists = [&self.features, &self.bits, &self.labels].into_iter().flatten();
        let mut all: Vec<usize> = lists.chain(&self.split).chain(&self.group).copied().collect();
        all.sort();
        all.dedup();
        all
    }
}

/// Positions of the names that any of `patterns` (names or globs) means, in the table's order.
pub fn select(names: &[String], patterns: &[String]) -> Result<Vec<usize>> {
    let mut chosen = vec![false; names.len()];
    for pattern in patterns {
        // Names before globs: a name may contain characters that a glob would read as operators.
        let mut matched: Vec<_> = (0..names.len()).filter(|&position| names[position] == *pattern).collect();
        if matched.is_empty() {
            let glob = Glob::new(pattern)?.compile_matcher();
            matched.extend((0..names.len()).filter(|&position| glob.is_match(&names[position])));
        }
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

/// Two columns of the same name cannot be told apart.
pub fn distinct<'a>(mut names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen = HashSet::new();
    match names.find(|name| !seen.insert(*name)) {
        Some(twice) => bail!("two columns are named {twice:?}"),
        None => Ok(()),
    }
}
