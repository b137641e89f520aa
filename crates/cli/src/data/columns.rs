//! The roles of columns, by their names.

use std::collections::HashSet;
use std::fmt::{self, Display, Formatter};

use anyhow::{Result, bail, ensure};
use globset::Glob;

use crate::cli::names;
use crate::cli::source::Source;

/// The roles of a table's columns, by position.
pub struct Roles {
    /// The names of all columns, without surrounding blanks.
    pub names: Vec<String>,
    pub features: Vec<usize>,
    /// Text columns in which each character is a feature.
    pub bits: Vec<usize>,
    pub labels: Vec<usize>,
    pub split: Option<usize>,
    pub group: Option<usize>,
    /// Notes on the columns that are ignored without an option.
    pub notes: Vec<String>,
}

/// Why a feature must not be NaN or empty.
pub const MISSING: &str = "only labels may be missing (see --labels and --ignore)";

impl Roles {
    /// `index`: columns that the table's writer added to number or name its rows.
    pub fn new(header: &[String], index: &[String], source: &Source) -> Result<Self> {
        let names = trimmed(header);
        let ignore: Vec<_> = names::all(&source.ignore).into_iter().filter(|name| !name.trim().is_empty()).collect();
        let [mut labels, bits] = [&source.labels, &source.bits].map(|lines| names::all(lines));
        if labels.is_empty() {
            labels.extend(source.known_labels.iter().flatten().cloned());
        }
        if source.unlabelled.is_none() {
            ensure!(!labels.is_empty(), "--labels is missing: expected the names of the label columns");
        }
        ensure!(
            bits.is_empty() || source.has_features(),
            "--bits names columns of --data, but --features names another file"
        );

        let mut claims = Claims::new(&names);
        let nameless = claims.unclaimed(|name| name.is_empty(), Role::Left);
        claims.by_name(Role::Ignored, &ignore)?;
        claims.one(Role::Split, &source.split)?;
        claims.one(Role::Group, &source.group)?;
        claims.by_name(Role::Label, &labels)?;
        claims.by_name(Role::Bits, &bits)?;
        claims.unclaimed(|name| source.unlabelled.iter().flatten().any(|known| known.trim() == name), Role::Left);
        claims.by_glob(Role::Ignored, &ignore)?;
        let numbers = |name: &str| is_index(name) || index.iter().any(|index| index.trim() == name);
        let index = claims.unclaimed(numbers, Role::Left);
        claims.by_glob(Role::Label, &labels)?;
        claims.by_glob(Role::Bits, &bits)?;
        let kept = (0..names.len()).filter(|&column| !matches!(claims.roles[column], Some(Role::Ignored | Role::Left)));
        distinct(kept.map(|column| &names[column]))?;

        let of = |role| claims.of(Some(role));
        let known = |columns: Vec<usize>, wanted| if wanted { columns } else { Vec::new() };
        Ok(Self {
            features: known(claims.of(None), source.has_features()),
            bits: of(Role::Bits),
            labels: known(of(Role::Label), source.has_labels()),
            split: of(Role::Split).pop(),
            group: of(Role::Group).pop(),
            notes: [nameless_note(nameless.len()), index_note(&index, &names)].into_iter().flatten().collect(),
            names,
        })
    }

    /// All columns with a role, in the table's order.
    pub fn all(&self) -> Vec<usize> {
        let lists = [&self.features, &self.bits, &self.labels].into_iter().flatten();
        let mut all: Vec<usize> = lists.chain(&self.split).chain(&self.group).copied().collect();
        all.sort();
        all
    }
}

/// Whether pandas gives this name to an unnamed index, in Parquet or on reading its own CSV.
fn is_index(name: &str) -> bool {
    let number = name.strip_prefix("Unnamed: ").or_else(|| name.strip_prefix("__index_level_")?.strip_suffix("__"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}

fn nameless_note(count: usize) -> Option<String> {
    match count {
        0 => None,
        1 => Some("the column without a name is ignored: pandas and R write row names this way".to_owned()),
        _ => Some(format!("{count} columns without a name are ignored")),
    }
}

fn index_note(columns: &[usize], names: &[String]) -> Option<String> {
    let list = columns.iter().map(|&column| format!("{:?}", names[column])).collect::<Vec<_>>().join(", ");
    (!columns.is_empty()).then(|| format!("ignored, because pandas marks it as an index: {list}"))
}

/// The role that an option gives to a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    Ignored,
    Split,
    Group,
    Label,
    Bits,
    /// Ignored without an option.
    Left,
}

impl Display for Role {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ignored => "--ignore",
            Self::Split => "--split",
            Self::Group => "--group",
            Self::Label => "--labels",
            Self::Bits => "--bits",
            Self::Left => "no option",
        })
    }
}

