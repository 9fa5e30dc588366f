//! The progress of a long piece of work, for the person who waits for it.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use coupon_cli::screen;
use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressState, ProgressStyle};

/// A receiver of the progress of a piece of work: of its stages, one after the other.
pub trait Progress {
    /// A stage of so many steps begins.
    fn stage(&mut self, name: &'static str, steps: u64);
    /// Counts steps of the stage that are done.
    fn reached(&mut self, step: u64);
    /// The stage is over.
    fn done(&mut self);
}

/// Shows as a stage the indexes that a piece of work makes, if it makes any: how many are made, and of how many.
pub(crate) fn with_indexes<T>(
    progress: &mut dyn Progress,
    work: impl FnOnce(&mut dyn FnMut(u64, u64)) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut begun = false;
    let worked = work(&mut |made, total| {
        if !begun && total > 0 {
            progress.stage("indexes", total);
            begun = true;
        }
        if begun {
            progress.reached(made);
        }
    })?;
    if begun {
        progress.done();
    }
    Ok(worked)
}

/// Reports nothing.
#[derive(Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&mut self, _name: &'static str, _steps: u64) {}
    fn reached(&mut self, _step: u64) {}
    fn done(&mut self) {}
}

/// Shows it on stderr: by a bar when that is a terminal that can redraw one, else by a line every second.
#[must_use]
pub fn on_stderr() -> Box<dyn Progress> {
    if screen::obeys(&io::stderr()) {
        Box::new(Bar(ProgressBar::hidden()))
    } else {
        Box::new(Lines::default())
    }
}

struct Bar(ProgressBar);

impl Progress for Bar {
    fn stage(&mut self, name: &'static str, steps: u64) {
        let template = "{msg:>10} [{bar:32}] {human_pos}/{human_len}  {rate}  {eta} left";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let style = style.with_key("rate", whole_rate).progress_chars("=> ");
        self.0 = ProgressBar::new(steps).with_style(style).with_message(name);
    }

    fn reached(&mut self, step: u64) {
        self.0.set_position(step);
    }

    fn done(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Without the four decimals that indicatif would give.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people, not below zero"
)]
fn whole_rate(state: &ProgressState, out: &mut dyn std::fmt::Write) {
    // Formatting into memory does not fail.
    let _ = write!(out, "{}/s", HumanCount(state.per_sec() as u64));
}

const BETWEEN_LINES: Duration = Duration::from_secs(1);

struct Lines {
    name: &'static str,
    steps: u64,
    began: Instant,
    said: Instant,
}

impl Default for Lines {
    fn default() -> Self {
        let now = Instant::now();
        Self { name: "", steps: 0, began: now, said: now }
    }
}

impl Progress for Lines {
    fn stage(&mut self, name: &'static str, steps: u64) {
        let now = Instant::now();
        *self = Self { name, steps, began: now, said: now };
    }

    fn reached(&mut self, step: u64) {
        if self.said.elapsed() < BETWEEN_LINES {
            return;
        }
        self.said = Instant::now();
        let line = line(self.name, step, self.steps, self.began.elapsed());
        // A closed stderr must not end the work.
        let _ = writeln!(io::stderr(), "{line}");
    }

    fn done(&mut self) {}
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people, not below zero and far below 2^53"
)]
fn line(name: &str, step: u64, steps: u64, elapsed: Duration) -> String {
    let rate = step as f64 / elapsed.as_secs_f64().max(1e-9);
    let left = Duration::try_from_secs_f64(steps.saturating_sub(step) as f64 / rate).unwrap_or_default();
    let (step, steps, rate) = (HumanCount(step), HumanCount(steps), HumanCount(rate as u64));
    format!("{name}: {step} of {steps}, {rate}/s, {} left", HumanDuration(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_rate_and_time_left() {
        let line = line("results", 250_000, 1_000_000, Duration::from_secs(2));
        assert_eq!(line, "results: 250,000 of 1,000,000, 125,000/s, 6 seconds left");
    }

    #[test]
    fn a_line_before_the_first_step_is_no_nonsense() {
        assert!(line("results", 0, 10, Duration::ZERO).starts_with("results: 0 of 10, 0/s"));
    }
}
