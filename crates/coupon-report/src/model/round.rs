//! One contestant in one round.

use std::collections::BTreeMap;
use std::time::Duration;

use coupon_measure::stats::shape;
use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AuditResult, Figure, GrowthRound, Reading};

/// One contestant in one round: the unit of statistics. Its work is everything from before the first request until all that
/// was handed over is stored, and none of the audit's reading.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Round {
    /// The round's number, from 0. Contestants with the same index had the same schedule of requests.
    pub index: u32,
    /// The contestant's turn in this round, from 0: the order is random.
    pub position: u32,
    /// Seconds from its start to the last answer, and no less than it was to take.
    pub seconds: f64,
    /// The grabs.
    pub grabs: GrabRound,
    /// Latency, errors and fan-out by endpoint, of the endpoints that the workload asked.
    pub endpoints: BTreeMap<String, EndpointRound>,
    /// The same requests by the scenario that asked them. Empty where the workload has
    /// none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scenarios: BTreeMap<String, ScenarioRound>,
    /// The same requests by the part of the workload's shape in which they were due, in its order: a step, or the jump of a
    /// spike and what follows it. Left out where the load has no shape.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseRound>,
    /// Work by shard, in shard order.
    pub shards: Vec<ShardRound>,
    /// From acknowledgement to storage, where a queue lies between the two: on servers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<Flow>,
    /// Samples of the rows written by shard, four a second (fewer in rounds of more than a minute), earliest first.
    pub looks: Reading<Vec<ShardLook>>,
    /// Rows written in all ÷ rows on the hottest shard: how many evenly loaded shards these are worth. One shard that cannot be
    /// read makes it unknown: it may be the hottest.
    pub effective_shards: Figure,
    /// The same by CPU seconds.
    pub effective_shards_by_cpu: Figure,
    /// The hottest shard's share of rows ÷ the fair share.
    pub skew: Figure,
    /// The change of the layout in its middle; left out where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growth: Option<GrowthRound>,
    /// The load generator's own cost.
    pub generator: GeneratorRound,
    /// The round's audit, made once everything had drained.
    pub audit: Reading<AuditResult>,
}

/// The grabs of a round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GrabRound {
    /// Grabs that were due, sent or not, by the second of the time in which they were.
    pub offered_per_s: f64,
    /// Grabs a second that got their coupon (`grab_status` 1).
    pub granted_per_s: f64,
    /// Grabs that got their coupon.
    pub granted: u64,
    /// Grabs that were refused, by reason: `out_of_stock`, `duplicate`, `invalid_time`, or `rejected` (a 4xx).
    pub refused: BTreeMap<String, u64>,
    /// Grabs without an answer that decides them.
    pub unknown: u64,
    /// Grabs refused for lack of stock. With any of these the round is no throughput figure.
    pub sold_out: u64,
}

/// One endpoint in one round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointRound {
    /// Requests that were due.
    pub requests: u64,
    /// Requests answered as they should be; a refused grab is.
    pub ok: u64,
    /// The others, by kind (`503`, `time-out`, …).
    pub errors: BTreeMap<String, u64>,
    /// Latency from the moment a request was due, of all requests but refused grabs. A request that failed counts as the time-out,
    /// or with the time waited if that is longer. With fewer requests than it takes for one to be slower (10, 100 and 1,000) a
    /// percentile is the slowest request under another name: it stands here all the same, but summaries and verdicts leave it out.
    pub latency: Reading<LatencyMs>,
    /// The number of requests in `latency`.
    pub timed: u64,
    /// The mean over all requests, refused grabs too, in milliseconds.
    pub mean_ms: Figure,
    /// Grabs by their outcome: `granted`, `refused` and `failed`, these with the time until it was clear that they had. Left out
    /// for all other endpoints.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outcomes: BTreeMap<String, OutcomeRound>,
    /// The requests of `latency` by their time: how many lie in each of the buckets of which 16 make a decade, from 0.01 ms on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub histogram: Vec<(u16, u64)>,
    /// The same as a curve: milliseconds at each of `meta.curve_percentiles`, up to the last one that there were requests
    /// enough for. Left out when there were none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve_ms: Vec<f64>,
    /// Shards visited by a query, on average, as the answers' `plan` says.
    pub shards_visited: Figure,
    /// Tables visited by a query, on average, likewise.
    pub tables_visited: Figure,
}

