//! Reads a file of recorded grabs, once.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use coupon_cli::plain;
use coupon_measure::format::counted;
use jiff::tz::TimeZone;

use super::columns::{Column, Columns, Header, Places};
use super::key_columns::KeyColumns;
use super::keys::KeyReader;
use super::left_out::LeftOut;
use super::lines::{Fields, Lines};
use super::public_data_sets::Known;
use super::recording::{Origin, Recording};
use super::sampling::{RowShare, Sampling};
use super::select::{ColumnCondition, QueryRows, Selection};
use super::times::{Detection, TimeFormat, Times};
use crate::source::{self, Next, Record, SourceTable};

/// The texts of a field without a value.
const NULLS: [&str; 5] = ["", "null", "none", "nan", "\\n"];
/// The format of times is found out by so many lines.
const HEAD: usize = 10_000;
/// A row that makes no sense and has so many lines is one whose quote was never closed.
const SWALLOWED: u64 = 100;

/// The description of a file to read.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// Its encoding and separator, where they are known.
    pub source: source::Format,
    /// The names of its columns, if it has no header.
    pub header: Option<Header>,
    /// The meanings of its columns; those of this project's traces, or of a data set that is known, without it.
    pub columns: Option<Columns>,
    /// The conditions that a row must meet to be a grab.
    pub conditions: Vec<ColumnCondition>,
    /// The rows that are queries.
    pub asked: Vec<QueryRows>,
    /// The format of its times; found out without it.
    pub format: Option<TimeFormat>,
    /// The zone of times without an offset; UTC without it.
    pub zone: Option<TimeZone>,
    /// The most rows that are read.
    pub first: Option<u64>,
    /// The part of the rows that is kept.
    pub sample: RowShare,
    /// The most rows that are kept: of a larger file a smaller part.
    pub most: usize,
    /// Candidate keys, whose values are kept.
    pub keys: Vec<KeyColumns>,
    /// True to keep the names of users whose ids are hashes.
    pub with_names: bool,
    /// Decides when in their day or hour grabs are, of which only that is known.
    pub seed: u64,
}

impl ReadOptions {
    /// The most rows that are kept unless more are wanted: with them a reading takes 300 MB at most.
    pub const MOST: usize = 1_000_000;
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            source: source::Format::default(),
            header: None,
            columns: None,
            conditions: Vec::new(),
            asked: Vec::new(),
            format: None,
            zone: None,
            first: None,
            sample: RowShare::default(),
            most: Self::MOST,
            keys: Vec::new(),
            with_names: false,
            seed: 0,
        }
    }
}

/// Reads a table with a header, from a file, a pipe, or `-`, the standard input. Lines that make no sense are counted by
/// reason, and left out.
///
/// # Errors
/// When the file cannot be read, lacks a column, has times of no known kind or of several, or no line that makes sense.
pub fn read(path: &Path, reading: &ReadOptions) -> Result<Recording> {
    let name =
        || if path.as_os_str() == "-" { "the standard input".to_owned() } else { path.display().to_string() };
    read_inner(path, reading).with_context(name)
}

fn read_inner(path: &Path, reading: &ReadOptions) -> Result<Recording> {
    let mut table = source::open(path, reading.source)?;
    let header = match &reading.header {
        Some(header) => header.clone(),
        None => own_header(&mut table)?,
    };
    let (places, known) = places(&header, reading)?;
    let conditions = match known.and_then(Known::condition) {
        Some(condition) if reading.conditions.is_empty() => vec![condition],
        _ => reading.conditions.clone(),
    };
    let keys = reading.keys.iter().map(|key| KeyReader::new(key, &header, &places));
    let keys = keys.collect::<Result<_>>()?;
    let mut reader = Reader {
        selection: Selection::new(&header, &conditions, &reading.asked)?,
        width: header.len(),
        places,
        times: reading.format.map(|format| Times::new(format, reading.zone.as_ref())),
        head: Vec::new(),
        lines: Lines::new(Sampling::new(reading.sample), reading.most, reading.with_names, keys),
        left_out: LeftOut::default(),
        not_chosen: 0,
        reading,
    };
    reader.read(&mut table)?;
    reader.decide()?;
    let mut notes: Vec<String> = known.map(|known| as_known(known, reading)).into_iter().collect();
    if reader.not_chosen > 0 {
        let told: Vec<String> = conditions.iter().map(ToString::to_string).collect();
        let told = plain::line(&told.join(" and ")).into_owned();
        let others = reader.selection.passed_over();
        let others = plain::line(&others);
        notes
            .push(format!("{} not taken: they are not {told} ({others})", counted(reader.not_chosen, "row")));
    }
    reader.recording(table.name.clone(), notes)
}

