//! Several names in one argument.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use csv::{ReaderBuilder, StringRecord, Writer};
use serde::{Serialize, Serializer};

/// Written as a line of CSV: a name with a comma is quoted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Names(pub Vec<String>);

/// The names of all lines: the flag may be repeated.
pub fn all(lines: &[Names]) -> Vec<String> {
    lines.iter().flat_map(|line| line.0.clone()).collect()
}

pub fn serialize<S: Serializer>(lines: &[Names], serializer: S) -> Result<S::Ok, S::Error> {
    all(lines).serialize(serializer)
}

impl FromStr for Names {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected comma-separated names in one line";
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        let lines: Vec<StringRecord> = reader.records().collect::<Result<_, _>>().map_err(|_| EXPECTED)?;
        match &lines[..] {
            [] => Ok(Self::default()),
            [names] => Ok(Self(names.iter().map(String::from).collect())),
            _ => Err(EXPECTED),
        }
    }
}

impl Display for Names {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut writer = Writer::from_writer(Vec::new());
        // An empty record would be read as one empty name.
        if !self.0.is_empty() {
            writer.write_record(&self.0).map_err(|_| fmt::Error)?;
        }
        let line = writer.into_inner().map_err(|_| fmt::Error)?;
        f.write_str(String::from_utf8_lossy(&line).trim_end_matches('\n'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_from_their_line() {
        let cases = [&[][..], &["a"], &["a", "b*"], &["2,4-D", "say \"x\""], &["", "a"], &[""], &[" a", "line\nbreak"]];
        for names in cases {
            let names = Names(names.iter().map(|name| name.to_string()).collect());
            assert_eq!(names.to_string().parse(), Ok(names.clone()), "{names}");
        }
        assert_eq!(r#"a,"b,c""#.parse(), Ok(Names(vec!["a".into(), "b,c".into()])));
        assert!("a\nb".parse::<Names>().is_err());
    }
}
