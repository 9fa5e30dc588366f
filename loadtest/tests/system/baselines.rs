//! Baselines, which most teams run, beside the strategies: the same load, the same audit.

use std::path::Path;
use std::process::Command;

use coupon_lab::built;
use coupon_report::{self, Report};

use crate::went_well;

fn compare(out: &Path, backend: &str) -> Report {
    built("hash-svc").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["compare", "--shards", "2", "--contestants", "update,update-batched,hash"])
        .args(["--rounds", "1", "--seconds", "1.5", "--rate", "200", "--connections", "16"])
        .args(["--backend", backend, "--out"])
        .arg(out)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(went_well(output.status), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("by a conditional UPDATE, with 16 under way at once"), "{told}");
    coupon_report::read(&out.join("report.json")).unwrap()
}

/// Every promise kept, every row counted; and the report says what each contestant is, and whether anything else is needed.
fn holds(report: &Report) {
    assert!(report.audit.passed, "{:?}", report.audit);
    for contestant in &report.contestants {
        let is_baseline = contestant.name != "hash";
        assert_eq!(
            (contestant.baseline.is_some(), contestant.shards),
            (is_baseline, if is_baseline { 1 } else { 2 })
        );
        let round = contestant.rounds.first().unwrap();
        let (granted, most) = (round.grabs.granted, round.grabs.granted + round.grabs.unknown);
        let rows: f64 = round.shards.iter().map(|shard| shard.rows_written.value().unwrap()).sum();
        assert!(granted > 0 && rows >= granted as f64 && rows <= most as f64, "{rows} rows of {granted}");
        let audit = round.audit.known().unwrap();
        let unchecked =
            audit.violations().into_iter().filter_map(|(_, _, violation)| violation.not_checked.as_ref());
        assert_eq!(unchecked.collect::<Vec<_>>(), [""; 0], "{}", contestant.name);
    }
    let asked: Vec<&str> = report
        .advice
        .iter()
        .map(|advice| advice.heading.as_str())
        .filter(|heading| heading.starts_with("Do I need"))
        .collect();
    assert_eq!(
        asked,
        ["Do I need any of this beside update?", "Do I need any of this beside update-batched?"]
    );
}

#[test]
fn one_database_takes_the_same_load_as_strategies_on_files() {
    let out = tempfile::tempdir().unwrap();
    holds(&compare(out.path(), "embedded"));
}

#[test]
fn one_database_takes_the_same_load_as_strategies_on_servers() {
    let out = tempfile::tempdir().unwrap();
    holds(&compare(out.path(), "servers"));
}
