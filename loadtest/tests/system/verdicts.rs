//! Comparisons that allow no verdict, as people run them.

use std::process::Command;

use coupon_lab::built;
use coupon_report::model::{DoubtKind, NeedResult};

#[test]
fn a_load_that_its_connections_cannot_carry_gives_no_verdict_on_times_and_has_an_exit_code_of_its_own() {
    built("hash-svc").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["compare", "--contestants", "hash,range-time", "--rounds", "5", "--seconds", "0.2"])
        .args(["--rate", "5000", "--connections", "1", "--out", "report"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(4), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let report = coupon_report::read(&folder.path().join("report/report.json")).unwrap();
    assert!(
        report.doubts.iter().any(|doubt| doubt.kind == DoubtKind::ConnectionsLimited),
        "{:?}",
        report.doubts
    );
    for need in &report.needs {
        let timed = need.by.as_ref().is_some_and(coupon_report::model::Metric::is_timed);
        assert!(!(timed && need.result == NeedResult::Leads), "{need:?}");
    }
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("found none free") && !said.contains("Choose"), "{said}");
}
