//! Retires old results and checks that the books still balance.

use coupon_audit::Scope;
use coupon_core::catalogue_change::Operator;
use coupon_core::{Day, ResultId, Timestamp};
use coupon_seeding::{ArchiveReport, SeedOptions, Silent, audited};
use coupon_store::clock::Clock;

use crate::servers::common::{Place, integer, now, small};

const DAY_MS: i64 = 86_400_000;

/// The first moment at which all coupons of the past are over for a day.
fn later() -> Timestamp {
    now().day().next().start()
}

fn archive(place: &Place, before: &str) -> anyhow::Result<ArchiveReport> {
    archive_at(later(), place, before)
}

fn archive_at(now: Timestamp, place: &Place, before: &str) -> anyhow::Result<ArchiveReport> {
    let before: Day = before.parse().unwrap();
    coupon_seeding::archive_servers(&place.settings, None, before, &Operator::new("Ann")?, now, &mut Silent)
}

/// The auditor finds nothing in it, the record of what archives took included.
fn assert_sound(place: &Place) {
    let data = audited(&place.settings, &place.settings.namespace).unwrap();
    let report = data.audit(&Scope { drained: true, ..Scope::default() }).unwrap();
    assert_eq!(report.violations(), 0, "{report}");
}

/// The number of rows of that day or later, which must be what is left.
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
    assert_sound(&place);
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
        assert_sound(&place);
        assert!(archive(&place, "2026-11-21").unwrap().to_string().contains("nothing"), "{name}");
    }
}

#[test]
fn results_of_a_coupon_on_offer_or_only_withdrawn_are_kept_and_nothing_changes() {
    let place = Place::new("on_offer");
    place.seed("hash", &small(2_000), false);
    for status in [1, 0] {
        let reopen = format!(
            "UPDATE coupons SET status = {status}, end_time = end_time + 864000000 WHERE coupon_id = 501"
        );
        place.run(None, &reopen);
        let error = archive(&place, "2026-11-22").unwrap_err().to_string();
        assert!(error.contains("coupon 501") && error.contains("--before"), "{error}");
        assert_eq!(place.rows(), 2_000);
    }
    place.assert_books_balance();
}

/// A user who was granted one of them and asks again is answered by their results.
#[test]
fn results_of_a_coupon_that_ended_within_the_day_are_kept_and_the_error_says_until_when() {
    let place = Place::new("within_the_day");
    place.seed("hash", &small(2_000), false);
    let error = archive_at(later().plus_millis(-1), &place, "2026-11-20").unwrap_err().to_string();
    assert!(error.contains("ends at 2026-11-22T00:00:00.000Z"), "{error}");
    assert!(error.contains("archive from 2026-11-23T00:00:00.000Z on"), "{error}");
    assert_eq!(place.rows(), 2_000);
    assert_eq!(place.number(None, "SELECT COUNT(*) FROM catalogue_changes"), 0);
    assert!(archive(&place, "2026-11-20").unwrap().rows_deleted > 0);
    place.assert_books_balance();
}

#[test]
fn a_day_is_archived_once_it_is_over_for_a_minute() {
    let place = Place::new("over_for_a_minute");
    place.seed("hash", &small(100), false);
    let refused = archive_at(later().plus_millis(59_999), &place, "2026-11-23").unwrap_err().to_string();
    assert!(refused.contains("--before") && refused.contains("2026-11-22 at the latest"), "{refused}");
    assert_eq!(place.rows(), 100);
    archive_at(later().plus_millis(60_000), &place, "2026-11-23").unwrap();
    assert_eq!(place.rows(), 0);
}

