//! Terminal matters of every program: completions for shells and manual pages made from its own command line, counts
//! as [`numbers`] has them and times as [`duration`] has them, text from outside shown as [`plain`] has it, on
//! whatever [`screen`] there is, and files that are their owner's alone. Instruments write to the [`terminal`] and to
//! their [`output`] at one place each. What is described in [JSON Schema](json_schema) is written as a page of Markdown.
//!
//! Completions and pages are made from the flags as they are, so that they cannot fall behind them.

pub mod ask;
pub mod duration;
pub mod files;
pub mod json_schema;
pub mod numbers;
pub mod output;
pub mod plain;
pub mod screen;
pub mod terminal;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Command, Subcommand};
use clap_complete::Shell;

/// Two subcommands, to be flattened into those that a program has.
#[derive(Debug, Clone, Subcommand)]
pub enum Pages {
    /// Print a script that completes this command line in a shell, and end.
    #[command(after_help = "Put it where your shell looks; `make completions` writes those of all programs.")]
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print the manual page, and end.
    #[command(
        after_help = "To read it: loadtest man >loadtest.1 && man -l loadtest.1 (or any other program's). \
                            `make man` writes all pages of all programs."
    )]
    Man {
        /// Write it to this folder instead, beside a page for each subcommand.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

impl Pages {
    /// Prints, or writes, what was asked for about this command line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn show(&self, mut command: Command) -> io::Result<()> {
        let mut text = Vec::new();
        match self {
            Self::Completions { shell } => {
                let name = command.get_name().to_owned();
                clap_complete::generate(*shell, &mut command, name, &mut text);
            }
            Self::Man { dir: None } => clap_mangen::Man::new(command).render(&mut text)?,
            Self::Man { dir: Some(dir) } => {
                fs::create_dir_all(dir)?;
                clap_mangen::generate_to(command, dir)?;
            }
        }
        heard(io::stdout().lock().write_all(&text))
    }
}

/// Takes it for no failure of the writer that a reader of standard output has closed it early (`… | head`).
///
/// # Errors
/// Every other one that is given.
pub fn heard(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_went_away_is_no_failure_and_a_full_disk_is() {
        assert!(heard(Err(io::ErrorKind::BrokenPipe.into())).is_ok());
        assert!(heard(Err(io::ErrorKind::StorageFull.into())).is_err());
    }
}
