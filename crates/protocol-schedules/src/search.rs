//! Plays many seeds, on every core of the machine.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, available_parallelism};
use std::time::{Duration, Instant};

use coupon_core::GateCount;

use crate::plan::SeededSchedule;
use crate::schedule::play;
use crate::world::lock;

/// A seed whose schedule breaks a promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenSeed {
    /// The seed.
    pub seed: u64,
    /// The promises that it breaks.
    pub broken: Vec<String>,
}

/// The outcome of a search.
#[derive(Debug, Clone)]
pub struct SearchedSeeds {
    /// The seeds that were played.
    pub seeds: u64,
    /// The events of all their histories.
    pub events: u64,
    /// The grabs that got a clear answer.
    pub answered: usize,
    /// Those that break a promise, by their seeds.
    pub found: Vec<BrokenSeed>,
    /// The time that it took.
    pub took: Duration,
}

/// Plays the seeds from `first` on with so many gates, `count` of them, or until so many are found that break a promise.
/// `prepare` is called on each thread before it begins.
#[must_use]
pub fn search(
    gates: GateCount,
    first: u64,
    count: u64,
    enough: usize,
    prepare: impl Fn() + Sync,
) -> SearchedSeeds {
    let (next, began) = (AtomicU64::new(0), Instant::now());
    let done = Mutex::new(SearchedSeeds {
        seeds: 0,
        events: 0,
        answered: 0,
        found: Vec::new(),
        took: Duration::ZERO,
    });
    thread::scope(|threads| {
        for _ in 0..available_parallelism().map_or(1, usize::from) {
            threads.spawn(|| {
                prepare();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count || lock(&done).found.len() >= enough {
                        return;
                    }
                    let seed = first + number;
                    let outcome = play(&SeededSchedule::with_gates(seed, gates), false);
                    let mut done = lock(&done);
                    done.seeds += 1;
                    done.events += outcome.events;
                    done.answered += outcome.answered;
                    if !outcome.broken.is_empty() {
                        done.found.push(BrokenSeed { seed, broken: outcome.broken });
                    }
                }
            });
        }
    });
    let mut searched = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    searched.found.sort_by_key(|found| found.seed);
    searched.took = began.elapsed();
    searched
}
