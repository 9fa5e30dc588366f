//! The outcome of a load.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use coupon_core::{FailReason, Timestamp};
use hdrhistogram::Histogram;

use crate::workload::{Endpoint, RequestName};

/// The outcome of a load.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// By endpoint; only those that were asked.
    pub endpoints: BTreeMap<Endpoint, EndpointOutcome>,
    /// By scenario, in the workload's order; none when it has no scenarios.
    pub scenarios: Vec<ScenarioOutcome>,
    /// Every grab that was sent, in the order of the answers.
    pub grabs: Vec<GrabRecord>,
    /// The grabs, counted.
    pub counts: GrabsByOutcome,
    /// The grabs' latencies, by outcome.
    pub grab_latency: GrabLatency,
    /// Every step of a result that was sent, in the order of the answers.
    pub steps: Vec<StepRecord>,
    /// Each part of the load's shape, all endpoints together; none when it has no parts.
    pub phases: Vec<PhaseOutcome>,
    /// Every request in the order in which they ended, if they were to be kept one by one ([`super::LoadSpec::keep_each`]).
    pub each: Vec<Ended>,
    /// The moment from which all times are counted.
    pub began: Instant,
    /// From the moment the first request could be due to the last answer, at least the duration asked for
    /// unless a trace ends earlier.
    pub elapsed: Duration,
    /// The load generator's own use of the machine.
    pub generator: GeneratorCost,
    /// Grabs answered `out_of_stock`: with any, the rate of grabs is no throughput figure.
    pub sold_out: u64,
    /// Requests that were due but found no free connection until the time-out: never sent.
    pub unsent: u64,
    /// Connections opened again after one was cut, timed out or closed by the service.
    pub reconnects: u64,
}

impl Outcome {
    /// Grabs that got their coupon, a second.
    #[must_use]
    pub fn granted_per_second(&self) -> f64 {
        per_second(self.counts.granted, self.elapsed)
    }

    /// Requests that failed, over all endpoints.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.endpoints.values().map(EndpointOutcome::error_count).sum()
    }

    /// Requests that were answered as they should be, over all endpoints.
    #[must_use]
    pub fn ok(&self) -> u64 {
        self.endpoints.values().map(|endpoint| endpoint.ok).sum()
    }

    /// Requests answered as they should be, a second.
    #[must_use]
    pub fn ok_per_second(&self) -> f64 {
        per_second(self.ok(), self.elapsed)
    }
}

fn per_second(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { count as f64 / elapsed.as_secs_f64() }
}

/// The error of a request that was due, and for which no connection was free until the time-out.
pub const UNSENT: &str = "not sent in time";

/// The outcome of the requests to one endpoint.
#[derive(Debug, Clone)]
pub struct EndpointOutcome {
    /// Microseconds from the intended start, of requests answered as they should be and of those given up on, with
    /// the time waited: to leave those out would hide the worst. Other errors, which may be quick, are not in it.
    pub latency: Histogram<u64>,
    /// Requests answered as they should be; for grabs that includes refusals such as `out_of_stock`.
    pub ok: u64,
    /// Requests that failed, by kind: `503`, `time-out`, `connection cut`, …
    pub errors: BTreeMap<String, u64>,
    /// Shards that the answers say were visited, summed.
    pub shards_visited: u64,
    /// Tables that the answers say were visited, summed.
    pub tables_visited: u64,
    /// The number of answers that said so.
    pub planned: u64,
}

impl EndpointOutcome {
    /// No requests yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "nothing was measured yet, which is no default outcome")]
    pub fn new() -> Self {
        // Three digits from a microsecond on; the histogram grows with what it is given.
        let latency = Histogram::new(3).unwrap_or_else(|_| unreachable!("three digits are within 0 to 5"));
        Self { latency, ok: 0, errors: BTreeMap::new(), shards_visited: 0, tables_visited: 0, planned: 0 }
    }

    /// Requests that failed.
    #[must_use]
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Requests answered or given up on.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.ok + self.error_count()
    }
}

/// A request, as its client saw it end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The endpoint that was asked.
    pub endpoint: Endpoint,
    /// The moment at which it was due, since the load began.
    pub due: Duration,
    /// The time from there until it was answered, or given up on.
    pub took: Duration,
    /// The outcome.
    pub end: End,
    /// The shards and tables that the answer says were visited.
    pub visited: Option<(u64, u64)>,
}

/// The outcome of a request, whichever endpoint it asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It got what it asked for.
    Granted,
    /// The gate refused a grab.
    Refused,
    /// It failed, or got no answer.
    Failed,
}

/// A step of a result, as its client saw it end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepRecord {
    /// The user whose result it is.
    pub user_id: u64,
    /// The result.
    pub result_id: i64,
    /// The endpoint that takes the step.
    pub endpoint: Endpoint,
    /// The outcome.
    pub outcome: StepOutcome,
    /// The time of the answer, by this machine's clock.
    pub told_at: Timestamp,
}

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepOutcome {
    /// Taken.
    Taken,
    /// Refused, with this status: the result is as it was.
    Refused(u16),
    /// No clear answer: taken or not.
    Unknown,
}

