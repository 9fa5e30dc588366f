//! Retires old results of small data sets and checks that the books still balance.

use std::num::NonZeroU16;
use std::path::Path;

use coupon_core::catalogue_change::Operator;
use coupon_core::{Day, Timestamp};
use coupon_seeding::{ArchiveReport, SeedOptions, Silent};

use crate::files::common::{
    Row, assert_books_balance, main_db, now, number, rows, seed, shard_db, small, tables,
};
use coupon_store::clock::Clock;
use coupon_store::settings::UnknownUsers;

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

/// The first moment at which all coupons of the past are over for a day.
fn later() -> Timestamp {
    now().day().next().start()
}

fn archive(dir: &Path, before: &str) -> anyhow::Result<ArchiveReport> {
    archive_at(later(), dir, before)
}

fn archive_at(now: Timestamp, dir: &Path, before: &str) -> anyhow::Result<ArchiveReport> {
    let (of_layout, clock) = (crate::files::common::of_layout, Clock::starting_at(now));
    coupon_seeding::archive(dir, of_layout, day(before), Operator::new("Ann")?, &clock, &mut Silent)
}

/// Rows of that day or later, which must be what is left.
fn rows_since(dir: &Path, before: &str) -> Vec<Row> {
    let start = day(before).start();
    let all = rows(dir, 4).into_iter().map(|(row, _)| row);
    all.filter(|row| Timestamp::from_millis(row.time) >= start).collect()
}

#[test]
fn daily_tables_are_dropped_whole() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "range-time", &small(6_000));
    let kept = rows_since(dir.path(), "2026-11-20");
    let report = archive(dir.path(), "2026-11-20").unwrap();
    assert_eq!((report.tables_dropped, report.rows_deleted), (4, 0));
    assert_eq!(report.rows_dropped, 6_000 - kept.len() as u64);
    let left = rows(dir.path(), 4);
    assert!(left.iter().map(|(row, _)| *row).eq(kept));
    let days = (0..4).flat_map(|shard| tables(&shard_db(dir.path(), shard))).filter_map(|table| table.day());
    assert_eq!(days.min(), Some(day("2026-11-20")), "of earlier days there is no table");
    assert_books_balance(dir.path(), &left);
}

#[test]
fn from_other_tables_old_rows_are_deleted() {
    for name in ["hash", "range-room"] {
        let dir = tempfile::tempdir().unwrap();
        seed(dir.path(), name, &small(6_000));
        let kept = rows_since(dir.path(), "2026-11-20");
        let report = archive(dir.path(), "2026-11-20").unwrap();
        assert_eq!((report.tables_dropped, report.rows_dropped), (0, 0), "{name}");
        assert_eq!(report.rows_deleted, 6_000 - kept.len() as u64, "{name}");
        let left = rows(dir.path(), 4);
        assert!(left.iter().map(|(row, _)| *row).eq(kept), "{name}");
        assert_books_balance(dir.path(), &left);
    }
}

#[test]
fn what_is_retired_leaves_the_room_index_too() {
    for name in ["hash", "range-time"] {
        let dir = tempfile::tempdir().unwrap();
        seed(dir.path(), name, &SeedOptions { room_index: true, ..small(3_000) });
        let kept = rows_since(dir.path(), "2026-11-20").len();
        archive(dir.path(), "2026-11-20").unwrap();
        let indexed = |shard| number(&shard_db(dir.path(), shard), "SELECT COUNT(*) FROM room_index");
        assert_eq!((0..4).map(indexed).sum::<i64>(), kept as i64, "{name}");
        let data = coupon_audit::Data::Folder(dir.path().to_owned());
        let report = data.audit(&coupon_audit::Scope { drained: true, ..Default::default() }).unwrap();
        assert_eq!(report.violations(), 0, "{name}: {report}");
    }
}

#[test]
fn a_day_is_archived_once_it_is_over_for_a_minute() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "hash", &small(100));
    let refused = archive_at(later(), dir.path(), "2026-11-23").unwrap_err().to_string();
    assert!(refused.contains("--before") && refused.contains("2026-11-22 at the latest"), "{refused}");
    assert_eq!(rows(dir.path(), 4).len(), 100);
    archive_at(later().plus_millis(60_000), dir.path(), "2026-11-23").unwrap();
    assert!(rows(dir.path(), 4).is_empty());
}

