//! Large tables that are brought up to date slice by slice.

use std::time::{Duration, Instant};

/// The rows of a slice: few enough for a transaction that no other waits for long.
pub const SLICE: u32 = 20_000;

/// The time between two lines in the log.
const EVERY: Duration = Duration::from_secs(5);

/// The progress of a table, logged every few seconds.
pub struct TableProgress<'a> {
    table: &'a str,
    rows: u64,
    said: Instant,
}

impl<'a> TableProgress<'a> {
    /// The progress in a table, at its beginning.
    pub fn of(table: &'a str) -> Self {
        Self { table, rows: 0, said: Instant::now() }
    }

    /// Counts rows more that are up to date.
    pub fn passed(&mut self, rows: u64) {
        self.rows += rows;
        if self.said.elapsed() >= EVERY {
            tracing::info!(table = self.table, rows = self.rows, "so many rows of this table are up to date");
            self.said = Instant::now();
        }
    }
}
