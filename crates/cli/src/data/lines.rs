//! Empty lines of a CSV, which the csv crate skips.

use std::io::{self, Read};

/// Passes a CSV on. After the header, an empty line becomes a record of one empty cell. Every record ends in a line feed
/// alone, so that lines are counted in the same way whatever ends them.
pub struct Lines<R> {
    input: R,
    /// What is passed on, up to `passed`.
    output: Vec<u8>,
    passed: usize,
    place: Place,
    in_header: bool,
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
        Self { input, output: Vec::new(), passed: 0, place: Place::RecordStart, in_header: true }
    }

    fn take(&mut self, byte: u8) {
        let place = self.place;
        self.place = place.next(byte);
        if !self.place.starts_record() {
            self.output.push(byte);
        } else if (place, byte) != (Place::AfterReturn, b'\n') {
            let empty = place.starts_record();
            if empty && !self.in_header {
                self.output.extend(b"\"\"");
            }
            self.in_header &= empty;
            self.output.push(b'\n');
        }
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut bytes = [0; 1 << 13];
        while self.passed == self.output.len() {
            let read = self.input.read(&mut bytes)?;
            if read == 0 {
                return Ok(0);
            }
            self.output.clear();
            self.passed = 0;
            bytes[..read].iter().for_each(|&byte| self.take(byte));
        }
        let count = (&self.output[self.passed..]).read(buffer)?;
        self.passed += count;
        Ok(count)
    }
}
