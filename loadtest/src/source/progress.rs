//! The progress of a source that is read.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;
use std::time::{Duration, Instant};

use coupon_cli::terminal;
use coupon_measure::format::{bytes, count, percent};

/// The least time between two lines of progress.
const EVERY: Duration = Duration::from_millis(250);

/// A stream that counts what is read of it.
pub(super) struct Metered<R> {
    stream: R,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Metered<R> {
    pub(super) fn new(stream: R) -> (Self, Rc<Cell<u64>>) {
        let read = Rc::new(Cell::new(0));
        (Self { stream, read: Rc::clone(&read) }, read)
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(out)?;
        self.read.set(self.read.get() + read as u64);
        Ok(read)
    }
}

/// Shows how far the reading is.
pub(super) struct Progress {
    name: String,
    read: Rc<Cell<u64>>,
    /// The bytes that there are; not known of a pipe.
    size: Option<u64>,
    began: Instant,
    shown: Instant,
    records: u64,
}

impl Progress {
    pub(super) fn new(name: String, read: Rc<Cell<u64>>, size: Option<u64>) -> Self {
        let began = Instant::now();
        Self { name, read, size, began, shown: began, records: 0 }
    }

    /// One record more.
    pub(super) fn step(&mut self) {
        self.records += 1;
        // Asking the clock for each record would cost more than to read it.
        if self.records.is_multiple_of(4_096) && self.shown.elapsed() >= EVERY {
            self.shown = Instant::now();
            terminal::progress(line(
                &self.name,
                self.records,
                self.read.get(),
                self.size,
                self.began.elapsed(),
            ));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        terminal::clear_progress();
    }
}

fn line(name: &str, records: u64, read: u64, size: Option<u64>, took: Duration) -> String {
    let so_far = format!("reading {name}: {} lines", count(records));
    match size {
        Some(size) if size > 0 && read > 0 => {
            let part = (read as f64 / size as f64).min(1.0);
            let left = took.as_secs_f64() * (1.0 - part) / part;
            format!("{so_far}, {}, {left:.0} s left", percent(part))
        }
        _ => format!("{so_far}, {}", bytes(read as f64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_told_where_the_size_is_known() {
        let took = Duration::from_secs(10);
        let told = line("x.csv", 12_345, 25, Some(100), took);
        assert_eq!(told, "reading x.csv: 12,345 lines, 25 %, 30 s left");
        assert!(!line("stdin", 5, 25, None, took).contains("left"));
    }
}
