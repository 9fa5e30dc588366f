//! Questions to the person at the terminal.

use std::io::{self, BufRead, IsTerminal as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::plain;

/// Asks for a yes; `None` where there is no terminal to ask at.
///
/// # Errors
/// When the terminal cannot be written or read.
pub fn yes(question: &str) -> io::Result<Option<bool>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    let answer = answer(question)?;
    Ok(Some(means_yes(&answer)))
}

/// Asks for a secret, which is not shown as it is typed; `None` where there is no terminal to ask at.
///
/// # Errors
/// When the terminal cannot be written or read.
pub fn secret(question: &str) -> io::Result<Option<String>> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Ok(None);
    }
    let hidden = Hidden::begin()?;
    let answer = answer(question);
    drop(hidden);
    writeln!(io::stderr())?;
    answer.map(Some)
}

fn answer(question: &str) -> io::Result<String> {
    let mut out = io::stderr().lock();
    write!(out, "{} ", plain::lines(question))?;
    out.flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn means_yes(answer: &str) -> bool {
    ["y", "yes"].iter().any(|yes| answer.trim().eq_ignore_ascii_case(yes))
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_one() {
        assert!(["y", "Y", " yes ", "YES"].iter().all(|answer| means_yes(answer)));
        assert!(["", "n", "no", "yep", "j"].iter().all(|answer| !means_yes(answer)));
    }
}
