//! Waiting for threads, for futures, and for conditions that come to hold.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use coupon_stack::joined;

/// The pause between two looks at something that does not hold yet.
pub(super) const POLL: Duration = Duration::from_millis(10);

/// Runs a future to its end, on a runtime made for it.
///
/// # Errors
/// Those of the future; or there is no runtime to be had.
pub fn blocking<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Waits until a condition holds.
///
/// # Errors
/// When it does not within `limit`, naming it; or when it cannot be looked at.
pub fn until(condition: &str, limit: Duration, holds: impl FnMut() -> Result<bool>) -> Result<()> {
    until_every(POLL, condition, limit, holds)
}

/// As [`until`], with a pause of the caller's choice between two looks.
///
/// # Errors
/// As [`until`].
pub fn until_every(
    pause: Duration,
    condition: &str,
    limit: Duration,
    mut holds: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let end = Instant::now() + limit;
    while !holds()? {
        ensure!(Instant::now() < end, "waited {} s in vain until {condition}", limit.as_secs());
        std::thread::sleep(pause);
    }
    Ok(())
}

/// Does something with each of several at the same time, and waits for all of them.
///
/// # Errors
/// The first error, in the order of the items.
pub fn at_once<T: Send, R: Send>(
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = items.into_iter().map(|item| scope.spawn(move || work(item))).collect();
        let results: Vec<Result<R>> = threads.into_iter().map(joined).collect();
        results.into_iter().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_never_holds_is_named() {
        let error = until("the sun rises", Duration::ZERO, || Ok(false)).unwrap_err();
        assert!(error.to_string().contains("the sun rises"), "{error}");
        let mut looks = 0;
        until("the third look", Duration::from_secs(60), || {
            looks += 1;
            Ok(looks == 3)
        })
        .unwrap();
    }

    #[test]
    fn everything_is_waited_for_and_the_first_error_is_told() {
        let done = std::sync::atomic::AtomicUsize::new(0);
        let result = at_once(1..=4, |number| {
            done.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            anyhow::ensure!(number % 2 == 1, "{number} is even");
            Ok(number)
        });
        assert_eq!(done.into_inner(), 4);
        assert_eq!(result.unwrap_err().to_string(), "2 is even");
        assert_eq!(at_once(1..=2, |number| Ok(number * 2)).unwrap(), [2, 4]);
    }
}
