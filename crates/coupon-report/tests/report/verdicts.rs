//! Verdicts on runs of which the truth is known: recorded rounds, changed in one thing.

use std::collections::BTreeMap;

use coupon_report::model::{
    Call, Figure, LatencyMs, Metric, NeedResult, OutcomeRound, Place, Quantile, Reading, Report,
};
use coupon_report::require::{Limit, LimitSubject, check};
use coupon_report::{html, summarise, terminal};

use crate::rounds::{place, report, summed, two};

#[test]
fn who_is_faster_leads_and_the_report_says_what_that_rests_on() {
    let report = summed(two());
    assert_eq!(report.answer.choice, ["fast"]);
    let need = report.need("writes").unwrap();
    assert_eq!((need.result, need.doubts.len()), (NeedResult::Leads, 0));
    assert_eq!(
        (place(&report, "writes", "fast"), place(&report, "writes", "slow")),
        (Place::Leads, Place::Behind)
    );
    let grounds = &need.grounds;
    assert_eq!((grounds.rounds, grounds.level, grounds.error), (5, 0.9375, 0.05));
    assert!(grounds.comparisons >= 2 && grounds.least_ms > 0.0, "{grounds:?}");
    let p50 = report.verdict(&Metric::latency("grab", Quantile::P50), "fast", "slow").unwrap();
    assert!(p50.p.unwrap() < 0.01 && p50.comparisons == grounds.comparisons, "{p50:?}");
}

#[test]
fn a_choice_whose_rounds_were_not_all_audited_says_so_where_it_is_made() {
    let mut report = two();
    report.meta.unaudited = false;
    let report = summed(report);
    assert_eq!(report.answer.choice, ["fast"]);
    assert!(
        report
            .answer
            .verdict
            .ends_with("10 rounds could not be audited: whether promises were kept in them is not known.")
    );
    assert!(!summed(two()).answer.verdict.contains("audited"));
}

#[test]
fn a_worse_median_than_one_that_is_behind_does_not_lead() {
    // The second varies too much for a difference from the others to be shown; its median is the worst.
    let report = summed(report(
        "global",
        &[
            ("hash", &[22.9, 22.8, 23.0, 22.9, 22.7]),
            ("range-time", &[34.2, 12.0, 60.0, 35.0, 14.0]),
            ("range-room", &[25.7, 25.8, 25.6, 25.9, 25.5]),
        ],
    ));
    assert_eq!(place(&report, "global", "hash"), Place::Leads);
    assert_eq!(place(&report, "global", "range-room"), Place::Behind);
    assert_eq!(place(&report, "global", "range-time"), Place::NotTold);
    let text =
        &report.advice.iter().find(|advice| advice.heading == "Statistics over everything").unwrap().text;
    assert!(text.contains("hash (22.9 ms) leads; behind: range-room (25.7 ms); not told"), "{text}");
    assert!(!report.answer.choice.contains(&"range-time".to_owned()));
}

/// One whose median is the best, and which varies too much for a difference from the others to be shown.
fn moody() -> Report {
    report(
        "user_coupons",
        &[
            ("steady", &[1.05, 1.0, 0.95, 1.1, 1.0]),
            ("slow", &[2.2, 2.1, 2.0, 2.3, 2.2]),
            ("moody", &[0.5, 80.0, 0.6, 0.55, 40.0]),
        ],
    )
}

/// The lines of the first screen on a terminal.
fn first_screen(report: &Report) -> String {
    let mut out = Vec::new();
    terminal::print(report, &mut out, terminal::Screen::new(80, false)).unwrap();
    let text = String::from_utf8(out).unwrap();
    text.split("* leads:").next().unwrap().to_owned()
}

/// Every mark rests on a verdict by the metric that it stands beside.
fn every_mark_is_a_verdict(report: &Report) {
    for need in &report.needs {
        for placed in need.places.iter().filter(|placed| placed.place == Place::Leads) {
            let better = report
                .verdicts
                .iter()
                .filter(|verdict| Some(&verdict.metric) == need.by.as_ref())
                .any(|verdict| verdict.better.as_ref() == Some(&placed.contestant));
            assert!(better, "{} by {:?}: {}", need.need, need.by, placed.contestant);
        }
    }
}

