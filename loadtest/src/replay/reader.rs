//! Reads a file of recorded grabs.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use csv::{ByteRecord, Reader, ReaderBuilder};

use super::columns::{Columns, Places};
use super::left_out::LeftOut;
use super::moments::{Detection, Moment, TimeFormat};
use super::recording::{LinesRead, Recording};

/// The texts of a field without a value.
const NULLS: [&str; 5] = ["", "null", "none", "nan", "\\n"];

/// The description of a file to read.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The meanings of its columns.
    pub columns: Columns,
    /// The format of its times; found out without it.
    pub format: Option<TimeFormat>,
    /// Decides when in their day grabs are, of which only the day is known.
    pub seed: u64,
}

/// Reads a CSV file with a header. Lines that make no sense are counted by reason, and left out.
///
/// # Errors
/// When the file cannot be read, lacks a column, has times of no known kind or of several, or no line that makes sense.
pub fn read(path: &Path, reading: &Reading) -> Result<Recording> {
    read_inner(path, reading).with_context(|| path.display().to_string())
}

fn read_inner(path: &Path, reading: &Reading) -> Result<Recording> {
    let (mut file, places, width) = open(path, &reading.columns)?;
    let format = match reading.format {
        Some(format) => format,
        None => detect(&mut file, places, width).format(&reading.columns.time)?,
    };
    let (mut file, ..) = open(path, &reading.columns)?;
    let late = late(&mut file)?;
    let mut lines = Lines {
        places,
        width,
        late,
        format,
        columns: &reading.columns,
        raw: LinesRead { format_given: reading.format.is_some(), ..LinesRead::default() },
        left_out: LeftOut::default(),
    };
    each(&mut file, |record| lines.take(record));
    let Lines { raw, left_out, .. } = lines;
    ensure!(
        !raw.rows.is_empty(),
        "no line can be replayed{}",
        if left_out.lines() == 0 {
            ": there is none under the header".to_owned()
        } else {
            format!(": {left_out}")
        }
    );
    Ok(raw.recording(path.display().to_string(), left_out, reading.seed))
}

fn open(path: &Path, columns: &Columns) -> Result<(Reader<File>, Places, usize)> {
    // Lines of another length are this module's to count.
    let mut file = ReaderBuilder::new().flexible(true).from_path(path).context("cannot be read")?;
    let header = file.byte_headers().context("its header cannot be read")?;
    let header: Vec<String> = header
        .iter()
        .map(|name| String::from_utf8_lossy(name).trim().trim_start_matches('\u{feff}').to_owned())
        .collect();
    ensure!(header.iter().any(|name| !name.is_empty()), "its first line is empty: it must name the columns");
    if let [only] = header.as_slice() {
        let other = [(';', "semicolons"), ('\t', "tabs")].into_iter().find(|(sign, _)| only.contains(*sign));
        if let Some((_, name)) = other {
            bail!("its columns seem to be parted by {name}; a trace has commas");
        }
    }
    let places = columns.find(&header)?;
    Ok((file, places, header.len()))
}

/// The number of lines by which positions are behind: after a carriage return, the line feed is read with the next line
/// only.
fn late(file: &mut Reader<File>) -> Result<u64> {
    let within = lines_of(file.byte_headers().context("its header cannot be read")?);
    Ok(u64::from(file.position().line() == within))
}

/// Every line; where the file itself cannot be read, it ends.
fn each(file: &mut Reader<File>, mut take: impl FnMut(Result<&ByteRecord, csv::Error>)) {
    let mut record = ByteRecord::new();
    loop {
        match file.read_byte_record(&mut record) {
            Ok(true) => take(Ok(&record)),
            Ok(false) => return,
            Err(error) => return take(Err(error)),
        }
    }
}

fn detect(file: &mut Reader<File>, places: Places, width: usize) -> Detection {
    let mut detection = Detection::default();
    each(file, |record| {
        if let Ok(record) = record
            && record.len() == width
            && let Some(text) = field(record, places.time)
            && !is_null(text)
        {
            detection.add(text);
        }
    });
    detection
}

struct Lines<'a> {
    places: Places,
    width: usize,
    late: u64,
    format: TimeFormat,
    columns: &'a Columns,
    raw: LinesRead,
    left_out: LeftOut,
}

impl Lines<'_> {
    fn take(&mut self, record: Result<&ByteRecord, csv::Error>) {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                return self.left_out.add(format!("the file cannot be read from there on: {error}"), line, 1);
            }
        };
        let line = record.position().map_or(0, csv::Position::line) + self.late;
        match self.read(record) {
            Ok((ids, moment)) => {
                let [user, room, coupon] = ids;
                self.raw.add(user, room, coupon, moment);
            }
            Err(reason) => match lines_of(record) {
                1 => self.left_out.add(reason, line, 1),
                lines => {
                    let reason = format!("{reason}, and a field has line breaks: a quote may not be closed");
                    self.left_out.add(reason, line, lines);
                }
            },
        }
    }

    fn read<'r>(&self, record: &'r ByteRecord) -> Result<([&'r str; 3], Moment), String> {
        if record.len() != self.width {
            return Err(format!("not {} fields as in the header", self.width));
        }
        let Places { user, room, coupon, time } = self.places;
        let id = |place, name: &str| {
            let text = field(record, place).ok_or_else(|| format!("no UTF-8 text in {name}"))?;
            if is_null(text) { Err(format!("nothing in {name}")) } else { Ok(text) }
        };
        let columns = self.columns;
        let ids = [id(user, &columns.user)?, id(room, &columns.room)?, id(coupon, &columns.coupon)?];
        let text = id(time, &columns.time)?;
        let moment =
            self.format.read(text).ok_or_else(|| format!("no time of that kind in {}", columns.time))?;
        Ok((ids, moment))
    }
}

