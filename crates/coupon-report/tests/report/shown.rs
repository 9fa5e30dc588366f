//! The forms in which a report is shown.

use std::path::Path;

use coupon_report::model::{AuditResult, Figure, Meta, Metric, PhaseRound, Quantile, Reading, Violation};
use coupon_report::require::{Limit, LimitSubject, check};
use coupon_report::{Report, html, markdown, read, summarise, terminal, write_all};
use serde_json::Value;

use crate::recorded::{measured, of_rounds, on_servers, recorded, summarised};

fn printed(report: &Report, colour: bool) -> String {
    let mut out = Vec::new();
    terminal::print(report, &mut out, terminal::Screen::new(100, colour)).unwrap();
    String::from_utf8(out).unwrap()
}

/// True when two JSON values are the same, but for the last digits of numbers.
fn alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| alike(value, other)))
        }
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
            (one - other).abs() <= 1e-12 * one.abs()
        }
        _ => one == other,
    }
}

#[test]
fn a_report_survives_its_file() {
    // Kept beside the build, so that a developer can look at the page.
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    let report = recorded();
    let paths = write_all(&report, &dir).unwrap();
    let back = read(&paths.json).unwrap();
    assert!(alike(&serde_json::to_value(&back).unwrap(), &serde_json::to_value(&report).unwrap()));
    std::fs::write(dir.join("terminal.txt"), printed(&report, false)).unwrap();
}

#[test]
fn the_table_for_documents_has_each_contestants_medians_and_the_best_in_bold() {
    let mut report = recorded();
    let table = markdown::table(&report);
    let line = |start: &str| table.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    assert_eq!(
        line("|  | hash"),
        "|  | hash | range-time | range-room | single | range-time+spread | range-room+split |"
    );
    let visits = line("| shards (tables) that a room's orders visit");
    assert!(visits.ends_with("| 4 (4) | 4 (32) | **1 (1)** | **1 (1)** | 4 (128) | **1 (1)** |"), "{visits}");
    assert!(line("| effective shards for writes, of 4 | **3.").contains(" | 1.00 | "));
    assert!(line("| acknowledged grabs").contains("| 0 of "));
    report.contestants[0].rounds[0].audit = Reading::unknown("no time");
    report.contestants[1].rounds.iter_mut().for_each(|round| round.effective_shards = Figure::default());
    report.contestants[1].summaries.clear();
    let table = markdown::table(&report);
    assert!(table.contains(", 1 rounds not audited |") && table.contains("| n/a |"), "{table}");
}

#[test]
fn a_report_of_another_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let report = recorded();
    let mut json = serde_json::to_value(&report).unwrap();
    let path = dir.path().join("report.json");
    // The one has fields that went away and lacks those that came; the other is of a program to come.
    json["contestants"] = Value::from("otherwise");
    for schema in [report.schema - 1, report.schema + 1] {
        json["schema"] = schema.into();
        std::fs::write(&path, json.to_string()).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("has schema {schema}; this program reads 3 alone")), "{error}");
    }
}

#[test]
fn the_summary_fits_a_terminal_of_100_columns() {
    let text = printed(&recorded(), false);
    let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 100).collect();
    assert!(long.is_empty(), "{long:#?}");
    assert!(!text.contains('\x1b'), "plain means plain");
}

