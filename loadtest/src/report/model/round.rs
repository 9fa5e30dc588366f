//! What one contestant did in one round.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{AuditResult, Figure, Reading};

/// One contestant in one round: the unit of statistics.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Which round, from 0. Contestants with the same index had the same schedule of requests.
    pub index: u32,
    /// When in this round the contestant ran, from 0: the order is random.
    pub position: u32,
    /// From its start to the last answer, in seconds, and no less than it was to take.
    pub seconds: f64,
    /// The grabs.
    pub grabs: GrabRound,
    /// Latency, errors and fan-out by endpoint; the keys are those of [`crate::report::endpoints`].
    pub endpoints: BTreeMap<String, EndpointRound>,
    /// The same requests by the scenario that asked them. Empty in reports from before it was kept, and of workloads that
    /// have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scenarios: BTreeMap<String, ScenarioRound>,
    /// Work by shard, in shard order.
    pub shards: Vec<ShardRound>,
    /// From acknowledgement to storage, where a queue lies between the two: on servers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<Flow>,
    /// Rows written in each second, by shard: `[second][shard]`, counted from the round's start.
    pub writes_per_second: Reading<Vec<Vec<u64>>>,
    /// The looks at the shards that those were made of, several a second, earliest first.
    #[serde(default)]
    pub looks: Reading<Vec<ShardLook>>,
    /// Rows written in all ÷ rows on the hottest shard: how many machines these shards are worth. Filled by
    /// [`crate::report::summarise`].
    pub effective_shards: Figure,
    /// The same by CPU seconds. Filled by [`crate::report::summarise`].
    pub effective_shards_by_cpu: Figure,
    /// The hottest shard's share of rows ÷ the fair share. Filled by [`crate::report::summarise`].
    pub skew: Figure,
    /// What the load generator itself cost.
    pub generator: GeneratorRound,
    /// What the auditor found, once everything had drained.
    pub audit: Reading<AuditResult>,
}

/// The grabs of a round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GrabRound {
    /// Grabs a second that were sent, granted or not.
    pub offered_per_s: f64,
    /// Grabs a second that got their coupon (`grab_status` 1).
    pub granted_per_s: f64,
    /// Grabs that got their coupon.
    pub granted: u64,
    /// Grabs that were refused, by reason: `out_of_stock`, `duplicate`, `invalid_time`, or `rejected` (a 4xx).
    pub refused: BTreeMap<String, u64>,
    /// Grabs whose answer never came or was unclear.
    pub unknown: u64,
    /// Grabs refused because a coupon was sold out. With any of these the round is no throughput figure.
    pub sold_out: u64,
}

/// One endpoint in one round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EndpointRound {
    /// Requests that were due.
    pub requests: u64,
    /// Requests answered as they should be.
    pub ok: u64,
    /// The others, by kind (`503`, `time-out`, …).
    pub errors: BTreeMap<String, u64>,
    /// From the intended start to the answer, of requests answered as they should be and of those given up on.
    pub latency: Reading<LatencyMs>,
    /// How many those were: percentiles take enough of them. None in reports from before it was kept.
    #[serde(default)]
    pub timed: Option<u64>,
    /// The mean of the same, in milliseconds.
    #[serde(default)]
    pub mean_ms: Figure,
    /// The same as a curve: milliseconds at each of [`CURVE_PERCENTILES`], as far as there were requests enough for one of
    /// them to be slower. Empty in reports from before there were curves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve_ms: Vec<f64>,
    /// Shards visited by a query, on average, as the answers' `plan` says.
    pub shards_visited: Figure,
    /// Tables visited by a query, on average, likewise.
    pub tables_visited: Figure,
}

/// One scenario in one round: whatever its users ask, taken together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScenarioRound {
    /// Requests that were due.
    pub requests: u64,
    /// Requests answered as they should be.
    pub ok: u64,
    /// As of an endpoint.
    pub latency: Reading<LatencyMs>,
    /// As of an endpoint.
    #[serde(default)]
    pub timed: Option<u64>,
    /// As of an endpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve_ms: Vec<f64>,
}

