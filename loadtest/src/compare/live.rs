//! The one round of a run that is watched live: all contestants at the same time.

use std::sync::atomic::Ordering;
use std::thread;

use anyhow::{Result, anyhow, ensure};
use coupon_loadgen::load::LoadSpec;

use super::ending::Ending;
use super::observer::Observer;
use super::options::CompareOptions;
use super::round::Entrant;

/// Puts all under load at once, each by its own generator, with the same requests at the same moments.
pub(super) fn round(
    options: &CompareOptions,
    quota: Option<f64>,
    entrants: &mut [Entrant],
    observer: &dyn Observer,
) -> Result<Ending> {
    not_stopped(options)?;
    observer.stage("under load");
    let seed = coupon_measure::turns::seed_of_round(options.load.seed, Some(0));
    let load = &LoadSpec { seed, ..options.load.clone() };
    thread::scope(|scope| {
        let started: Vec<_> = (0..)
            .zip(entrants)
            .map(|(position, entrant)| scope.spawn(move || entrant.round(0, position, load, quota)))
            .collect();
        // All are waited for, whatever became of the first.
        let ended: Vec<Result<Ending>> = started
            .into_iter()
            .map(|turn| turn.join().unwrap_or_else(|_| Err(anyhow!("a contestant's turn did not end well"))))
            .collect();
        ended.into_iter().try_fold(Ending::Kept, |worst, ending| Ok(worst.or_worse(ending?)))
    })
}

/// Refuses to go on once the load was stopped.
pub(super) fn not_stopped(options: &CompareOptions) -> Result<()> {
    let stopped = options.load.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed));
    ensure!(!stopped, "stopped before the load began");
    Ok(())
}