/// The number of the file's lines that a record takes: a field may have line breaks. The file's last one ends a line,
/// and is no other.
fn lines_of(record: &ByteRecord) -> u64 {
    let text = record.as_slice();
    let breaks = text.iter().filter(|byte| **byte == b'\n').count() as u64;
    if text.ends_with(b"\n") { breaks } else { breaks + 1 }
}

fn field(record: &ByteRecord, place: usize) -> Option<&str> {
    std::str::from_utf8(record.get(place)?).ok().map(str::trim)
}

fn is_null(text: &str) -> bool {
    NULLS.iter().any(|null| text.eq_ignore_ascii_case(null))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn receipts(lines: &str) -> Result<Recording> {
        let reading = Reading {
            columns: "user=User_id,room=Merchant_id,coupon=Coupon_id,time=Date_received".parse().unwrap(),
            ..Reading::default()
        };
        let header = "User_id,Merchant_id,Coupon_id,Distance,Date_received";
        read(file(format!("{header}\n{lines}").as_bytes()).path(), &reading)
    }

    #[test]
    fn lines_that_make_no_sense_are_counted_by_reason_with_the_first_of_each() {
        let recording = receipts(
            "4129537,450,9983,1,20160712\n6949378,1300,null,null,null\n2166529,7113,3429\n\
             \"2166529\",7113,11928,5,20160727\n6172162,7113,11928,2,20161399\n,7113,11928,2,20160708\n\
             4005121,450,NULL,0,20160706\n",
        )
        .unwrap();
        assert_eq!(recording.rows().len(), 2);
        let reasons = recording.left_out.reasons();
        assert_eq!(reasons[0], ("nothing in Coupon_id", 2, 3));
        assert!(reasons.contains(&("not 5 fields as in the header", 1, 4)), "{reasons:?}");
        assert!(reasons.contains(&("no time of that kind in Date_received", 1, 6)), "{reasons:?}");
        assert!(reasons.contains(&("nothing in User_id", 1, 7)), "{reasons:?}");
    }

    #[test]
    fn a_quote_that_stays_open_costs_all_the_lines_it_swallows() {
        let recording = receipts(
            "1,450,9983,1,20160712\n2,450,9983,1,\"20160712\n3,450,9983,1,20160712\n4,450,9983,1,1\n",
        );
        let recording = recording.unwrap();
        assert_eq!((recording.rows().len(), recording.left_out.lines()), (1, 3));
        let reason =
            "no time of that kind in Date_received, and a field has line breaks: a quote may not be closed";
        assert_eq!(recording.left_out.reasons(), [(reason, 3, 3)]);
        // A field that has its quotes may have line breaks.
        let recording = receipts("\"1\n2\",450,9983,1,20160712\n3,450,\"9\n\n9\",1\n").unwrap();
        assert_eq!((recording.rows().len(), recording.left_out.lines()), (1, 3));
    }

    #[test]
    fn lines_have_their_numbers_whatever_ends_them() {
        for end in ["\n", "\r\n"] {
            let lines = ["user_id,room_id,coupon_id,grab_time", "1,1,1,20160101", "2,,1,20160101", ""];
            let recording = read(file(lines.join(end).as_bytes()).path(), &Reading::default()).unwrap();
            assert_eq!(recording.left_out.reasons(), [("nothing in room_id", 1, 3)], "{end:?}");
        }
    }

    #[test]
    fn a_file_without_a_line_that_makes_sense_is_refused_and_says_why() {
        let error = format!("{:#}", receipts("1,2,null,4,20160101\n").unwrap_err());
        assert!(error.contains("nothing in Coupon_id: 1 (the first is line 2)"), "{error}");
        let error = format!("{:#}", receipts("").unwrap_err());
        assert!(error.contains("no line has a time in column \"Date_received\""), "{error}");
        for (text, told) in [
            ("", "its first line is empty"),
            ("user_id;room_id;coupon_id;grab_time\n1;1;1;20160101\n", "parted by semicolons"),
        ] {
            let error = read(file(text.as_bytes()).path(), &Reading::default()).unwrap_err();
            assert!(format!("{error:#}").contains(told), "{error:#}");
        }
    }

    #[test]
    fn text_that_is_no_utf8_costs_its_line_alone() {
        let csv = [
            &b"\xef\xbb\xbfuser_id,room_id,coupon_id,grab_time\n\xff,1,1,20160101\n"[..],
            b"a,1,1,20160101\n",
        ]
        .concat();
        let recording = read(file(&csv).path(), &Reading::default()).unwrap();
        assert_eq!(recording.rows().len(), 1);
        assert_eq!(recording.left_out.reasons(), [("no UTF-8 text in user_id", 1, 2)]);
    }

    #[test]
    fn a_missing_file_or_column_is_named() {
        let error = format!("{:#}", read(Path::new("no-such.csv"), &Reading::default()).unwrap_err());
        assert!(error.contains("no-such.csv"), "{error}");
        let error = format!("{:#}", read(file(b"a,b\n1,2\n").path(), &Reading::default()).unwrap_err());
        assert!(error.contains("--map user="), "{error}");
    }
}