impl ScenarioRound {
    /// Puts a scenario's round together.
    #[must_use]
    pub fn of(micros: &Histogram<u64>, requests: u64, ok: u64) -> Self {
        Self {
            requests,
            ok,
            latency: LatencyMs::of(micros),
            timed: Some(micros.len()),
            curve_ms: curve(micros),
        }
    }
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

/// What was seen of the shards at one moment of a round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardLook {
    /// When: seconds after the round's start.
    pub at_s: f64,
    /// Rows that each shard had written since the round's start.
    pub rows: Vec<u64>,
    /// Results handed over to each shard and not in its table yet.
    pub waiting: Vec<u64>,
}

/// Latency percentiles in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LatencyMs {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
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
    /// Puts an endpoint's round together. `planned` is the number of answers that named a plan; the shards and
    /// tables of those plans are summed in `shards` and `tables`.
    #[must_use]
    pub fn of(
        micros: &Histogram<u64>,
        ok: u64,
        errors: BTreeMap<String, u64>,
        (planned, shards, tables): (u64, u64, u64),
    ) -> Self {
        let mean = |sum: u64| match planned {
            0 => Figure::unknown("its answers name no plan"),
            _ => Figure::of(sum as f64 / planned as f64),
        };
        Self {
            requests: ok + errors.values().sum::<u64>(),
            ok,
            errors,
            latency: LatencyMs::of(micros),
            timed: Some(micros.len()),
            mean_ms: if micros.is_empty() {
                Figure::unknown("no request of this kind was answered")
            } else {
                Figure::of(micros.mean() / 1e3)
            },
            curve_ms: curve(micros),
            shards_visited: mean(shards),
            tables_visited: mean(tables),
        }
    }
}

/// One shard's work in one round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardRound {
    /// Which shard, from 0.
    pub shard: u16,
    /// Result rows that were written.
    pub rows_written: Figure,
    /// Its part of all rows written, 0 to 1. Filled by [`crate::report::summarise`].
    pub share: Figure,
    /// CPU time spent on it, in seconds.
    pub cpu_seconds: Figure,
    /// Bytes that went to its storage.
    pub bytes_written: Figure,
    /// How its queue stood, where it has one: on servers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<ShardFlow>,
}

/// Grabs on their way from acknowledgement to storage, in one round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// Rows stored a second while the load ran. Where it stays behind the grabs granted, the rest waits in queues.
    pub stored_per_s: Figure,
    /// Acknowledged results that were not stored yet when the load ended.
    pub backlog: Figure,
    /// How long they took from there until all were stored and told to main, in seconds.
    pub drain_seconds: Figure,
}

/// A shard's queue and server in one round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardFlow {
    /// The most results that waited for it at a time.
    pub queue_depth_max: Figure,
    /// The longest that its latest stored row was behind the latest acknowledged one of that moment, in milliseconds.
    pub lag_ms_max: Figure,
    /// CPU used while the load ran ÷ the quota for that time: near 1, the server is saturated.
    pub saturation: Figure,
}

/// What the load generator cost and whether it kept its schedule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GeneratorRound {
    /// Its CPU time in seconds.
    pub cpu_seconds: Figure,
    /// How late requests left it (99th percentile), in milliseconds. Latency counts from the intended start, so
    /// this is *within* the latencies: when it is large, the generator is being measured.
    pub lateness_p99_ms: Figure,
    /// Requests that were due but found no free connection until the time-out: never sent.
    pub unsent: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let endpoint = EndpointRound::of(&micros, 100, BTreeMap::new(), (0, 0, 0));
        assert_eq!(endpoint.curve_ms.len(), 8, "up to p99: {:?}", endpoint.curve_ms);
        assert!(endpoint.curve_ms.iter().zip(CURVE_PERCENTILES).all(|(ms, p)| (ms - p).abs() < 0.6));
        assert!((endpoint.mean_ms.value().unwrap() - 50.5).abs() < 0.1);
        assert!(
            EndpointRound::of(&Histogram::new(3).unwrap(), 0, BTreeMap::new(), (0, 0, 0)).curve_ms.is_empty()
        );
    }

    #[test]
    fn an_endpoint_without_answers_has_no_latency() {
        let none = EndpointRound::of(&Histogram::new(3).unwrap(), 0, BTreeMap::new(), (0, 0, 0));
        assert_eq!((none.latency.known(), none.shards_visited.value()), (None, None));
    }
}