#[test]
fn archiving_again_finds_only_what_is_new() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "hash", &small(3_000));
    archive(dir.path(), "2026-11-18").unwrap();
    assert_eq!(archive(dir.path(), "2026-11-18").unwrap().rows_deleted, 0);
    archive(dir.path(), "2026-11-22").unwrap();
    assert_eq!(rows(dir.path(), 4).len(), 0);
    assert_books_balance(dir.path(), &[]);
    assert!(archive(dir.path(), "2026-11-22").unwrap().to_string().contains("nothing"));
}

/// Of the oldest day's results one is held, one gave its stock back long ago, and one within the hour.
#[test]
fn what_is_held_or_answers_its_request_stays_and_what_gave_its_stock_back_goes_without_a_word() {
    for (name, table) in [("hash", "coupon_results"), ("range-time", "coupon_results_2026_11_16")] {
        let dir = tempfile::tempdir().unwrap();
        seed(dir.path(), name, &small(6_000));
        let kept = rows_since(dir.path(), "2026-11-20").len();
        let old =
            rows(dir.path(), 4).into_iter().find(|(_, place)| place.table.to_string() == table).unwrap().1;
        let shard = shard_db(dir.path(), old.shard.number());
        let unused = format!("SELECT result_id FROM {table} WHERE use_status = 0 ORDER BY result_id LIMIT 1");
        let held = number(&shard, &unused);
        let returned = number(&shard, &format!("{unused} OFFSET 1"));
        let answers = number(&shard, &format!("{unused} OFFSET 2"));
        let lately = later().millis() - 60_000;
        shard
            .execute_batch(&format!(
                "UPDATE {table} SET state = 0, hold_until = 1900000000000 WHERE result_id = {held};
                 INSERT INTO holds VALUES (1900000000000, {held}, '{table}');
                 UPDATE {table} SET state = 3, slot = NULL, request = 7, state_time = 5 WHERE result_id = {returned};
                 UPDATE {table} SET state = 3, slot = NULL, request = 8, state_time = {lately} WHERE result_id = {answers}"
            ))
            .unwrap();
        for result in [returned, answers] {
            let coupon = number(&shard, &format!("SELECT coupon_id FROM {table} WHERE result_id = {result}"));
            let back = format!(
                "INSERT INTO stock_logs SELECT (SELECT MAX(log_id) + 1 FROM stock_logs), coupon_id, 3, remaining_stock, \
                 remaining_stock + 1, 'return', NULL, NULL, 0 FROM coupons WHERE coupon_id = {coupon};
                 UPDATE coupons SET remaining_stock = remaining_stock + 1 WHERE coupon_id = {coupon}"
            );
            main_db(dir.path()).execute_batch(&back).unwrap();
        }
        let report = archive(dir.path(), "2026-11-20").unwrap();
        let gone = report.rows_deleted + report.rows_dropped;
        assert_eq!((report.held, gone), (2, 6_000 - kept as u64 - 2), "{name}");
        assert!(report.to_string().starts_with("2 results stay"), "{report}");
        let left = rows(dir.path(), 4);
        assert_eq!(left.len(), kept + 2, "{name}");
        let (back, live): (Vec<_>, Vec<_>) = left.into_iter().partition(|(row, _)| row.result == answers);
        assert_eq!(back.len(), 1, "{name}");
        assert!(live.iter().any(|(row, _)| row.result == held));
        assert_books_balance(dir.path(), &live);
    }
}