fn as_known(known: &Known, reading: &ReadOptions) -> String {
    let other = if reading.conditions.is_empty() { "" } else { ", with the conditions given" };
    format!("its header is that of {}: read as with {}{other}", known.name, known.flags())
}

/// The first line, which names the columns.
fn own_header(table: &mut SourceTable) -> Result<Header> {
    let record = match table.next_record().context("its header cannot be read")? {
        Next::Record(record) => record,
        Next::TooLong { .. } => bail!("its first line is longer than a header can be"),
        Next::End => bail!("it is empty: its first line must name the columns"),
    };
    ensure!(
        !record.bytes(0).is_some_and(|first| first.starts_with(b"{") || first.starts_with(b"[")),
        "its first line is JSON, and no header of a table: make a table of it, with a header and a line a grab (CSV)"
    );
    ensure!(
        record.fields().all(|name| std::str::from_utf8(name).is_ok()),
        "its header is no UTF-8: name its encoding, for example --encoding gbk or --encoding windows-1252"
    );
    Ok(Header::of(record.fields()))
}

/// The columns, and the data set that is known by them.
fn places(header: &Header, reading: &ReadOptions) -> Result<(Places, Option<&'static Known>)> {
    const LIKE_DATA: &str = "its first line looks like data: where there is no header, name the columns with --columns, for \
                             example --columns user,coupon,room,_,time";
    let own = reading.columns.clone().unwrap_or_default();
    let found = match header.places(&own) {
        Ok(places) => (places, None),
        Err(error) => match Known::of(header).filter(|_| reading.columns.is_none() && !header.is_given) {
            Some(known) => (header.places(&known.columns())?, Some(known)),
            None if !header.is_given && header.names().iter().any(|name| Detection::is_time(name)) => {
                return Err(error.context(LIKE_DATA));
            }
            None => return Err(error),
        },
    };
    let time = &found.0.time;
    ensure!(header.is_given || !Detection::is_time(&time.name), LIKE_DATA);
    Ok(found)
}

struct Reader<'a> {
    reading: &'a ReadOptions,
    places: Places,
    width: usize,
    selection: Selection,
    /// Reads times; none until their format is found out.
    times: Option<Times>,
    /// The lines before that.
    head: Vec<Fields<String>>,
    lines: Lines,
    left_out: LeftOut,
    /// Rows that the conditions leave out.
    not_chosen: u64,
}

