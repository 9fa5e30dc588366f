//! Reports that are held against earlier ones, by `diff` and by `history`.

use std::path::Path;
use std::process::Output;

use super::loadtest;

/// A report with one contestant that takes so long for a grab.
pub(super) fn report(folder: &Path, name: &str, rate: f64, ms: f64) -> String {
    report_of(folder, name, coupon_report::model::Meta { rate: Some(rate), ..Default::default() }, ms)
}

pub(super) fn report_of(folder: &Path, name: &str, meta: coupon_report::model::Meta, ms: f64) -> String {
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

/// The exit code of `loadtest diff` with these arguments, and all that it says.
fn diff(arguments: &[&str]) -> (Option<i32>, String) {
    said(loadtest(&[&["diff"], arguments].concat()))
}

fn history(arguments: &[&str]) -> (Option<i32>, String) {
    said(loadtest(&[&["history"], arguments].concat()))
}

fn said(output: Output) -> (Option<i32>, String) {
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    (output.status.code(), text)
}

#[test]
fn a_report_is_held_against_an_earlier_one_and_the_exit_code_says_what_came_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let before = report(folder.path(), "before", 100.0, 1.0);
    let slower = report(folder.path(), "slower", 100.0, 2.0);
    let other = report(folder.path(), "other", 200.0, 1.0);
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
}

/// A service that got so slow that its connections were never free: its times are left out, and that is no success.
#[test]
fn a_report_whose_load_was_the_limit_has_an_exit_code_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let before = report(folder.path(), "before", 100.0, 1.0);
    let queued = report(folder.path(), "queued", 100.0, 2.0);
    let mut changed = coupon_report::read(&Path::new(&queued).join("report.json")).unwrap();
    changed.contestants[0].rounds.iter_mut().for_each(|round| round.generator.queued = 500);
    coupon_report::summarise(&mut changed);
    coupon_report::write_all(&changed, Path::new(&queued)).unwrap();
    for (one, two) in [(&before, &queued), (&queued, &before)] {
        let (code, text) = diff(&[one, two, "--rounds-alone"]);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(code == Some(4) && text.contains("the connections were the limit"), "{code:?} {text}");
    }
    assert_eq!(diff(&[&before, &queued, "--only", "errors"]).0, Some(0));
}

#[test]
fn differences_are_written_as_json_and_a_report_of_a_later_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let before = report(folder.path(), "before", 100.0, 1.0);
    let slower = report(folder.path(), "slower", 100.0, 2.0);
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
fn exit_codes_are_in_the_help() {
    for (command, codes) in [
        ("compare", &["3", "4"][..]),
        ("run", &["3", "4"]),
        ("diff", &["3", "4"]),
        ("history", &["3", "4"]),
        ("replay", &["3"]),
        ("advise", &["3"]),
    ] {
        let help = String::from_utf8(loadtest(&[command, "--help"]).stdout).unwrap();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains("Exits with 0 when"), "{command}: {help}");
        assert!(codes.iter().all(|code| help.contains(&format!("{code} when"))), "{command}: {help}");
    }
}
