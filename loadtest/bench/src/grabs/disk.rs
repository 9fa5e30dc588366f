//! The disk's own time: no hand-over is confirmed before something is on it.

use std::io::Write as _;
use std::time::Instant;

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;

/// The number of times that one round writes and waits.
const TIMES: u32 = 300;
/// The bytes of each write: about a batch's message.
const BYTES: usize = 4_096;

/// p50 and p99, in milliseconds, of writing a little more to a file and waiting until it is on disk, with nothing else
/// going on. In the folder for temporary files, where the servers' data is as well.
pub(super) fn sync_ms() -> Result<(f64, f64)> {
    let mut file = tempfile::tempfile().context("cannot make a file")?;
    let mut times = Histogram::<u64>::new(3)?;
    for _ in 0..TIMES {
        file.write_all(&[1; BYTES])?;
        let began = Instant::now();
        file.sync_data()?;
        times.record(u64::try_from(began.elapsed().as_nanos())?)?;
    }
    let ms = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1e6;
    Ok((ms(0.5), ms(0.99)))
}
