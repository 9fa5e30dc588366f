//! A comparison as it was measured: five short rounds of hash, range-time, range-room, the baseline and two cures, on files.
//! To record it anew:
//!
//! ```text
//! loadtest compare --contestants hash,range-time,range-room,single,range-time+spread,range-room+split --rounds 5 \
//!     --seconds 3 --rate 800 --history 5000 --out /tmp/recorded
//! RECORDED=/tmp/recorded/report.json cargo test -p coupon-report --test report -- --ignored record
//! ```

use std::path::Path;

use coupon_report::diff::{ChangeVerdict, Diff, DiffOptions, obstacles};
use coupon_report::model::{Contestant, Figure, Flow, Machine, Metric, Report, Round, ShardFlow};
use coupon_report::{html, read, summarise, terminal, write_all};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/report/recorded.json");

/// The recorded rounds alone.
pub(crate) fn measured() -> Report {
    read(Path::new(FILE)).unwrap()
}

/// The recorded rounds, and everything that follows from them.
pub(crate) fn recorded() -> Report {
    summarised(measured())
}

pub(crate) fn summarised(mut report: Report) -> Report {
    summarise(&mut report);
    report
}

/// A report of so many rounds: the recorded ones again, where there are not enough.
pub(crate) fn of_rounds(rounds: u32) -> Report {
    let mut report = measured();
    report.meta.rounds = rounds;
    for contestant in &mut report.contestants {
        let recorded = std::mem::take(&mut contestant.rounds);
        let again = recorded.into_iter().cycle();
        contestant.rounds = (0..rounds).zip(again).map(|(index, round)| Round { index, ..round }).collect();
    }
    report
}

/// The same on servers, where a queue lies before each shard and each shard has a fifth of a core: the busiest shard
/// takes what it can, and the rest waits.
pub(crate) fn on_servers() -> Report {
    const TAKEN: f64 = 1_000.0;
    let mut report = measured();
    report.meta.backend = "servers".into();
    report.meta.shard_cpu = Some(0.2);
    report.meta.processes = 2;
    for round in report.contestants.iter_mut().flat_map(|contestant| &mut contestant.rounds) {
        let hottest = round.shards.iter().filter_map(|shard| shard.rows_written.value()).fold(0.0, f64::max);
        let waiting = (hottest - TAKEN).max(0.0);
        round.flow = Some(Flow {
            stored_per_s: Figure::of((round.grabs.granted as f64 - waiting) / round.seconds),
            backlog: Figure::of(waiting),
            drain_seconds: Figure::of(0.2 + waiting / 500.0),
        });
        for shard in &mut round.shards {
            let rows = shard.rows_written.value().unwrap_or(0.0);
            shard.flow = Some(ShardFlow {
                queue_depth_max: Figure::of((rows - TAKEN).max(3.0)),
                lag_ms_max: Figure::of((rows - TAKEN).max(10.0) * 2.0),
                saturation: Figure::of((rows / TAKEN).min(1.0)),
            });
        }
    }
    report
}

/// A contestant of a report, to be changed.
pub(crate) fn contestant<'a>(report: &'a mut Report, name: &str) -> &'a mut Contestant {
    report.contestants.iter_mut().find(|contestant| contestant.name == name).unwrap()
}

fn printed(report: &Report, columns: usize) -> String {
    let mut out = Vec::new();
    terminal::print(report, &mut out, terminal::Screen::new(columns, false)).unwrap();
    String::from_utf8(out).unwrap()
}

/// Keeps what was measured, and nothing of the machine that it was measured on.
#[test]
#[ignore = "it replaces the recorded comparison"]
fn record() {
    let measured = read(Path::new(&std::env::var("RECORDED").unwrap())).unwrap();
    let mut report = Report::new(measured.meta, measured.contestants);
    report.meta.machine = Machine::default();
    report.outlook = measured.outlook;
    for contestant in &mut report.contestants {
        contestant.summaries.clear();
    }
    std::fs::write(FILE, serde_json::to_string(&report).unwrap() + "\n").unwrap();
}

#[test]
fn nothing_of_the_machine_is_recorded() {
    let text = std::fs::read_to_string(FILE).unwrap();
    for private in ["/home/", "/root/", "/tmp/"] {
        assert!(!text.contains(private), "{private}");
    }
    assert_eq!(recorded().meta.machine, Machine::default());
}

#[test]
fn layouts_are_shown_as_strategies_print_them() {
    let report = recorded();
    let page = html::render(&report);
    let text = printed(&report, 100).split_whitespace().collect::<Vec<_>>().join(" ");
    for Contestant { name, layout, .. } in &report.contestants {
        assert!(name == "single" || layout.contains("4 shards"), "{name}: {layout}");
        assert!(text.contains(layout.as_str()) && page.contains(layout.as_str()), "{name}: {layout}");
    }
}

#[test]
fn the_figures_are_those_of_the_strategies_that_were_measured() {
    let report = recorded();
    let median = |name: &str, metric: &Metric| report.contestant(name).unwrap().median(metric).unwrap();
    let spread = |name| median(name, &Metric::EffectiveShards);
    assert!((spread("range-time") - 1.0).abs() < 1e-9, "all of a day goes to one shard");
    assert!(spread("range-room") < spread("range-room+split") && spread("range-room") < spread("hash"));
    for (name, shards) in [("hash", 4.0), ("range-room", 1.0), ("range-room+split", 1.0)] {
        assert!((median(name, &Metric::shards("room_orders")) - shards).abs() < 1e-9, "{name}");
    }
    assert!(report.audit.passed && report.audit.rounds_audited == 30, "{:?}", report.audit);
}

#[test]
fn every_section_of_a_measured_comparison_fits_its_terminal() {
    let report = recorded();
    for columns in [60, 80, 100] {
        let text = printed(&report, columns);
        assert!(text.lines().all(|line| line.chars().count() <= columns), "{text}");
        for section in
            ["WHICH, FOR THIS WORKLOAD", "VERDICTS", "CURES AND THEIR PRICE", "AUDIT", "KEEP IN MIND"]
        {
            assert!(text.contains(section), "{section}: {text}");
        }
    }
}

#[test]
fn a_measured_comparison_survives_its_file_and_is_no_different_from_itself() {
    let (report, folder) = (recorded(), tempfile::tempdir().unwrap());
    let paths = write_all(&report, folder.path()).unwrap();
    let back = read(&paths.json).unwrap();
    assert_eq!(obstacles(&report, &back), [] as [String; 0]);
    let diff = Diff::of(&report, &back, &DiffOptions::default());
    assert!(diff.rows.len() > 40, "{}", diff.rows.len());
    assert!(diff.rows.iter().all(|row| matches!(row.change, ChangeVerdict::Same | ChangeVerdict::Undecided)));
}
