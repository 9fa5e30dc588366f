//! The program as people run it: what it says and how it ends.

mod kept;
mod own;
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

/// A report with one contestant that takes so long for a grab.
fn report(folder: &Path, name: &str, rate: f64, ms: f64) -> String {
    report_of(folder, name, coupon_report::model::Meta { rate: Some(rate), ..Default::default() }, ms)
}

fn report_of(folder: &Path, name: &str, meta: coupon_report::model::Meta, ms: f64) -> String {
    use coupon_report::model::{Contestant, EndpointRound, LatencyMs, Reading, Report, Round, SCHEMA};
    let round = |index: u32| {
        let ms = ms * (1.0 + f64::from(index) / 100.0);
        let latency = Reading::Known(LatencyMs { p50: ms, p90: ms, p99: ms, p999: ms, max: ms });
        let grab =
            EndpointRound { requests: 1_000, timed: 1_000, ok: 1_000, latency, ..EndpointRound::default() };
        Round { index, endpoints: [("grab".to_owned(), grab)].into(), ..Round::default() }
    };
    let contestant =
        Contestant { name: "hash".into(), rounds: (0..5).map(round).collect(), ..Contestant::default() };
    let mut report = Report::new(meta, vec![contestant]);
    assert_eq!(report.schema, SCHEMA);
    coupon_report::summarise(&mut report);
    let folder = folder.join(name);
    coupon_report::write_all(&report, &folder).unwrap();
    folder.to_string_lossy().into_owned()
}

#[test]
fn a_report_is_held_against_an_earlier_one_and_the_exit_code_says_what_came_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let before = report(folder.path(), "before", 100.0, 1.0);
    let slower = report(folder.path(), "slower", 100.0, 2.0);
    let other = report(folder.path(), "other", 200.0, 1.0);
    let diff = |arguments: &[&str]| {
        let output = loadtest(&[&["diff"], arguments].concat());
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        (output.status.code(), text)
    };
    // Two single runs: the machine may have done it.
    let (code, text) = diff(&[&before, &slower]);
    assert!(
        code == Some(0) && text.contains("looks worse") && text.contains("--also-before"),
        "{code:?} {text}"
    );
    let (code, text) = diff(&[&before, &slower, "--rounds-alone"]);
    assert!(code == Some(3) && text.contains("WORSE hash: grab p50"), "{code:?} {text}");
    let also = ["--also-before", &before, "--also-before", &before, "--also-after", &slower];
    assert_eq!(diff(&[&[before.as_str(), &slower][..], &also].concat()).0, Some(3));
    assert_eq!(diff(&[&slower, &before, "--rounds-alone"]).0, Some(0));
    assert_eq!(diff(&[&before, &before, "--rounds-alone"]).0, Some(0));
    assert_eq!(diff(&[&before, &slower, "--rounds-alone", "--least", "150"]).0, Some(0));
    let (code, text) = diff(&[&before, &other]);
    assert!(code == Some(1) && text.contains("rate differs: 100/s before, 200/s after"), "{text}");
    let (code, text) = diff(&[&before, &other, "--anyway"]);
    assert!(code == Some(0) && text.contains("rate differs"), "{text}");
    let (code, text) = diff(&[&before, &slower, "--only", "latency.p42.grab"]);
    assert!(code == Some(1) && text.contains("--only"), "{text}");
    assert_eq!(diff(&[&before, "no-such-file"]).0, Some(1));
    // A service that got so slow that its connections were never free: its times are left out, and that is no success.
    let mut queued = coupon_report::read(&Path::new(&slower).join("report.json")).unwrap();
    queued.contestants[0].rounds.iter_mut().for_each(|round| round.generator.queued = 500);
    coupon_report::summarise(&mut queued);
    let queued_path = folder.path().join("queued");
    coupon_report::write_all(&queued, &queued_path).unwrap();
    let queued = queued_path.to_string_lossy().into_owned();
    for (one, two) in [(&before, &queued), (&queued, &before)] {
        let (code, text) = diff(&[one, two, "--rounds-alone"]);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(code == Some(4) && text.contains("the connections were the limit"), "{code:?} {text}");
    }
    assert_eq!(diff(&[&before, &queued, "--only", "errors"]).0, Some(0));
    for command in ["compare", "run", "diff", "history"] {
        let help = String::from_utf8(loadtest(&[command, "--help"]).stdout).unwrap();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            ["Exits with 0 when", "3 when", "4 when"].iter().all(|code| help.contains(code)),
            "{command}: {help}"
        );
    }

    let json = folder.path().join("diff.json").to_string_lossy().into_owned();
    let only = ["--rounds-alone", "--only", "latency.p99.grab", "--json", &json];
    assert_eq!(diff(&[&[before.as_str(), &slower][..], &only].concat()).0, Some(3));
    let found: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(found["rows"].as_array().unwrap().len(), 1);
    assert_eq!(found["rows"][0]["change"], "worse");

    let path = Path::new(&slower).join("report.json");
    let newer = std::fs::read_to_string(&path).unwrap().replacen("\"schema\": 3", "\"schema\": 9", 1);
    std::fs::write(&path, newer).unwrap();
    let (code, text) = diff(&[&before, &slower]);
    assert!(code == Some(1) && text.contains("schema 9"), "{text}");
}

