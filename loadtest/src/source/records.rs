//! Records of a table, each within bounds.

use std::io::{self, Read};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

/// Bytes that are read at a time.
const PIECE: usize = 65_536;
/// The most bytes that a record may have.
const MOST_BYTES: usize = 1 << 20;
/// The most fields that a record may have.
const MOST_FIELDS: usize = 1 << 16;

/// A record: its fields, and the lines that it takes in the file.
#[derive(Debug, Clone, Copy)]
pub struct Record<'t> {
    text: &'t [u8],
    ends: &'t [usize],
    /// The first of its lines, from 1.
    pub line: u64,
    /// Their number: a quoted field may have line breaks.
    pub lines: u64,
}

impl<'t> Record<'t> {
    /// The number of its fields.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// True for a record without fields, which there is none of.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of a field, from 0.
    #[must_use]
    pub fn bytes(&self, place: usize) -> Option<&'t [u8]> {
        let start = place.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.text.get(start..*self.ends.get(place)?)
    }

    /// A field without the blanks around it, if it is UTF-8.
    #[must_use]
    pub fn field(&self, place: usize) -> Option<&'t str> {
        std::str::from_utf8(self.bytes(place)?).ok().map(str::trim)
    }

    /// All fields.
    pub fn fields(&self) -> impl Iterator<Item = &'t [u8]> + '_ {
        (0..self.len()).filter_map(|place| self.bytes(place))
    }
}

/// The next thing in a table.
#[derive(Debug)]
pub enum Next<'t> {
    /// A record.
    Record(Record<'t>),
    /// A record that is longer than any can be: these lines.
    TooLong {
        /// The first of its lines.
        line: u64,
        /// Their number.
        lines: u64,
    },
    /// The end.
    End,
}

/// The records of a text.
pub(super) struct Records<R> {
    stream: R,
    csv: Reader,
    piece: Vec<u8>,
    /// The bytes of the piece that were not parsed yet.
    left: std::ops::Range<usize>,
    text: Vec<u8>,
    ends: Vec<usize>,
    /// Lines before the text.
    skipped: u64,
}

impl<R: Read> Records<R> {
    pub(super) fn new(stream: R, separator: u8, skipped: u64) -> Self {
        Self {
            stream,
            csv: ReaderBuilder::new().delimiter(separator).build(),
            piece: vec![0; PIECE],
            left: 0..0,
            text: vec![0; 4_096],
            ends: vec![0; 64],
            skipped,
        }
    }

    /// The next record. A stream that fails ends there, with its error.
    pub(super) fn next(&mut self) -> io::Result<Next<'_>> {
        let (mut bytes, mut fields, mut breaks, mut too_long) = (0, 0, 0, false);
        loop {
            if self.left.is_empty() {
                self.left = 0..self.stream.read(&mut self.piece)?;
            }
            let input = self.piece.get(self.left.clone()).unwrap_or_default();
            let text = self.text.get_mut(bytes..).unwrap_or_default();
            let ends = self.ends.get_mut(fields..).unwrap_or_default();
            let (state, read, written, ended) = self.csv.read_record(input, text, ends);
            let last = read.checked_sub(1).and_then(|at| input.get(at)).copied();
            breaks +=
                text.get(..written).map_or(0, |text| text.iter().filter(|byte| **byte == b'\n').count());
            self.left.start += read;
            bytes += written;
            fields += ended;
            match state {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => too_long |= !grow(&mut self.text, &mut bytes, MOST_BYTES),
                ReadRecordResult::OutputEndsFull => {
                    too_long |= !grow(&mut self.ends, &mut fields, MOST_FIELDS);
                }
                ReadRecordResult::End => return Ok(Next::End),
                ReadRecordResult::Record => {
                    // A line feed that ended the record is counted already; one behind a carriage return is not.
                    let end = self.csv.line() + self.skipped - u64::from(last == Some(b'\n'));
                    // A quote that stays open until the end has the line feed of the last line as well.
                    let last_byte = bytes.checked_sub(1).and_then(|at| self.text.get(at));
                    let open = u64::from(last.is_none() && last_byte == Some(&b'\n'));
                    let lines = breaks as u64 + 1 - open;
                    let line = (end + 1 - open).saturating_sub(lines);
                    if too_long {
                        return Ok(Next::TooLong { line, lines });
                    }
                    let (text, ends) = (self.text.get(..bytes), self.ends.get(..fields));
                    let (text, ends) = (text.unwrap_or_default(), ends.unwrap_or_default());
                    return Ok(Next::Record(Record { text, ends, line, lines }));
                }
            }
        }
    }
}

/// Makes room for more; where it has all that it may have, what it holds is dropped, and the answer is false.
fn grow<T: Clone + Default>(buffer: &mut Vec<T>, used: &mut usize, most: usize) -> bool {
    if buffer.len() < most {
        buffer.resize((buffer.len() * 2).min(most), T::default());
        return true;
    }
    *used = 0;
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<(u64, u64, Option<Vec<String>>)> {
        let mut records = Records::new(text, b',', 0);
        let mut all = Vec::new();
        loop {
            match records.next().unwrap() {
                Next::Record(record) => {
                    let fields = record.fields().map(|field| String::from_utf8_lossy(field).into_owned());
                    all.push((record.line, record.lines, Some(fields.collect())));
                }
                Next::TooLong { line, lines } => all.push((line, lines, None)),
                Next::End => return all,
            }
        }
    }

    #[test]
    fn records_have_their_lines_whatever_ends_them() {
        for end in ["\n", "\r\n"] {
            let text = ["a,b", "1,\"x", "y\"", "", "2,3"].join(end);
            let found = all(text.as_bytes());
            let places: Vec<_> = found.iter().map(|(line, lines, _)| (*line, *lines)).collect();
            assert_eq!(places, [(1, 1), (2, 2), (5, 1)], "{end:?}");
            assert_eq!(found[2].2, Some(vec!["2".to_owned(), "3".to_owned()]));
        }
        assert!(all(b"").is_empty());
    }

    #[test]
    fn a_field_without_bounds_costs_its_own_line_and_no_memory() {
        let long = "x".repeat(3 * MOST_BYTES);
        let text = format!("a,b\n1,{long}\n2,3\n{}\n4,5\n", ",".repeat(MOST_FIELDS + 10));
        let found = all(text.as_bytes());
        let kept: Vec<_> = found.iter().map(|(line, _, fields)| (*line, fields.is_some())).collect();
        assert_eq!(kept, [(1, true), (2, false), (3, true), (4, false), (5, true)]);
        let mut records = Records::new(text.as_bytes(), b',', 0);
        while !matches!(records.next().unwrap(), Next::End) {}
        assert!(records.text.len() <= MOST_BYTES && records.ends.len() <= MOST_FIELDS);
    }

    #[test]
    fn ten_thousand_columns_are_read() {
        let header = (0..10_000).map(|n| format!("column{n}")).collect::<Vec<_>>().join(",");
        assert_eq!(all(header.as_bytes())[0].2.as_ref().unwrap().len(), 10_000);
    }
}
