//! A series of reports.

use coupon_measure::Random;
use coupon_report::diff::ChangeVerdict;
use coupon_report::history::{Given, History, HistoryOptions, LastingChange, print};
use coupon_report::html;
use coupon_report::model::{Doubt, DoubtKind, Figure, Reading, Report, Violation};
use coupon_report::terminal::Screen;

use crate::differ::scale;
use crate::recorded::{contestant, recorded};

const METRIC: &str = "latency.p50.room_orders";

/// Runs of the recorded comparison, a day apart: each endpoint of each contestant is up to a tenth slower or faster than it was,
/// and all of a run together as much again.
fn runs(number: u64) -> Vec<Given> {
    let mut recorded = recorded();
    recorded.contestants.retain(|contestant| ["hash", "range-room"].contains(&contestant.name.as_str()));
    let mut random = Random::new(1, 0);
    let run = |day: u64| {
        let mut report = recorded.clone();
        report.meta.date = format!("2026-10-{:02}T02:00:00Z", day + 1);
        let mood = 0.9 + 0.2 * random.unit();
        for round in report.contestants.iter_mut().flat_map(|contestant| &mut contestant.rounds) {
            let own = 0.9 + 0.2 * random.unit();
            scale(round, mood * own, |_| true);
        }
        Given { name: format!("reports/{:02}/report.json", day + 1), report }
    };
    (0..number).map(run).collect()
}

/// The same, with something done to these runs.
fn with(number: u64, which: std::ops::Range<usize>, change: impl Fn(&mut Report)) -> Vec<Given> {
    let mut given = runs(number);
    given[which].iter_mut().for_each(|one| change(&mut one.report));
    given
}

fn slower(report: &mut Report) {
    for round in &mut contestant(report, "hash").rounds {
        scale(round, 1.6, |key| key == "room_orders");
    }
}

fn history(given: Vec<Given>) -> History {
    History::of(given, &HistoryOptions::default()).unwrap()
}

/// The changes of a figure of the only series.
fn changes<'a>(found: &'a History, name: &str, metric: &str) -> &'a [LastingChange] {
    let mut figures = found.series[0].figures.iter();
    &figures.find(|of| of.contestant == name && of.metric == metric).unwrap().changes
}

fn text(found: &History, columns: usize) -> String {
    let mut out = Vec::new();
    print(found, &mut out, Screen::new(columns, false)).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn runs_that_differ_by_themselves_have_no_change() {
    let found = history(runs(20));
    assert!(found.is_judged() && !found.is_worse(), "{}", text(&found, 100));
    let series = &found.series[0];
    assert!(series.figures.len() > 40 && series.figures.iter().all(|of| of.changes.is_empty()));
    assert!(html::render_history(&found).contains("Nothing is worse than before."));
}

#[test]
fn what_is_slower_from_a_run_on_is_worse_since_then() {
    let found = history(with(20, 14..20, slower));
    let [changed] = changes(&found, "hash", METRIC) else { panic!("{}", text(&found, 100)) };
    assert_eq!((changed.at, changed.change), (14, ChangeVerdict::Worse));
    assert!(changed.p <= 0.05 && (1.4..1.8).contains(&changed.ratio.unwrap()), "{changed:?}");
    assert!(found.is_worse() && changes(&found, "range-room", METRIC).is_empty());
    assert!(changes(&found, "hash", "latency.p50.grab").is_empty());
    for columns in [60, 80, 100] {
        let text = text(&found, columns);
        assert!(text.lines().all(|line| line.chars().count() <= columns), "{text}");
        let told = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains("WORSE hash: room orders p50, ms"), "{text}");
        assert!(told.contains("since run 15 of 20, 2026-10-15T02:00:00Z"), "{text}");
    }
    let page = html::render_history(&found);
    assert!(page.contains("▼ worse") && page.contains("worse by 1.") && !page.contains("<script"), "{page}");
}