#[test]
fn what_may_go_is_judged_by_mains_time_where_the_seeders_is_ahead() {
    let place = Place::new("clock_ahead");
    let clock = Clock::system();
    let options = SeedOptions { as_of: clock.now().plus_millis(-2 * DAY_MS), ..small(100) };
    place.seed("hash", &options, false);
    let table = place.tables(0)[0];
    let answers = place.number(Some(0), &format!("SELECT MIN(result_id) FROM {table}"));
    let back = format!(
        "UPDATE {table} SET state = 3, slot = NULL, request = 8, state_time = {} WHERE result_id = {answers}",
        clock.now().millis()
    );
    place.run(Some(0), &back);
    let before = clock.now().day().to_string();
    let report = archive_at(clock.now().plus_millis(2 * 3_600_000), &place, &before).unwrap();
    assert_eq!((report.held, report.rows_deleted, place.rows()), (1, 99, 1));
    // By main's time the coupon ends tomorrow.
    place.seed("hash", &options, true);
    let coupon = *place.counts().keys().next().unwrap();
    let tomorrow = clock.now().plus_millis(DAY_MS).millis();
    place.run(None, &format!("UPDATE coupons SET end_time = {tomorrow} WHERE coupon_id = {coupon}"));
    let error = archive_at(clock.now().plus_millis(3 * DAY_MS), &place, &before).unwrap_err().to_string();
    assert!(error.contains(&format!("coupon {coupon} ends at")), "{error}");
    assert_eq!(place.rows(), 100);
}

/// Its shard and the index let go of it at different moments.
#[test]
fn what_has_changed_since_an_archive_began_stays_in_its_table_and_in_the_room_index() {
    let place = Place::new("changed_since");
    place.seed("hash", &SeedOptions { room_index: true, ..small(100) }, false);
    let table = place.tables(0)[0];
    let used = place.number(Some(0), &format!("SELECT MIN(result_id) FROM {table}"));
    let change = format!("SET state = 2, state_time = {} WHERE result_id = {used}", later().millis() + 1);
    place.run(Some(0), &format!("UPDATE {table} {change}"));
    (0..4).for_each(|shard| place.run(Some(shard), &format!("UPDATE room_index {change}")));
    let report = archive(&place, "2026-11-22").unwrap();
    assert_eq!((report.held, report.rows_deleted, place.rows()), (1, 99, 1));
    let indexed = |shard| place.number(Some(shard), "SELECT COUNT(*) FROM room_index");
    assert_eq!((0..4).map(indexed).sum::<i64>(), 1);
}

/// The end of coupons for good meets another transaction of main's, which has changed more: it is given up, and tried again.
#[test]
fn an_archive_that_meets_another_transaction_in_main_goes_on_after_it() {
    let place = Place::new("meets_another");
    place.seed("hash", &small(2_000), false);
    let mut other = place.begin(None, "UPDATE coupons SET update_time = update_time + 1");
    other.run("INSERT INTO meta (name, value) VALUES ('archives_named_from', '0')");
    let report = std::thread::scope(|scope| {
        let archiving = scope.spawn(|| archive(&place, "2026-11-22"));
        place.until_some(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'INSERT IGNORE INTO meta%'",
        );
        other.run("UPDATE catalogue_state SET version = version");
        other.run("COMMIT");
        archiving.join().unwrap().unwrap()
    });
    assert_eq!((report.rows_deleted, place.rows()), (2_000, 0));
    place.assert_books_balance();
}

#[test]
fn parked_results_must_be_resolved_first() {
    let place = Place::new("parked");
    place.seed("hash", &small(100), false);
    let parked = "INSERT INTO parked_results (result_id, user_id, coupon_id, room_id, table_name, reason, park_time) \
                  VALUES (1, 1, 1, 1, '', '', 0)";
    place.run(Some(2), parked);
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
        .run(Some(0), &format!("INSERT INTO {table} (result_id, user_id, coupon_id, room_id, grab_status, grab_time) VALUES ({id}, 1, 7, 2, 1, {time})"));
    place.run(Some(0), "INSERT INTO outbox (outbox_id, deltas, create_time) VALUES (1, '[[7,1]]', 0)");
    place.run(Some(0), "UPDATE shard_state SET outbox_id = 1, results = results + 1");
    archive(&place, "2026-11-01").unwrap();
    place.assert_books_balance();
    assert_eq!(place.number(None, "SELECT outbox_id FROM outbox_positions WHERE shard = 0"), 1);
    assert!(archive(&place, "2026-11-01").unwrap().to_string().contains("nothing"));
    place.assert_books_balance();
}

