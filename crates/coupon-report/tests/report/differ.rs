//! Two reports side by side.

use coupon_report::diff::{ChangeVerdict, Diff, DiffOptions, LEAST, Unit, notes, obstacles, print};
use coupon_report::model::{Figure, LatencyMs, Metric, Quantile, Reading, Report, Violation};
use coupon_report::terminal;

use crate::recorded::{contestant, of_rounds, summarised};

/// The same comparison, run again: other noise.
fn two() -> (Report, Report) {
    let (before, mut after) = (summarised(of_rounds(9)), summarised(of_rounds(9)));
    // Every latency of the second run is off by up to 3 %, up and down.
    for contestant in &mut after.contestants {
        for (round, by) in contestant.rounds.iter_mut().zip([0.98, 1.03, 1.0, 0.97, 1.02].iter().cycle()) {
            scale(round, *by, |_| true);
        }
    }
    (before, after)
}

pub(crate) fn scale(round: &mut coupon_report::model::Round, by: f64, wanted: impl Fn(&str) -> bool) {
    let slow = |latency: &mut Reading<LatencyMs>| {
        if let Reading::Known(latency) = latency {
            for ms in [&mut latency.p50, &mut latency.p90, &mut latency.p99, &mut latency.p999] {
                *ms *= by;
            }
        }
    };
    for (_, scenario) in round.scenarios.iter_mut().filter(|(name, _)| wanted(name)) {
        slow(&mut scenario.latency);
    }
    for (_, endpoint) in round.endpoints.iter_mut().filter(|(key, _)| wanted(key)) {
        slow(&mut endpoint.latency);
        if let Figure::Known(mean) = &mut endpoint.mean_ms {
            *mean *= by;
        }
    }
}

fn rounds_alone() -> DiffOptions<'static> {
    DiffOptions { rounds_alone: true, ..DiffOptions::default() }
}

fn by_rounds(before: &Report, after: &Report) -> Diff {
    Diff::of(before, after, &rounds_alone())
}

fn change(diff: &Diff, contestant: &str, metric: &str) -> ChangeVerdict {
    let mut rows = diff.rows.iter().filter(|row| row.contestant == contestant && row.metric == metric);
    rows.next().unwrap_or_else(|| panic!("{contestant} {metric}")).change
}

#[test]
fn a_run_that_repeats_itself_is_the_same_and_nothing_is_worse() {
    let (before, after) = two();
    assert_eq!(obstacles(&before, &after), [] as [String; 0]);
    assert!(!notes(&before, &after).join(" ").contains("busier"));
    let diff = by_rounds(&before, &after);
    assert_eq!((diff.count(ChangeVerdict::Worse), diff.count(ChangeVerdict::Better)), (0, 0));
    assert_eq!(change(&diff, "hash", "latency.p50.grab"), ChangeVerdict::Same);
}

#[test]
fn what_is_counted_alike_in_each_of_a_few_rounds_is_the_same() {
    let [before, after] = [two().0, two().0].map(|mut report| {
        report.contestants.iter_mut().for_each(|contestant| contestant.rounds.truncate(2));
        coupon_report::summarise(&mut report);
        report
    });
    let diff = by_rounds(&before, &after);
    assert_eq!(change(&diff, "hash", "fan_out.shards.room_orders"), ChangeVerdict::Same);
    assert_eq!(change(&diff, "hash", "latency.p50.room_orders"), ChangeVerdict::Undecided, "it is timed");
}

#[test]
fn a_service_that_grants_nothing_any_more_is_worse_and_one_that_begins_to_is_better() {
    let (before, mut after) = two();
    let hash = contestant(&mut after, "hash");
    hash.rounds.iter_mut().for_each(|round| round.grabs.granted_per_s = 0.0);
    let metric = "grabs.granted_per_s";
    let diff = by_rounds(&before, &after);
    assert_eq!(change(&diff, "hash", metric), ChangeVerdict::Worse);
    let row = diff.rows.iter().find(|row| row.metric == metric && row.contestant == "hash").unwrap();
    assert_eq!(row.reason.as_deref(), Some("nothing after in 9 of 9 rounds"));
    assert_eq!(change(&by_rounds(&after, &before), "hash", metric), ChangeVerdict::Better);
    let hash = contestant(&mut after, "hash");
    hash.rounds.iter_mut().take(5).for_each(|round| round.grabs.granted_per_s = 900.0);
    assert_eq!(change(&by_rounds(&before, &after), "hash", metric), ChangeVerdict::Undecided);
}

