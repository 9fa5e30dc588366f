//! The program as people run it: what it says and how it ends.

mod kept;
mod own;
mod reports;
mod shown;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use crate::went_well;

fn loadtest(arguments: &[&str]) -> Output {
    loadtest_in(Path::new("."), arguments)
}

fn loadtest_in(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("COUPON__ADMIN__TOKEN")
        .output()
        .unwrap()
}

/// A service that answers everything with the same granted grab.
fn service() -> String {
    service_with("200 OK")
}

fn service_with(status: &'static str) -> String {
    const BODY: &str = r#"{"grab_status":1,"fail_reason":null,"result_id":"42"}"#;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len());
                while stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

#[test]
fn an_argument_that_makes_no_sense_is_one_line_that_names_its_flag() {
    for (flag, value) in [
        ("--target", "127.0.0.1:8001"),
        ("--target", "https://127.0.0.1:8001"),
        ("--target", "http://127.0.0.1:8001/api"),
        ("--target", "http://127.0.0.1:1"),
        ("--rate", "0"),
        ("--rate", "-1"),
        ("--rate", "fast"),
        ("--rate", "inf"),
        ("--closed", "0"),
        ("--duration", "10"),
        ("--duration", "0s"),
        ("--timeout", "0s"),
        ("--connections", "0"),
        ("--skip", "5"),
        ("--workload", "no-such-file.toml"),
        ("--requests", "everything"),
        ("--json", "no/such/folder/run.json"),
    ] {
        let url = service();
        let mut arguments = vec!["run", flag, value];
        if flag != "--target" {
            arguments.extend(["--target", url.as_str()]);
        }
        let output = loadtest(&arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{flag} {value}: {error}");
        assert!(error.starts_with("error: ") && error.contains(flag), "{flag} {value}: {error}");
        assert_eq!(error.lines().count(), 1, "{flag} {value}: {error}");
    }
}

#[test]
fn a_service_that_asks_for_a_token_is_answered_by_a_flag() {
    let output = loadtest(&["audit", "--target", &service_with("401 Unauthorized")]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("answered 401") && error.contains("--admin-token"), "{error}");
}

#[test]
fn a_trace_that_cannot_be_replayed_is_one_line_that_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    // Enough rows to be advised on.
    let rows: String = (1..=100).map(|user| format!("{user},1,1,2026010{}\n", user % 2 + 1)).collect();
    write("ours.csv", &format!("user_id,room_id,coupon_id,grab_time\n{rows}"));
    write("theirs.csv", "who,where,what,when\n1,1,1,20260101\n");
    write("mixed.csv", "user_id,room_id,coupon_id,grab_time\n1,1,1,20260101\n2,1,1,1767225600\n");
    write("empty.csv", "user_id,room_id,coupon_id,grab_time\n1,null,1,20260101\n");
    for (arguments, named) in [
        (vec!["none.csv"], "none.csv"),
        (vec!["theirs.csv"], "--map user="),
        (vec!["theirs.csv", "--map", "colour=who"], "--map"),
        (vec!["mixed.csv"], "--time-format"),
        (vec!["empty.csv"], "nothing in room_id: 1 (the first is line 2)"),
        (vec!["ours.csv", "--speed", "0"], "--speed"),
        (vec!["ours.csv", "--speed", "0.01"], "--speed"),
        (vec!["ours.csv", "--seconds", "-1"], "--seconds"),
        (vec!["ours.csv", "--mix", "none.toml"], "--mix"),
        (vec!["report.json"], "a report keeps no rows"),
    ] {
        for command in ["replay", "advise"] {
            let output = loadtest_in(folder.path(), &[&[command], &arguments[..]].concat());
            let error = String::from_utf8(output.stderr).unwrap();
            let last = error.lines().last().unwrap_or_default();
            assert_eq!(output.status.code(), Some(1), "{command} {arguments:?}: {error}");
            assert!(last.starts_with("error: ") && last.contains(named), "{command} {arguments:?}: {error}");
        }
    }
}

#[test]
fn a_dry_run_says_what_would_be_sent_and_sends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let time = |n: u64| 1_500_000_000 + n + if n < 5 { 0 } else { 120 };
    let lines: String = (0..10).rev().map(|n| format!("{n},7,1,{}\n", time(n))).collect();
    let mut trace = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["replay", "-", "--dry-run", "--seconds", "5"])
        .current_dir(folder.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let csv = format!("user_id,room_id,coupon_id,grab_time\n{lines}");
    trace.stdin.take().unwrap().write_all(csv.as_bytes()).unwrap();
    let output = trace.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    for told in [
        "span: 2.15 minutes, from 2017-07-14T02:40:00.000Z",
        "9 lines before the line above it: sorted",
        "longest gap: 2.02 minutes, from 2017-07-14T02:40:04.000Z",
        "requests: 10, 10 of them grabs",
        "mean rate: 2.00 requests/s",
        "in 5.0 s; nothing was sent",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}

#[test]
fn a_run_writes_its_figures_and_what_every_grab_was_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (json, acks, url) = (path("run.json"), path("acks.csv"), service());
    let load = ["run", "--target", &url, "--closed", "2", "--requests", "grabs", "--duration", "300ms"];
    let output = loadtest(&[&load[..], &["--json", &json, "--acks", &acks]].concat());
    assert!(went_well(output.status), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("granted a second") && text.contains("µs CPU a request"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");

    let report = coupon_report::read(Path::new(&json)).unwrap();
    let [contestant] = report.contestants.as_slice() else { panic!("{report:?}") };
    let [round] = contestant.rounds.as_slice() else { panic!("{report:?}") };
    let granted = round.grabs.granted;
    assert!(granted > 0 && round.endpoints["grab"].ok == granted);
    assert_eq!((report.meta.rate, contestant.name.as_str()), (None, url.as_str()));
    // What a run wrote is a report to every other command as well.
    assert!(went_well(loadtest(&["diff", &json, &json]).status));
    let acks = std::fs::read_to_string(acks).unwrap();
    let lines: Vec<&str> = acks.lines().collect();
    assert_eq!(lines.first(), Some(&"user_id,coupon_id,outcome,result_id,told_at,order_amount,use_time"));
    assert_eq!(lines.iter().filter(|line| line.contains(",granted,42,")).count() as u64, granted);
}

#[test]
fn a_target_without_the_workloads_coupons_is_told_of_before_the_run() {
    let (small, full) = (service_with("404 Not Found"), service());
    for (url, hinted) in [(small, true), (full, false)] {
        let output = loadtest(&["run", "--target", &url, "--rate", "50", "--duration", "100ms"]);
        let error = String::from_utf8(output.stderr).unwrap();
        let hints: Vec<&str> = error.lines().filter(|line| line.contains("has no coupon 500")).collect();
        assert_eq!(hints.len(), usize::from(hinted), "{error}");
        assert!(hints.iter().all(|hint| hint.contains("100 rooms of 5 coupons")), "{error}");
    }
}

#[test]
fn grabs_that_have_to_name_their_requests_are_told_of_with_the_way_out_after_the_run() {
    for (status, hinted) in [("422 Unprocessable Content", true), ("503 Service Unavailable", false)] {
        let url = service_with(status);
        let output = loadtest(&[
            "run",
            "--target",
            &url,
            "--rate",
            "50",
            "--duration",
            "200ms",
            "--requests",
            "grabs",
        ]);
        let (said, error) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(
            error.contains("grabs were answered with 422") && error.contains("checkout.toml"),
            hinted,
            "{error}"
        );
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("a request that failed counts as the time-out"), "{said}");
    }
}

#[test]
fn the_built_in_workload_is_printed_as_a_file_that_can_be_read_back() {
    let output = loadtest(&["run", "--print-workload"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml").to_string_lossy().into_owned();
    std::fs::write(&path, &output.stdout).unwrap();
    let (url, rest) = (service(), ["--duration", "100ms", "--rate", "100"]);
    let output = loadtest(&[&["run", "--target", &url, "--workload", &path][..], &rest].concat());
    assert!(went_well(output.status), "{output:?}");
    std::fs::write(&path, "name = \"x\"\nscenario = []\n").unwrap();
    let error = String::from_utf8(loadtest(&["run", "--workload", &path]).stderr).unwrap();
    assert!(error.contains("mine.toml") && error.contains("scenario"), "{error}");
}

#[test]
fn a_limit_that_cannot_be_is_refused_before_anything_is_started() {
    let url = service();
    for (limit, named) in [
        ("grab.p98<20ms", "p99"),
        ("grab.p99<20", "us, ms or s"),
        ("grap.p99<20ms", "room_orders"),
        ("grab.p99", "compares with nothing"),
    ] {
        for arguments in [
            vec!["run", "--target", &url, "--duration", "50ms", "--require", limit],
            vec!["compare", "--contestants", "hash", "--require", &format!("hash.{limit}")],
        ] {
            let output = loadtest(&arguments);
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{limit}: {error}");
            assert!(error.starts_with("error: --require") && error.contains(named), "{limit}: {error}");
            assert_eq!(error.lines().count(), 1, "{limit}: {error}");
        }
    }
    let output = loadtest(&["compare", "--contestants", "hash", "--require", "range-room.skew<2"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("\"range-room\" takes no part"));
}

#[test]
fn a_run_beyond_its_limits_has_an_exit_code_of_its_own() {
    let url = service();
    let run = |limits: &[&str]| {
        let limits = limits.iter().flat_map(|limit| ["--require", limit]);
        let load = ["run", "--target", &url, "--rate", "50", "--requests", "grabs", "--duration", "100ms"];
        let output = loadtest(&load.into_iter().chain(limits).collect::<Vec<_>>());
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = run(&["late<1000s", "errors<=0"]);
    assert!(matches!(code, Some(0 | 4)) && text.contains("kept: late<1000s"), "{code:?} {text}");
    let (code, text) = run(&["late<1000s", "grab.errors>99%"]);
    assert!(code == Some(3) && text.contains("NOT KEPT: grab.errors>99%: "), "{code:?} {text}");
}

#[test]
fn a_run_whose_limit_was_the_load_has_an_exit_code_of_its_own_and_its_times_keep_and_break_no_limit() {
    let url = service();
    for limits in [&[][..], &["--require", "grab.p50<1000s"], &["--require", "grab.p50<1us"]] {
        // A single connection cannot carry that many.
        let load = ["run", "--target", &url, "--rate", "50000", "--connections", "1", "--duration", "200ms"];
        let output = loadtest(&[&load[..], limits].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(4), "{limits:?} {text}");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("the limit:"), "{limits:?} {text}");
        if let [_, limit] = limits {
            assert!(words.contains(&format!("CANNOT SAY: {limit}: ")), "{text}");
        }
    }
}