#[test]
fn what_got_better_is_told_and_is_no_failure() {
    let found = history(with(20, 0..9, slower));
    let [changed] = changes(&found, "hash", METRIC) else { panic!("{}", text(&found, 100)) };
    assert_eq!((changed.at, changed.change, found.is_worse()), (9, ChangeVerdict::Better, false));
}

#[test]
fn what_was_mended_since_is_not_worse() {
    let found = history(with(24, 8..16, slower));
    let told: Vec<(usize, ChangeVerdict)> =
        changes(&found, "hash", METRIC).iter().map(|changed| (changed.at, changed.change)).collect();
    assert_eq!(told, [(8, ChangeVerdict::Worse), (16, ChangeVerdict::Better)], "{}", text(&found, 100));
    assert!(!found.is_worse());
}

#[test]
fn what_one_contestant_does_hides_nothing_of_another() {
    let mut given = with(24, 8..15, |report| {
        for round in &mut contestant(report, "range-room").rounds {
            scale(round, 1.7, |key| key == "grab");
        }
    });
    given[17..].iter_mut().for_each(|one| slower(&mut one.report));
    let found = history(given);
    let told = |name: &str, metric: &str| -> Vec<(usize, ChangeVerdict)> {
        changes(&found, name, metric).iter().map(|changed| (changed.at, changed.change)).collect()
    };
    let grab = told("range-room", "latency.p50.grab");
    assert_eq!(grab, [(8, ChangeVerdict::Worse), (15, ChangeVerdict::Better)], "{}", text(&found, 100));
    assert_eq!(told("hash", METRIC), [(17, ChangeVerdict::Worse)]);
}

#[test]
fn a_change_that_is_small_is_none_however_sure_it_is() {
    let given = with(20, 10..20, |report| {
        for round in &mut contestant(report, "hash").rounds {
            round.grabs.granted_per_s *= 0.95;
        }
    });
    let granted = "grabs.granted_per_s";
    assert!(changes(&history(given.clone()), "hash", granted).is_empty());
    let found =
        History::of(given, &HistoryOptions { least: 0.02, only: &[granted.parse().unwrap()] }).unwrap();
    assert_eq!(changes(&found, "hash", granted)[0].change, ChangeVerdict::Worse);
    assert!(found.series[0].figures.iter().all(|of| of.metric == granted));
}

#[test]
fn requests_that_begin_to_fail_and_shards_that_begin_to_be_visited_are_worse() {
    let found = history(with(12, 8..12, |report| {
        for round in &mut contestant(report, "range-room").rounds {
            round.endpoints.get_mut("grab").unwrap().errors.insert("503".into(), 90);
            round.endpoints.get_mut("room_orders").unwrap().shards_visited = Figure::of(4.0);
        }
    }));
    for metric in ["errors", "fan_out.shards.room_orders"] {
        let [changed] = changes(&found, "range-room", metric) else { panic!("{metric}") };
        assert_eq!((changed.at, changed.change), (8, ChangeVerdict::Worse), "{metric}");
    }
}

#[test]
fn an_audit_that_passed_before_and_fails_in_the_last_run_is_worse() {
    let broken = |report: &mut Report| report.audit.sums.lost = Violation::of(["7".to_owned()]);
    let found = history(with(9, 8..9, broken));
    assert!(found.is_worse() && text(&found, 80).contains("WORSE audit: it passed before"));
    assert!(!history(with(9, 2..5, broken)).is_worse());
}

#[test]
fn too_few_runs_say_nothing() {
    let found = history(with(7, 4..7, slower));
    assert!(!found.is_judged() && !found.is_worse());
    let told = text(&found, 80);
    assert!(told.contains("CANNOT SAY: 7 runs; it takes 8"), "{told}");
    let page = html::render_history(&found);
    assert!(page.contains("cannot be told") && page.contains("<circle"), "{page}");
    assert!(!history(Vec::new()).is_judged());
}

