//! The one place that writes to the terminal: results go to stdout, progress and errors to stderr.
//!
//! Whatever is shown is made plain here: names, answers and files are of others, and command no terminal.

use std::io::{self, Write};
use std::sync::OnceLock;

use crate::{heard, plain, screen};

/// The reason why the first lost line of result could not be written.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Prints a line of result. Whether it could be written, [`outcome`] tells at the end.
pub fn say(line: impl AsRef<str>) {
    let mut out = io::stdout().lock();
    let line = plain::lines(line.as_ref());
    if let Err(error) = heard(writeln!(out, "{line}").and_then(|()| out.flush())) {
        let _ = LOST.set(error);
    }
}

/// Confirms that every line of result was written, as far as its reader wanted to read it (`| head`).
///
/// # Errors
/// Why the first one was not.
pub fn outcome() -> anyhow::Result<()> {
    LOST.get().map_or(Ok(()), |error| anyhow::bail!("cannot write to stdout: {error}"))
}

/// Prints a line that is not a result.
pub fn note(line: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", plain::lines(line.as_ref()));
}

/// Redraws the progress line, as much of it as the terminal is wide; does nothing where no person watches, or the terminal
/// cannot take a line back.
pub fn progress(line: impl AsRef<str>) {
    let mut out = io::stderr().lock();
    if screen::obeys(&out) {
        let line = plain::line(line.as_ref());
        // A line that goes on below could not be taken back.
        let shown = screen::columns(&out).map_or(&*line, |columns| screen::cut(&line, columns));
        let _ = write!(out, "\r\x1b[2K{shown}").and_then(|()| out.flush());
    }
}

/// Takes the progress line away again.
pub fn clear_progress() {
    progress("");
}