#[test]
fn on_servers_queues_and_saturation_are_shown() {
    let mut report = on_servers();
    summarise(&mut report);
    let (text, page) = (printed(&report, false), html::render(&report));
    for wanted in ["rows stored a second", "waiting when the load ended", "CPU ÷ quota", "lag ms, most"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let saturated = text.lines().any(|line| line.trim_end().ends_with("100 %"));
    assert!(saturated, "{text}");
    for wanted in ["From acknowledgement to storage", "CPU ÷ quota", "0.20 cores", "2 of each service"] {
        assert!(page.contains(wanted), "{wanted}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let of_range_time = |caution: &&String| caution.starts_with("range-time:");
    let mut cautions = report.cautions.iter().filter(of_range_time);
    assert!(cautions.any(|caution| caution.contains("still in a queue")), "{:?}", report.cautions);
    let grabbing = report.advice.iter().find(|advice| advice.heading == "Grabbing coupons").unwrap();
    assert!(grabbing.text.starts_with("Most rows stored: hash"), "{grabbing:?}");
}

/// One contestant in one round, as `loadtest run` reports it.
fn run() -> Report {
    let mut report = of_rounds(1);
    report.contestants.truncate(1);
    report.meta.unaudited = true;
    report.meta.backend.clear();
    let contestant = &mut report.contestants[0];
    contestant.name = "http://127.0.0.1:8001".into();
    (contestant.shards, contestant.layout) = (0, String::new());
    let round = &mut contestant.rounds[0];
    round.shards.clear();
    round.grabs.refused.insert("duplicate".into(), 390);
    round.grabs.unknown = 10;
    round.endpoints.get_mut("grab").unwrap().errors.insert("503".into(), 1);
    round.audit = Reading::unknown("a run makes no audit");
    let requests = round.scenarios["normal"].clone();
    round.phases = vec![PhaseRound { name: "step 1".into(), from_s: 0.0, until_s: 60.0, requests }];
    summarise(&mut report);
    report
}

#[test]
fn a_single_round_of_one_service_is_shown_in_full_within_80_columns_and_compares_nothing() {
    let mut out = Vec::new();
    terminal::print(&run(), &mut out, terminal::Screen::new(80, false)).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in [
        "granted a second",
        "refused 390 duplicate",
        "unclear 10 grabs",
        "errors grab: 503 × 1",
        "of a core",
        "p99.9",
        "max",
        "cross-shard",
        "step 1",
        "single round",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    for unwanted in
        ["VERDICTS", "WHICH", "GOOD FOR", "AUDIT", "audit", "writes", "backend", "a verdict takes"]
    {
        assert!(!text.contains(unwanted), "{unwanted}: {text}");
    }
}

#[test]
fn shards_on_other_machines_share_none() {
    let mut report = on_servers();
    let shared = |report: &mut Report| {
        summarise(report);
        report.cautions.iter().any(|caution| caution.contains("shared one machine"))
    };
    assert!(shared(&mut report));
    report.meta.shards_elsewhere = true;
    assert!(!shared(&mut report));
}

#[test]
fn on_files_nothing_is_said_of_queues() {
    let report = recorded();
    let (text, page) = (printed(&report, false), html::render(&report));
    for unwanted in ["stored a second", "CPU ÷ quota", "lag ms", "From acknowledgement"] {
        assert!(!text.contains(unwanted) && !page.contains(unwanted), "{unwanted}");
    }
}

#[test]
fn colour_only_adds_escapes() {
    let report = recorded();
    let coloured = printed(&report, true);
    assert!(coloured.contains("\x1b[1m"));
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    assert_eq!(plain + rest, printed(&report, false));
}

#[test]
fn the_summary_says_who_wins_what_and_how_sure_it_is() {
    let text = printed(&recorded(), false);
    for part in [
        "range-room (1.40) is ahead of range-time by",
        "One room's orders — range-room",
        "No difference in: grabs granted a second",
        "5 rounds, 93.75 % interval",
        "effective shards 1.40 of 4",
        "CURES AND THEIR PRICE",
        "0 lost, 0 duplicate, 0 oversold, 0 invented",
    ] {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
}

#[test]
fn under_five_rounds_nothing_on_the_terminal_is_a_verdict() {
    for (rounds, brackets) in [(4, "with 87.5 % probability"), (1, "of a single round")] {
        let text =
            printed(&summarised(of_rounds(rounds)), false).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("VERDICTS None: a verdict takes 5 rounds"), "{text}");
        assert!(text.contains(brackets), "{text}");
        for claim in ["o difference", "is ahead of", "Nobody better", "comparisons are called"] {
            assert!(!text.contains(claim), "{claim:?} after {rounds} rounds: {text}");
        }
    }
}

#[test]
fn a_percentile_of_too_few_requests_is_not_shown_and_the_reason_is() {
    let report = recorded();
    let text = printed(&report, false);
    assert!(text.contains("n/a: a p99 takes 100 requests a round"), "{text}");
    assert!(!report.verdicts.iter().any(|verdict| verdict.metric.label() == "room orders p99"));
    assert!(report.verdicts.iter().any(|verdict| verdict.metric.label() == "room orders p50"));
}

#[test]
fn what_could_not_be_read_is_never_shown_as_zero() {
    let mut report = measured();
    for round in &mut report.contestants[0].rounds {
        for shard in &mut round.shards {
            shard.cpu_seconds = Figure::unknown("no cgroup");
        }
        round.grabs.sold_out = 3;
    }
    summarise(&mut report);
    let text = printed(&report, false).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("(by CPU time n/a: shard 0: no cgroup)"), "{text}");
    assert!(text.contains("grabs n/a: sold out, so no throughput figure"), "{text}");
}

#[test]
fn an_empty_report_can_be_shown() {
    let mut report = Report::new(Meta::default(), Vec::new());
    summarise(&mut report);
    assert!(!report.audit.passed, "nothing was audited");
    assert!(printed(&report, true).contains("INCOMPLETE"));
    assert!(html::render(&report).contains("audit incomplete"));
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = html::render(&recorded());
    for fetch in ["<script", "<link", "<img", "<iframe", "src=", "url(", "@import", "http://", "https://"] {
        assert!(!page.contains(fetch), "{fetch}");
    }
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("prefers-color-scheme: dark"));
}

#[test]
fn the_page_shows_every_contestant_in_every_section() {
    let report = recorded();
    let page = html::render(&report);
    for section in ["latency", "writes", "spread", "fan-out", "verdicts", "audit", "method"] {
        let from = page.split_once(&format!("<section id=\"{section}\"")).expect(section).1;
        let text = from.split("</section>").next().unwrap();
        for contestant in &report.contestants {
            assert!(text.contains(&contestant.name), "{} in {section}", contestant.name);
        }
    }
}

#[test]
fn latency_is_shown_by_scenario_and_by_endpoint() {
    let report = recorded();
    let page = html::render(&report);
    let latency = page.split_once("<section id=\"latency\"").unwrap().1.split("</section>").next().unwrap();
    for (name, part) in
        [("normal", "40.4 % of all requests: grab"), ("cross-shard", "1.2 % of all requests: ")]
    {
        assert!(latency.contains(&format!("Latency of {name} by percentile")), "{name}");
        assert!(latency.contains(&format!("{name}<small>{part}")), "{name}: {part}");
    }
    assert!(latency.contains("Latency of room orders by percentile"));
    let p99 = report.contestants[0].median(&Metric::scenario("normal", Quantile::P99));
    assert!(p99.is_some_and(|p99| p99 > 4.0), "{p99:?}");
}

#[test]
fn the_page_does_not_trust_names() {
    let mut report = measured();
    report.contestants[0].name = "<b onload='x'>\"".into();
    report.meta.title = "<script>alert(1)</script>".into();
    summarise(&mut report);
    let page = html::render(&report);
    assert!(!page.contains("<b onload") && !page.contains("<script"));
}

#[test]
fn coordinates_on_the_page_are_numbers() {
    // A ratio to zero, a shard without work or a round without seconds must not end in a chart.
    let mut report = measured();
    for contestant in &mut report.contestants {
        for round in &mut contestant.rounds {
            round.shards.iter_mut().for_each(|shard| shard.rows_written = Figure::of(0.0));
            round.looks = Reading::Known(Vec::new());
        }
    }
    summarise(&mut report);
    let page = html::render(&report);
    assert!(!page.contains("NaN") && !page.contains("inf\""));
    assert!(page.contains("n/a: nothing was written"));
}

#[test]
fn a_report_in_trouble_says_so_first() {
    let mut report = of_rounds(3);
    for contestant in &mut report.contestants {
        for round in &mut contestant.rounds {
            round.looks = Reading::unknown("the shards were not sampled");
            round.shards.iter_mut().for_each(|shard| shard.cpu_seconds = Figure::unknown("no cgroup"));
        }
    }
    let round = &mut report.contestants[1].rounds[0];
    round.endpoints.remove("recent");
    let lost = Violation::of((1..=12).map(|user| format!("user {user}, coupon 9")));
    round.audit = Reading::Known(AuditResult { acknowledged: 12, lost, ..AuditResult::default() });
    report.contestants[2].rounds[1].audit = Reading::unknown("it did not drain within 60 s");
    report.contestants[3].rounds.iter_mut().for_each(|round| round.grabs.sold_out = 9);
    summarise(&mut report);
    // Kept beside the build, so that a developer can look at the page.
    let paths =
        write_all(&report, &Path::new(env!("CARGO_TARGET_TMPDIR")).join("report-in-trouble")).unwrap();
    let page = std::fs::read_to_string(paths.html).unwrap();
    for text in [page, printed(&report, false)] {
        for part in ["audit failed", "Only 3 rounds", "user 1, coupon 9", "sold out in 3 rounds", "n/a: "] {
            assert!(text.contains(part), "{part}");
        }
    }
}

/// Everything between an opening and its closing tag, for each of them.
fn elements<'a>(page: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    page.split(open).skip(1).map(move |rest| rest.split(close).next().unwrap())
}

#[test]
fn every_drawing_says_what_it_shows_and_its_names_are_there_once() {
    let page = html::render(&recorded());
    let drawings: Vec<&str> =
        elements(&page, "<svg viewBox", "</svg>").filter(|svg| svg.contains("role=\"img\"")).collect();
    assert!(drawings.len() > 15, "{}", drawings.len());
    for svg in drawings {
        let labels = svg.split("aria-labelledby=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(labels.split(' ').count(), 2);
        for id in labels.split(' ') {
            assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
        }
        for (open, close) in [("<title id=", "</title>"), ("<desc id=", "</desc>")] {
            let text = elements(svg, open, close).next().unwrap().split('>').nth(1).unwrap();
            assert!(text.len() > 10, "{text:?}");
        }
    }
}

#[test]
fn charts_of_figures_have_them_as_a_table() {
    let page = html::render(&recorded());
    for section in ["latency", "writes", "spread"] {
        let from = page.split_once(&format!("<section id=\"{section}\"")).unwrap().1;
        let text = from.split("</section>").next().unwrap();
        assert_eq!(text.matches("<figure").count(), text.matches("class=\"data\"").count(), "{section}");
    }
}

#[test]
fn contestants_differ_in_mark_and_dash_not_in_colour_alone() {
    let report = recorded();
    let page = html::render(&report);
    let legend = elements(&page, "<ul class=\"legend\"", "</ul>").next().unwrap();
    let of = |attribute: &str| {
        let mut found: Vec<&str> =
            legend.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        let all = found.len();
        found.sort_unstable();
        found.dedup();
        (all, found.len())
    };
    let contestants = report.contestants.len();
    for attribute in ["<path d=\"", "stroke-dasharray=\""] {
        assert_eq!(of(attribute), (contestants, contestants), "{attribute}");
    }
}

#[test]
fn limits_are_shown_with_their_figures_wherever_the_report_is() {
    let mut report = measured();
    summarise(&mut report);
    let scope = LimitSubject::Contestants(&["hash", "range-time"]);
    let limits =
        ["hash.grab.p99<20ms", "range-time.skew<1.5"].map(|text| Limit::parse(text, &scope).unwrap());
    report.requirements = check(&limits, &report.contestants);
    let (text, page) = (printed(&report, false), html::render(&report));
    assert!(
        text.contains("NOT KEPT: range-time.skew<1.5: 4.00") && text.contains("  kept: hash.grab.p99<20ms")
    );
    assert!(page.contains("1 of 2 limits not kept") && page.contains("range-time.skew&lt;1.5"));
    assert!(!html::render(&recorded()).contains("id=\"required\""));
}
