//! The page's actions, and its refusals.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::browser::Browser;
use super::server::{Server, is_empty, runs};

const JSON: &str = "Content-Type: application/json\r\n";
/// A load so long that no test depends on how fast it is stopped.
const LONG: &str = r#"{"rate":50,"seconds":120,"users":2000}"#;

/// The writes a second of each shard of a contestant, as the page says them.
fn bars(card: usize) -> String {
    format!(
        "[...document.querySelectorAll('#cards > article:nth-child({card}) .bars .value')].map(v => v.textContent).join(' ')"
    )
}

#[test]
fn a_run_is_watched_to_its_report() {
    let (server, browser) = (Server::start(), Browser::start());
    let page = browser.open(&server.url);
    page.wait("document.querySelectorAll('#names input').length === 17");
    for (field, text) in [("users", "5000"), ("seconds", "8"), ("rate", "150")] {
        page.fill(field, text);
    }
    // The whole form is filled by keyboard, and Enter starts the run.
    page.press_enter();
    page.wait("document.querySelectorAll('#cards > article').length === 2");
    // Hash writes to every shard, range by time to the one of today.
    page.wait(&format!("{}.split(' ').every(v => parseInt(v) > 0)", bars(1)));
    page.wait(&format!("{}.split(' ').filter(v => parseInt(v) > 0).length === 1", bars(2)));
    page.wait("document.querySelectorAll('#cards > article:nth-child(2) .hot').length === 1");
    let mut seen = BTreeSet::new();
    while seen.len() < 3 && page.eval("document.getElementById('start').disabled") == true {
        seen.insert(page.eval(&bars(1)).as_str().unwrap().to_owned());
    }
    assert!(seen.len() >= 3, "the bars did not move: {seen:?}");
    // The seeded sale's hot rooms are named, and the maps fill up.
    page.wait("/^rooms: [1-5] \\(/.test(document.querySelector('#cards > article:nth-child(1) .keys li')?.textContent)");
    page.wait("document.querySelectorAll('#cards > article:nth-child(1) .heat canvas').length === 3");
    page.wait(
        "/[1-9]/.test(document.querySelector('#cards > article:nth-child(2) .heat canvas').dataset.shades)",
    );
    page.resize(390, 900);
    page.wait("document.documentElement.scrollWidth <= 390");
    page.resize(1280, 900);
    let names = "[...document.querySelectorAll('#cards > article:nth-child(1) .scenarios th span')].map(s => s.textContent).join()";
    page.wait(&format!("{names} === 'normal,hot room,cross-shard,admin'"));
    page.wait("!document.getElementById('report').hidden");
    let pace = page.eval("[...document.querySelectorAll('#cards > article:nth-child(1) .scenarios td:nth-child(2)')].map(s => parseFloat(s.textContent))");
    assert!(pace[1].as_f64() > pace[0].as_f64() && pace[0].as_f64() > pace[2].as_f64(), "{pace}");
    let passed = page.eval("[...document.querySelectorAll('.audit')].map(a => a.textContent)");
    let passed: Vec<&str> = passed.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(passed.len() == 2 && passed.iter().all(|text| text.starts_with("✓ audit passed")), "{passed:?}");
    let effective =
        page.eval("[...document.querySelectorAll('.effective')].map(e => parseFloat(e.textContent))");
    assert!(effective[0].as_f64() > effective[1].as_f64(), "hash is spread wider: {effective}");
    let command = page.eval("document.getElementById('command').textContent");
    assert!(command.as_str().unwrap().ends_with("--rate 150 --workload workload.toml"), "{command}");
    let (status, file) = server.ask("GET", "/runs/1/workload.toml", "", "");
    assert!(status == 200 && file.contains("users = 5000"), "{status}: {file}");
    page.eval("document.getElementById('report').focus()");
    page.press_enter();
    let report = browser.tab("/runs/1/report.html");
    report.wait("document.querySelector('h1')");
    let text = report.eval("document.body.innerText").as_str().unwrap().to_owned();
    assert!(text.contains("hash, range-time") && text.contains("this run is for seeing"), "{text}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_change_of_the_layout_is_seen() {
    let (server, browser) = (Server::start(), Browser::start());
    let page = browser.open(&server.url);
    page.wait("document.querySelectorAll('#names input').length === 17");
    for (field, text) in
        [("grow", "4:8@2s"), ("users", "5000"), ("seconds", "8"), ("rate", "150"), ("history", "2000")]
    {
        page.fill(field, text);
    }
    page.press_enter();
    page.wait("document.querySelectorAll('#cards > article').length === 2");
    let line = |number: u8| {
        format!(
            "document.querySelector('#cards > article:nth-child(1) .change li:nth-child({number})')?.textContent"
        )
    };
    page.wait(&format!("{}?.includes('8 shards: asked for at')", line(1)));
    let written =
        |number| format!("{}?.match(/[\\d,]+(?= ·|$)/g)?.filter(v => v !== '0').length", line(number));
    page.wait(&format!("{} === 4", written(2)));
    page.wait(&format!("{} === 8", written(3)));
    page.wait("!document.getElementById('report').hidden");
    page.wait(&format!("/rows moved: [1-9].*all by/.test({})", line(4)));
    page.wait(&format!("/without a decided grab: .* ms/.test({})", line(5)));
    let (command, shown) = (
        page.eval("document.getElementById('command').textContent"),
        server.shown()["contestants"][0].clone(),
    );
    assert!(command.as_str().unwrap().contains("--grow 4:8@2s"), "{command}");
    let change = &shown["change"];
    assert!(change["in_force_s"].as_f64() > change["asked_s"].as_f64(), "{change}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn what_is_wrong_is_said_beside_its_field_and_a_grab_is_explained() {
    let (server, browser) = (Server::start(), Browser::start());
    let page = browser.open(&server.url);
    page.wait("document.querySelectorAll('#names input').length === 17");
    page.fill("rate", "NaN");
    page.fill("users", "0");
    page.press_enter();
    page.wait("document.getElementById('wrong-users').textContent.includes('from 1 to')");
    page.wait("document.getElementById('wrong-rate').textContent.includes('NaN')");
    assert_eq!(page.eval("document.getElementById('wrong-seconds').textContent"), "");
    assert_eq!(page.eval("document.activeElement.getAttribute('aria-invalid')"), "true");
    assert_eq!(server.shown()["phase"], "idle");

    page.fill("time", "noon");
    page.press_enter();
    page.wait("document.getElementById('wrong-time').textContent.includes('noon')");
    page.fill("time", "2026-11-22T00:30:00Z");
    page.press_enter();
    page.wait("document.querySelectorAll('#answer article').length === 2");
    let text = page.eval("document.getElementById('answer').innerText").as_str().unwrap().to_owned();
    assert!(text.contains("Stored on shard 0, table coupon_results") && text.contains("slot"), "{text}");
    assert!(text.contains("2026_11_22"), "{text}");
    // The browser itself reports answers of 400 on the console.
    let others: Vec<String> =
        browser.complaints().into_iter().filter(|complaint| !complaint.contains("400")).collect();
    assert_eq!(others, Vec::<String>::new());
}

#[test]
fn one_run_at_a_time_and_an_interrupt_leaves_nothing() {
    let mut server = Server::start();
    assert_eq!(server.post("/api/stop", "{}").0, 409);
    assert_eq!(server.post("/api/run", LONG).0, 202);
    let (status, answer) = server.post("/api/run", LONG);
    assert!(status == 409 && answer.to_string().contains("A run is under way"), "{answer}");
    let granted = |shown: &Value| shown["contestants"][0]["granted"].as_u64() > Some(0);
    server.wait(|shown| granted(shown));
    assert_eq!(server.post("/api/stop", "{}").0, 202);
    let done = server.wait(|shown| shown["phase"] == "done");
    let (status, report) = server.ask("GET", done["report"].as_str().unwrap(), "", "");
    assert!(status == 200 && report.contains("stopped before its time"), "{status}");
    assert_eq!(server.ask("GET", "/runs/7/report.html", "", "").0, 404);

    assert_eq!(server.post("/api/run", LONG).0, 202);
    server.wait(|shown| shown["run"] == 2 && granted(shown));
    let services = server.children();
    assert_eq!(services.len(), 3, "a process a contestant, and their guardian");
    assert!(!is_empty(server.temporary.path()));
    assert_eq!(server.interrupt(), Some(130));
    assert!(!services.into_iter().any(runs), "a service runs on");
    assert!(is_empty(server.temporary.path()), "a folder is left");
}

#[test]
fn a_page_that_is_killed_leaves_no_service_and_no_folder() {
    let mut server = Server::start();
    assert_eq!(server.post("/api/run", LONG).0, 202);
    server.wait(|shown| shown["contestants"][0]["granted"].as_u64() > Some(0));
    let services = server.children();
    assert!(services.len() > 1 && !is_empty(server.temporary.path()));
    server.kill();
    let patience = Instant::now() + Duration::from_secs(60);
    while services.iter().any(|pid| runs(*pid)) || !is_empty(server.temporary.path()) {
        assert!(Instant::now() < patience, "a service or a folder is left");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn other_pages_can_start_nothing() {
    let server = Server::start();
    let evil = format!("{JSON}Origin: http://evil.example\r\n");
    let rebound = format!("{JSON}Host: evil.example\r\n");
    for headers in [evil.as_str(), rebound.as_str(), "Content-Type: text/plain\r\n", ""] {
        let (status, answer) = server.ask("POST", "/api/run", headers, LONG);
        assert_eq!(status, 403, "{headers}: {answer}");
    }
    for path in ["/", "/api/events", "/api/explain?user=1&coupon=1"] {
        assert_eq!(server.ask("GET", path, "Host: evil.example\r\n", "").0, 403, "{path}");
    }
    assert_eq!(server.shown()["phase"], "idle");
    let (status, answer) = server.post("/api/run", r#"{"contestants":["hush"]}"#);
    assert!(status == 400 && answer["errors"][0]["field"] == "contestants", "{answer}");
    assert_eq!(server.ask("GET", "/api/explain?user=0&coupon=1", "", "").0, 400);
}