#[test]
fn what_is_asked_for_by_name_is_compared_whatever_verdicts_are_made_of() {
    let (before, after) = two();
    let only = ["latency.p90.grab", "scenario.p999.normal", "shards.skew"].map(|name| name.parse().unwrap());
    let diff = Diff::of(&before, &after, &DiffOptions { only: &only, ..rounds_alone() });
    let of_hash = diff.rows.iter().filter(|row| row.contestant == "hash");
    let compared: Vec<&str> = of_hash.map(|row| row.metric.as_str()).collect();
    assert_eq!(compared, ["latency.p90.grab", "scenario.p999.normal", "shards.skew"]);
    let nobody = ["latency.p99.unheard_of".parse().unwrap()];
    assert!(Diff::of(&before, &after, &DiffOptions { only: &nobody, ..rounds_alone() }).rows.is_empty());
}

#[test]
fn what_takes_half_as_long_again_is_worse_and_the_other_way_round_better() {
    let (before, mut after) = two();
    let hash = contestant(&mut after, "hash");
    hash.rounds.iter_mut().for_each(|round| scale(round, 1.5, |key| key == "room_orders"));
    let metric = "latency.p50.room_orders";
    assert_eq!(change(&by_rounds(&before, &after), "hash", metric), ChangeVerdict::Worse);
    assert_eq!(change(&by_rounds(&after, &before), "hash", metric), ChangeVerdict::Better);
    let other = "scenario.p50.normal";
    assert_eq!(change(&by_rounds(&before, &after), "hash", other), ChangeVerdict::Same);
    // Half as much again is no change where only twice as much counts as one.
    assert_eq!(
        Diff::of(&before, &after, &DiffOptions { least: 1.0, ..rounds_alone() }).count(ChangeVerdict::Worse),
        0
    );
    let only = [Metric::latency("grab", Quantile::P99)];
    let one = Diff::of(&before, &after, &DiffOptions { only: &only, ..rounds_alone() });
    assert!(
        one.rows.len() == before.contestants.len() && one.count(ChangeVerdict::Worse) == 0,
        "{:?}",
        one.rows
    );
}

#[test]
fn less_of_what_should_be_more_is_worse() {
    let (before, mut after) = two();
    for round in &mut after.contestants[0].rounds {
        round.grabs.granted_per_s *= 0.7;
    }
    assert_eq!(change(&by_rounds(&before, &after), "hash", "grabs.granted_per_s"), ChangeVerdict::Worse);
}

#[test]
fn requests_that_fail_are_worse_even_where_none_failed_before() {
    let (mut before, mut after) = two();
    for round in &mut before.contestants[0].rounds {
        round.endpoints.values_mut().for_each(|endpoint| endpoint.errors.clear());
    }
    assert_eq!(change(&by_rounds(&before, &after), "hash", "errors"), ChangeVerdict::Same);
    for round in &mut after.contestants[0].rounds {
        round.endpoints.get_mut("grab").unwrap().errors.insert("503".into(), 900);
    }
    assert_eq!(change(&by_rounds(&before, &after), "hash", "errors"), ChangeVerdict::Worse);
}

#[test]
fn four_rounds_decide_nothing() {
    let (mut before, after) = two();
    before.contestants.iter_mut().for_each(|contestant| contestant.rounds.truncate(4));
    let diff = by_rounds(&before, &after);
    let counted = ["errors", "fan_out", "shards"];
    let judged = diff.rows.iter().filter(|row| counted.iter().all(|kind| !row.metric.starts_with(kind)));
    assert!(judged.clone().count() > 10 && judged.clone().all(|row| row.change == ChangeVerdict::Undecided));
    assert!(judged.clone().all(|row| row.reason.as_deref() == Some("4 rounds in common")));
}