#[test]
fn a_main_that_was_put_back_is_not_moved_past_what_it_lost() {
    let place = Place::new("gap");
    place.seed("hash", &small(200), false);
    place.run(Some(0), "INSERT INTO outbox (outbox_id, deltas, create_time) VALUES (3, '[[7,1]]', 0)");
    place.run(Some(0), "UPDATE shard_state SET outbox_id = 3");
    let error = format!("{:#}", archive(&place, "2026-11-22").unwrap_err());
    assert!(error.contains("main has lost data") && error.contains("shard 0"), "{error}");
    assert_eq!(
        place.number(None, "SELECT COALESCE(MAX(outbox_id), 0) FROM outbox_positions WHERE shard = 0"),
        0
    );
}

#[test]
fn a_deleted_coupon_stops_no_others_books_and_is_told_once_it_is_back() {
    let place = Place::new("deleted_coupon");
    place.seed("hash", &small(2_000), false);
    let coupon = *place.counts().keys().next().unwrap();
    place.run(None, &format!("CREATE TABLE aside AS SELECT * FROM coupons WHERE coupon_id = {coupon}"));
    place.run(None, &format!("DELETE FROM coupons WHERE coupon_id = {coupon}"));
    archive(&place, "2026-11-22").unwrap();
    assert_eq!(place.number(None, "SELECT COUNT(DISTINCT coupon_id) FROM parked_deltas"), 1);
    place.run(None, "INSERT INTO coupons SELECT * FROM aside");
    place.run(Some(0), "UPDATE shard_state SET outbox_id = outbox_id + 1");
    place.run(
        Some(0),
        "INSERT INTO outbox (outbox_id, deltas, create_time) SELECT outbox_id, '[]', 0 FROM shard_state",
    );
    archive(&place, "2026-11-22").unwrap();
    assert_eq!(place.number(None, "SELECT COUNT(*) FROM parked_deltas"), 0);
    place.assert_books_balance();
}

/// A result of a coupon on offer that comes after everything was counted: the table has left the services' sight
/// already.
#[test]
fn a_table_in_which_a_coupon_on_offer_turns_up_is_put_back() {
    let place = Place::new("put_back");
    place.seed("range-time", &small(2_000), false);
    let shard = usize::try_from("2026-11-18".parse::<Day>().unwrap().number() % 4).unwrap();
    let coupon = place.number(Some(shard), "SELECT MIN(coupon_id) FROM coupon_results_2026_11_18");
    place.run(
        None,
        &format!("UPDATE coupons SET status = 1, end_time = end_time + 864000000 WHERE coupon_id = {coupon}"),
    );
    place.run(Some(shard), "RENAME TABLE coupon_results_2026_11_18 TO retired_coupon_results_2026_11_18");
    // A service has made the table again, and stores into it.
    place.run(Some(shard), "CREATE TABLE coupon_results_2026_11_18 LIKE retired_coupon_results_2026_11_18");
    let error = format!("{:#}", archive(&place, "2026-11-17").unwrap_err());
    assert!(error.contains("ends at"), "{error}");
    assert!(place.tables_like(shard, "retired").is_empty());
    assert_eq!(place.rows(), 2_000);
    place.assert_books_balance();
}

