//! Seeds small data sets and looks into the files.

use std::collections::HashSet;

use coupon_seeding::{SeedOptions, Silent};
use coupon_store::embedded::folder::{Folder, FolderError};
use coupon_strategies::REGISTER;
use rusqlite::types::Value;

use crate::files::common::{
    assert_books_balance, main_db, now, number, rows, seed, shard_db, small, strategy, tables,
};

/// Everything a table holds, row by row.
fn dump(db: &rusqlite::Connection, table: &str) -> Vec<Vec<Value>> {
    let mut query = db.prepare(&format!("SELECT * FROM {table} ORDER BY 1")).unwrap();
    let columns = query.column_count();
    let rows = query.query_map([], |row| (0..columns).map(|column| row.get(column)).collect()).unwrap();
    rows.map(Result::unwrap).collect()
}

const CATALOGUE: [&str; 5] = ["users", "live_rooms", "coupons", "coupon_details", "stock_logs"];

#[test]
fn the_default_catalogue_has_the_sizes_that_are_promised() {
    let dir = tempfile::tempdir().unwrap();
    let report = seed(dir.path(), "hash", &SeedOptions { as_of: now(), ..SeedOptions::default() });
    assert_eq!((report.users, report.rooms, report.coupons, report.results()), (100_000, 100, 500, 0));
    let main = main_db(dir.path());
    for (level, count) in [(1, 70_000), (2, 25_000), (3, 5_000)] {
        assert_eq!(number(&main, &format!("SELECT COUNT(*) FROM users WHERE user_level = {level}")), count);
    }
    assert_eq!(number(&main, "SELECT COUNT(*) FROM live_rooms WHERE is_hot AND room_id <= 5"), 5);
    let hot = "SELECT COUNT(*) FROM coupons WHERE room_id <= 5 AND total_stock BETWEEN 5000 AND 20000";
    assert_eq!(number(&main, hot), 25);
    let other = "SELECT COUNT(*) FROM coupons WHERE room_id > 5 AND total_stock BETWEEN 500 AND 5000";
    assert_eq!(number(&main, other), 475);
    assert_eq!(number(&main, "SELECT COUNT(*) FROM coupons WHERE room_id = (coupon_id - 1) / 5 + 1"), 500);
    assert_eq!(number(&main, "SELECT COUNT(*) FROM coupon_details WHERE json_valid(product_range)"), 500);
    assert_eq!(number(&main, "SELECT COUNT(*) FROM stock_logs WHERE operation_type = 1"), 500);
    assert_books_balance(dir.path(), &[]);
}

#[test]
fn every_result_is_where_its_strategy_says_and_the_books_balance() {
    for name in REGISTER.names() {
        let dir = tempfile::tempdir().unwrap();
        let report = seed(dir.path(), name, &small(12_000));
        let strategy = strategy(name);
        let rows = rows(dir.path(), strategy.shard_count().get());
        assert_eq!(rows.len(), 12_000, "{name}");
        for (row, found) in &rows {
            assert_eq!(strategy.place(&row.key()).unwrap(), *found, "{name}: {row:?}");
        }
        let pairs: HashSet<_> = rows.iter().map(|(row, _)| (row.user, row.coupon)).collect();
        assert_eq!(pairs.len(), 12_000, "{name}: one coupon a user");
        assert!(rows.iter().all(|(row, _)| row.coupon > 500), "{name}: not of the coupons on offer");
        assert_books_balance(dir.path(), &rows);
        let per_shard = |shard| rows.iter().filter(|(_, place)| place.shard.index() == shard).count() as u64;
        assert!(
            report.rows_per_shard.iter().enumerate().all(|(shard, rows)| *rows == per_shard(shard)),
            "{name}"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_data_whatever_the_strategy() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    seed(one.path(), "hash", &small(5_000));
    seed(other.path(), "range-room", &small(5_000));
    for table in CATALOGUE {
        assert_eq!(dump(&main_db(one.path()), table), dump(&main_db(other.path()), table), "{table}");
    }
    let only_rows =
        |dir: &tempfile::TempDir| rows(dir.path(), 4).into_iter().map(|(row, _)| row).collect::<Vec<_>>();
    assert_eq!(only_rows(&one), only_rows(&other));
}

#[test]
fn the_same_command_gives_the_same_files_content() {
    let (one, again) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&one, &again] {
        seed(dir.path(), "range-time", &small(5_000));
    }
    for table in CATALOGUE {
        assert_eq!(dump(&main_db(one.path()), table), dump(&main_db(again.path()), table), "{table}");
    }
    for shard in 0..4 {
        let (one, again) = (shard_db(one.path(), shard), shard_db(again.path(), shard));
        assert_eq!(tables(&one), tables(&again));
        for table in tables(&one) {
            assert_eq!(dump(&one, &table.to_string()), dump(&again, &table.to_string()), "{table}");
        }
    }
    let other = tempfile::tempdir().unwrap();
    seed(other.path(), "range-time", &SeedOptions { seed: 2, ..small(0) });
    assert_ne!(dump(&main_db(one.path()), "users"), dump(&main_db(other.path()), "users"));
}

#[test]
fn a_seeded_folder_opens_only_as_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let report = seed(dir.path(), "hash", &small(100));
    let (hash, range) = (strategy("hash"), strategy("range-time"));
    let folder = Folder::open(dir.path(), &hash.layout(), hash.shard_count()).unwrap();
    assert_eq!(folder.dataset(), report.dataset);
    drop(folder);
    let error = Folder::open(dir.path(), &range.layout(), range.shard_count()).unwrap_err();
    assert!(matches!(error, FolderError::OtherLayout { .. }), "{error}");
}

#[test]
fn data_is_replaced_only_when_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let before = seed(dir.path(), "hash", &small(100)).dataset;
    let seed =
        |reset| coupon_seeding::seed(dir.path(), &*strategy("range-time"), &small(50), reset, &mut Silent);
    let error = seed(false).unwrap_err().to_string();
    assert!(error.contains("--reset"), "{error}");
    assert_eq!(rows(dir.path(), 4).len(), 100);
    let after = seed(true).unwrap().dataset;
    assert_ne!(before, after);
    assert_eq!(rows(dir.path(), 4).len(), 50);
}

#[test]
fn impossible_options_leave_the_folder_alone() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "hash", &small(10));
    let impossible = SeedOptions { hot_rooms: 101, ..small(0) };
    let error =
        coupon_seeding::seed(dir.path(), &*strategy("hash"), &impossible, true, &mut Silent).unwrap_err();
    assert!(error.to_string().contains("--hot-rooms"), "{error}");
    assert_eq!(rows(dir.path(), 4).len(), 10);
}

#[test]
fn hash_spreads_the_hot_rooms_and_room_ranges_do_not() {
    let effective = |name| {
        let dir = tempfile::tempdir().unwrap();
        seed(dir.path(), name, &small(12_000)).spread().effective_shards.unwrap()
    };
    let (hash, room) = (effective("hash"), effective("range-room"));
    assert!(hash > 3.5 && room < 1.6, "{hash} {room}");
}