/// The grabs of one outcome in one round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OutcomeRound {
    /// Their number.
    pub requests: u64,
    /// Their latency.
    pub latency: Reading<LatencyMs>,
}

impl OutcomeRound {
    fn of(micros: &Histogram<u64>) -> Self {
        Self { requests: micros.len(), latency: LatencyMs::of(micros) }
    }
}

/// One scenario in one round: all requests of its users, taken together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioRound {
    /// Requests that were due.
    pub requests: u64,
    /// Requests answered as they should be.
    pub ok: u64,
    /// The same as `latency` of an endpoint.
    pub latency: Reading<LatencyMs>,
    /// The same as `timed` of an endpoint.
    pub timed: u64,
    /// The same as `curve_ms` of an endpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve_ms: Vec<f64>,
}

impl ScenarioRound {
    /// Puts a scenario's round together. Requests that are not in `micros` count as the time-out.
    #[must_use]
    pub fn of(micros: &Histogram<u64>, requests: u64, ok: u64, timeout: Duration) -> Self {
        let micros = &with_failures(micros, requests, timeout);
        Self { requests, ok, latency: LatencyMs::of(micros), timed: micros.len(), curve_ms: curve(micros) }
    }
}

/// A histogram of microseconds in which the requests that are missing stand as the time-out: a failure at once is not fast.
fn with_failures(micros: &Histogram<u64>, requests: u64, timeout: Duration) -> Histogram<u64> {
    let mut all = micros.clone();
    let missing = requests.saturating_sub(micros.len());
    let timeout = u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX);
    if missing > 0 && all.record_n(timeout, missing).is_err() {
        all.saturating_record_n(timeout, missing);
    }
    all
}

/// One part of the load's shape in one round: all requests that were due in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseRound {
    /// Its name.
    pub name: String,
    /// Its beginning, in seconds after the load's.
    pub from_s: f64,
    /// Its end, reached or not.
    pub until_s: f64,
    /// Its requests.
    #[serde(flatten)]
    pub requests: ScenarioRound,
}

/// The percentiles of a latency curve: each a third of the way, or a little less, from one nine to the next.
pub const CURVE_PERCENTILES: [f64; 14] =
    [50.0, 60.0, 70.0, 80.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.75, 99.9, 99.95, 99.975, 99.99];

/// The curve of a histogram in microseconds, up to the last percentile that it has the requests for.
fn curve(micros: &Histogram<u64>) -> Vec<f64> {
    // A slower request than the percentile's takes 1 in (1 − p); the small term forgives 1 − 0.99 in doubles.
    let resolved = |percentile: &&f64| micros.len() as f64 * (100.0 - **percentile) / 100.0 + 1e-9 >= 1.0;
    let within = CURVE_PERCENTILES.iter().take_while(resolved);
    within.map(|percentile| micros.value_at_quantile(percentile / 100.0) as f64 / 1e3).collect()
}

/// A sample of the shards at one moment of a round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShardLook {
    /// Seconds after the round's start.
    pub at_s: f64,
    /// Rows that each shard had written since the round's start.
    pub rows: Vec<u64>,
    /// Results handed over to each shard and not in its table yet.
    pub waiting: Vec<u64>,
}

/// Latency percentiles in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyMs {
    /// Half of the requests were faster.
    pub p50: f64,
    /// 90 % were faster.
    pub p90: f64,
    /// 99 % were faster.
    pub p99: f64,
    /// 99.9 % were faster.
    pub p999: f64,
    /// The slowest request.
    pub max: f64,
}

impl LatencyMs {
    /// The percentiles of a histogram in microseconds; unknown when nothing was recorded.
    #[must_use]
    pub fn of(micros: &Histogram<u64>) -> Reading<Self> {
        if micros.is_empty() {
            return Reading::unknown("no request of this kind was answered");
        }
        let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1e3;
        Reading::Known(Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: micros.max() as f64 / 1e3,
        })
    }
}

