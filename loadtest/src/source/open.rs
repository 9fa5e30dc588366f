//! The way from a name to a table.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::dialect::{Dialect, Separator};
use super::encoded::{TextEncoding, utf8};
use super::packed::unpacked;
use super::peek::peek;
use super::progress::{Metered, Progress};
use super::records::{Next, Records};

/// Enough to find the header behind some comments.
const LOOKED_AT: usize = 65_536;
/// The name of the standard input.
const STDIN: &str = "-";

/// The known part of a table's form; the rest is found out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Format {
    /// The encoding of its text.
    pub encoding: Option<TextEncoding>,
    /// The sign that parts its columns.
    pub separator: Option<Separator>,
}

/// A table that is read once, from its first line to its last.
pub struct SourceTable {
    /// Its name in messages.
    pub name: String,
    records: Records<Box<dyn Read>>,
    progress: Progress,
}

/// Opens a file, a pipe, or `-`, the standard input.
///
/// # Errors
/// When it cannot be read, is packed in a way or encoded in one that is not known, or is no text.
pub fn open(path: &Path, format: Format) -> Result<SourceTable> {
    let is_stdin = path.as_os_str() == STDIN;
    let name = if is_stdin { "the standard input".to_owned() } else { path.display().to_string() };
    let (stream, size): (Box<dyn Read>, _) = if is_stdin {
        (Box::new(io::stdin()), None)
    } else {
        let file = File::open(path).context("cannot be read")?;
        let about = file.metadata().context("cannot be read")?;
        ensure!(!about.is_dir(), "is a folder, and no table");
        (Box::new(file), about.is_file().then_some(about.len()))
    };
    let (stream, read) = Metered::new(stream);
    let text = utf8(unpacked(stream)?, format.encoding)?;
    let (head, mut text) = peek(text, LOOKED_AT).context("cannot be read")?;
    let dialect = Dialect::of(&head, format.separator);
    io::copy(&mut text.by_ref().take(dialect.skipped as u64), &mut io::sink())?;
    let records = Records::new(Box::new(text) as Box<dyn Read>, dialect.separator, dialect.lines);
    Ok(SourceTable { progress: Progress::new(name.clone(), read, size), name, records })
}

impl SourceTable {
    /// The next record.
    ///
    /// # Errors
    /// When the source cannot be read from there on.
    pub fn next_record(&mut self) -> io::Result<Next<'_>> {
        self.progress.step();
        self.records.next()
    }
}
