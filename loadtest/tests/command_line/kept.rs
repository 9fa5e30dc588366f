//! What was measured is kept, whatever happens on the way.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{loadtest, service};

/// A run of a minute, once its load is under way.
fn begun(json: &Path, acks: &Path, arrivals: &[&str]) -> Child {
    let mut run = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    run.args(["run", "--target", &service(), "--duration", "60s", "--requests", "grabs"]).args(arrivals);
    run.arg("--json").arg(json).arg("--acks").arg(acks).env_remove("COUPON__ADMIN__TOKEN");
    let run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let waits_for_signals = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", run.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & 2 == 2
    };
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !waits_for_signals() {
        assert!(std::time::Instant::now() < patience, "the load did not begin");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    // Enough for a request of the slowest of these loads.
    std::thread::sleep(std::time::Duration::from_millis(500));
    run
}

#[test]
fn a_run_that_is_interrupted_keeps_what_it_measured_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (json, acks) = (folder.path().join("run.json"), folder.path().join("acks.csv"));
    for (signal, arrivals) in [
        (Signal::INT, ["--rate", "50"]),
        (Signal::TERM, ["--closed", "1"]),
        (Signal::HUP, ["--rate", "50"]),
        (Signal::QUIT, ["--rate", "50"]),
    ] {
        let run = begun(&json, &acks, &arrivals);
        kill_process(Pid::from_child(&run), signal).unwrap();
        let output = run.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{signal:?}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("interrupted after") && text.contains("of 60 s"), "{text}");
        let figures: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
        let granted = figures["grabs"]["granted"].as_u64().unwrap();
        assert!(figures["interrupted"] == true && granted > 0, "{figures}");
        let told = std::fs::read_to_string(&acks).unwrap();
        assert!(told.ends_with(&format!("# end: {granted} lines\n")), "{told}");
    }
}

#[test]
fn what_users_were_told_is_for_nobody_elses_eyes() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (json, acks, url) = (path("run.json"), path("acks.csv"), service());
    std::fs::write(&acks, "").unwrap();
    std::fs::set_permissions(&acks, std::fs::Permissions::from_mode(0o644)).unwrap();
    let load = ["run", "--target", &url, "--closed", "1", "--duration", "100ms"];
    assert!(loadtest(&[&load[..], &["--json", &json, "--acks", &acks]].concat()).status.success());
    for file in [json, acks] {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
}

#[test]
fn a_record_that_is_empty_or_cut_passes_no_audit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("acks.csv").to_string_lossy().into_owned();
    for (text, named) in [
        ("", "it is empty"),
        ("user_id,coupon_id,outcome,result_id\n# end: 0 lines\n", "no grab is in the file"),
        ("user_id,coupon_id,outcome,result_id\n1,2,granted,99\n", "after line 2"),
        ("user_id,coupon_id,outcome,result_id\n1,2,granted,99\n3,4,granted,7", "line 3, the last, is cut"),
        ("user_id,coupon_id,outcome,result_id\n1,2,granted,99\n# end: 2 lines\n", "there are 1"),
    ] {
        std::fs::write(&file, text).unwrap();
        // The record is read before the data, which is not there.
        let output = loadtest(&["audit", "--data", "no-such-folder", "--acks", &file]);
        let error = BufReader::new(&*output.stderr).lines().last().unwrap().unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("--acks") && error.contains(named), "{error}");
    }
}