/// The outcome of requests that have something in common.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Requests answered as they should be.
    pub ok: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Microseconds from the intended start, as in [`EndpointOutcome::latency`].
    pub latency: Histogram<u64>,
}

impl Tally {
    /// No requests yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "nothing was measured yet, which is no default outcome")]
    pub fn new() -> Self {
        Self { ok: 0, errors: 0, latency: EndpointOutcome::new().latency }
    }

    /// Requests answered or given up on.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.ok + self.errors
    }
}

/// The outcome of one scenario's requests.
#[derive(Debug, Clone)]
pub struct ScenarioOutcome {
    /// Its name.
    pub name: String,
    /// Its requests.
    pub tally: Tally,
}

/// The outcome of the requests that were due in a part of the load's shape.
#[derive(Debug, Clone)]
pub struct PhaseOutcome {
    /// Its name.
    pub name: String,
    /// Its beginning, since the load's.
    pub from: Duration,
    /// Its end, reached or not.
    pub until: Duration,
    /// Its requests.
    pub tally: Tally,
}

/// The latencies of grabs by outcome, in microseconds from the intended start. What is refused is often answered sooner than what
/// is granted, and what fails sooner or later than both: a latency of all together would describe none of them.
#[derive(Debug, Clone)]
pub struct GrabLatency {
    /// Those that got their coupon.
    pub granted: Histogram<u64>,
    /// Those that the gate refused.
    pub refused: Histogram<u64>,
    /// Those without a good answer: until it was clear that there would be none.
    pub failed: Histogram<u64>,
}

impl GrabLatency {
    /// No grabs yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "nothing was measured yet, which is no default outcome")]
    pub fn new() -> Self {
        let none = || EndpointOutcome::new().latency;
        Self { granted: none(), refused: none(), failed: none() }
    }
}

/// Grabs by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GrabsByOutcome {
    /// `grab_status` 1.
    pub granted: u64,
    /// `out_of_stock`.
    pub out_of_stock: u64,
    /// `duplicate`.
    pub duplicate: u64,
    /// `invalid_time`.
    pub invalid_time: u64,
    /// Refused by a 4xx status.
    pub rejected: u64,
    /// No answer that decides it.
    pub unknown: u64,
}

/// A grab that was sent, and its client's record of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrabRecord {
    /// The user who asked.
    pub user_id: u64,
    /// The coupon.
    pub coupon_id: u64,
    /// The coupon's room, where the client knew it.
    pub room_id: Option<u64>,
    /// The name of the request, if it had one.
    pub request: Option<RequestName>,
    /// The answer that the client got.
    pub outcome: GrabOutcome,
    /// The time at which it got the answer or gave up, since the load began.
    pub at: Duration,
    /// The result that a refusal as a duplicate named.
    pub held: Option<i64>,
    /// The time at which it got the answer, by the clock.
    pub told_at: Timestamp,
}

/// A client's knowledge of its grab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrabOutcome {
    /// It must be stored.
    Granted {
        /// Under this id.
        result_id: i64,
    },
    /// It must not be stored (a duplicate: not a second time).
    Refused(Refusal),
    /// It may be stored or not.
    Unknown(Unknown),
}

/// The reason why a grab was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The gate decided so.
    Decided(FailReason),
    /// The request was turned away with this 4xx status.
    Status(u16),
}

/// The reason why the outcome of a grab is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// Another status, such as 503: it may yet be stored.
    Status(u16),
    /// No answer in time.
    TimedOut,
    /// The connection ended before the answer did.
    Cut,
    /// An answer that cannot be read.
    Unreadable,
}

/// The load generator's own use of the machine, to tell whether it was the limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct GeneratorCost {
    /// CPU seconds of the generator's thread; none where the system does not say.
    pub cpu_seconds: Option<f64>,
    /// Seconds in which it had something to do, whether or not the machine let it: those in which it waited for nothing but a
    /// core.
    pub busy_seconds: f64,
    /// Requests sent.
    pub requests: u64,
    /// Open arrivals: how late requests were sent although a connection was free, the 99th percentile, in microseconds.
    pub lateness_p99_us: u64,
    /// The same for half of the requests.
    pub lateness_p50_us: u64,
    /// Open arrivals: requests that found no connection free when they were due, whether or not they were sent later.
    pub queued: u64,
}

impl GeneratorCost {
    /// CPU microseconds a request.
    #[must_use]
    pub fn cpu_us_per_request(&self) -> Option<f64> {
        let cpu = self.cpu_seconds?;
        (self.requests > 0).then(|| cpu * 1e6 / self.requests as f64)
    }
}
