use std::collections::BTreeMap;

use super::*;
use crate::model::{EndpointRound, LatencyMs, Reading};

const NAMES: [&str; 3] = ["hash", "range-room", "range-room+split"];

fn limit(text: &str) -> Limit {
    Limit::parse(text, &LimitSubject::Contestants(&NAMES)).unwrap()
}

fn refused(text: &str) -> String {
    Limit::parse(text, &LimitSubject::Contestants(&NAMES)).unwrap_err().to_string()
}

fn round(p99: f64, failed: u64) -> Round {
    let latency = LatencyMs { p50: 1.0, p90: 2.0, p99, p999: p99, max: 2.0 * p99 };
    let errors = BTreeMap::from([("503".to_owned(), failed)]);
    let grab = EndpointRound {
        requests: 1_000,
        timed: 1_000,
        ok: 1_000 - failed,
        errors,
        latency: Reading::Known(latency),
        ..EndpointRound::default()
    };
    Round { seconds: 2.0, endpoints: [("grab".to_owned(), grab)].into(), ..Round::default() }
}

fn rounds() -> Vec<Round> {
    [10.0, 30.0, 12.0, 11.0, 13.0].map(|p99| round(p99, 1)).into()
}

#[test]
fn a_median_is_held_against_its_limit_in_any_unit() {
    for (text, passed) in [
        ("hash.grab.p99<20ms", true),
        ("hash.grab.p99 < 12000us", false),
        ("hash.grab.p99<=0.012s", true),
        ("hash.grab.p99>12ms", false),
        ("hash.grab.p99>=12ms", true),
        ("hash.grab.rate>499/s", true),
        ("hash.grab.errors<0.2%", true),
        ("hash.errors<=0", false),
    ] {
        let found = limit(text).check("hash", &rounds());
        assert_eq!(found.passed, passed, "{text}: {found}");
    }
}

#[test]
fn the_worst_round_decides_about_a_maximum() {
    let found = limit("hash.grab.max<50ms").check("hash", &rounds());
    assert_eq!((found.figure.value(), found.passed), (Some(60.0), false));
}

#[test]
fn a_figure_that_was_not_read_keeps_no_limit() {
    for text in ["hash.skew<9", "hash.recent.p99<9s", "hash.lag<9s", "hash.recent.errors<=0"] {
        let found = limit(text).check("hash", &rounds());
        assert!(!found.passed && found.to_string().contains("n/a: "), "{found}");
    }
    assert!(!limit("hash.grab.p99<20ms").check("hash", &[]).passed);
}

#[test]
fn a_round_without_the_figure_may_be_the_worst_so_that_the_others_do_not_keep_the_limit() {
    let mut rounds = rounds();
    rounds[3].grabs.sold_out = 1;
    let found = limit("hash.rate>=0").check("hash", &rounds);
    assert!(!found.passed && found.to_string().contains("1 of 5 rounds have none: sold out"), "{found}");
    // 95 of the 1,000 requests were answered: of those there is no 99th percentile.
    rounds[2].endpoints.get_mut("grab").unwrap().timed = 95;
    assert!(!limit("hash.grab.p99<20ms").check("hash", &rounds).passed);
    assert!(limit("hash.grab.p50<20ms").check("hash", &rounds).passed);
}

#[test]
fn a_line_names_whose_figure_it_is_unless_the_limit_does() {
    let of = |contestant: &str| limit("all.grab.p99<20ms").check(contestant, &rounds()).to_string();
    assert!(of("a").starts_with("kept: all.grab.p99<20ms: a 12.0 ms"), "{}", of("a"));
}

#[test]
fn a_limit_for_all_is_checked_for_each() {
    let contestant = |name: &str| Contestant { name: name.into(), rounds: rounds(), ..Contestant::default() };
    let contestants = [contestant("hash"), contestant("range-room")];
    let found = check(&[limit("all.grab.p99<20ms"), limit("range-room.grab.p50<1us")], &contestants);
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "kept: all.grab.p99<20ms: hash 12.0 ms (10.0 to 30.0)",
            "kept: all.grab.p99<20ms: range-room 12.0 ms (10.0 to 30.0)",
            "NOT KEPT: range-room.grab.p50<1us: 1.00 ms (1.00 to 1.00)",
        ]
    );
}

#[test]
fn the_longest_name_that_fits_is_meant() {
    assert_eq!(limit("range-room+split.skew<2").contestant.as_deref(), Some("range-room+split"));
    assert_eq!(limit("range-room.grab.p99.9<2s").contestant.as_deref(), Some("range-room"));
}

#[test]
fn whatever_is_misspelt_is_named_with_the_choices() {
    for (text, named, choice) in [
        ("hush.grab.p99<20ms", "\"hush\"", "range-room+split or all"),
        ("hash.grap.p99<20ms", "\"grap\"", "room_orders"),
        ("hash.grab.p98<20ms", "\"p98\"", "p99"),
        ("hash.grab<20ms", "\"grab\"", "grab.p99"),
        ("hash.schew<2", "\"schew\"", "skew"),
        ("hash.grab.p99<20", "no unit", "us, ms or s"),
        ("hash.grab.p99<20%", "\"%\"", "us, ms or s"),
        ("hash.skew<2ms", "\"ms\"", "takes none"),
        ("hash.errors<0.1", "no unit", "%"),
        ("hash.grab.p99<fast", "\"fast\"", "number"),
        ("hash.grab.p99<-1ms", "\"-1ms\"", "number"),
        ("hash.grab.p99=20ms", "compares with nothing", "<="),
    ] {
        let error = refused(text);
        assert!(error.contains(text) && error.contains(named) && error.contains(choice), "{error}");
    }
}

#[test]
fn a_single_load_knows_no_names_and_no_shards() {
    let parse = |text| Limit::parse(text, &LimitSubject::OneLoad);
    assert!(parse("grab.p99<20ms").unwrap().check("", &rounds()).passed);
    let error = parse("skew<2").unwrap_err().to_string();
    assert!(error.contains("\"skew\"") && !error.contains("effective_shards"), "{error}");
}
