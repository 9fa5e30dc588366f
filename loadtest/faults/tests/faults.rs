//! A few rows of `loadtest faults`, run as a person would. All of them: `make faults`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::{Command, Output};

use coupon_lab::built;

/// The services that are broken are built beside the load tester, as for every other test that starts one. They have no
/// fail points: these rows need none.
fn faults(arguments: &[&str]) -> Output {
    built("hash-svc").unwrap();
    Command::new(env!("CARGO_BIN_EXE_loadtest-faults")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn killed_processes_a_lost_gate_and_cut_answers_break_no_promise() {
    let out = tempfile::tempdir().unwrap();
    let rows = "1,15,23a";
    let output =
        faults(&["--only", rows, "--plain", "--rate", "100", "--out", &out.path().to_string_lossy()]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let report = std::fs::read(out.path().join("faults.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    let rows_run = report["rows"].as_array().unwrap();
    assert_eq!(rows_run.len(), rows.split(',').count());
    for row in rows_run {
        assert_eq!(row["verdict"]["verdict"], "held", "{row}");
        let observed = row["observed"].as_array().unwrap();
        assert_eq!(observed.len(), 2, "both services: {row}");
        for seen in observed {
            assert!(seen["granted"].as_u64().unwrap() > 0, "{row}");
            assert!(seen["audit"].as_object().unwrap().values().all(|count| count == 0), "{row}");
        }
    }
}

#[test]
fn a_row_that_cannot_be_run_is_no_success() {
    for (row, needs) in [
        ("3", "services with fail points"),
        ("h1", "a RabbitMQ of three nodes: --stack ha"),
        ("h7", "a Redis with Sentinels: --stack ha"),
        ("h11", "databases with replicas: --stack ha"),
        ("g1", "two gates: --stack gates"),
    ] {
        let out = tempfile::tempdir().unwrap();
        let output = faults(&["--only", row, "--plain", "--out", &out.path().to_string_lossy()]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("not run: it needs {needs}")), "{said}");
    }
}

#[test]
fn what_makes_no_sense_is_named() {
    for (arguments, named) in [
        (&["--only", "99"][..], "--only 99"),
        (&["--without", "luck"], "--without"),
        (&["--without", "all", "--only", "19"], "--only"),
        (&["--without", "epoch", "--document", "docs/RELIABILITY.md"], "--document"),
        (&["--without", "confirms", "--plain"], "--without confirms"),
        (&["--rate", "-1"], "--rate"),
        (&["--stack", "ha", "--document", "docs/RELIABILITY.md"], "--document"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_loadtest-faults")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).contains(named), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_list_that_cannot_be_written_is_no_success() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_loadtest-faults"));
    let output = program.arg("--list").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}