#[test]
fn an_archive_is_a_line_of_the_record_of_changes_for_each_coupon_whose_total_falls() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "hash", &small(2_000));
    let main = main_db(dir.path());
    let totals = || -> std::collections::BTreeMap<i64, i64> {
        let mut coupons = main.prepare("SELECT coupon_id, total_stock FROM coupons").unwrap();
        let rows = coupons.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let before = totals();
    archive(dir.path(), "2026-11-20").unwrap();
    let fallen: Vec<(i64, String)> = totals()
        .into_iter()
        .filter_map(|(coupon, total)| Some((coupon, before[&coupon] - total)).filter(|(_, by)| *by > 0))
        .map(|(coupon, by)| {
            (coupon, format!("{by} results of before 2026-11-20 are archived: total_stock falls by as many"))
        })
        .collect();
    assert!(!fallen.is_empty());
    let sql = "SELECT coupon_id, what FROM catalogue_changes WHERE operator = 'archive' ORDER BY coupon_id";
    let mut lines = main.prepare(sql).unwrap();
    let lines = lines.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let lines: Vec<(i64, String)> = lines.map(Result::unwrap).collect();
    assert_eq!(lines, fallen);
    // The last line is that of the archive itself, with the operator who asked for it.
    assert_eq!(number(&main, "SELECT version FROM catalogue_state"), fallen.len() as i64 + 1);
    let audit = || coupon_audit::Data::Folder(dir.path().to_owned()).audit(&Default::default()).unwrap();
    assert_eq!(audit().violations(), 0, "{}", audit());
    // An archive that the record of changes does not name.
    main.execute("DELETE FROM catalogue_changes WHERE version = 1", []).unwrap();
    let found = audit();
    assert_eq!(found.violations(), 1, "{found}");
    assert!(found.to_string().contains("names no archive of it"), "{found}");
}

/// A crash between the shard's commit and main's leaves the outbox entry there, not yet applied.
#[test]
fn an_archive_that_was_cut_short_is_finished_by_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "range-time", &small(3_000));
    let before_main = tempfile::tempdir().unwrap();
    std::fs::copy(dir.path().join("main.sqlite"), before_main.path().join("main.sqlite")).unwrap();
    archive(dir.path(), "2026-11-19").unwrap();
    std::fs::copy(before_main.path().join("main.sqlite"), dir.path().join("main.sqlite")).unwrap();

    assert_eq!(archive(dir.path(), "2026-11-19").unwrap().tables_dropped, 0);
    assert_books_balance(dir.path(), &rows(dir.path(), 4));
    let twice =
        "SELECT COUNT(*) - COUNT(DISTINCT coupon_id) FROM stock_logs WHERE operation_type = 3 GROUP BY shard";
    assert_eq!(number(&main_db(dir.path()), twice), 0);
}

#[test]
fn grabs_that_main_has_not_heard_of_are_told_first() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "hash", &small(0));
    let row = "INSERT INTO coupon_results (result_id, user_id, coupon_id, room_id, grab_status, grab_time) \
               VALUES (?1, 1, 7, 2, 1, ?2)";
    let (create, _) =
        coupon_core::schema::results(coupon_core::schema::Dialect::Sqlite, coupon_core::TableId::Single);
    let shard = shard_db(dir.path(), 0);
    shard.execute_batch(&create).unwrap();
    let id = coupon_core::ResultId::from_parts(now(), 1, 0).unwrap();
    shard.execute(row, [id.number(), now().millis()]).unwrap();
    shard.execute("INSERT INTO outbox VALUES (1, '[[7,1]]', 0)", []).unwrap();
    drop(shard);
    archive(dir.path(), "2026-11-01").unwrap();
    assert_books_balance(dir.path(), &rows(dir.path(), 4));
    assert_eq!(number(&main_db(dir.path()), "SELECT outbox_id FROM outbox_positions WHERE shard = 0"), 1);
}

#[test]
fn results_of_a_coupon_on_offer_or_only_withdrawn_are_kept_and_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "hash", &small(2_000));
    for status in [1, 0] {
        let reopen = format!(
            "UPDATE coupons SET status = {status}, end_time = end_time + 864000000 WHERE coupon_id = 501"
        );
        main_db(dir.path()).execute(&reopen, []).unwrap();
        let error = archive(dir.path(), "2026-11-22").unwrap_err().to_string();
        assert!(error.contains("coupon 501") && error.contains("--before"), "{error}");
        assert_eq!(rows(dir.path(), 4).len(), 2_000);
        assert_eq!(number(&main_db(dir.path()), "SELECT COUNT(*) FROM catalogue_changes"), 0);
    }
    assert_books_balance(dir.path(), &rows(dir.path(), 4));
}

/// A user who was granted one of them and asks again is answered by their results.
#[test]
fn results_of_a_coupon_that_ended_within_the_day_are_kept_and_the_error_says_until_when() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "hash", &small(2_000));
    let error =
        archive_at(later().plus_millis(-3_600_000), dir.path(), "2026-11-20").unwrap_err().to_string();
    assert!(error.contains("ends at 2026-11-22T00:00:00.000Z"), "{error}");
    assert!(error.contains("archive from 2026-11-23T00:00:00.000Z on"), "{error}");
    assert_eq!(rows(dir.path(), 4).len(), 2_000);
    assert_eq!(number(&main_db(dir.path()), "SELECT COUNT(*) FROM catalogue_changes"), 0);
    assert!(archive(dir.path(), "2026-11-20").unwrap().rows_deleted > 0);
    assert_books_balance(dir.path(), &rows(dir.path(), 4));
}