#[test]
fn a_series_of_reports_says_since_when_it_is_worse_and_the_exit_code_says_that_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let series = |name: &str, slow: std::ops::Range<usize>, runs: usize| {
        let folder = folder.path().join(name);
        for run in 0..runs {
            let date = format!("2026-10-{:02}T02:00:00Z", run + 1);
            let ms = (if slow.contains(&run) { 3.0 } else { 2.0 }) + 0.05 * (run * 7 % 5) as f64;
            let meta = coupon_report::model::Meta { rate: Some(100.0), date, ..Default::default() };
            report_of(&folder, &format!("run-{run:02}"), meta, ms);
        }
        folder.to_string_lossy().into_owned()
    };
    let history = |arguments: &[&str]| {
        let output = loadtest(&[&["history"], arguments].concat());
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        (output.status.code(), text)
    };
    let (worse, equal) = (series("worse", 7..12, 12), series("equal", 0..0, 12));
    let (mended, few) = (series("mended", 4..8, 16), series("few", 4..7, 7));
    let [page, json] = ["history.html", "history.json"].map(|name| folder.path().join(name));
    let files = ["--html", page.to_str().unwrap(), "--json", json.to_str().unwrap()];
    let (code, text) = history(&[&[worse.as_str()][..], &files].concat());
    assert!(code == Some(3) && text.contains("WORSE hash: grab p50, ms"), "{code:?} {text}");
    assert!(text.contains("since run 8 of 12"), "{text}");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("run-07/report.json"), "{page}");
    let found: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    let figures = found["series"][0]["figures"].as_array().unwrap();
    assert!(figures.iter().any(|of| of["changes"][0]["at"] == 7), "{figures:?}");
    assert_eq!(history(&[&equal]).0, Some(0));
    assert_eq!(history(&[&mended]).0, Some(0));
    let (code, text) = history(&[&few]);
    assert!(code == Some(4) && text.contains("CANNOT SAY: 7 runs"), "{code:?} {text}");
    // One by one, in whatever order.
    let files: Vec<String> = (0..12).rev().map(|run| format!("{worse}/run-{run:02}/report.json")).collect();
    assert_eq!(history(&files.iter().map(String::as_str).collect::<Vec<_>>()).0, Some(3));
    let (code, text) = history(&[&worse, "--only", "latency.p42.grab"]);
    assert!(code == Some(1) && text.contains("--only"), "{text}");
    let (code, text) = history(&[&worse, "--least", "-1"]);
    assert!(code == Some(1) && text.contains("--least"), "{text}");
    let empty = tempfile::tempdir().unwrap();
    let (code, text) = history(&[empty.path().to_str().unwrap()]);
    assert!(code == Some(1) && text.contains("holds no report.json"), "{text}");
    std::fs::write(format!("{few}/run-00/report.json"), "{\"schema\": 2}").unwrap();
    std::fs::write(format!("{few}/run-01/report.json"), "{").unwrap();
    let (code, text) = history(&[&few]);
    assert!(
        code == Some(1) && text.contains("2 reports cannot be read") && text.contains("schema 2"),
        "{text}"
    );
}

#[test]
fn who_runs_a_trace_from_a_script_finds_the_exit_codes_in_the_help() {
    for command in ["replay", "advise", "diff", "history"] {
        let help = String::from_utf8(loadtest(&[command, "--help"]).stdout).unwrap();
        assert!(help.contains("Exits with 0 when") && help.contains("3 when"), "{command}: {help}");
    }
}
