//! Measurements are kept, whatever happens on the way.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::reports::report;
use super::{loadtest, service};
use crate::went_well;

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
        assert!(text.contains("Interrupted after") && text.contains("of 60 s"), "{text}");
        let report = coupon_report::read(&json).unwrap();
        let round = &report.contestants[0].rounds[0];
        let granted = round.grabs.granted;
        assert!(round.seconds < report.meta.seconds_per_round && granted > 0, "{report:?}");
        assert!(report.meta.warnings[0].starts_with("Interrupted"), "{report:?}");
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
    assert!(went_well(loadtest(&[&load[..], &["--json", &json, "--acks", &acks]].concat()).status));
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

#[test]
fn figures_that_do_not_fit_are_kept_elsewhere_and_the_summary_is_shown_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    run.args(["run", "--target", &service(), "--closed", "1", "--duration", "100ms", "--json", "/dev/full"]);
    let output = run.env("TMPDIR", folder.path()).output().unwrap();
    let (text, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.code() == Some(1) && text.contains("granted a second"), "{output:?}");
    let copy = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    assert!(error.contains("--json") && error.contains(copy.to_str().unwrap()), "{error}");
    assert!(coupon_report::read(&copy).unwrap().contestants[0].rounds[0].seconds > 0.0);
}

#[test]
fn two_runs_do_not_write_to_one_folder_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_string_lossy().into_owned();
    let other = std::fs::File::open(folder.path()).unwrap();
    other.lock().unwrap();
    let output = loadtest(&["compare", "--target", "x=http://127.0.0.1:1", "--out", &out]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("--out: another run is about to write to"), "{error}");
    other.unlock().unwrap();
    let output = loadtest(&["compare", "--target", "x=http://127.0.0.1:1", "--out", &out]);
    assert!(!String::from_utf8(output.stderr).unwrap().contains("--out"));
}

#[test]
fn the_report_that_was_there_before_is_kept_under_another_name() {
    let folder = tempfile::tempdir().unwrap();
    let out = report(folder.path(), "out", 100.0, 1.0);
    let read = |name: &str| std::fs::read_to_string(Path::new(&out).join(name)).unwrap();
    let (json, html) = (read("report.json"), read("report.html"));
    report(folder.path(), "out", 200.0, 1.0);
    assert_eq!((read("report.previous.json"), read("report.previous.html")), (json, html));
    assert!(read("report.json").contains("200.0"));
    let files = std::fs::read_dir(&out).unwrap().map(Result::unwrap);
    let modes: Vec<u32> = files.map(|file| file.metadata().unwrap().permissions().mode() & 0o777).collect();
    assert_eq!(modes, [0o600; 4]);
}
