//! Retires old results and checks that the books still balance.

use coupon_core::{Day, ResultId};
use seeder::{ArchiveReport, Silent};

use crate::common::{Place, now, small};

fn archive(place: &Place, before: &str) -> anyhow::Result<ArchiveReport> {
    let before: Day = before.parse().unwrap();
    seeder::archive_servers(&place.settings, None, before, now(), &mut Silent)
}

/// How many rows are of that day or later, which must be what is left.
fn rows_since(place: &Place, before: &str) -> i64 {
    let start = before.parse::<Day>().unwrap().start().millis();
    let count = |shard, table| {
        place.number(Some(shard), &format!("SELECT COUNT(*) FROM {table} WHERE grab_time >= {start}"))
    };
    (0..4).flat_map(|shard| place.tables(shard).into_iter().map(move |table| count(shard, table))).sum()
}

#[test]
fn daily_tables_are_dropped_whole() {
    let place = Place::new("daily");
    place.seed("range-time", &small(6_000), false);
    let kept = rows_since(&place, "2026-11-20");
    let report = archive(&place, "2026-11-20").unwrap();
    assert_eq!((report.tables_dropped, report.rows_deleted), (4, 0));
    assert_eq!(report.rows_dropped.cast_signed(), 6_000 - kept);
    assert_eq!(place.rows(), kept);
    assert_eq!((0..4).map(|shard| place.tables(shard).len()).sum::<usize>(), 2);
    assert!((0..4).all(|shard| place.tables_like(shard, "retired").is_empty()));
    place.assert_books_balance();
}

#[test]
fn from_other_tables_old_rows_are_deleted_batch_by_batch() {
    for name in ["hash", "range-room"] {
        let place = Place::new(&format!("deleted_{}", name.replace('-', "_")));
        place.seed(name, &small(14_000), false);
        let kept = rows_since(&place, "2026-11-21");
        let report = archive(&place, "2026-11-21").unwrap();
        assert_eq!((report.tables_dropped, report.rows_dropped), (0, 0), "{name}");
        assert_eq!(report.rows_deleted.cast_signed(), 14_000 - kept, "{name}");
        assert_eq!(place.rows(), kept, "{name}");
        place.assert_books_balance();
        assert!(archive(&place, "2026-11-21").unwrap().to_string().contains("nothing"), "{name}");
    }
}

#[test]
fn results_of_a_coupon_on_offer_are_kept_and_nothing_changes() {
    let place = Place::new("on_offer");
    place.seed("hash", &small(2_000), false);
    place.run(None, "UPDATE coupons SET status = 1, end_time = end_time + 864000000 WHERE coupon_id = 501");
    let error = archive(&place, "2026-11-22").unwrap_err().to_string();
    assert!(error.contains("coupon 501") && error.contains("--before"), "{error}");
    assert_eq!(place.rows(), 2_000);
    place.assert_books_balance();
}

#[test]
fn parked_results_must_be_resolved_first() {
    let place = Place::new("parked");
    place.seed("hash", &small(100), false);
    place.run(Some(2), "INSERT INTO parked_results VALUES (1, 1, 1, 1, '', '', 0)");
    let error = archive(&place, "2026-11-22").unwrap_err().to_string();
    assert!(error.contains("shard 2") && error.contains("parked"), "{error}");
    assert_eq!(place.rows(), 100);
}

#[test]
fn grabs_that_main_has_not_heard_of_are_told_first() {
    let place = Place::new("untold");
    place.seed("range-room", &small(400), false);
    let table = place.tables(0)[0];
    let (id, time) = (ResultId::from_parts(now(), 1, 0).unwrap().number(), now().millis());
    place
        .run(Some(0), &format!("INSERT INTO {table} VALUES ({id}, 1, 7, 2, 1, NULL, {time}, 0, NULL, NULL)"));
    place.run(Some(0), "INSERT INTO outbox VALUES (9, '[[7,1]]', 0)");
    place.run(Some(0), "UPDATE shard_state SET outbox_id = 9, results = results + 1");
    archive(&place, "2026-11-01").unwrap();
    place.assert_books_balance();
    assert_eq!(place.number(None, "SELECT outbox_id FROM outbox_positions WHERE shard = 0"), 9);
    assert!(archive(&place, "2026-11-01").unwrap().to_string().contains("nothing"));
    place.assert_books_balance();
}

/// What a crash leaves behind at each step of dropping a table.
#[test]
fn an_archive_that_was_cut_short_is_finished_by_the_next_one() {
    let place = Place::new("resumed");
    place.seed("range-time", &small(3_000), false);
    // 2026-11-17 lives on shard (days since 1970) % 4.
    let shard = |day: &str| usize::try_from(day.parse::<Day>().unwrap().number() % 4).unwrap();
    let (renamed, told) = (shard("2026-11-17"), shard("2026-11-18"));
    place.run(Some(renamed), "RENAME TABLE coupon_results_2026_11_17 TO retired_coupon_results_2026_11_17");
    archive(&place, "2026-11-17").unwrap();
    assert!(place.tables_like(renamed, "retired").is_empty());
    place.assert_books_balance();

    // Once the shard and main have been told, the rows must not be taken off again.
    place.run(Some(told), "CREATE TABLE kept LIKE coupon_results_2026_11_18");
    place.run(Some(told), "INSERT INTO kept SELECT * FROM coupon_results_2026_11_18");
    archive(&place, "2026-11-19").unwrap();
    place.run(Some(told), "RENAME TABLE kept TO retired_coupon_results_2026_11_18");
    place.run(Some(told), "INSERT INTO shard_meta VALUES ('retired_coupon_results_2026_11_18', 'told')");
    archive(&place, "2026-11-19").unwrap();
    assert!(place.tables_like(told, "retired").is_empty());
    place.assert_books_balance();

    // A note that outlived its table says nothing of a later table of that name.
    place.run(Some(told), "INSERT INTO shard_meta VALUES ('retired_coupon_results_2026_11_22', 'told')");
    archive(&place, "2026-11-22").unwrap();
    assert_eq!(place.rows(), 0);
    place.assert_books_balance();
}
