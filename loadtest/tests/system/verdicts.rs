//! Comparisons that allow no verdict, as people run them.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use coupon_lab::built;
use coupon_report::Report;
use coupon_report::model::{DoubtKind, Metric, NeedResult};
use rustix::process::{Pid, Signal, kill_process};

/// Reads the report in a folder, in which the load was the limit for that reason, and nobody leads by a rate or a time.
fn limited(folder: &Path, limit: DoubtKind) -> Report {
    let report = coupon_report::read(&folder.join("report/report.json")).unwrap();
    assert!(report.doubts.iter().any(|doubt| doubt.kind == limit), "{:?}", report.doubts);
    for need in &report.needs {
        let timed = need.by.as_ref().is_some_and(Metric::is_timed);
        assert!(!(timed && need.result == NeedResult::Leads), "{need:?}");
    }
    report
}

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
    limited(folder.path(), DoubtKind::ConnectionsLimited);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("found none free") && !said.contains("Choose"), "{said}");
}

#[test]
fn a_generator_whose_core_is_busy_with_something_else_is_the_limit_itself_and_that_has_the_exit_code() {
    built("hash-svc").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut compare = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["compare", "--contestants", "hash,range-time", "--rounds", "5", "--seconds", "1"])
        .args(["--rate", "60", "--out", "report"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(compare.stderr.take().unwrap()).lines().map(Result::unwrap);
    // The services come up undisturbed.
    for _ in ["hash", "range-time"] {
        said.find(|line| line.contains("seeded in")).unwrap();
    }
    let rest = std::thread::spawn(move || said.collect::<Vec<_>>());
    let generator = Pid::from_child(&compare);
    // The core is away for two thirds of the time, and each of many connections is free.
    let deadline = Instant::now() + Duration::from_secs(300);
    let status = loop {
        for (signal, ms) in [(Signal::STOP, 300), (Signal::CONT, 150)] {
            kill_process(generator, signal).unwrap();
            std::thread::sleep(Duration::from_millis(ms));
        }
        if let Some(status) = compare.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "the comparison does not end");
    };
    assert_eq!(status.code(), Some(4), "{:?}", rest.join().unwrap());
    let report = limited(folder.path(), DoubtKind::GeneratorLimited);
    assert!(report.doubts.iter().all(|doubt| doubt.kind != DoubtKind::ConnectionsLimited), "{report:?}");
}