#[test]
fn reports_of_other_loads_are_not_comparable_and_each_reason_is_named() {
    let (before, after) = two();
    let refused = |change: fn(&mut Report), named: &str| {
        let mut other = after.clone();
        change(&mut other);
        let found = obstacles(&before, &other);
        assert!(found.len() == 1 && found[0].contains(named), "{named}: {found:?}");
    };
    refused(|report| report.meta.workload = "another".into(), "workload differs");
    refused(|report| report.meta.rate = Some(1.0), "rate differs: 800/s before, 1/s after");
    refused(|report| report.meta.rate = None, "as fast as answers come after");
    refused(|report| report.meta.backend = "servers".into(), "backend");
    refused(|report| report.meta.seconds_per_round = 1.0, "length of a round");
    refused(|report| report.meta.connections += 1, "connections");
    refused(|report| report.meta.history_rows = 1, "history");
    refused(|report| report.meta.shard_rtt_ms = 1.0, "network");
    refused(|report| report.meta.processes = 2, "processes");
    refused(|report| report.meta.shard_cpu = Some(0.2), "quota");
    refused(|report| report.meta.mix[0].rooms = "hot".into(), "other requests");
    refused(
        |report| report.contestants[0].layout = "elsewhere".into(),
        "Contestant hash places its rows otherwise",
    );
    let mut built = before.clone();
    built.contestants[0].build = Some("release".into());
    let mut rebuilt = built.clone();
    rebuilt.contestants[0].build = Some("debug".into());
    let found = obstacles(&built, &rebuilt);
    assert_eq!(found, ["Contestant hash is a release build before and a debug build after."]);
    refused(|report| report.contestants.clear(), "No contestant is in both");
}

#[test]
fn what_does_not_forbid_a_comparison_is_said_all_the_same() {
    let (before, mut after) = two();
    after.meta.seed += 1;
    after.contestants.remove(0);
    after.audit.passed = false;
    for round in after.contestants.iter_mut().flat_map(|contestant| &mut contestant.rounds) {
        round.generator.lateness_p99_ms = Figure::of(40.0);
    }
    let notes = by_rounds(&before, &after).notes.join("\n");
    for part in ["seed differs", "Only before: hash", "audit after", "busier after", "different times"] {
        assert!(notes.contains(part), "{part}: {notes}");
    }
}

#[test]
fn the_text_ends_with_what_became_worse() {
    let (before, mut after) = two();
    for contestant in &mut after.contestants {
        contestant.rounds.iter_mut().for_each(|round| scale(round, 2.0, |key| key == "recent"));
    }
    after.audit.sums.lost = Violation::of(["7".to_owned()]);
    let mut out = Vec::new();
    print(&by_rounds(&before, &after), LEAST, &mut out, terminal::Screen::new(100, false)).unwrap();
    let text = String::from_utf8(out).unwrap();
    let last = text.lines().rfind(|line| !line.starts_with(' ')).unwrap();
    assert!(last.starts_with("WORSE ") && text.contains("after ÷ before"), "{text}");
    assert!(text.contains("WORSE hash: recent orders p50, ms"), "{text}");
}

/// A run in which everything took so many times as long, as on a machine that had other things to do.
fn run(by: f64) -> Report {
    let mut report = summarised(of_rounds(9));
    for contestant in &mut report.contestants {
        contestant.rounds.iter_mut().for_each(|round| scale(round, by, |_| true));
    }
    report
}

