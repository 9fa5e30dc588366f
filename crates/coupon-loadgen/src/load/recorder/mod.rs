//! Counts answers and keeps their latencies.

mod answer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coupon_core::{FailReason, ResultState, Timestamp};
use hdrhistogram::Histogram;

use self::answer::{Plan, ReadAnswer, read_answered, step};
use super::outcome::{
    End, Ended, EndpointOutcome, GeneratorCost, GrabLatency, GrabOutcome, GrabRecord, GrabsByOutcome,
    Outcome, PhaseOutcome, Refusal, ScenarioOutcome, StepOutcome, StepRecord, Tally, UNSENT, Unknown,
};
use super::watch::Watch;
use crate::workload::{CheckoutPart, Endpoint, Phase, Request};

/// The reason why a request got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Due, but no connection was free until the time-out: never sent.
    Unsent,
    /// No connection could be opened: never sent.
    NoConnection,
    /// The same, and the time-out passed over it.
    NoConnectionInTime,
    TimedOut,
    Cut,
    Unreadable,
}

impl Failure {
    const fn kind(self) -> &'static str {
        match self {
            Self::Unsent => UNSENT,
            Self::NoConnection | Self::NoConnectionInTime => "no connection",
            Self::TimedOut => "time-out",
            Self::Cut => "connection cut",
            Self::Unreadable => "unreadable answer",
        }
    }

    const fn unknown(self) -> Option<Unknown> {
        match self {
            Self::Unsent | Self::NoConnection | Self::NoConnectionInTime => None,
            Self::TimedOut => Some(Unknown::TimedOut),
            Self::Cut => Some(Unknown::Cut),
            Self::Unreadable => Some(Unknown::Unreadable),
        }
    }
}

#[derive(Debug)]
pub(super) struct Recorder {
    began: Instant,
    /// By the endpoint's number, in the order of [`Endpoint::ALL`].
    endpoints: Vec<EndpointOutcome>,
    /// By the scenario's number.
    scenarios: Vec<ScenarioOutcome>,
    grabs: Vec<GrabRecord>,
    counts: GrabsByOutcome,
    grab_latency: GrabLatency,
    steps: Vec<StepRecord>,
    lateness: Histogram<u64>,
    queued: u64,
    unsent: u64,
    /// Each part of the load's shape, and which of them the next answer is to.
    phases: Vec<PhaseOutcome>,
    phase: usize,
    /// Every request, if they are kept.
    pub(super) each: Option<Vec<Ended>>,
    /// The watcher that sees grabs as they are granted.
    pub(super) watch: Option<Arc<Watch>>,
    pub(super) sent: u64,
    pub(super) reconnects: u64,
    pub(super) finished: u64,
    pub(super) errors: u64,
}

