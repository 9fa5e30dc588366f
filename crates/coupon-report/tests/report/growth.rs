//! Reports of layouts that were changed in the middle of turns.

use coupon_report::model::{
    DoubtKind, Figure, GrowthPart, GrowthRound, LatencyMs, Metric, Need, Place, Reading, ScenarioRound,
    ShardFlow, ShardRound, Topic, Verdict,
};
use coupon_report::{Report, diff, html, summarise, terminal};

use crate::differ::scale;
use crate::recorded::{contestant, of_rounds};

fn requests(p50: f64, p99: f64) -> ScenarioRound {
    let latency = Reading::Known(LatencyMs { p50, p90: p50, p99, p999: p99, max: p99 });
    ScenarioRound { requests: 500, ok: 500, timed: 500, latency, ..ScenarioRound::default() }
}

fn part(p99: f64) -> GrowthPart {
    GrowthPart {
        grabs: requests(1.0, p99),
        reads: requests(2.0, 2.0 * p99),
        granted_per_s: Figure::of(600.0),
        shards_visited: Figure::of(2.5),
        ..GrowthPart::default()
    }
}

fn growth(moved: f64) -> GrowthRound {
    GrowthRound {
        what: "go on over 8 shards".to_owned(),
        layout: "hash of user_id, mix xxh3, 8 shards".to_owned(),
        asked_s: 10.0,
        in_force_s: 11.0,
        even_s: Figure::of(14.5),
        rows_per_s_most: 5_000,
        rows_moved: Figure::of(moved),
        rows_predicted: Figure::of(50_123.0),
        longest_pause_ms: Figure::of(321.0),
        longest_pause_before_ms: Figure::of(12.0),
        written_before: vec![150.0; 4],
        written_after: vec![75.0; 8],
        effective_before: Figure::of(3.9),
        effective_after: Figure::of(7.7),
        before: part(4.0),
        during: part(6.0),
        after: part(5.0),
        ..GrowthRound::default()
    }
}

fn changed(moved: f64) -> Report {
    let mut report = of_rounds(5);
    for round in &mut contestant(&mut report, "hash").rounds {
        round.growth = Some(growth(moved));
    }
    contestant(&mut report, "single").unchanged = Some("it has one shard".to_owned());
    summarise(&mut report);
    report
}

