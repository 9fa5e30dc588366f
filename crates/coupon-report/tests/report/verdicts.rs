//! Verdicts on runs of which the truth is known: recorded rounds, changed in one thing.

use std::collections::BTreeMap;

use coupon_report::model::{
    Call, Contestant, DoubtKind, EndpointRound, Figure, GeneratorRound, LatencyMs, Meta, Metric, NeedResult,
    OutcomeRound, Place, Quantile, Reading, Report, Round,
};
use coupon_report::require::{Limit, LimitSubject, check};
use coupon_report::{html, summarise, terminal};

/// A round of so many requests to one endpoint, each of about that time.
fn round(index: u32, endpoint: &str, ms: f64) -> Round {
    let requests = 1_000;
    let latency = LatencyMs { p50: ms, p90: 1.5 * ms, p99: 3.0 * ms, p999: 5.0 * ms, max: 9.0 * ms };
    let of = EndpointRound {
        requests,
        ok: requests,
        timed: requests,
        latency: Reading::Known(latency),
        mean_ms: Figure::of(1.1 * ms),
        ..EndpointRound::default()
    };
    let generator = GeneratorRound {
        cpu_seconds: Figure::of(0.1),
        lateness_p99_ms: Figure::of(0.1),
        lateness_p50_ms: Figure::of(0.01),
        sent: requests,
        ..GeneratorRound::default()
    };
    let mut round = Round { index, seconds: 1.0, generator, ..Round::default() };
    round.endpoints.insert(endpoint.to_owned(), of);
    round
}

/// Contestants with these times, round by round.
fn report(endpoint: &str, contestants: &[(&str, &[f64])]) -> Report {
    let contestants = contestants.iter().map(|(name, times)| Contestant {
        name: (*name).to_owned(),
        rounds: (0..).zip(*times).map(|(index, ms)| round(index, endpoint, *ms)).collect(),
        ..Contestant::default()
    });
    let meta = Meta { rounds: 5, seconds_per_round: 1.0, connections: 8, unaudited: true, ..Meta::default() };
    Report::new(meta, contestants.collect())
}

fn summed(mut report: Report) -> Report {
    summarise(&mut report);
    report
}

/// Half as long for the second in every round.
fn two() -> Report {
    report("grab", &[("slow", &[4.0, 4.2, 3.9, 4.1, 4.3]), ("fast", &[2.0, 2.1, 2.0, 1.9, 2.2])])
}

fn place(report: &Report, need: &str, name: &str) -> Place {
    let need = report.need(need).unwrap();
    need.places.iter().find(|placed| placed.contestant == name).unwrap().place
}

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
fn the_same_median_with_another_shape_is_said_with_both_curves() {
    let rounds = [4.0, 4.1, 3.9, 4.0, 4.2, 3.8, 4.05, 3.95, 4.0];
    let mut report = report("room_orders", &[("steady", &rounds), ("moody", &rounds)]);
    let humps: [&[(u16, u64)]; 2] = [&[(41, 1_000)], &[(33, 450), (41, 100), (51, 450)]];
    for (contestant, counts) in report.contestants.iter_mut().zip(humps) {
        for round in &mut contestant.rounds {
            round.endpoints.get_mut("room_orders").unwrap().histogram = counts.to_vec();
        }
    }
    let report = summed(report);
    let shape = &report.shapes[0];
    assert!(shape.differs && shape.same_median && shape.p <= 0.01 && shape.distance > 0.4, "{shape:?}");
    let text = &report.advice.iter().find(|advice| advice.heading == "One room's orders").unwrap().text;
    assert!(text.contains("same median, other shape: within "), "{text}");
    let page = html::render(&report);
    assert!(page.contains("Same median, other shape") && page.contains("<polyline"));
    assert!(
        !page.contains("Too few rounds to tell") && !report.cautions.iter().any(|caution| of_shapes(caution))
    );
}

fn of_shapes(caution: &str) -> bool {
    caution.starts_with("Too few rounds to tell whole distributions")
}

#[test]
fn rounds_that_are_too_few_to_tell_shapes_are_said_with_the_number_that_it_takes() {
    for (names, needed) in [(&["a", "b"][..], 6), (&["a", "b", "c"], 7)] {
        let rounds = [4.0, 4.1, 3.9, 4.0, 4.2];
        let contestants: Vec<_> = names.iter().map(|name| (*name, &rounds[..])).collect();
        let mut report = report("room_orders", &contestants);
        for contestant in &mut report.contestants {
            for round in &mut contestant.rounds {
                round.endpoints.get_mut("room_orders").unwrap().histogram = vec![(41, 1_000)];
            }
        }
        let report = summed(report);
        let caution = report.cautions.iter().find(|caution| of_shapes(caution)).unwrap();
        assert!(caution.contains(&format!("(5; it takes {needed} for so many contestants)")), "{caution}");
        assert!(report.shapes.iter().all(|shape| shape.text.ends_with(&format!("it takes {needed}."))));
        let told = format!("Too few rounds to tell whole distributions of any two apart: it takes {needed}.");
        assert!(html::render(&report).contains(&told), "{told}");
    }
}

#[test]
fn shapes_of_cures_and_baselines_are_questions_of_their_own() {
    let rounds = [4.0, 4.1, 3.9, 4.0, 4.2, 3.8, 4.05, 3.95, 4.0];
    let mut report = report("room_orders", &[("one", &rounds), ("other", &rounds), ("cured", &rounds)]);
    report.contestants[2].cure_of = Some("one".into());
    let humps: [&[(u16, u64)]; 3] = [&[(41, 1_000)], &[(41, 1_000)], &[(33, 450), (41, 100), (51, 450)]];
    for (contestant, counts) in report.contestants.iter_mut().zip(humps) {
        for round in &mut contestant.rounds {
            round.endpoints.get_mut("room_orders").unwrap().histogram = counts.to_vec();
        }
    }
    let report = summed(report);
    let compared: Vec<(&str, &str, bool, Option<usize>)> = report
        .shapes
        .iter()
        .map(|shape| (shape.a.as_str(), shape.b.as_str(), shape.same_median, shape.rounds_needed))
        .collect();
    // Nothing is corrected for the other question: six rounds are enough for each.
    assert_eq!(compared, [("one", "other", false, Some(6)), ("cured", "one", true, Some(6))]);
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