/// A message that comes again while its table is away is stored in the one that a service made anew. One of these
/// results had been used before, one was used after.
#[test]
fn what_was_stored_again_meanwhile_is_there_once_when_a_table_is_put_back() {
    let place = Place::new("stored_again");
    place.seed("range-time", &small(2_000), false);
    let shard = usize::try_from("2026-11-18".parse::<Day>().unwrap().number() % 4).unwrap();
    let (table, retired) = ("coupon_results_2026_11_18", "retired_coupon_results_2026_11_18");
    let of = |used: i64, most: i64| {
        let sql = format!("SELECT result_id, coupon_id FROM {table} WHERE use_status = {used} LIMIT {most}");
        let rows = place.ask(Some(shard), &sql);
        rows.iter().map(|row| (integer(&row[0]), integer(&row[1]))).collect::<Vec<_>>()
    };
    let (used, unused) = (of(1, 1), of(0, 2));
    assert_eq!((used.len(), unused.len()), (1, 2));
    let again: Vec<(i64, i64)> = used.iter().chain(&unused).copied().collect();
    let ids = again.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>().join(",");
    place.run(
        None,
        &format!(
            "UPDATE coupons SET status = 1, end_time = end_time + 864000000 WHERE coupon_id = {}",
            again[0].1
        ),
    );
    place.run(Some(shard), &format!("RENAME TABLE {table} TO {retired}"));
    place.run(Some(shard), &format!("CREATE TABLE {table} LIKE {retired}"));
    place
        .run(Some(shard), &format!("INSERT INTO {table} SELECT * FROM {retired} WHERE result_id IN ({ids})"));
    place.run(
        Some(shard),
        &format!("UPDATE {table} SET use_status = 0, use_time = NULL, order_amount = NULL, state = 1, state_time = NULL"),
    );
    let late = unused[1].0;
    place.run(
        Some(shard),
        &format!(
            "UPDATE {table} SET use_status = 1, use_time = 1, order_amount = 12.5, state = 2, state_time = 1 \
             WHERE result_id = {late}"
        ),
    );
    let deltas = again.iter().map(|(_, coupon)| format!("[{coupon},1]")).collect::<Vec<_>>().join(",");
    place.run(
        Some(shard),
        &format!("INSERT INTO outbox (outbox_id, deltas, create_time) VALUES (1, '[{deltas}]', 0)"),
    );
    place.run(
        Some(shard),
        "UPDATE shard_state SET outbox_id = 1, results = results + 3, used = used + 1, order_amount = order_amount + 12.5",
    );
    let error = format!("{:#}", archive(&place, "2026-11-17").unwrap_err());
    assert!(error.contains("ends at"), "{error}");
    assert!(place.tables_like(shard, "retired").is_empty());
    assert_eq!(place.rows(), 2_000);
    let still_used = format!("SELECT COUNT(*) FROM {table} WHERE result_id IN ({ids}) AND use_status = 1");
    assert_eq!(place.number(Some(shard), &still_used), 2);
    // The next archive applies it to main.
    archive(&place, "2026-11-01").unwrap();
    place.assert_books_balance();
}

#[test]
fn one_archive_at_a_time() {
    let place = Place::new("one_at_a_time");
    place.seed("hash", &small(100), false);
    let in_hand = place.take_lock("archive");
    let error = archive(&place, "2026-11-22").unwrap_err().to_string();
    assert!(error.contains("another archive"), "{error}");
    drop(in_hand);
    archive(&place, "2026-11-22").unwrap();
}

/// The state that a process leaves which is killed while it moves rows.
#[test]
fn results_on_their_way_are_brought_to_where_they_go_before_anything_is_retired_or_counted() {
    let place = Place::new("leaving");
    place.seed("hash", &small(100), false);
    place.leaves(0, place.tables(0)[0], "result_id > 0 LIMIT 1");
    for refused in [
        archive(&place, "2026-11-22").unwrap_err(),
        coupon_seeding::rebuild_servers(&place.settings, None, true, now()).unwrap_err(),
    ] {
        assert!(refused.to_string().contains("results of shard 0 are on their way"), "{refused}");
    }
}

/// The state that a crash leaves behind at each step of dropping a table.
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

    // Once the shard and main have applied it, the rows must not be taken off again.
    place.run(Some(told), "CREATE TABLE kept LIKE coupon_results_2026_11_18");
    place.run(Some(told), "INSERT INTO kept SELECT * FROM coupon_results_2026_11_18");
    archive(&place, "2026-11-19").unwrap();
    place.run(Some(told), "RENAME TABLE kept TO retired_coupon_results_2026_11_18");
    place.run(
        Some(told),
        "INSERT INTO shard_meta (name, value) VALUES ('retired_coupon_results_2026_11_18', 'told')",
    );
    archive(&place, "2026-11-19").unwrap();
    assert!(place.tables_like(told, "retired").is_empty());
    place.assert_books_balance();

    // A note that outlived its table says nothing of a later table of that name.
    place.run(
        Some(told),
        "INSERT INTO shard_meta (name, value) VALUES ('retired_coupon_results_2026_11_22', 'told')",
    );
    archive(&place, "2026-11-22").unwrap();
    assert_eq!(place.rows(), 0);
    place.assert_books_balance();
}