#[test]
fn one_that_was_shown_to_beat_nobody_has_no_mark_however_good_its_median() {
    let report = summed(moody());
    let p50 = Metric::latency("user_coupons", Quantile::P50);
    for other in ["slow", "steady"] {
        assert_eq!(report.verdict(&p50, "moody", other).unwrap().call, Call::NoDifference);
    }
    assert_eq!(place(&report, "user_coupons", "steady"), Place::Leads);
    assert_eq!(place(&report, "user_coupons", "slow"), Place::Behind);
    assert_eq!(place(&report, "user_coupons", "moody"), Place::NotTold);
    every_mark_is_a_verdict(&report);
    let text = &report.advice.iter().find(|advice| advice.heading == "One user's coupons").unwrap().text;
    assert!(
        text.contains("steady (1.00 ms) leads; behind: slow (2.20 ms); not told from either: moody"),
        "{text}"
    );
    // None was shown to be the fastest, since one was not shown to differ from it.
    assert!(
        report.answer.verdict.starts_with("Choose steady: nobody was shown to answer this workload faster"),
        "{}",
        report.answer.verdict
    );
    let screen = first_screen(&report);
    assert!(screen.contains("* steady") && !screen.contains("* moody"), "{screen}");
    let page = html::render(&report);
    assert!(page.contains("steady 1.00 ms ✓") && page.contains("moody 0.60 ms;"), "{page}");
}

#[test]
fn where_times_do_not_tell_one_from_those_that_lead_what_it_visits_may_and_the_mark_is_by_that() {
    let mut report = moody();
    for (contestant, shards) in report.contestants.iter_mut().zip([4.0, 4.0, 1.0]) {
        for round in &mut contestant.rounds {
            round.endpoints.get_mut("user_coupons").unwrap().shards_visited = Figure::of(shards);
        }
    }
    let report = summed(report);
    let need = report.need("user_coupons").unwrap();
    assert_eq!(need.by, Some(Metric::shards("user_coupons")));
    assert_eq!(place(&report, "user_coupons", "moody"), Place::Leads);
    assert_eq!(place(&report, "user_coupons", "steady"), Place::Behind);
    let advice = report.advice.iter().find(|advice| advice.heading == "One user's coupons").unwrap();
    assert_eq!(advice.choice, ["moody"]);
    assert!(advice.text.contains("p50: steady (1.00 ms) leads"), "{}", advice.text);
    every_mark_is_a_verdict(&report);
}

/// Two with four shards each, and one database; the last is as fast as the first.
fn with_one_database() -> Report {
    let mut report = report(
        "grab",
        &[
            ("hash", &[2.0, 2.1, 2.0, 1.9, 2.2]),
            ("range", &[4.0, 4.2, 3.9, 4.1, 4.3]),
            ("update", &[2.0, 2.1, 2.0, 1.9, 2.2]),
        ],
    );
    for (contestant, shards) in report.contestants.iter_mut().zip([4, 4, 1]) {
        contestant.shards = shards;
        contestant.baseline = (shards == 1).then(|| "one database".to_owned());
    }
    summed(report)
}

#[test]
fn a_baseline_stands_among_the_verdicts_beside_the_choice_and_names_whom_it_is_ahead_of() {
    let report = with_one_database();
    assert_eq!(report.answer.choice, ["hash"]);
    let verdict = &report.answer.verdict;
    assert!(verdict.contains("none was shown to write better than update"), "{verdict}");
    let advice = report.advice.iter().find(|advice| advice.heading.contains("beside update")).unwrap();
    assert!(advice.text.contains("update is ahead of range in grab (p50, p99)"), "{}", advice.text);
    let mut out = Vec::new();
    terminal::print(&report, &mut out, terminal::Screen::new(80, false)).unwrap();
    let text = String::from_utf8(out).unwrap();
    let verdicts = text.split("VERDICTS").nth(1).unwrap().split("WHICH").next().unwrap();
    assert!(verdicts.contains("update (2.00 ms) is ahead of range by"), "{verdicts}");
}

