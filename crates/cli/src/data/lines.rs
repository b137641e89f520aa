//! Empty lines of a CSV: rows of a table with one column, ignored in a wider one.

use std::io::{self, ErrorKind, Read};

/// The only cell of the record for an empty line, in a table with several columns: the csv crate skips such lines and
/// does not count them.
pub const EMPTY: &str = "\0";

/// Forwards a CSV. After the header, an empty line becomes a record with one cell, either empty or [`EMPTY`]. Every
/// record ends in a line feed alone, so that line numbers do not depend on the line endings.
pub struct Lines<R> {
    input: R,
    /// Bytes to forward; the first `passed` are done.
    output: Vec<u8>,
    passed: usize,
    place: Place,
    in_header: bool,
    /// Whether the header has several cells.
    wide: bool,
    /// Blanks at the start of a line that may contain nothing else.
    blanks: Vec<u8>,
    /// The current line, from 1, and the line in which the last quoted cell began.
    line: u64,
    opened: u64,
}

/// Where a byte is, by the rules of the csv crate.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    RecordStart,
    /// The start of a record, after a carriage return: a line feed here belongs to the record before.
    AfterReturn,
    CellStart,
    Unquoted,
    Quoted,
    /// After a quote in a quoted cell: the cell ends, or a second quote follows.
    AfterQuote,
}

impl Place {
    fn next(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::AfterQuote,
            (Self::Quoted, _) => Self::Quoted,
            (_, b'\n') => Self::RecordStart,
            (_, b'\r') => Self::AfterReturn,
            (_, b',') => Self::CellStart,
            (Self::Unquoted, _) => Self::Unquoted,
            (_, b'"') => Self::Quoted,
            _ => Self::Unquoted,
        }
    }

    fn starts_record(self) -> bool {
        matches!(self, Self::RecordStart | Self::AfterReturn)
    }
}

impl<R> Lines<R> {
    pub fn new(input: R) -> Self {
        Self {
            input,
            output: Vec::new(),
            passed: 0,
            place: Place::RecordStart,
            in_header: true,
            wide: false,
            blanks: Vec::new(),
            line: 1,
            opened: 0,
        }
    }

    fn take(&mut self, byte: u8) {
        let place = self.place;
        if place.starts_record() && matches!(byte, b' ' | b'\t') {
            self.blanks.push(byte);
            self.place = Place::RecordStart;
            return;
        }
        // A byte order mark is not part of the header.
        if self.in_header && place.starts_record() && self.blanks.is_empty() && matches!(byte, 0xef | 0xbb | 0xbf) {
            self.output.push(byte);
            return;
        }
        // A quote after blanks is a character of the cell.
        let in_cell = if self.blanks.is_empty() { place } else { Place::Unquoted };
        self.place = in_cell.next(byte);
        if self.place == Place::Quoted && !matches!(in_cell, Place::Quoted | Place::AfterQuote) {
            self.opened = self.line;
        }
        if !self.place.starts_record() {
            self.line += u64::from(self.place == Place::Quoted && byte == b'\n');
            self.wide |= self.in_header && self.place == Place::CellStart;
            self.output.append(&mut self.blanks);
            self.output.push(byte);
        } else if (place, byte) != (Place::AfterReturn, b'\n') {
            self.end_record(place.starts_record());
        }
    }

    fn end_record(&mut self, empty: bool) {
        self.blanks.clear();
        if empty && !self.in_header {
            self.output.extend(if self.wide { EMPTY.as_bytes() } else { b"\"\"" });
        }
        self.in_header &= empty;
        self.line += 1;
        self.output.push(b'\n');
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut bytes = [0; 1 << 13];
        while self.passed == self.output.len() {
            let read = self.input.read(&mut bytes)?;
            self.output.clear();
            self.passed = 0;
            if read == 0 && self.place == Place::Quoted {
                let text = format!("line {}: the quoted cell that begins there has no closing quote", self.opened);
                return Err(io::Error::new(ErrorKind::InvalidData, text));
            } else if read == 0 && self.blanks.is_empty() {
                return Ok(0);
            } else if read == 0 {
                self.end_record(true);
            }
            bytes[..read].iter().for_each(|&byte| self.take(byte));
        }
        let count = (&self.output[self.passed..]).read(buffer)?;
        self.passed += count;
        Ok(count)
    }
}
