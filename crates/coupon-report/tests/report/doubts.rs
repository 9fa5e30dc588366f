//! Reasons against a verdict: one that fails or refuses more, a load that was the limit, conditions that differ.

use std::collections::BTreeMap;

use coupon_report::model::{Call, Contestant, DoubtKind, Figure, GeneratorRound, NeedResult, Place, Report};
use coupon_report::{html, terminal};

use crate::rounds::{place, summed, two};

fn doubts(report: &Report) -> Vec<DoubtKind> {
    report.doubts.iter().map(|doubt| doubt.kind).collect()
}

/// Neither the answer nor a need chooses a contestant, and no verdict is a difference.
fn nobody_wins(report: &Report) {
    assert!(report.answer.choice.is_empty(), "{:?}", report.answer);
    assert!(!report.answer.verdict.starts_with("Choose"), "{}", report.answer.verdict);
    assert!(report.needs.iter().all(|need| need.result != NeedResult::Leads), "{:?}", report.needs);
    assert!(report.verdicts.iter().all(|verdict| verdict.call != Call::Difference), "{:?}", report.verdicts);
}

#[test]
fn one_that_fails_more_leads_in_nothing_however_fast_it_is() {
    let mut report = two();
    for round in &mut report.contestants[1].rounds {
        let grab = round.endpoints.get_mut("grab").unwrap();
        grab.ok = 170;
        grab.errors.insert("503".into(), 830);
    }
    let report = summed(report);
    assert_eq!(doubts(&report), [DoubtKind::FailuresDiffer]);
    assert_eq!(place(&report, "writes", "fast"), Place::Barred);
    assert!(report.verdicts.iter().all(|verdict| verdict.better.as_deref() != Some("fast")));
    assert_eq!(report.answer.choice, ["slow"], "{:?}", report.answer);
    assert!(report.answer.verdict.contains("fast: 83 % of its requests failed"), "{}", report.answer.verdict);
    assert_eq!(report.answer.certainty, "5 rounds");
}

#[test]
fn one_that_fails_in_two_rounds_of_five_does_not_lead_and_makes_no_winner_of_the_other() {
    let mut report = two();
    for round in report.contestants[1].rounds.iter_mut().take(2) {
        let grab = round.endpoints.get_mut("grab").unwrap();
        grab.ok = 600;
        grab.errors.insert("time-out".into(), 400);
    }
    let report = summed(report);
    assert_eq!(doubts(&report), [DoubtKind::FailuresDiffer]);
    nobody_wins(&report);
}

#[test]
fn a_request_or_two_that_fail_are_no_difference() {
    let mut report = two();
    let grab = report.contestants[1].rounds[0].endpoints.get_mut("grab").unwrap();
    (grab.ok, grab.errors) = (998, BTreeMap::from([("503".to_owned(), 2)]));
    assert_eq!(summed(report).answer.choice, ["fast"]);
}

#[test]
fn one_that_refuses_every_grab_as_a_duplicate_is_none_to_choose() {
    let mut report = two();
    for (refuses, contestant) in [(false, 0), (true, 1)] {
        for round in &mut report.contestants[contestant].rounds {
            round.grabs.granted = if refuses { 0 } else { 1_000 };
            if refuses {
                round.grabs.refused.insert("duplicate".into(), 1_000);
            }
        }
    }
    let report = summed(report);
    assert_eq!(doubts(&report), [DoubtKind::RefusalsDiffer]);
    assert_eq!(report.answer.choice, ["slow"]);
    assert!(report.answer.verdict.contains("100 % of its grabs were refused"), "{}", report.answer.verdict);
}

#[test]
fn where_connections_were_the_limit_there_is_no_verdict_on_rate_or_latency() {
    let mut report = two();
    for round in report.contestants.iter_mut().flat_map(|contestant| &mut contestant.rounds) {
        round.generator.queued = 850;
    }
    let report = summed(report);
    assert_eq!(doubts(&report), [DoubtKind::ConnectionsLimited; 2]);
    assert!(report.was_the_load_the_limit());
    nobody_wins(&report);
    assert!(
        report.answer.verdict.contains("85 % of the requests found none free"),
        "{}",
        report.answer.verdict
    );
    assert!(report.answer.verdict.contains("--connections"));
    // The verdict has the first one's figures; the other is named beside it, and no sentence stands there twice.
    assert_eq!(report.doubts_beside_answer(), ["Likewise fast."]);
}

#[test]
fn where_the_generator_was_the_limit_there_is_no_verdict_either() {
    let busy = |change: fn(&mut GeneratorRound)| {
        let mut report = two();
        for round in &mut report.contestants[0].rounds {
            change(&mut round.generator);
        }
        let report = summed(report);
        assert_eq!(doubts(&report), [DoubtKind::GeneratorLimited]);
        nobody_wins(&report);
    };
    busy(|generator| generator.cpu_seconds = Figure::of(0.95));
    // Others had its core for half of the time.
    busy(|generator| (generator.cpu_seconds, generator.busy_seconds) = (Figure::of(0.5), Figure::of(0.97)));
    busy(|generator| generator.lateness_p99_ms = Figure::of(36.0));
    busy(|generator| generator.lateness_p50_ms = Figure::of(3.0));
}

#[test]
fn data_of_another_size_or_a_debug_build_beside_a_release_build_give_no_verdict() {
    let changed = |change: fn(&mut Contestant), kind: DoubtKind, told: &str| {
        let mut report = two();
        for contestant in &mut report.contestants {
            contestant.history_rows = Some(24_599);
            contestant.build = Some("release".into());
        }
        assert_eq!(doubts(&summed(report.clone())), []);
        change(&mut report.contestants[0]);
        let report = summed(report);
        assert_eq!(doubts(&report), [kind]);
        assert!(report.answer.verdict.contains(told), "{}", report.answer.verdict);
        nobody_wins(&report);
    };
    changed(|c| c.history_rows = Some(0), DoubtKind::DataSetsDiffer, "24,599 results");
    changed(|c| c.build = Some("debug".into()), DoubtKind::BuildsDiffer, "slow is a debug build");
}

#[test]
fn the_first_screen_names_nobody_whom_the_lines_below_doubt() {
    let mut report = two();
    for round in &mut report.contestants[1].rounds {
        round.generator.queued = 900;
    }
    let report = summed(report);
    let page = html::render(&report);
    let screen = page.split_once("<section class=\"answer\"").unwrap().1.split("</section>").next().unwrap();
    assert!(!screen.contains("Choose") && screen.contains("the connections were the limit"), "{screen}");
    let mut out = Vec::new();
    terminal::print(&report, &mut out, terminal::Screen::new(60, false)).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(!text.contains("Choose") && text.lines().all(|line| line.chars().count() <= 60), "{text}");
}