#[test]
fn of_two_single_runs_times_look_worse_and_what_is_counted_is_worse() {
    let (before, mut after) = (run(1.0), run(1.5));
    let diff = Diff::of(&before, &after, &DiffOptions::default());
    assert_eq!((diff.unit, diff.count(ChangeVerdict::Worse)), (Unit::None, 0));
    assert_eq!(change(&diff, "hash", "latency.p50.room_orders"), ChangeVerdict::LooksWorse);
    assert!(diff.notes.join(" ").contains("--also-before"), "{:?}", diff.notes);
    for round in &mut contestant(&mut after, "range-room").rounds {
        round.endpoints.get_mut("room_orders").unwrap().shards_visited = Figure::of(4.0);
    }
    let diff = Diff::of(&before, &after, &DiffOptions::default());
    assert_eq!(change(&diff, "range-room", "fan_out.shards.room_orders"), ChangeVerdict::Worse);
}

#[test]
fn runs_that_drift_by_a_third_are_no_change_and_twice_as_long_is_one() {
    let before = [0.85, 1.0, 1.15, 0.95, 1.1].map(run);
    let before: Vec<&Report> = before.iter().collect();
    let drifted = [1.2, 0.9].map(run);
    let diff = Diff::of_runs(&before, &drifted.iter().collect::<Vec<_>>(), &DiffOptions::default());
    assert_eq!(
        (diff.unit, diff.count(ChangeVerdict::Worse), diff.count(ChangeVerdict::Better)),
        (Unit::Run, 0, 0)
    );
    let slower = [2.4, 2.0, 2.2].map(run);
    let diff = Diff::of_runs(&before, &slower.iter().collect::<Vec<_>>(), &DiffOptions::default());
    assert_eq!(change(&diff, "hash", "latency.p50.room_orders"), ChangeVerdict::Worse);
    assert_eq!(change(&diff, "hash", "grabs.granted_per_s"), ChangeVerdict::Undecided);
}

fn of_runs(before: &[&Report], after: &[&Report]) -> Diff {
    Diff::of_runs(before, after, &DiffOptions::default())
}

#[test]
fn one_run_after_that_visits_more_shards_than_those_before_is_worse_whichever_it_is() {
    let (equal, mut more) = (run(1.0), run(1.0));
    for round in &mut contestant(&mut more, "range-room").rounds {
        round.endpoints.get_mut("room_orders").unwrap().shards_visited = Figure::of(4.0);
        round.effective_shards = Figure::of(1.0);
    }
    let [shards, spread] = ["fan_out.shards.room_orders", "shards.effective"];
    for after in [[&more, &equal], [&equal, &more]] {
        let diff = of_runs(&[&equal, &equal], &after);
        for metric in [shards, spread] {
            assert_eq!(change(&diff, "range-room", metric), ChangeVerdict::Worse, "{metric}");
        }
        let row =
            diff.rows.iter().find(|row| row.contestant == "range-room" && row.metric == shards).unwrap();
        assert!(row.reason.as_deref().is_some_and(|reason| reason.contains("of 2 after")), "{row:?}");
        assert_eq!(row.after.as_ref().map(|after| after.median), Some(4.0));
    }
    // What a run before had already is no change for the worse.
    for before in [[&more, &equal], [&equal, &more]] {
        assert_eq!(change(&of_runs(&before, &[&more]), "range-room", shards), ChangeVerdict::Undecided);
    }
    assert_eq!(
        change(&of_runs(&[&more, &more], &[&equal, &equal]), "range-room", shards),
        ChangeVerdict::Better
    );
}

#[test]
fn the_failures_of_all_runs_are_taken_together() {
    let (equal, mut failing) = (run(1.0), run(1.0));
    for round in &mut contestant(&mut failing, "hash").rounds {
        round.endpoints.get_mut("grab").unwrap().errors.insert("503".into(), 900);
    }
    for after in [[&failing, &equal], [&equal, &failing]] {
        let diff = of_runs(&[&equal, &equal], &after);
        assert_eq!(change(&diff, "hash", "errors"), ChangeVerdict::Worse);
        assert_eq!(change(&of_runs(&after, &[&equal, &equal]), "hash", "errors"), ChangeVerdict::Better);
    }
}

/// A run in which the first contestant grants nothing.
fn granting_nothing() -> Report {
    let mut report = run(1.0);
    contestant(&mut report, "hash").rounds.iter_mut().for_each(|round| round.grabs.granted_per_s = 0.0);
    report
}

