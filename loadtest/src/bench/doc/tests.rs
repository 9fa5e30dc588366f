use super::*;
use crate::bench::model::Spread;

/// A run as `bench.json` has it: one row of each standing, and a curve that falls.
const SAMPLE: &str = include_str!("sample.json");

fn sample() -> Bench {
    serde_json::from_str(SAMPLE).unwrap()
}

fn line<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines()
        .find(|line| line.starts_with(start))
        .unwrap_or_else(|| panic!("no line {start:?} in:\n{text}"))
}

#[test]
fn every_row_says_what_became_of_it() {
    let text = text(&sample(), &Notes::default());
    assert_eq!(
        line(&text, "| [grab-servers-64]"),
        "| [grab-servers-64](#grab-servers-64) | grabs, 64 connections | echo | ≥ 0.55× | 0.60 (0.50–0.65, n 3) | reached |"
    );
    assert!(
        line(&text, "| [start-servers]").ends_with("| ≤ 2.00 s | 3.50 s (3.40–3.60, n 3) | **missed** |")
    );
    assert!(line(&text, "| [sold-out]").ends_with("| **not valid** |"));
    assert!(line(&text, "| generator-cpu").ends_with("| — | not run: wrk is not installed |"));
    assert!(text.contains("- not valid: round 2, sold out over 256 connections: 3 failed"));
}

#[test]
fn figures_of_several_kinds_stand_side_by_side() {
    let text = text(&sample(), &Notes::default());
    assert_eq!(line(&text, "| | grab"), "| | grab | echo |");
    assert_eq!(line(&text, "| rate"), "| rate | 5,000/s (4,000–6,000, n 3) | 9,000/s (8,000–9,900, n 3) |");
    assert_eq!(line(&text, "| CPU a request, redis"), "| CPU a request, redis | n/a: no \\| proc |  |");
}

#[test]
fn the_run_can_be_repeated_from_what_is_told() {
    let text = text(&sample(), &Notes::default());
    assert!(line(&text, "| command").contains("`loadtest bench` (seed 7)"));
    assert!(line(&text, "| machine").contains("2 cores, A Processor, Linux 6"));
    assert!(line(&text, "| versions").contains("mysql 10.11, rustc 1.92"));
    assert!(line(&text, "| | all").ends_with("| 100 |"));
    assert!(!text.contains("quick"));
    let quick = super::text(&Bench { quick: true, ..sample() }, &Notes::default());
    assert!(quick.contains("**quick**"));
}

#[test]
fn what_people_wrote_stands_with_its_row_and_with_its_curve() {
    let bare = text(&sample(), &Notes::default());
    assert!(bare.contains("`docs/benchmarks/start-servers.md` is missing"));
    assert!(bare.contains("`docs/benchmarks/connections.md` is missing"));
    let notes = Notes::from([("start-servers", "The gate is filled first."), ("connections", "Epoll.")]);
    let explained = text(&sample(), &notes);
    assert!(!explained.contains("is missing"), "{explained}");
    let (_, row) = explained.split_once("### start-servers").unwrap();
    let (row, _) = row.split_once("###").unwrap();
    assert!(row.contains("The gate is filled first."));
    let (_, curve) = explained.split_once("### connections").unwrap();
    assert!(curve.contains("Epoll."));
}

#[test]
fn notes_are_read_from_a_folder_and_none_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Notes::read(&folder.path().join("none")).unwrap(), Notes::default());
    std::fs::write(folder.path().join("sold-out.md"), "\nIt asks Redis.\n").unwrap();
    std::fs::write(folder.path().join("draft.txt"), "no note").unwrap();
    let notes = Notes::read(folder.path()).unwrap();
    assert_eq!(notes, Notes::from([("sold-out", "It asks Redis.")]));
    assert_eq!((notes.of("sold-out"), notes.of("draft")), (Some("It asks Redis."), None));
}

#[test]
fn a_curve_is_a_table_with_a_statement_that_follows_from_it() {
    let text = text(&sample(), &Notes::default());
    assert_eq!(line(&text, "| connections |"), "| connections | grab, /s | p99, ms |");
    assert_eq!(line(&text, "| 4,096"), "| 4,096 | 5,000 (4,900–5,100, n 3) | n/a: not measured |");
    assert!(line(&text, "- grab: 10,000").contains("falls though it need not** from 64 to 4,096"));
}

#[test]
fn what_is_written_is_what_was_read() {
    let bench = sample();
    let again: Bench = serde_json::from_str(&serde_json::to_string(&bench).unwrap()).unwrap();
    assert_eq!(again, bench);
    let spread = Spread { median: 0.6, min: 0.5, max: 0.65, n: 3 };
    assert_eq!(bench.rows().next().unwrap().spread, Some(spread));
}