#[test]
fn parked_results_must_be_resolved_first() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "hash", &small(100));
    shard_db(dir.path(), 2)
        .execute(
            "INSERT INTO parked_results (result_id, user_id, coupon_id, room_id, table_name, reason, park_time) \
             VALUES (1, 1, 1, 1, '', '', 0)",
            [],
        )
        .unwrap();
    let error = archive(dir.path(), "2026-11-22").unwrap_err().to_string();
    assert!(error.contains("shard 2") && error.contains("parked"), "{error}");
}

/// Rows that a service did not get to sort into its tables go like every other row.
#[test]
fn an_inbox_is_sorted_into_its_tables_first() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "hash", &small(100));
    shard_db(dir.path(), 2)
        .execute("INSERT INTO inbox VALUES (1, '{\"coupon_results\":[[1,1,501,1]]}')", [])
        .unwrap();
    assert_eq!(archive(dir.path(), "2026-11-22").unwrap().rows_deleted, 101);
    assert_eq!(rows(dir.path(), 4).len(), 0);
    assert_books_balance(dir.path(), &[]);
}

#[test]
fn rows_on_their_way_to_another_place_must_arrive_first() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "hash", &small(100));
    let columns =
        "result_id, user_id, coupon_id, room_id, grab_status, grab_time, from_table, to_shard, to_table";
    let leaving = format!(
        "INSERT INTO leaving ({columns}) VALUES (1, 1, 501, 1, 1, 0, 'coupon_results', 1, 'coupon_results')"
    );
    shard_db(dir.path(), 2).execute(&leaving, []).unwrap();
    let error = archive(dir.path(), "2026-11-22").unwrap_err().to_string();
    assert!(error.contains("shard 2") && error.contains("on their way"), "{error}");
    assert_eq!(rows(dir.path(), 4).len(), 100);
}

#[test]
fn a_movement_of_rows_that_was_cut_short_must_end_first() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "hash", &small(100));
    let begun = "INSERT INTO moves (id, to_version, began, operator, runs, rows_to_look_at, rows_looked_at, rows_moved, rate) \
                 VALUES (1, 2, 0, 'Ann', 1, 100, 0, 0, 1000)";
    main_db(dir.path()).execute(begun, []).unwrap();
    let error = archive(dir.path(), "2026-11-22").unwrap_err().to_string();
    assert!(error.contains("rows of") && error.contains("`seeder rebalance`"), "{error}");
    assert_eq!(rows(dir.path(), 4).len(), 100);
}

#[test]
fn the_operator_of_an_archive_is_recorded_among_the_changes() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "hash", &small(100));
    archive(dir.path(), "2026-11-20").unwrap();
    let line = "SELECT COUNT(*) FROM catalogue_changes WHERE operator = 'Ann' AND what LIKE '%before 2026-11-20 are archived'";
    assert_eq!(number(&main_db(dir.path()), line), 1);
}

#[test]
fn a_folder_that_a_service_has_open_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "hash", &small(300));
    let options = coupon_store::embedded::Options {
        data: dir.path().to_owned(),
        readers: std::num::NonZeroUsize::MIN,
        max_file_mb: 0,
        shard_backlog: 100,
        shards_prepared: NonZeroU16::MIN,
        room_index: false,
        unknown_users: UnknownUsers::Refuse,
    };
    let clock = Clock::starting_at(now());
    let service =
        coupon_store::embedded::open(&options, crate::files::common::strategy("hash"), &clock).unwrap();
    let error = archive(dir.path(), "2026-11-22").unwrap_err().to_string();
    assert!(error.contains("in use"), "{error}");
    service.lifecycle.close();
    drop(service);
    assert_eq!(rows(dir.path(), 4).len(), 300);
    archive(dir.path(), "2026-11-22").unwrap();
}

#[test]
fn a_folder_without_data_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = archive(dir.path(), "2026-11-22").unwrap_err().to_string();
    assert!(error.contains(&*dir.path().to_string_lossy()), "{error}");
}
