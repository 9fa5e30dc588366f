//! The one place that writes to the terminal: results go to stdout, progress and errors to stderr.

use std::io::{IsTerminal, Write};

/// Prints a line of result. A reader that went away (`| head`) is no error.
pub fn say(line: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", line.as_ref()).and_then(|()| out.flush());
}

/// Prints a line that is not a result.
pub fn note(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr().lock(), "{}", line.as_ref());
}

/// Redraws the progress line; does nothing where no person watches.
pub fn progress(line: impl AsRef<str>) {
    let mut out = std::io::stderr().lock();
    if out.is_terminal() {
        let _ = write!(out, "\r\x1b[2K{}", line.as_ref()).and_then(|()| out.flush());
    }
}

/// Takes the progress line away again.
pub fn clear_progress() {
    progress("");
}
