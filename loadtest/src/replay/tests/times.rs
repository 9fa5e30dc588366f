//! Times: what is known of them, gaps and strays.

use super::*;
use crate::replay::TimeFormat;

#[test]
fn days_are_spread_over_by_the_seed_and_moments_are_kept() {
    let lines: String = (0..200).map(|n| format!("{n},1,1,20160228\n")).collect();
    let with = |seed| {
        read_as(format!("{HEADER}\n{lines}"), &ReadOptions { seed, ..ReadOptions::default() }).unwrap()
    };
    let (one, same, other) = (with(1), with(1), with(2));
    assert_eq!(one.rows(), same.rows());
    assert_ne!(one.rows(), other.rows());
    assert!(one.days_only() && one.rows().iter().all(|row| row.time.day().to_string() == "2016-02-28"));
    assert!(one.window().end.millis() - one.window().start.millis() > 80_000_000);
    let noon = ours("1,1,1,2016-02-28 12:00:00\n2,1,1,2016-02-28 00:00:00\n").unwrap();
    assert!(noon.spread.days == 0 && noon.rows()[0].time.to_string() == "2016-02-28T00:00:00.000Z");
}

#[test]
fn hours_are_spread_over() {
    let lines: String = (0..200).map(|n| format!("{n},1,1,2014-12-06 02\n")).collect();
    let recording = ours(&lines).unwrap();
    assert_eq!((recording.spread.hours, recording.days_only()), (200, false));
    let length = recording.window().end.millis() - recording.window().start.millis();
    assert!((3_000_000..=3_600_000).contains(&length), "{length}");
    assert!(described(&recording).contains("only the hours are known"));
}

#[test]
fn a_midnight_for_every_grab_is_a_day_unless_the_format_was_given() {
    let lines = "1,1,1,2016-02-28 00:00:00\n2,1,1,2016-02-29 00:00:00\n";
    assert!(ours(lines).unwrap().days_only());
    let meant = ReadOptions { format: Some(TimeFormat::Date), ..ReadOptions::default() };
    let meant = read_as(format!("{HEADER}\n1,1,1,2016-02-28 00:00:00\n"), &meant).unwrap();
    assert_eq!((meant.spread.days, meant.days_only()), (0, false));
    assert_eq!(meant.moment(), Some("2016-02-28T00:00:00Z".parse().unwrap()));
}

#[test]
fn a_few_days_among_moments_are_spread_alone_and_leave_the_rest_its_hours() {
    let moments = "1,1,1,2016-02-29 12:00:00\n".repeat(9);
    let few = ours(&format!("{moments}1,1,1,2016-02-28\n")).unwrap();
    assert_eq!((few.spread.days, few.days_only()), (1, false));
    assert!(described(&few).contains("of 1 of 10 grabs only the day is known"), "{}", described(&few));
}

#[test]
fn a_row_far_from_all_others_is_left_out_and_a_gap_is_named() {
    let minute: String =
        (0..1_000).map(|n| format!("{n},{},1,{}\n", n % 7, 1_500_000_000 + n * 60 / 1_000)).collect();
    let recording = ours(&format!("{minute}5,1,1,0\n")).unwrap();
    assert_eq!(recording.rows().len(), 1_000);
    let reasons = recording.left_out.reasons();
    assert_eq!(reasons, [("far apart from all others in time, on 1970-01-01", 1, 1_002)]);
    let gap: String =
        (0..10).map(|n| format!("{n},1,1,{}\n", 1_500_000_000 + n + if n < 5 { 0 } else { 120 })).collect();
    let recording = ours(&gap).unwrap();
    assert_eq!(recording.rows().len(), 10);
    assert!(
        described(&recording)
            .contains("nothing came between 2017-07-14T02:40:04.000Z and 2017-07-14T02:42:05")
    );
}

#[test]
fn milliseconds_among_seconds_are_left_out_and_counted() {
    let text = format!("{HEADER}\n1,1,1,1500000000\n2,1,1,1500000001000\n3,1,1,1500000002\n");
    let given = ReadOptions { format: Some(TimeFormat::EpochMs), ..ReadOptions::default() };
    let recording = read_as(&text, &given).unwrap();
    assert_eq!(recording.rows().len(), 1);
    assert_eq!(recording.left_out.reasons(), [("no time of that kind in grab_time", 2, 2)]);
    assert!(refused(&text, &ReadOptions::default()).contains("times of several kinds"));
}

#[test]
fn a_local_clock_that_was_set_back_is_named() {
    let lines = "1,1,1,2026-10-25 02:58:00\n2,1,1,2026-10-25 02:59:30\n3,1,1,2026-10-25 02:00:10\n4,1,1,2026-10-25 03:10:00\n";
    let told = described(&ours(lines).unwrap());
    assert!(told.contains("go back by 59 minutes at line 4") && told.contains("--time-zone"), "{told}");
    let zone = Some(crate::replay::time_zone("Europe/Berlin").unwrap());
    let told = described(
        &read_as(format!("{HEADER}\n{lines}"), &ReadOptions { zone, ..ReadOptions::default() }).unwrap(),
    );
    assert!(told.contains("3 lines with a local time of an hour that there was twice"), "{told}");
}