fn printed(report: &Report) -> String {
    let mut out = Vec::new();
    terminal::print(report, &mut out, terminal::Screen::new(100, false)).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_change_of_the_layout_is_told_with_its_moment_its_price_and_what_was_predicted() {
    let report = changed(50_200.0);
    let (text, page) = (printed(&report), html::render(&report));
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let told = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in [
        "go on over 8 shards, asked for at second 10.0, in force at second 11.0",
        "50,200 rows, and routing alone says 50,123",
        "was 321 ms from the change on, and 12.0 ms before",
        "150 | 150 | 150 | 150 rows written a second by shard, worth 3.90 shards",
        "worth 7.70 shards",
        "grabs p99 ms 4.00 6.00 5.00 1.50×",
        "left alone: it has one shard",
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    for wanted in
        ["While the layout changes", "Left alone: it has one shard", "the layout changed in second 11"]
    {
        assert!(page.contains(wanted), "{wanted}");
    }
    assert!(!told.contains("NOT AS PREDICTED") && !page.contains("Not as predicted"));
    assert!(report.cautions.iter().any(|caution| caution.contains("in the middle of each turn")));
    assert!(!html::render(&of_rounds(5)).contains("While the layout changes"));
}

/// The rooms that are hot in one turn need not be those of the next.
#[test]
fn a_change_that_is_another_in_some_rounds_is_told_with_its_rounds() {
    let mut report = changed(50_123.0);
    let round = &mut contestant(&mut report, "hash").rounds[2];
    round.growth.as_mut().unwrap().what = "give rooms 3, 1 ranges of their own".to_owned();
    let told = printed(&report).split_whitespace().collect::<Vec<_>>().join(" ");
    let wanted = "go on over 8 shards (rounds 1, 2, 4, 5); give rooms 3, 1 ranges of their own (round 3), asked for at";
    assert!(told.contains(wanted), "{told}");
}

#[test]
fn rows_that_move_otherwise_than_routing_says_are_a_failure_that_is_said() {
    let report = changed(49_000.0);
    let told = printed(&report).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("NOT AS PREDICTED: in 5 rounds"), "{told}");
    assert!(
        report.cautions.iter().any(|caution| caution.starts_with("hash: 49,000 rows were moved")),
        "{:?}",
        report.cautions
    );
    assert!(html::render(&report).contains("Not as predicted"));
}

#[test]
fn a_contestant_that_was_left_alone_is_chosen_for_nothing_however_fast() {
    let mut report = changed(50_123.0);
    let alone = ["single", "range-room"];
    for name in alone {
        let contestant = contestant(&mut report, name);
        contestant.unchanged = Some("it cannot change so".to_owned());
        contestant.rounds.iter_mut().for_each(|round| scale(round, 0.1, |_| true));
    }
    summarise(&mut report);
    let doubts = report.doubts.iter().filter(|doubt| doubt.kind == DoubtKind::LeftAlone);
    let of: Vec<_> = doubts.filter_map(|doubt| doubt.contestant.as_deref()).collect();
    assert!(alone.iter().all(|name| of.contains(name)) && of.len() == 2, "{of:?}");
    for name in alone {
        assert!(!report.answer.choice.contains(&name.to_owned()), "{:?}", report.answer);
        let advice = report.advice.iter().filter(|advice| !matches!(advice.topic, Topic::Contestant(_)));
        assert!(advice.clone().all(|advice| !advice.choice.contains(&name.to_owned())), "{name}");
        let leads = |need: &Need| {
            need.places.iter().any(|placed| placed.contestant == name && placed.place == Place::Leads)
        };
        assert!(!report.needs.iter().any(leads), "{:?}", report.needs);
        assert!(report.verdicts.iter().all(|verdict| verdict.better.as_deref() != Some(name)));
    }
}

#[test]
fn turns_in_which_the_layout_changes_are_not_held_against_turns_in_which_it_stays() {
    let (grown, plain) = (changed(50_123.0), of_rounds(5));
    assert_eq!(diff::obstacles(&grown, &grown), Vec::<String>::new());
    let obstacles = diff::obstacles(&plain, &grown);
    let [only] = &obstacles[..] else { panic!("{obstacles:?}") };
    assert!(
        only.starts_with("The layout of contestant hash changes in its turns: not at all before, to hash"),
        "{only}"
    );
}

/// The work of eight shards: six write alike and two nothing, and shard 5 uses all that it may.
fn work_of_eight() -> Vec<ShardRound> {
    let work = |shard: u16| ShardRound {
        shard,
        rows_written: Figure::of(if shard < 6 { 100.0 } else { 0.0 }),
        cpu_seconds: Figure::of(0.5),
        flow: Some(ShardFlow {
            queue_depth_max: Figure::of(0.0),
            lag_ms_max: Figure::of(0.0),
            saturation: Figure::of(if shard == 5 { 1.0 } else { 0.1 }),
        }),
        ..ShardRound::default()
    };
    (0..8).map(work).collect()
}

/// Contestants that go on over eight shards in the middle of each turn, from so many on.
fn grown_from(shards: u16) -> Report {
    let mut report = of_rounds(5);
    for name in ["hash", "range-time"] {
        let grown = contestant(&mut report, name);
        grown.shards = shards;
        for round in &mut grown.rounds {
            (round.growth, round.shards) = (Some(growth(50_123.0)), work_of_eight());
        }
    }
    summarise(&mut report);
    report
}

#[test]
fn shards_that_a_layout_came_to_in_the_middle_of_turns_count() {
    let report = grown_from(4);
    let (text, page) = (printed(&report), html::render(&report));
    let told = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let worth = "hash: 8 shards are worth 6";
    assert!(report.advice.iter().any(|advice| advice.text.contains(worth)), "{:?}", report.advice);
    assert!(told.contains("effective shards 6 of 8"), "{told}");
    assert!(report.cautions.iter().any(|caution| caution.starts_with("hash: shard 5 used all the CPU")));
    for wanted in ["6 of 8", "8 machines write 6 times as much as one"] {
        assert!(page.contains(wanted), "{wanted}");
    }
}

#[test]
fn who_begins_with_one_shard_and_goes_on_over_more_is_judged_by_their_spread() {
    let report = grown_from(1);
    let spread = report.needs.iter().find(|need| need.need == "spread").unwrap();
    let placed: Vec<&str> = spread.places.iter().map(|placed| placed.contestant.as_str()).collect();
    assert!(placed.contains(&"hash") && placed.contains(&"range-time"), "{placed:?}");
    let judged = |verdict: &&Verdict| {
        verdict.metric == Metric::EffectiveShards && (&*verdict.a, &*verdict.b) == ("hash", "range-time")
    };
    assert!(report.verdicts.iter().any(|verdict| judged(&verdict)));
}