/// Assigns columns to options. Literal names come before all globs, even if they could be read as globs.
pub struct Claims<'a> {
    names: &'a [String],
    pub roles: Vec<Option<Role>>,
}

impl<'a> Claims<'a> {
    pub fn new(names: &'a [String]) -> Self {
        Self { names, roles: vec![None; names.len()] }
    }

    /// The columns of a role, in the table's order.
    pub fn of(&self, role: Option<Role>) -> Vec<usize> {
        (0..self.names.len()).filter(|&column| self.roles[column] == role).collect()
    }

    /// Assigns the columns that the patterns name literally.
    pub fn by_name(&mut self, role: Role, patterns: &[String]) -> Result<()> {
        for pattern in patterns {
            for column in self.named(pattern) {
                match self.roles[column].replace(role) {
                    Some(other) if other != role => bail!("column {pattern:?} is named by both {other} and {role}"),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Assigns one column, even an ignored one: neither role makes it a feature.
    fn one(&mut self, role: Role, name: &Option<String>) -> Result<()> {
        let Some(name) = name else { return Ok(()) };
        let columns: Vec<_> = self.named(name).collect();
        ensure!(!columns.is_empty(), no_such(name, self.names));
        for column in columns {
            self.roles[column].take_if(|role| *role == Role::Ignored);
        }
        self.by_name(role, std::slice::from_ref(name))
    }

    /// Assigns the columns without a role that the other patterns match as globs.
    pub fn by_glob(&mut self, role: Role, patterns: &[String]) -> Result<()> {
        for pattern in patterns {
            if self.named(pattern).next().is_some() {
                continue;
            }
            // A pattern that is not a glob is a name.
            let glob = Glob::new(pattern.trim()).ok().map(|glob| glob.compile_matcher());
            let matched = |name: &String| !name.is_empty() && glob.as_ref().is_some_and(|glob| glob.is_match(name));
            let columns: Vec<_> = (0..self.names.len()).filter(|&column| matched(&self.names[column])).collect();
            ensure!(!columns.is_empty(), no_such(pattern, self.names));
            for column in columns {
                self.roles[column].get_or_insert(role);
            }
        }
        Ok(())
    }

    /// Assigns the columns that have no role yet, and returns them.
    pub fn unclaimed(&mut self, of: impl Fn(&str) -> bool, role: Role) -> Vec<usize> {
        let columns: Vec<_> = self.of(None).into_iter().filter(|&column| of(&self.names[column])).collect();
        columns.iter().for_each(|&column| self.roles[column] = Some(role));
        columns
    }

    fn named<'n>(&self, name: &'n str) -> impl Iterator<Item = usize> + use<'a, 'n> {
        let names = self.names;
        let name = name.trim();
        (0..names.len()).filter(move |&column| !name.is_empty() && names[column] == name)
    }
}

/// Without surrounding blanks, which some writers add.
pub fn trimmed(names: &[String]) -> Vec<String> {
    names.iter().map(|name| name.trim().to_owned()).collect()
}

fn no_such(name: &str, names: &[String]) -> String {
    const SHOWN: usize = 10;
    let named: Vec<_> = names.iter().filter(|name| !name.is_empty()).map(String::as_str).collect();
    let more = if named.len() > SHOWN { format!(" and {} more", named.len() - SHOWN) } else { String::new() };
    if named.is_empty() {
        return format!("there is no column {name:?}: no column has a name");
    }
    format!("there is no column {name:?}; there are {}{more}", named[..named.len().min(SHOWN)].join(", "))
}

/// Two columns of the same name cannot be told apart.
pub fn distinct<'a>(mut names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen = HashSet::new();
    match names.find(|name| !seen.insert(*name)) {
        Some(twice) => bail!("two columns are named {twice:?}"),
        None => Ok(()),
    }
}
