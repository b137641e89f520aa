//! Several names in one argument.

use std::fmt::{self, Display, Formatter};
use std::ops::Deref;
use std::str::FromStr;

use csv::{QuoteStyle, ReaderBuilder, StringRecord, WriterBuilder};
use serde::Serialize;

/// As a line of CSV holds them: a name with a comma in it stands between quotes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Names(pub Vec<String>);

impl Deref for Names {
    type Target = [String];
    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for Names {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        let lines: Vec<StringRecord> = reader.records().collect::<Result<_, _>>().map_err(|_| "it is no Unicode")?;
        match &lines[..] {
            [] => Ok(Self::default()),
            [names] => Ok(Self(names.iter().map(String::from).collect())),
            _ => Err("expected one line"),
        }
    }
}

impl Display for Names {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // A single empty name would be no line at all without its quotes.
        let mut writer = WriterBuilder::new().quote_style(QuoteStyle::Necessary).from_writer(Vec::new());
        if !self.is_empty() {
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
        assert_eq!("a\nb".parse::<Names>(), Err("expected one line"));
    }
}