#[test]
fn runs_of_another_load_machine_or_build_are_series_of_their_own_and_say_why() {
    let parted = |change: fn(&mut Report), why: &str| {
        let found = history(with(18, 9..18, change));
        let [one, two] = &*found.series else { panic!("{why}: {}", text(&found, 100)) };
        assert_eq!((one.runs.len(), two.runs.len(), found.is_judged()), (9, 9, true));
        assert!(one.apart.is_empty() && two.apart.join(" ").contains(why), "{why}: {:?}", two.apart);
        assert!(text(&found, 80).contains("Apart from series 1: "));
    };
    parted(|report| report.meta.rate = Some(1.0), "The rate differs");
    parted(|report| report.meta.machine.cpu = Reading::Known("another".into()), "The machine differs");
    let build = |report: &mut Report| {
        report.contestants.iter_mut().for_each(|contestant| contestant.build = Some("debug".into()));
    };
    let mut given = with(18, 9..18, build);
    given[..9].iter_mut().flat_map(|one| &mut one.report.contestants).for_each(|contestant| {
        contestant.build = Some("release".into());
    });
    let found = history(given);
    assert!(found.series[1].apart.join(" ").contains("is a release build before and a debug build after"));
}

#[test]
fn another_kernel_is_new_there_and_no_other_series() {
    let found = history(with(12, 6..12, |report| {
        report.meta.machine.kernel = Reading::Known("Linux 7.1".into());
        report.meta.versions.insert("loadtest".into(), "9.9.9".into());
        slower(report);
    }));
    assert_eq!(found.series.len(), 1);
    let differs = found.series[0].runs[6].differs.join(", ");
    assert!(differs.contains("→ Linux 7.1") && differs.contains("→ 9.9.9"), "{differs}");
    assert!(text(&found, 100).contains("new there: "), "{}", text(&found, 100));
}

#[test]
fn a_run_whose_load_was_the_limit_has_no_rates_and_times() {
    let found = history(with(12, 3..4, |report| {
        report.doubts.push(Doubt {
            kind: DoubtKind::GeneratorLimited,
            contestant: None,
            text: "The load generator was the limit.".into(),
        });
    }));
    let series = &found.series[0];
    let point = |metric: &str| {
        let mut figures = series.figures.iter();
        figures.find(|of| of.contestant == "hash" && of.metric == metric).unwrap().points[3].is_some()
    };
    assert!(!point(METRIC) && point("shards.effective"));
    assert!(text(&found, 100).contains("Run 4 (reports/04/report.json): no rates and times."));
}

#[test]
fn figures_that_too_few_runs_have_are_named_and_cannot_be_judged() {
    let limited = |report: &mut Report| {
        report.doubts.push(Doubt {
            kind: DoubtKind::GeneratorLimited,
            contestant: None,
            text: "The load generator was the limit.".into(),
        });
    };
    let found = history(with(12, 0..5, limited));
    assert!(!found.is_judged() && !found.is_worse(), "seven runs have rates and times");
    let told = text(&found, 100).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("CANNOT SAY") && told.contains("hash: room orders p50 (7)"), "{told}");
    assert!(!told.contains("hash: effective shards"), "what every run has is judged: {told}");
    let page = html::render_history(&found);
    assert!(page.contains("cannot be told") && page.contains("hash: room orders p50 (7)"), "{page}");
    assert!(history(with(12, 0..4, limited)).is_judged(), "eight runs are enough");
}

#[test]
fn runs_are_told_in_the_order_of_their_times_and_each_counts_once() {
    let mut given = with(12, 8..12, slower);
    given.reverse();
    given.push(Given { name: "again.json".into(), ..given[0].clone() });
    let found = history(given);
    let series = &found.series[0];
    assert!(series.runs.len() == 12 && series.runs.is_sorted_by_key(|run| &run.date));
    assert_eq!(found.notes, ["again.json is the same run as reports/12/report.json, and counts once."]);
    assert_eq!(changes(&found, "hash", METRIC).len(), 1);
}

#[test]
fn a_report_that_does_not_say_when_it_was_made_is_named() {
    let given = with(9, 4..5, |report| report.meta.date = "yesterday".into());
    let error = format!("{:#}", History::of(given, &HistoryOptions::default()).unwrap_err());
    assert!(error.starts_with("reports/05/report.json: meta.date: \"yesterday\""), "{error}");
}