impl Recorder {
    pub(super) fn new<'a>(scenarios: impl Iterator<Item = &'a str>, phases: Vec<Phase>) -> Self {
        let mut began_at = Duration::ZERO;
        let phases = phases.into_iter().map(|Phase { name, until }| {
            let from = std::mem::replace(&mut began_at, until);
            PhaseOutcome { name, from, until, tally: Tally::new() }
        });
        let scenarios = scenarios.map(|name| ScenarioOutcome { name: name.to_owned(), tally: Tally::new() });
        Self {
            began: Instant::now(),
            endpoints: Endpoint::ALL.iter().map(|_| EndpointOutcome::new()).collect(),
            scenarios: scenarios.collect(),
            grabs: Vec::new(),
            counts: GrabsByOutcome::default(),
            grab_latency: GrabLatency::new(),
            steps: Vec::new(),
            lateness: EndpointOutcome::new().latency,
            queued: 0,
            unsent: 0,
            phases: phases.collect(),
            phase: 0,
            each: None,
            watch: None,
            sent: 0,
            reconnects: 0,
            finished: 0,
            errors: 0,
        }
    }

    /// Every grab so far.
    pub(super) fn grabs(&self) -> &[GrabRecord] {
        &self.grabs
    }

    pub(super) const fn granted(&self) -> u64 {
        self.counts.granted
    }

    /// Enters a part of the shape, in which the requests recorded next were due.
    pub(super) const fn enter(&mut self, phase: usize) {
        self.phase = phase;
    }

    /// The outcome of the requests so far, by endpoint.
    pub(super) fn asked(&self) -> impl Iterator<Item = (Endpoint, &EndpointOutcome)> {
        Endpoint::ALL.into_iter().zip(&self.endpoints).filter(|(_, outcome)| outcome.requests() > 0)
    }

    /// The outcome of them by scenario.
    pub(super) fn scenarios(&self) -> &[ScenarioOutcome] {
        &self.scenarios
    }

    /// A request found a connection free: how late it was sent is the generator's doing.
    pub(super) fn late(&mut self, lateness: Duration) {
        add(&mut self.lateness, lateness);
    }

    /// A request found no connection free when it was due.
    pub(super) const fn queued(&mut self) {
        self.queued += 1;
    }

    /// An answer came, whatever it says. Returns the request that follows from it, as in a checkout.
    pub(super) fn answered(
        &mut self,
        request: &Request,
        status: u16,
        body: &[u8],
        latency: Duration,
    ) -> Option<Request> {
        let mut next = None;
        let mut refused = false;
        let result = match request.part {
            Some(CheckoutPart::Step { result, course, pause }) => {
                // What was confirmed is the user's.
                if status == 200 && request.endpoint == Endpoint::Confirm {
                    next = step(request, result, (course, pause), ResultState::Owned);
                }
                self.step_answered(request, result, status, body)
            }
            _ if request.endpoint == Endpoint::Grab => {
                let told = ReadAnswer::of(status, body);
                next = told.then(request);
                refused = matches!(told.outcome, GrabOutcome::Refused(Refusal::Decided(_)));
                add(self.latency_of(told.outcome), latency);
                self.grab_answered(request, told)
            }
            _ => read_answered(request.endpoint, status, body),
        };
        let end = match &result {
            Ok(_) if refused => End::Refused,
            Ok(_) => End::Granted,
            Err(_) => End::Failed,
        };
        self.keep(request, latency, end, result.as_ref().copied().ok().flatten());
        self.count(request, result, latency);
        next
    }

    /// Keeps a request that ends now, if requests are kept.
    fn keep(&mut self, request: &Request, took: Duration, end: End, visited: Plan) {
        if let Some(each) = &mut self.each {
            let due = self.began.elapsed().saturating_sub(took);
            each.push(Ended { endpoint: request.endpoint, due, took, end, visited });
        }
    }

    fn count(&mut self, request: &Request, result: Result<Plan, String>, latency: Duration) {
        self.finished += 1;
        self.tally(request, result.is_ok(), Some(latency).filter(|_| result.is_ok()));
        let Some(endpoint) = self.endpoints.get_mut(request.endpoint as usize) else { return };
        match result {
            Ok(plan) => {
                endpoint.ok += 1;
                add(&mut endpoint.latency, latency);
                if let Some((shards, tables)) = plan {
                    endpoint.planned += 1;
                    endpoint.shards_visited += shards;
                    endpoint.tables_visited += tables;
                }
            }
            Err(kind) => {
                self.errors += 1;
                *endpoint.errors.entry(kind).or_default() += 1;
            }
        }
    }

    fn step_answered(
        &mut self,
        request: &Request,
        result_id: i64,
        status: u16,
        body: &[u8],
    ) -> Result<Plan, String> {
        let outcome = match status {
            200 => StepOutcome::Taken,
            400..500 => StepOutcome::Refused(status),
            _ => StepOutcome::Unknown,
        };
        self.remember_step(request, result_id, outcome);
        read_answered(request.endpoint, status, body)
    }

    fn grab_answered(&mut self, request: &Request, told: ReadAnswer) -> Result<Plan, String> {
        let ReadAnswer { outcome, held, .. } = told;
        self.remember(request, outcome, held);
        match outcome {
            GrabOutcome::Granted { .. } | GrabOutcome::Refused(Refusal::Decided(_)) => Ok(None),
            GrabOutcome::Refused(Refusal::Status(status)) | GrabOutcome::Unknown(Unknown::Status(status)) => {
                Err(status.to_string())
            }
            GrabOutcome::Unknown(_) => Err(Failure::Unreadable.kind().to_owned()),
        }
    }

    const fn latency_of(&mut self, outcome: GrabOutcome) -> &mut Histogram<u64> {
        match outcome {
            GrabOutcome::Granted { .. } => &mut self.grab_latency.granted,
            GrabOutcome::Refused(Refusal::Decided(_)) => &mut self.grab_latency.refused,
            GrabOutcome::Refused(Refusal::Status(_)) | GrabOutcome::Unknown(_) => {
                &mut self.grab_latency.failed
            }
        }
    }

    /// No answer came.
    pub(super) fn failed(&mut self, request: &Request, failure: Failure, waited: Duration) {
        self.finished += 1;
        self.errors += 1;
        if failure == Failure::Unsent {
            self.unsent += 1;
        }
        match (failure.unknown(), request.part) {
            (Some(_), Some(CheckoutPart::Step { result, .. })) => {
                self.remember_step(request, result, StepOutcome::Unknown);
            }
            (Some(why), _) if request.endpoint == Endpoint::Grab => {
                self.remember(request, GrabOutcome::Unknown(why), None);
            }
            _ => {}
        }
        if request.endpoint == Endpoint::Grab {
            add(&mut self.grab_latency.failed, waited);
        }
        self.keep(request, waited, End::Failed, None);
        let counts = matches!(failure, Failure::TimedOut | Failure::Unsent | Failure::NoConnectionInTime);
        self.tally(request, false, Some(waited).filter(|_| counts));
        if let Some(endpoint) = self.endpoints.get_mut(request.endpoint as usize) {
            *endpoint.errors.entry(failure.kind().to_owned()).or_default() += 1;
            if counts {
                add(&mut endpoint.latency, waited);
            }
        }
    }

    /// Counts a request where its scenario and its part of the load's shape are.
    fn tally(&mut self, request: &Request, ok: bool, latency: Option<Duration>) {
        let scenario = self.scenarios.get_mut(usize::from(request.scenario)).map(|of| &mut of.tally);
        let phase = self.phases.get_mut(self.phase).map(|of| &mut of.tally);
        for tally in scenario.into_iter().chain(phase) {
            tally.count(ok, latency);
        }
    }

    fn remember_step(&mut self, request: &Request, result_id: i64, outcome: StepOutcome) {
        let Request { user_id, endpoint, .. } = *request;
        self.steps.push(StepRecord { user_id, result_id, endpoint, outcome, told_at: now() });
    }

    fn remember(&mut self, request: &Request, outcome: GrabOutcome, held: Option<i64>) {
        let Request { user_id, coupon_id, room_id, .. } = *request;
        let (at, told_at) = (self.began.elapsed(), now());
        let (room_id, request) = (Some(room_id), request.name());
        let grab = GrabRecord { user_id, coupon_id, room_id, request, outcome, at, held, told_at };
        self.grabs.push(grab);
        if let Some(watch) = &self.watch {
            watch.recorded(&grab);
        }
        let counts = &mut self.counts;
        let count = match outcome {
            GrabOutcome::Granted { .. } => &mut counts.granted,
            GrabOutcome::Refused(Refusal::Decided(FailReason::OutOfStock)) => &mut counts.out_of_stock,
            GrabOutcome::Refused(Refusal::Decided(FailReason::Duplicate)) => &mut counts.duplicate,
            GrabOutcome::Refused(Refusal::Decided(FailReason::InvalidTime)) => &mut counts.invalid_time,
            GrabOutcome::Refused(Refusal::Status(_)) => &mut counts.rejected,
            GrabOutcome::Unknown(_) => &mut counts.unknown,
        };
        *count += 1;
    }

    /// The outcome of a load that took so long, with the generator's CPU seconds and the time in which it was busy.
    pub(super) fn outcome(self, elapsed: Duration, cpu_seconds: Option<f64>, busy: Duration) -> Outcome {
        let lateness = |quantile| self.lateness.value_at_quantile(quantile);
        let generator = GeneratorCost {
            cpu_seconds,
            busy_seconds: busy.as_secs_f64(),
            requests: self.sent,
            lateness_p99_us: lateness(0.99),
            lateness_p50_us: lateness(0.5),
            queued: self.queued,
        };
        let asked =
            Endpoint::ALL.into_iter().zip(self.endpoints).filter(|(_, outcome)| outcome.requests() > 0);
        Outcome {
            endpoints: asked.collect::<BTreeMap<_, _>>(),
            scenarios: self.scenarios,
            grabs: self.grabs,
            sold_out: self.counts.out_of_stock,
            counts: self.counts,
            grab_latency: self.grab_latency,
            steps: self.steps,
            elapsed,
            generator,
            phases: self.phases,
            each: self.each.unwrap_or_default(),
            began: self.began,
            unsent: self.unsent,
            reconnects: self.reconnects,
        }
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

/// The histogram grows as far as it takes, at most to what it can hold.
fn add(histogram: &mut Histogram<u64>, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    if histogram.record(micros).is_err() {
        histogram.saturating_record(micros);
    }
}

impl Tally {
    /// Counts a request, with its latency if that is to be among the latencies.
    pub fn count(&mut self, ok: bool, latency: Option<Duration>) {
        *(if ok { &mut self.ok } else { &mut self.errors }) += 1;
        if let Some(latency) = latency {
            add(&mut self.latency, latency);
        }
    }
}

#[cfg(test)]
mod tests;
