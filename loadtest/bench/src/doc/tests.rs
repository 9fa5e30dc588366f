use std::path::Path;

use super::*;
use crate::model::NamedFigure;

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
        line(&text, "| grab-servers-64"),
        "| grab-servers-64 | grabs, 64 connections | echo | ≥ 0.55× | 0.60 (0.50–0.65, n 3) | reached |"
    );
    assert!(
        line(&text, "| start-servers")
            .ends_with("| ≤ 2.00 s | 3.50 s (3.40–3.60, n 3) | **missed**, no cause named yet |")
    );
    assert!(
        line(&text, "| sold-out")
            .ends_with("| **not valid**: round 2, sold out over 256 connections: 3 failed |")
    );
    assert!(line(&text, "| generator-cpu").ends_with("| — | not run: wrk is not installed |"));
    assert!(line(&text, "| targets").ends_with("| 1 of 4 reached, 1 missed, 2 without a figure |"));
}

#[test]
fn a_ceiling_that_all_rows_share_is_named_once() {
    let mut bench = sample();
    bench.sections[0].rows.truncate(1);
    let text = text(&bench, &Notes::default());
    assert!(line(&text, "`grab`").ends_with(" Held against: echo."));
    assert_eq!(line(&text, "| id"), "| id | what | target | measured |  |");
}

#[test]
fn each_kind_has_a_line_of_its_figures() {
    let text = text(&sample(), &Notes::default());
    assert_eq!(line(&text, "|  | rate"), "|  | rate | CPU a request, redis |");
    assert_eq!(line(&text, "| grab |"), "| grab | 5,000/s (4,000–6,000, n 3) | n/a: no \\| proc |");
    assert_eq!(line(&text, "| echo |"), "| echo | 9,000/s (8,000–9,900, n 3) |  |");
}

#[test]
fn rows_that_measured_the_same_kind_share_its_line_and_others_have_their_own() {
    let figures = |rate: f64| {
        vec![
            NamedFigure::of("echo: rate", "/s", &[rate]),
            NamedFigure::of("echo: shard-0", "µs", &[1.0]),
            NamedFigure::of("echo: shard-1", "µs", &[2.0]),
        ]
    };
    let mut bench = sample();
    let rows = &mut bench.sections[0].rows;
    rows[0].figures = figures(9.0);
    rows[1].figures = figures(9.0);
    rows[2].figures = figures(8.0);
    let text = text(&bench, &Notes::default());
    assert_eq!(line(&text, "|  | rate"), "|  | rate | shard-0 to 1 |");
    assert_eq!(line(&text, "| echo |"), "| echo | 9.00/s (n 1) | 1.00 / 2.00 µs |");
    assert_eq!(line(&text, "| echo (sold-out)"), "| echo (sold-out) | 8.00/s (n 1) | 1.00 / 2.00 µs |");
}

#[test]
fn figures_of_the_rows_alone_are_columns_beside_them() {
    let mut bench = sample();
    let rows = &mut bench.sections[0].rows;
    rows[0].figures = vec![NamedFigure::of("API", "ms", &[1.5])];
    rows[1].figures = vec![NamedFigure::of("bare", "ms", &[2.5])];
    let text = text(&bench, &Notes::default());
    assert_eq!(line(&text, "| id"), "| id | what | against | target | measured |  | API | bare |");
    assert!(line(&text, "| grab-servers-64").ends_with("| reached | 1.50 ms (n 1) |  |"));
    assert!(line(&text, "| start-servers").ends_with("|  | 2.50 ms (n 1) |"));
}

#[test]
fn sections_of_one_family_share_a_table() {
    let families = |bench: &Bench| text(bench, &Notes::default()).matches("\n## ").count();
    let mut bench = sample();
    assert_eq!(families(&bench), 1);
    let text = text(&bench, &Notes::default());
    assert!(line(&text, "`grab`").contains("`grab`: grabs (60 s). `connections`: few and many (40 s)."));
    bench.sections[1].name = "a section of before".to_owned();
    assert_eq!(families(&bench), 2);
}

#[test]
fn the_run_can_be_repeated_from_what_is_told() {
    let text = text(&sample(), &Notes::default());
    assert!(line(&text, "| command").contains("`loadtest bench` (seed 7), 100 s"));
    assert!(line(&text, "| machine").contains("2 cores, A Processor, Linux 6"));
    assert!(line(&text, "| versions").contains("mysql 10.11, rustc 1.92"));
    assert!(!text.contains("quick"));
    let quick = super::text(&Bench { quick: true, ..sample() }, &Notes::default());
    assert!(quick.contains("**quick**"));
}

const NOTES: &str = "\
# Notes

## The gate, filled first

Of `start-*` and
`sold-out`.

It asks `redis`.

## Epoll

Of `connections`.
";

#[test]
fn verdicts_and_curves_lead_to_the_note_on_them() {
    let bare = text(&sample(), &Notes::default());
    assert!(bare.contains("no cause named yet") && bare.contains("No cause named yet."));
    let explained = text(&sample(), &Notes::of(NOTES));
    assert!(!explained.to_lowercase().contains("no cause named yet"), "{explained}");
    assert!(
        line(&explained, "| start-servers")
            .ends_with("| [**missed**](benchmarks/NOTES.md#the-gate-filled-first) |")
    );
    assert!(line(&explained, "**connections**").ends_with(" [Why](benchmarks/NOTES.md#epoll)."));
}

#[test]
fn notes_say_which_ids_they_are_about_and_a_file_that_is_missing_has_none() {
    let notes = Notes::of(NOTES);
    assert_eq!(notes.anchor("start-embedded"), Some("the-gate-filled-first"));
    assert_eq!(notes.anchor("sold-out"), Some("the-gate-filled-first"));
    assert_eq!((notes.anchor("connections"), notes.anchor("redis")), (Some("epoll"), None));
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Notes::read(&folder.path().join("none.md")).unwrap(), Notes::default());
    assert!(Notes::read(folder.path()).is_err(), "a folder is no file");
}

#[test]
fn every_note_of_the_repository_is_about_a_row_or_a_curve() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/benchmarks/NOTES.md");
    let curves = ["connections", "coupons", "hot-coupon", "scale-shards", "scale-tables", "scale-rows"];
    let rows = crate::sections().into_iter().flat_map(|section| (section.claims)());
    let ids: Vec<String> = rows.map(|claim| claim.id.to_string()).chain(curves.map(str::to_owned)).collect();
    assert_eq!(Notes::read(Path::new(file)).unwrap().about_none_of(&ids), Vec::<&str>::new());
}

#[test]
fn a_curve_is_a_table_that_ends_with_its_growth() {
    let text = text(&sample(), &Notes::default());
    assert_eq!(line(&text, "| connections |"), "| connections | grab, /s | p99, ms |");
    assert_eq!(line(&text, "| 4,096"), "| 4,096 | 5,000 (4,900–5,100, n 3) | n/a: not measured |");
    assert_eq!(
        line(&text, "| 64× as many"),
        "| 64× as many | 0.50×, **falls though it need not** from 64 to 4,096 | — |"
    );
}

#[test]
fn what_is_written_is_what_was_read() {
    let bench = sample();
    let again: Bench = serde_json::from_str(&serde_json::to_string(&bench).unwrap()).unwrap();
    assert_eq!(again, bench);
    let spread = RoundSpread { median: 0.6, min: 0.5, max: 0.65, n: 3 };
    assert_eq!(bench.rows().next().unwrap().spread, Some(spread));
}