impl EndpointRound {
    /// Puts an endpoint's round together. Requests that are not in `micros` count as the time-out. `planned` is the number of
    /// answers that named a plan; the shards and tables of those plans are summed in `shards` and `tables`.
    #[must_use]
    pub fn of(
        micros: &Histogram<u64>,
        ok: u64,
        errors: BTreeMap<String, u64>,
        (planned, shards, tables): (u64, u64, u64),
        timeout: Duration,
    ) -> Self {
        let requests = ok + errors.values().sum::<u64>();
        let micros = &with_failures(micros, requests, timeout);
        let mean = |sum: u64| match planned {
            0 => Figure::unknown("its answers name no plan"),
            _ => Figure::of(sum as f64 / planned as f64),
        };
        Self {
            requests,
            ok,
            errors,
            latency: LatencyMs::of(micros),
            timed: micros.len(),
            mean_ms: if micros.is_empty() {
                Figure::unknown("no request of this kind was answered")
            } else {
                Figure::of(micros.mean() / 1e3)
            },
            outcomes: BTreeMap::new(),
            histogram: buckets(micros),
            curve_ms: curve(micros),
            shards_visited: mean(shards),
            tables_visited: mean(tables),
        }
    }

    /// The same of grabs, by outcome: the latency is of those granted and those that failed, which count as the time-out.
    #[must_use]
    pub fn of_grabs(self, [granted, refused, failed]: [&Histogram<u64>; 3], timeout: Duration) -> Self {
        let micros = &with_failures(granted, granted.len() + failed.len(), timeout);
        let outcomes = [("granted", granted), ("refused", refused), ("failed", failed)];
        Self {
            latency: match LatencyMs::of(micros) {
                Reading::Unknown(_) => Reading::unknown("no grab was granted"),
                known @ Reading::Known(_) => known,
            },
            timed: micros.len(),
            curve_ms: curve(micros),
            histogram: buckets(micros),
            outcomes: outcomes
                .into_iter()
                .map(|(name, of)| (name.to_owned(), OutcomeRound::of(of)))
                .collect(),
            ..self
        }
    }
}

/// The requests of a histogram in microseconds, by bucket.
fn buckets(micros: &Histogram<u64>) -> Vec<(u16, u64)> {
    let mut counts: BTreeMap<u16, u64> = BTreeMap::new();
    for each in micros.iter_recorded() {
        *counts.entry(shape::bucket(each.value_iterated_to() as f64 / 1e3)).or_default() +=
            each.count_at_value();
    }
    counts.into_iter().collect()
}

/// One shard's work in one round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShardRound {
    /// The shard's number, from 0.
    pub shard: u16,
    /// Result rows that were written.
    pub rows_written: Figure,
    /// Its part of all rows written, 0 to 1. One shard that cannot be read makes it unknown.
    pub share: Figure,
    /// CPU time spent on it, in seconds.
    pub cpu_seconds: Figure,
    /// Bytes that went to its storage.
    pub bytes_written: Figure,
    /// Its queue and server; on servers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<ShardFlow>,
}

/// Grabs on their way from acknowledgement to storage, in one round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Flow {
    /// Rows stored a second while the load ran. Where it stays behind the grabs granted, the rest waits in queues.
    pub stored_per_s: Figure,
    /// Acknowledged results that were not stored yet when the load ended.
    pub backlog: Figure,
    /// Seconds from there until all were stored and applied to main.
    pub drain_seconds: Figure,
}

/// A shard's queue and server in one round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShardFlow {
    /// The most results that waited for it, of four samples a second.
    pub queue_depth_max: Figure,
    /// The longest that its latest stored row was behind, in milliseconds: how long before a sample as many results had been
    /// handed over as were stored at that sample.
    pub lag_ms_max: Figure,
    /// CPU used while the load ran ÷ the quota for that time: near 1, the server is saturated.
    pub saturation: Figure,
}