impl Reader<'_> {
    fn read(&mut self, table: &mut SourceTable) -> Result<()> {
        let (mut read, mut last) = (0, 0);
        while self.reading.first.is_none_or(|first| read < first) {
            read += 1;
            match table.next_record() {
                Ok(Next::End) => break,
                Ok(Next::TooLong { line, lines }) => {
                    closed(line, lines)?;
                    self.left_out.add(
                        "longer than a line can be (1 MiB, 65,536 fields)".to_owned(),
                        line,
                        lines,
                    );
                    last = line;
                }
                Ok(Next::Record(record)) => {
                    last = record.line;
                    self.take(&record)?;
                }
                Err(error) => {
                    let reason = format!("the file cannot be read from there on ({error})");
                    self.left_out.add(reason, last + 1, 1);
                    break;
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, record: &Record<'_>) -> Result<()> {
        match self.fields(record) {
            Ok(Some(fields)) => self.add(&fields),
            Ok(None) => {
                self.not_chosen += 1;
                self.selection.passes_over(record);
                Ok(())
            }
            Err(reason) => {
                closed(record.line, record.lines)?;
                self.leave_out(reason, record.line, record.lines);
                Ok(())
            }
        }
    }

    fn leave_out(&mut self, reason: String, line: u64, lines: u64) {
        let reason = match lines {
            1 => reason,
            _ => format!("{reason}, and a field has line breaks: a quote may not be closed"),
        };
        self.left_out.add(reason, line, lines);
    }

    /// The fields that are needed; none, if the row is not wanted.
    fn fields<'r>(&self, record: &Record<'r>) -> Result<Option<Fields<&'r str>>, String> {
        let beyond =
            (self.width..record.len()).all(|place| record.bytes(place).is_some_and(<[u8]>::is_empty));
        if record.len() < self.width || !beyond {
            let comment = record.bytes(0).is_some_and(|first| first.starts_with(b"#"));
            return Err(if comment {
                "a comment".to_owned()
            } else {
                format!("not {} as {}", counted(self.width as u64, "field"), self.told_by())
            });
        }
        let Some(endpoint) = self.selection.endpoint(record) else { return Ok(None) };
        let text = |column: &Column| match column.text(record)? {
            text if is_null(text) => Err(format!("nothing in {}", column.name)),
            text => Ok(text),
        };
        let Places { user, room, coupon, time } = &self.places;
        let (user, room, coupon, time) = (text(user)?, text(room)?, text(coupon)?, text(time)?);
        let Record { line, lines, .. } = *record;
        let keys = self.lines.keys.iter().map(|key| key.value(record)).collect::<Result<_, _>>()?;
        Ok(Some(Fields { user, room, coupon, time, line, lines, endpoint, keys }))
    }

    const fn told_by(&self) -> &'static str {
        if self.reading.header.is_some() { "in --columns" } else { "in the header" }
    }

    fn add(&mut self, fields: &Fields<&str>) -> Result<()> {
        let Some(times) = &mut self.times else {
            self.head.push(fields.owned());
            return if self.head.len() < HEAD { Ok(()) } else { self.decide() };
        };
        match times.read(fields.time) {
            Some(moment) => self.lines.add(fields, moment),
            None => {
                let reason = format!("no time of that kind in {}", self.places.time.name);
                self.leave_out(reason, fields.line, fields.lines);
                Ok(())
            }
        }
    }

    /// Finds out the format of times, and adds the lines that waited for it.
    fn decide(&mut self) -> Result<()> {
        if self.times.is_some() || self.head.is_empty() {
            return Ok(());
        }
        let mut detection = Detection::default();
        self.head.iter().for_each(|fields| detection.add(&fields.time));
        let format = detection.format(&self.places.time.name)?;
        self.times = Some(Times::new(format, self.reading.zone.as_ref()));
        std::mem::take(&mut self.head).iter().try_for_each(|fields| self.add(&fields.borrowed()))
    }

    fn recording(self, file: String, mut notes: Vec<String>) -> Result<Recording> {
        let Self { reading, times, lines, left_out, not_chosen, .. } = self;
        if lines.kept.is_empty() {
            // The way out, beside the reason: which column is which, how times are written, which rows are grabs.
            const OTHERS: &str = "name other columns with --map, or the format of times with --time-format";
            const CHOSEN: &str = "take others with --where";
            let (why, way_out) = match (left_out.lines(), not_chosen) {
                (0, 0) if lines.sampling.part().is_some() => {
                    ("none is in the sample".to_owned(), "keep a larger part with --sample")
                }
                (0, 0) => ("there is none under the header".to_owned(), "is it the file that was meant?"),
                (0, _) => (notes.join("; "), CHOSEN),
                (_, 0) => (left_out.to_string(), OTHERS),
                _ => (format!("{left_out}; {}", notes.join("; ")), OTHERS),
            };
            bail!("no line can be replayed: {why}; {way_out}");
        }
        let format = times.as_ref().map(Times::format);
        let is_local = format.is_some_and(TimeFormat::is_civil) && reading.zone.is_none();
        notes.extend(lines.notes(is_local));
        notes.extend(times.iter().flat_map(Times::notes));
        if format == Some(TimeFormat::Seconds) {
            notes.push(
                "times are seconds since the trace began, whenever that was: taken as since 1970".to_owned(),
            );
        }
        // Midnight to the millisecond, always, is a day written as a moment, unless a format with moments was given.
        let are_days = lines.are_midnights && reading.format.is_none();
        let origin = Origin { file, left_out, notes, are_days, seed: reading.seed };
        Recording::of(lines, origin)
    }
}

/// Refuses a row that has taken in the lines behind it: what is left of the file would say nothing.
fn closed(line: u64, lines: u64) -> Result<()> {
    ensure!(
        lines < SWALLOWED,
        "line {line}: a quote that opens in it is not closed, so that the {} after it are no rows; close it, or take \
         the line out",
        counted(lines - 1, "line")
    );
    Ok(())
}

fn is_null(text: &str) -> bool {
    NULLS.iter().any(|null| text.eq_ignore_ascii_case(null))
}
