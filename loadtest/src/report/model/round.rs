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
    /// How long requests were sent, in seconds.
    pub seconds: f64,
    /// The grabs.
    pub grabs: GrabRound,
    /// Latency, errors and fan-out by endpoint; the keys are those of [`crate::report::endpoints`].
    pub endpoints: BTreeMap<String, EndpointRound>,
    /// Work by shard, in shard order.
    pub shards: Vec<ShardRound>,
    /// From acknowledgement to storage, where a queue lies between the two: on servers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<Flow>,
    /// Rows written in each second, by shard: `[second][shard]`, counted from the round's start.
    pub writes_per_second: Reading<Vec<Vec<u64>>>,
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
    /// Requests sent.
    pub requests: u64,
    /// Requests answered as they should be.
    pub ok: u64,
    /// The others, by kind (`503`, `time-out`, …).
    pub errors: BTreeMap<String, u64>,
    /// From the intended start to the answer, of requests answered as they should be and of those given up on.
    pub latency: Reading<LatencyMs>,
    /// Shards visited by a query, on average, as the answers' `plan` says.
    pub shards_visited: Figure,
    /// Tables visited by a query, on average, likewise.
    pub tables_visited: Figure,
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
    fn an_endpoint_without_answers_has_no_latency() {
        let none = EndpointRound::of(&Histogram::new(3).unwrap(), 0, BTreeMap::new(), (0, 0, 0));
        assert_eq!((none.latency.known(), none.shards_visited.value()), (None, None));
    }
}
