//! Whole distributions beside medians.

use coupon_report::html;

use crate::rounds::{report, summed};

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
