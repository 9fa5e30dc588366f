//! Waits for what comes in the end, never longer than a busy machine may take.

use std::time::{Duration, Instant};

/// The longest that a test waits for anything, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until it finds something; fails with what it saw last.
pub(crate) async fn eventually<T, E: std::fmt::Debug>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => {
                assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}; last: {seen:?}");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks again and again until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    eventually(what, async || holds().await.then_some(()).ok_or("it does not hold")).await;
}