#[test]
fn every_mark_of_a_recorded_comparison_is_a_verdict() {
    let report = crate::recorded::recorded();
    assert!(report.needs.iter().any(|need| need.result == NeedResult::Leads));
    every_mark_is_a_verdict(&report);
}

#[test]
fn the_sentence_on_chance_speaks_of_what_the_correction_holds() {
    let report = summed(two());
    let told = report.cautions.iter().find(|caution| caution.contains("Of equal contestants")).unwrap();
    assert!(told.contains("in 5 % of runs at most"), "{told}");
}

#[test]
fn twenty_grants_among_two_thousand_refusals_have_no_p99_to_keep_a_limit() {
    let mut report = two();
    for round in &mut report.contestants[0].rounds {
        let grab = round.endpoints.get_mut("grab").unwrap();
        grab.timed = 20;
        let of = |requests, p99| OutcomeRound {
            requests,
            latency: Reading::Known(LatencyMs { p50: p99, p90: p99, p99, p999: p99, max: p99 }),
        };
        grab.outcomes =
            BTreeMap::from([("granted".to_owned(), of(20, 9.0)), ("refused".to_owned(), of(1_985, 0.4))]);
    }
    summarise(&mut report);
    let scope = LimitSubject::Contestants(&["slow", "fast"]);
    let texts = [
        "slow.grab.p99<1ms",
        "slow.grab.granted.p99<1ms",
        "slow.grab.refused.p99<1ms",
        "slow.grab.granted.p50<20ms",
    ];
    let limits: Vec<Limit> = texts.iter().map(|text| Limit::parse(text, &scope).unwrap()).collect();
    let found = check(&limits, &report);
    assert_eq!(
        found.iter().map(|one| one.passed).collect::<Vec<_>>(),
        [false, false, true, true],
        "{found:?}"
    );
    assert!(found[0].shown().contains("a p99 takes 100 requests"), "{found:?}");
    let p99 = report.contestant("slow").unwrap().median(&Metric::latency("grab.refused", Quantile::P99));
    assert_eq!(p99, Some(0.4));
    let (page, mut out) = (html::render(&report), Vec::new());
    terminal::print(&report, &mut out, terminal::Screen::new(100, false)).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(page.contains("Grabs by outcome") && text.contains("… refused") && text.contains("… granted"));
    let wrong = Limit::parse("slow.grab.grantd.p99<1ms", &scope).unwrap_err().to_string();
    assert!(wrong.contains("granted, refused and failed"), "{wrong}");
}

#[test]
fn a_place_in_the_order_that_takes_longer_by_itself_is_told() {
    let mut report = two();
    for (at, contestant) in report.contestants.iter_mut().enumerate() {
        for round in &mut contestant.rounds {
            let first = (round.index as usize + at).is_multiple_of(2);
            round.position = u32::from(!first);
            let mean = round.endpoints.get_mut("grab").unwrap();
            mean.mean_ms = Figure::of(mean.mean_ms.value().unwrap() * if first { 1.4 } else { 1.0 });
        }
    }
    let report = summed(report);
    assert_eq!(report.positions.len(), 2);
    assert_eq!(report.positions[0].turns.iter().sum::<u32>(), 5);
    assert!(report.positions[0].ratio.median > report.positions[1].ratio.median);
    assert!(
        report.cautions.iter().any(|caution| caution.starts_with("Turn 1 of a round took")),
        "{:?}",
        report.cautions
    );
    assert!(html::render(&report).contains("The order of turns"));
}

#[test]
fn the_first_screen_of_too_few_rounds_shows_the_figures_and_no_empty_picture() {
    let report = summed(report("room_orders", &[("a", &[4.0, 4.1]), ("b", &[9.0, 9.1])]));
    assert!(!report.needs.is_empty() && report.needs.iter().all(|need| need.by.is_none()));
    let page = html::render(&report);
    let (_, after) = page.split_once(r#"id="answer""#).unwrap();
    let (screen, _) = after.split_once("</section>").unwrap();
    assert!(screen.contains(r#"<ul class="facts">"#) && !screen.contains("class=\"picture\""), "{screen}");
}