#[test]
fn a_rate_that_is_nothing_in_one_of_two_single_runs_looks_worse_only() {
    let (before, after) = (run(1.0), granting_nothing());
    let metric = "grabs.granted_per_s";
    assert_eq!(change(&of_runs(&[&before], &[&after]), "hash", metric), ChangeVerdict::LooksWorse);
    assert_eq!(change(&of_runs(&[&after], &[&before]), "hash", metric), ChangeVerdict::LooksBetter);
}

#[test]
fn a_rate_that_is_nothing_in_most_runs_of_a_side_has_changed_whichever_run_comes_first() {
    let (some, none) = (run(1.0), granting_nothing());
    let before = [&some, &some, &some];
    let granted = |before: &[&Report], after: &[&Report]| {
        change(&of_runs(before, after), "hash", "grabs.granted_per_s")
    };
    for after in [[&none, &none, &some], [&some, &none, &none]] {
        assert_eq!(granted(&before, &after), ChangeVerdict::Worse);
        assert_eq!(granted(&after, &before), ChangeVerdict::Better);
    }
    for after in [[&none, &some, &some], [&some, &some, &none]] {
        assert_eq!(granted(&before, &after), ChangeVerdict::Undecided);
    }
}

/// A run that took so many times as long because the load was the limit of it.
fn limited(by: f64) -> Report {
    let mut report = run(by);
    let rounds = report.contestants.iter_mut().flat_map(|contestant| &mut contestant.rounds);
    rounds.for_each(|round| round.generator.cpu_seconds = Figure::of(round.seconds));
    summarised(report)
}

#[test]
fn rates_and_times_of_a_run_whose_limit_was_the_load_are_left_out_and_what_is_counted_is_judged() {
    let (equal, mut busy) = (run(1.0), limited(3.0));
    for round in &mut contestant(&mut busy, "range-room").rounds {
        round.endpoints.get_mut("room_orders").unwrap().shards_visited = Figure::of(4.0);
    }
    let p50 = "latency.p50.room_orders";
    for how in [rounds_alone(), DiffOptions::default()] {
        let diff = Diff::of(&equal, &busy, &how);
        assert_eq!(change(&diff, "hash", p50), ChangeVerdict::Undecided);
        assert_eq!(change(&diff, "range-room", "fan_out.shards.room_orders"), ChangeVerdict::Worse);
        assert_eq!(
            (diff.count(ChangeVerdict::Worse), diff.count(ChangeVerdict::LooksWorse)),
            (1, 0),
            "{:?}",
            diff.rows
        );
        let row = diff.rows.iter().find(|row| row.metric == p50).unwrap();
        assert_eq!((row.reason.as_deref(), &row.after), (Some("the load was the limit"), &None));
        assert!(diff.load_limited && !Diff::of(&equal, &equal, &how).load_limited);
        let notes = diff.notes.join(" ");
        assert!(notes.contains("No rates and times of 1 run after: the load was the limit"), "{notes}");
    }
}

#[test]
fn of_several_runs_those_whose_limit_was_the_load_decide_no_time_and_do_not_count() {
    let before = [0.95, 1.0, 1.05].map(run);
    let before: Vec<&Report> = before.iter().collect();
    let (busy, slow, slower) = (limited(3.0), run(3.0), run(3.1));
    let p50 = |after: &[&Report]| {
        let diff = of_runs(&before, after);
        (diff.unit, diff.load_limited, change(&diff, "hash", "latency.p50.room_orders"))
    };
    assert_eq!(p50(&[&busy, &slow, &slower]), (Unit::Run, false, ChangeVerdict::Worse));
    // Of five runs too few are left, and that is said.
    assert_eq!(p50(&[&busy, &slow]), (Unit::None, true, ChangeVerdict::LooksWorse));
    assert_eq!(p50(&[&busy, &busy]), (Unit::None, true, ChangeVerdict::Undecided));
}
