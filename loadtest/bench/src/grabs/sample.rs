//! The figures of one kind's round.

use std::collections::BTreeMap;

use coupon_loadgen::load::{Outcome, UNSENT};
use coupon_report::model::Figure;

/// The answers that a round should get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// Any 2xx.
    Echoed,
    /// `grab_status` 1.
    Granted,
    /// `grab_status` 1, or 503. Whether all were sent in time does not matter.
    GrantedOrRefused,
    /// `out_of_stock`.
    SoldOut,
    /// `duplicate`.
    Duplicate,
}

/// The kind of error by which a load counts answers of an overloaded service.
const REFUSED: &str = "503";

/// In a thousand sold-out answers, so many may be duplicates: of the few users who hold the coupons.
const HOLDERS_PER_MILLE: u64 = 5;

/// One round of one kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    /// Answers of the expected kind, a second.
    pub(crate) per_s: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// CPU microseconds a request, by process: `generator`, `service`, then the servers.
    pub(super) cpu_us: BTreeMap<String, Figure>,
    /// The most memory that was seen while requests were sent, in MB.
    pub(super) memory_mb: Option<f64>,
    /// Grabs a batch, on average.
    pub(super) batch: Option<f64>,
    /// Open arrivals: how late requests were sent although a connection was free, in milliseconds, 99% sooner.
    pub(super) late_ms: f64,
    /// Answers 503, a second.
    pub(super) refused_per_s: f64,
    /// Requests a second that were due and found no free connection in time.
    pub(super) unsent_per_s: f64,
    /// The reason why the round is not valid, if it is not.
    pub(crate) problem: Option<String>,
}

impl Sample {
    /// Reads the figures that the load itself has. CPU and memory are read elsewhere.
    pub(super) fn of(expected: Expected, outcome: &Outcome) -> Self {
        let Some(figures) = outcome.endpoints.values().next() else {
            return Self { problem: Some("not one request was answered".to_owned()), ..Self::default() };
        };
        let ms = |quantile| figures.latency.value_at_quantile(quantile) as f64 / 1_000.0;
        let refused = figures.errors.get(REFUSED).copied().unwrap_or(0);
        let per_s = good(expected, outcome) as f64 / outcome.elapsed.as_secs_f64();
        Self {
            per_s,
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            refused_per_s: refused as f64 / outcome.elapsed.as_secs_f64(),
            unsent_per_s: outcome.unsent as f64 / outcome.elapsed.as_secs_f64(),
            late_ms: outcome.generator.lateness_p99_us as f64 / 1_000.0,
            problem: problem(expected, outcome),
            ..Self::default()
        }
    }

    /// CPU microseconds of the service a request, where the system reports them.
    pub(crate) fn service_cpu_us(&self) -> Option<f64> {
        self.cpu_us.get("service").and_then(|read| read.known().copied())
    }
}

fn good(expected: Expected, outcome: &Outcome) -> u64 {
    match expected {
        Expected::Echoed => outcome.ok(),
        Expected::Granted | Expected::GrantedOrRefused => outcome.counts.granted,
        Expected::SoldOut => outcome.counts.out_of_stock,
        Expected::Duplicate => outcome.counts.duplicate,
    }
}

