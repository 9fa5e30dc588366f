use std::num::NonZeroU16;

use coupon_core::{
    CouponId, CouponKind, CouponStatus, GrabTerms, Money, ResultId, RoomId, TableId, Timestamp, UserId,
    UserLevel,
};

use super::*;

const SHARDS: NonZeroU16 = NonZeroU16::new(2).unwrap();

fn noon() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn result(millisecond: i64, user: u64) -> CouponResult {
    let id = ResultId::from_parts(noon().plus_millis(millisecond), 7, 0).unwrap();
    CouponResult::granted(id, UserId::new(user).unwrap(), CouponId::new(3).unwrap(), RoomId::new(1).unwrap())
}

fn at(shard: u16, table: &str) -> Placement {
    Placement::new(ShardId::new(shard), TableId::parse(table).unwrap())
}

fn begin(dir: &tempfile::TempDir) -> Bulk {
    Bulk::new(Folder::create(dir.path(), "a layout", SHARDS).unwrap()).unwrap()
}

fn count(db: &Connection, sql: &str) -> i64 {
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn rows_land_in_their_tables_and_get_indexes() {
    let dir = tempfile::tempdir().unwrap();
    let mut bulk = begin(&dir);
    bulk.results(vec![
        (at(0, "coupon_results"), result(0, 1)),
        (at(1, "coupon_results_2026_11_22"), result(1, 2)),
        (at(1, "coupon_results_p7"), result(2, 2)),
        (at(1, "coupon_results_2026_11_22"), result(3, 3)),
    ])
    .unwrap();
    let mut heard = Vec::new();
    let rows = bulk.finish(&mut |made, total| heard.push((made, total))).unwrap();
    assert_eq!(rows, [1, 3]);
    assert_eq!(heard.last(), Some(&(6, 6)));

    let folder = Folder::open(dir.path(), "a layout", SHARDS).unwrap();
    let db = folder.connect_shard(ShardId::new(1)).unwrap();
    assert_eq!(count(&db, "SELECT COUNT(*) FROM coupon_results_2026_11_22"), 2);
    assert_eq!(count(&db, "SELECT user_id FROM coupon_results_p7"), 2);
    let indexes =
        "SELECT COUNT(*) FROM sqlite_master WHERE type = 'index' AND name LIKE 'coupon_results_p7_idx%'";
    assert_eq!(count(&db, indexes), 2);
}

#[test]
fn catalogue_rows_read_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let mut bulk = begin(&dir);
    let user = User {
        user_id: UserId::new(5).unwrap(),
        username: "lena".into(),
        phone: "1".into(),
        email: "lena@example.com".into(),
        register_time: noon(),
        last_login: None,
        user_level: UserLevel::Svip,
        is_active: true,
    };
    let coupon = Coupon {
        coupon_id: CouponId::new(3).unwrap(),
        room_id: RoomId::new(1).unwrap(),
        coupon_name: "Ten off".into(),
        coupon_type: CouponKind::AmountOff,
        discount_amount: Some(Money::from_cents(1_050)),
        discount_rate: None,
        min_purchase: Money::from_cents(5_999),
        total_stock: 9,
        remaining_stock: 8,
        sold: 1,
        start_time: noon(),
        end_time: noon(),
        create_time: noon(),
        update_time: noon(),
        status: CouponStatus::Active,
        terms: GrabTerms::default(),
    };
    bulk.users(&[user]).unwrap();
    bulk.coupons(&[coupon]).unwrap();
    bulk.finish(&mut |_, _| {}).unwrap();
    let folder = Folder::open(dir.path(), "a layout", SHARDS).unwrap();
    let db = folder.connect_main().unwrap();
    let seen = db.query_row("SELECT user_level, register_time, last_login FROM users", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<i64>>(2)?))
    });
    assert_eq!(seen.unwrap(), (3, noon().millis(), None));
    let seen =
        db.query_row("SELECT discount_amount, min_purchase, remaining_stock FROM coupons", [], |row| {
            Ok((row.get::<_, f64>(0)?, row.get::<_, f64>(1)?, row.get::<_, u32>(2)?))
        });
    assert_eq!(seen.unwrap(), (10.5, 59.99, 8));
}

#[test]
fn an_unfinished_load_is_refused_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let mut bulk = begin(&dir);
    bulk.results(vec![(at(0, "coupon_results"), result(0, 1))]).unwrap();
    let lanes = std::mem::take(&mut bulk.lanes);
    drop(bulk);
    assert_eq!(lanes.into_values().map(|lane| lane.end().unwrap()).sum::<u64>(), 1);
    let error = Folder::open(dir.path(), "a layout", SHARDS).unwrap_err();
    assert!(matches!(error, FolderError::Incomplete { .. }), "{error}");
}

#[test]
fn the_same_user_and_coupon_twice_fail_the_load() {
    let dir = tempfile::tempdir().unwrap();
    let mut bulk = begin(&dir);
    let table = at(1, "coupon_results");
    bulk.results(vec![(table, result(0, 1)), (table, result(1, 1))]).unwrap();
    let error = bulk.finish(&mut |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("shard-1.sqlite") && error.contains("UNIQUE"), "{error}");
}

#[test]
fn a_shard_that_cannot_store_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let mut bulk = begin(&dir);
    let twice = vec![(at(0, "coupon_results"), result(0, 1)), (at(0, "coupon_results"), result(0, 2))];
    let error = (0..100).find_map(|_| bulk.results(twice.clone()).err()).expect("the thread has given up");
    assert!(error.to_string().contains("shard-0.sqlite"), "{error}");
    assert!(bulk.results(vec![(at(9, "coupon_results"), result(1, 1))]).is_err());
}
