//! A network that is simulated between a service and its shards.

use coupon_service::api::{GrabResponse, ResultAnswer};

use crate::bench::{Bench, PLENTY};
use crate::client::Answer;
use crate::served::Served;

/// Milliseconds, each way together.
const ROUND_TRIP: f64 = 40.0;

pub(crate) async fn a_simulated_network_adds_its_round_trip_to_every_call_of_a_shard(bench: &Bench) {
    let service = Served::start(bench, &[&format!("simulate.shard_rtt_ms={ROUND_TRIP}")]);
    let granted: GrabResponse = service.grab(7, PLENTY).json();
    let id = granted.result_id.unwrap();
    let metrics = service.get("/metrics").text();
    assert!(sum_of(&metrics, "coupon_hand_over_seconds_sum") >= ROUND_TRIP / 1_000.0, "{metrics}");
    service.drain();
    for path in
        [format!("/api/result/{id}"), "/api/orders/recent".to_owned(), "/api/statistics/global".to_owned()]
    {
        let answer = service.get(&path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let took = shards_took(&answer);
        assert!(!took.is_empty() && took.iter().all(|millis| *millis >= ROUND_TRIP), "{path}: {took:?}");
    }
    assert_eq!(service.spend(7, &id, 120.0).json::<ResultAnswer>().result.use_status, 1);
}

/// The sum over all shards of a metric.
fn sum_of(metrics: &str, name: &str) -> f64 {
    let samples = metrics.lines().filter(|line| line.starts_with(name));
    samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// The time of each shard's answer, in milliseconds.
fn shards_took(answer: &Answer) -> Vec<f64> {
    let timing = answer.header("server-timing").unwrap_or_default();
    timing.split("dur=").skip(1).map(|rest| rest.split(',').next().unwrap().trim().parse().unwrap()).collect()
}
