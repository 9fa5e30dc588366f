//! The one place that writes to the terminal: results go to stdout, progress and errors to stderr.
//!
//! Whatever is shown is made plain here: names, answers and files are of others, and command no terminal.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use anyhow::{Context as _, Result};
use clap::FromArgMatches as _;
use clap::error::ErrorKind;
use clap::{Args, Command, Parser, Subcommand as _};

use crate::{Pages, heard, plain, screen};

/// The reason why the first lost line of result could not be written.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Prints a line of result. [`outcome`] reports at the end if one could not be written.
pub fn say(line: impl AsRef<str>) {
    let mut out = io::stdout().lock();
    let line = plain::lines(line.as_ref());
    if let Err(error) = heard(writeln!(out, "{line}").and_then(|()| out.flush())) {
        let _ = LOST.set(error);
    }
}

/// Prints lines of result that are sentences, within the terminal's width. Commands, which are to be copied, are no such lines.
pub fn tell(text: impl AsRef<str>) {
    let text = text.as_ref();
    say(screen::columns(io::stdout()).map_or_else(|| text.to_owned(), |columns| screen::prose(text, columns)));
}

/// The same of text among which are commands: lines that are indented by four, as they are.
pub fn tell_with_commands(text: impl AsRef<str>) {
    for line in text.as_ref().split('\n') {
        if line.starts_with("    ") { say(line) } else { tell(line) }
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

/// Redraws the progress line, as much of it as the terminal is wide; does nothing where no person watches, or the
/// terminal cannot take a line back.
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

/// Runs a program on the command line of this process. An error is one line on stderr and exit code 1.
pub fn run<C: Parser>(program: impl FnOnce(C) -> Result<ExitCode>) -> ExitCode {
    C::try_parse().map_or_else(|error| refuse(&error), |command| ended(program(command)))
}

/// Runs a program that has one task beside its [`Pages`]; `about` has its name, version and help.
pub fn run_one<A: Args>(about: Command, task: impl FnOnce(&A) -> Result<ExitCode>) -> ExitCode {
    // What the pages are is no description of the program.
    let description = about.get_about().cloned();
    let command = Pages::augment_subcommands(A::augment_args(about))
        .args_conflicts_with_subcommands(true)
        .about(description.unwrap_or_default());
    let given = match command.clone().try_get_matches() {
        Ok(given) => given,
        Err(error) => return refuse(&error),
    };
    let ran = if given.subcommand().is_some() {
        Pages::from_arg_matches(&given)
            .map(|pages| pages.show(command).map(|()| ExitCode::SUCCESS).context("cannot write the page"))
    } else {
        A::from_arg_matches(&given).map(|args| task(&args))
    };
    ran.map_or_else(|error| refuse(&error), ended)
}

/// The exit code of what a program has come to. A result that was lost is none, whatever it would have been.
fn ended(result: Result<ExitCode>) -> ExitCode {
    result.and_then(|code| outcome().map(|()| code)).unwrap_or_else(|error| {
        clear_progress();
        note(format!("error: {error:#}"));
        ExitCode::FAILURE
    })
}

/// A value that makes no sense is one line, like every other error; the rest is shown as clap does it.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        let text = error.to_string();
        let message = text.split("\n\n").next().unwrap_or_default();
        note(message.split_whitespace().collect::<Vec<_>>().join(" "));
        return ExitCode::FAILURE;
    }
    match heard(error.print()) {
        Ok(()) => ExitCode::from(u8::from(error.use_stderr())),
        Err(_) => ExitCode::FAILURE,
    }
}