/// The load generator's cost and punctuality.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GeneratorRound {
    /// Its CPU time in seconds.
    pub cpu_seconds: Figure,
    /// Seconds in which it had something to do, whether or not the machine let it: near the length of the round, it was the
    /// limit.
    #[serde(default)]
    pub busy_seconds: Figure,
    /// The lateness of requests (99th percentile), in milliseconds. Latency counts from the intended start, so this is
    /// *within* the latencies: when it is large, the generator is being measured.
    pub lateness_p99_ms: Figure,
    /// The lateness of half of the requests, in milliseconds.
    #[serde(default)]
    pub lateness_p50_ms: Figure,
    /// Requests that found no connection free when they were due: with many of them, the number of connections is what was
    /// measured.
    #[serde(default)]
    pub queued: u64,
    /// Requests that were due but found no free connection until the time-out: never sent.
    pub unsent: u64,
    /// Requests that were sent.
    pub sent: u64,
    /// Connections opened again after one was cut, timed out or closed by the service.
    pub reconnects: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[test]
    fn latency_is_read_in_milliseconds() {
        let mut micros = Histogram::<u64>::new(3).unwrap();
        (1..=100).for_each(|n| micros.record(n * 1_000).unwrap());
        let latency = *LatencyMs::of(&micros).known().unwrap();
        assert!((latency.p50 - 50.0).abs() < 0.1 && (latency.p99 - 99.0).abs() < 0.1, "{latency:?}");
    }

    #[test]
    fn a_curve_ends_where_no_request_was_slower() {
        let mut micros = Histogram::<u64>::new(3).unwrap();
        (1..=100).for_each(|n| micros.record(n * 1_000).unwrap());
        let endpoint = EndpointRound::of(&micros, 100, BTreeMap::new(), (0, 0, 0), TIMEOUT);
        assert_eq!(endpoint.curve_ms.len(), 8, "up to p99: {:?}", endpoint.curve_ms);
        assert!(endpoint.curve_ms.iter().zip(CURVE_PERCENTILES).all(|(ms, p)| (ms - p).abs() < 0.6));
        assert!((endpoint.mean_ms.value().unwrap() - 50.5).abs() < 0.1);
        assert!(
            EndpointRound::of(&Histogram::new(3).unwrap(), 0, BTreeMap::new(), (0, 0, 0), TIMEOUT)
                .curve_ms
                .is_empty()
        );
    }

    #[test]
    fn an_endpoint_without_answers_has_no_latency() {
        let none = EndpointRound::of(&Histogram::new(3).unwrap(), 0, BTreeMap::new(), (0, 0, 0), TIMEOUT);
        assert_eq!((none.latency.known(), none.shards_visited.value()), (None, None));
    }

    #[test]
    fn a_request_that_fails_at_once_counts_as_the_time_out() {
        let mut micros = Histogram::<u64>::new(3).unwrap();
        micros.record_n(1_000, 17).unwrap();
        let errors = BTreeMap::from([("503".to_owned(), 83)]);
        let endpoint = EndpointRound::of(&micros, 17, errors, (0, 0, 0), TIMEOUT);
        let latency = endpoint.latency.known().unwrap();
        assert!(latency.p50 > 9_900.0 && latency.p90 > 9_900.0, "{latency:?}");
        assert_eq!((endpoint.timed, endpoint.requests), (100, 100));
        assert!(endpoint.mean_ms.value().unwrap() > 8_000.0);
    }

    #[test]
    fn grabs_granted_refused_and_failed_have_latencies_of_their_own() {
        let of = |micros, times| {
            let mut histogram = Histogram::<u64>::new(3).unwrap();
            histogram.record_n(micros, times).unwrap();
            histogram
        };
        // A stock of 20, and 1,985 grabs that were refused at once because it was sold out.
        let (granted, refused, failed) = (of(9_000, 20), of(300, 1_985), of(500, 2));
        let mut all = granted.clone();
        all.add(&refused).unwrap();
        let errors = BTreeMap::from([("503".to_owned(), 2)]);
        let grabs = EndpointRound::of(&all, 2_005, errors, (0, 0, 0), TIMEOUT)
            .of_grabs([&granted, &refused, &failed], TIMEOUT);
        assert_eq!((grabs.requests, grabs.timed), (2_007, 22));
        assert!(grabs.latency.known().unwrap().p50 > 8.9, "{grabs:?}");
        let p50 = |outcome: &str| grabs.outcomes[outcome].latency.known().unwrap().p50;
        assert!(p50("granted") > 8.9 && p50("refused") < 0.31 && p50("failed") < 0.51);
    }
}
