//! Output has no secret, nothing that commands a terminal, and never a success that could not be read.

use std::fs::OpenOptions;
use std::process::Command;

use super::reports::{report, report_of};
use super::{loadtest, loadtest_in, service};

const TRACE: &str = "user_id,room_id,coupon_id,grab_time\n1,1,1,20260101\n2,1,1,20260102\n3,2,2,20260102\n";

#[test]
fn a_result_that_cannot_be_written_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("trace.csv"), TRACE).unwrap();
    let url = service();
    let before = report(folder.path(), "before", 100.0, 1.0);
    let date = "2026-10-01T02:00:00Z".to_owned();
    let meta = coupon_report::model::Meta { date, ..Default::default() };
    let dated = report_of(folder.path(), "dated", meta, 1.0);
    for arguments in [
        vec!["advise", "trace.csv", "--no-proof"],
        vec!["explain", "--strategy", "hash", "--user", "1", "--coupon", "1"],
        vec!["run", "--target", &url, "--duration", "100ms"],
        vec!["run", "--print-workload"],
        vec!["diff", &before, &before],
        vec!["history", &dated],
        vec!["size"],
        vec!["man"],
        vec!["--help"],
    ] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_loadtest"));
        let program = program.args(&arguments).current_dir(folder.path()).stdout(full);
        let output = program.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    }
}

/// Tables and pictures have their columns, and commands are to be copied.
#[test]
fn sentences_fit_a_terminal_of_60_columns_and_commands_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let lines: String =
        (1..=80).map(|n| format!("{n},{},1,{}\n", n % 8 * 100 + 100, 1_456_617_600 + n)).collect();
    let trace = format!("user_id,room_id,coupon_id,grab_time\n{lines}");
    std::fs::write(folder.path().join("trace.csv"), trace).unwrap();
    for (arguments, whole) in [
        (&["advise", "trace.csv", "--no-proof"][..], "    range-svc --shards 4 --set 'range.by=room' --set"),
        (&["advise", "trace.csv", "--no-proof", "--key", "user_id"], "    hash-svc --shards 4"),
        (&["replay", "trace.csv", "--dry-run"], "nothing was sent"),
        (&["explain", "--strategy", "hash", "--user", "1", "--coupon", "1"], "User 1 grabs coupon 1"),
        (&["simulate", "--shards", "4", "--rows", "2000", "--machines", "3"], "hash"),
    ] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_loadtest"));
        let output =
            program.args(arguments).current_dir(folder.path()).env("COLUMNS", "60").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && text.lines().any(|line| line.contains(whole)),
            "{arguments:?}: {text}"
        );
        for line in text.lines() {
            let has_columns = line.starts_with("    ") || line.trim().contains("  ");
            assert!(has_columns || line.chars().count() <= 60, "{arguments:?}: {line}");
        }
    }
}

#[test]
fn a_secret_in_an_argument_that_is_refused_is_not_told() {
    for set in ["admin.token=s3cret", "users.token_secret=s3cret", "servers.main=\"mysql://u:s3cret@h:1"] {
        for command in [&["compare", "--backend", "servers"][..], &["audit", "--backend", "servers"]] {
            let output = loadtest(&[command, &["--set", set]].concat());
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{error}");
            assert!(!error.contains("s3cret"), "{set}: {error}");
        }
    }
}

#[test]
fn text_of_others_commands_no_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let evil = "\u{1b}]0;mine\u{7}\u{9b}2K";
    std::fs::write(folder.path().join("header.csv"), TRACE.replace("room_id", evil)).unwrap();
    let rooms = TRACE.replace(",1,1,", &format!(",{evil},1,"));
    std::fs::write(folder.path().join(format!("{evil}.csv")), rooms).unwrap();
    let path = report(folder.path(), "evil", 100.0, 1.0) + "/report.json";
    let evil_json = serde_json::to_string(&format!("hash{evil}")).unwrap();
    let text = std::fs::read_to_string(&path).unwrap().replace("\"hash\"", &evil_json);
    std::fs::write(&path, text).unwrap();
    let trace = format!("{evil}.csv");
    for arguments in [
        vec!["advise", "header.csv", "--no-proof"],
        vec!["advise", &trace, "--no-proof"],
        vec!["advise", &trace, "--where", &format!("{evil}=1"), "--no-proof"],
        vec!["diff", &path, &path],
        vec!["diff", &path, evil],
        vec!["history", evil],
        vec!["compare", "--contestants", evil],
    ] {
        let output = loadtest_in(folder.path(), &arguments);
        let shown = [output.stdout, output.stderr].concat();
        let shown = String::from_utf8(shown).unwrap();
        let commands = |c: char| c.is_control() && c != '\n';
        assert!(!shown.contains(commands), "{arguments:?}: {shown:?}");
        assert!(shown.contains("u{1b}"), "{arguments:?}: {shown:?}");
    }
}
