//! Waiting for threads, for futures, and for things to come true.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

const POLL: Duration = Duration::from_millis(20);

/// Runs something that waits, on a runtime of its own.
pub(super) fn blocking<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Waits until something holds.
pub(super) fn until(what: &str, patience: Duration, holds: impl Fn() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + patience;
    while !holds()? {
        ensure!(Instant::now() < end, "waited {} s in vain until {what}", patience.as_secs());
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// What a thread came to.
pub(super) fn joined<T>(handle: std::thread::ScopedJoinHandle<'_, T>) -> T {
    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