/// Every request must have got the answer that the round is about: others cost something else.
fn problem(expected: Expected, outcome: &Outcome) -> Option<String> {
    let counts = outcome.counts;
    let sold_out_by_design = expected == Expected::SoldOut;
    let overload = expected == Expected::GrantedOrRefused;
    let holders = counts.duplicate * 1_000 <= counts.out_of_stock * HOLDERS_PER_MILLE;
    let mut problems = Vec::new();
    for (number, what, fine) in [
        (outcome.unsent, "were never sent", overload),
        (counts.granted, "were granted", expected == Expected::Granted || overload),
        (counts.out_of_stock, "were sold out", sold_out_by_design),
        (
            counts.duplicate,
            "were duplicates",
            expected == Expected::Duplicate || (sold_out_by_design && holders),
        ),
        (counts.invalid_time, "were outside their window", false),
    ] {
        if number > 0 && !fine {
            problems.push(format!("{number} {what}"));
        }
    }
    // Why they failed: each kind of error with its number.
    for endpoint in outcome.endpoints.values() {
        let fine = |kind: &str| overload && (kind == REFUSED || kind == UNSENT);
        let errors = endpoint.errors.iter().filter(|(kind, _)| !fine(kind));
        problems.extend(errors.map(|(kind, number)| format!("{number} × {kind}")));
    }
    if good(expected, outcome) == 0 {
        problems.push("not one answer was what it should be".to_owned());
    }
    (!problems.is_empty()).then(|| problems.join(", "))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use coupon_loadgen::load::{EndpointOutcome, GeneratorCost, GrabLatency, GrabsByOutcome};
    use coupon_loadgen::workload::Endpoint;

    use super::*;

    fn outcome(counts: GrabsByOutcome) -> Outcome {
        Outcome {
            scenarios: Vec::new(),
            phases: Vec::new(),
            each: Vec::new(),
            began: Instant::now(),
            endpoints: BTreeMap::new(),
            grabs: Vec::new(),
            steps: Vec::new(),
            sold_out: counts.out_of_stock,
            counts,
            grab_latency: GrabLatency::new(),
            elapsed: Duration::from_secs(1),
            generator: GeneratorCost::default(),
            unsent: 0,
            reconnects: 0,
        }
    }

    fn said(expected: Expected, counts: GrabsByOutcome) -> String {
        problem(expected, &outcome(counts)).unwrap_or_default()
    }

    #[test]
    fn a_round_of_grabs_with_anything_but_grants_is_not_valid() {
        let granted = GrabsByOutcome { granted: 9, ..GrabsByOutcome::default() };
        assert_eq!(said(Expected::Granted, granted), "");
        let sold_out = said(Expected::Granted, GrabsByOutcome { out_of_stock: 2, ..granted });
        assert_eq!(sold_out, "2 were sold out");
        assert_eq!(said(Expected::Granted, GrabsByOutcome { duplicate: 1, ..granted }), "1 were duplicates");
        assert!(said(Expected::Granted, GrabsByOutcome::default()).contains("not one answer"));
        let unsent = Outcome { unsent: 3, ..outcome(granted) };
        assert_eq!(problem(Expected::Granted, &unsent).unwrap(), "3 were never sent");
    }

    #[test]
    fn an_overloaded_service_may_refuse_but_not_fail() {
        let granted = outcome(GrabsByOutcome { granted: 9, ..GrabsByOutcome::default() });
        let with = |error: &str| {
            let mut figures = EndpointOutcome::new();
            figures.errors.insert(error.to_owned(), 3);
            Outcome { endpoints: BTreeMap::from([(Endpoint::Grab, figures)]), unsent: 5, ..granted.clone() }
        };
        assert_eq!(problem(Expected::GrantedOrRefused, &with("503")), None);
        assert_eq!(problem(Expected::GrantedOrRefused, &with("500")).unwrap(), "3 × 500");
        assert!(problem(Expected::Granted, &with("503")).unwrap().contains("3 × 503"));
    }

    #[test]
    fn refusals_are_what_a_round_of_refusals_is_about() {
        let sold_out = GrabsByOutcome { out_of_stock: 1_000, duplicate: 5, ..GrabsByOutcome::default() };
        assert_eq!(said(Expected::SoldOut, sold_out), "");
        assert!(said(Expected::SoldOut, GrabsByOutcome { duplicate: 6, ..sold_out }).contains("duplicates"));
        assert!(
            said(Expected::SoldOut, GrabsByOutcome { granted: 1, ..sold_out }).contains("1 were granted")
        );
        let duplicates = GrabsByOutcome { duplicate: 4, ..GrabsByOutcome::default() };
        assert_eq!(said(Expected::Duplicate, duplicates), "");
        assert!(said(Expected::Duplicate, sold_out).contains("sold out"));
    }
}
