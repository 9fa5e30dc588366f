//! The load to put on a target.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::ensure;

use super::outcome::{EndpointOutcome, GrabRecord, ScenarioOutcome};
use super::recorder::Recorder;
use super::watch::Watch;
use crate::workload::{ArrivalShape, Endpoint, Phase, Workload};

/// The times at which requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arrivals {
    /// At moments that do not depend on the answers: a Poisson process. This is how users behave.
    Open {
        /// Requests a second.
        rate: f64,
    },
    /// Each connection sends its next request when the last is answered: finds the top rate, hides stalls.
    Closed,
}

/// The load to put on a target.
#[derive(Debug, Clone)]
pub struct LoadSpec {
    /// The requests.
    pub workload: Workload,
    /// The times at which they are sent.
    pub arrivals: Arrivals,
    /// The most connections that are open at a time.
    pub connections: usize,
    /// The time for which requests are sent.
    pub duration: Duration,
    /// Decides the requests and their times; the same seed gives the same, whatever the target.
    pub seed: u64,
    /// An answer that takes longer is given up on, its outcome unknown.
    pub timeout: Duration,
    /// Once it is set, no more requests are sent, whatever the duration.
    pub stop: Option<Arc<AtomicBool>>,
    /// A watcher of the load while it goes on.
    pub watch: Option<Arc<Watch>>,
    /// True if every request is to be kept, with its time: 64 bytes each.
    pub keep_each: bool,
}

impl LoadSpec {
    /// The time that an answer may take unless set otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(10);
    /// The number of connections unless set otherwise.
    pub const CONNECTIONS: usize = 64;
    /// The most connections that can be opened: an address has hardly more ports.
    pub const MOST_CONNECTIONS: usize = 60_000;
    /// The rates, in requests a second, that can be asked for.
    pub const RATES: std::ops::RangeInclusive<f64> = 0.001..=1_000_000.0;
    /// The longest time that a load, or an answer, may take.
    pub const LONGEST: Duration = Duration::from_secs(7 * 86_400);

    /// The built-in workload, for ten seconds.
    #[must_use]
    pub fn new(arrivals: Arrivals) -> Self {
        Self {
            workload: Workload::default(),
            arrivals,
            connections: Self::CONNECTIONS,
            duration: Duration::from_secs(10),
            seed: 1,
            timeout: Self::TIMEOUT,
            stop: None,
            watch: None,
            keep_each: false,
        }
    }

    /// The parts of open arrivals that have figures of their own.
    pub(super) fn phases(&self) -> Vec<Phase> {
        let shape = self.workload.arrivals.as_ref().filter(|_| self.arrivals != Arrivals::Closed);
        let mut phases = shape.map(ArrivalShape::phases).unwrap_or_default();
        if let Some(last) = phases.last_mut() {
            // The last step goes on.
            last.until = last.until.max(self.duration);
        }
        phases
    }

    /// True when it was ended before its time.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        if let Arrivals::Open { rate } = self.arrivals {
            ensure!(
                Self::RATES.contains(&rate),
                "the rate must be {:?} requests a second, not {rate}",
                Self::RATES
            );
        }
        let (connections, most) = (self.connections, Self::MOST_CONNECTIONS);
        ensure!((1..=most).contains(&connections), "connections must be 1 to {most}, not {connections}");
        for (what, time) in [("duration", self.duration), ("time-out", self.timeout)] {
            ensure!(
                !time.is_zero() && time <= Self::LONGEST,
                "the {what} must be above zero, a week at most"
            );
        }
        self.workload.check()
    }
}

/// The progress of a load, reported once a second.
#[derive(Debug, Clone, Copy)]
pub struct LoadProgress<'a> {
    /// Since the first request was due.
    pub elapsed: std::time::Duration,
    /// Requests answered or given up on so far.
    pub finished: u64,
    /// Requests finished within the last second.
    pub finished_last_second: u64,
    /// Grabs granted so far.
    pub granted: u64,
    /// Requests that failed so far.
    pub errors: u64,
    /// Requests that are due and wait for a free connection.
    pub queued: usize,
    pub(super) recorder: &'a Recorder,
}

impl<'a> LoadProgress<'a> {
    /// The outcome of the requests so far, by endpoint; only those that were asked.
    pub fn endpoints(&self) -> impl Iterator<Item = (Endpoint, &'a EndpointOutcome)> + use<'a> {
        self.recorder.asked()
    }

    /// Every grab that was answered or given up on so far, in the order of the answers.
    #[must_use]
    pub fn grabs(&self) -> &'a [GrabRecord] {
        self.recorder.grabs()
    }

    /// The same by scenario, in the workload's order; none when it has no scenarios.
    #[must_use]
    pub fn scenarios(&self) -> &'a [ScenarioOutcome] {
        self.recorder.scenarios()
    }
}
