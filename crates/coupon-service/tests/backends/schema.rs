//! The files in `schema/`, run on a real SQLite.

use coupon_core::schema::{self, Dialect};
use coupon_core::{Hour, RoomId, TableId};
use rusqlite::Connection;

fn run(database: &Connection, statements: impl IntoIterator<Item = String>) {
    for sql in statements {
        database.execute_batch(&sql).unwrap_or_else(|error| panic!("{error} in:\n{sql}"));
    }
}

fn with_sample() -> Connection {
    let database = Connection::open_in_memory().unwrap();
    run(&database, schema::catalogue(Dialect::Sqlite));
    run(&database, schema::sample(Dialect::Sqlite));
    database
}

fn number(database: &Connection, sql: &str) -> i64 {
    database.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_shard_takes_tables_of_every_kind_side_by_side() {
    let database = Connection::open_in_memory().unwrap();
    run(&database, schema::shard(Dialect::Sqlite));
    let room = |id| RoomId::new(id).unwrap();
    let hour = Hour::new(500_000);
    let tables = [
        TableId::Single,
        TableId::Day(hour.day()),
        TableId::Hour(hour),
        TableId::Rooms { first: room(1), last: Some(room(25)) },
        TableId::Rooms { first: room(76), last: None },
        TableId::Part(7),
    ];
    for table in tables {
        let (create, indexes) = schema::results(Dialect::Sqlite, table);
        run(&database, [create]);
        run(&database, indexes);
        let count = "SELECT count(*) FROM pragma_index_list(?1)";
        let indexes: i64 = database.query_row(count, [table.to_string()], |row| row.get(0)).unwrap();
        assert_eq!(indexes, 2, "{table}");
    }
}

#[test]
fn the_sample_has_its_users_rooms_and_coupons() {
    let database = with_sample();
    for (table, rows) in
        [("users", 200), ("live_rooms", 10), ("coupons", 51), ("coupon_details", 51), ("stock_logs", 51)]
    {
        assert_eq!(number(&database, &format!("SELECT count(*) FROM {table}")), rows, "{table}");
    }
    assert_eq!(number(&database, "SELECT count(*) FROM live_rooms WHERE is_hot = 1"), 2);
    assert_eq!(number(&database, "SELECT count(*) FROM coupons WHERE hold_s > 0"), 1);
}

#[test]
fn a_sample_coupon_belongs_to_the_room_its_number_says() {
    let database = with_sample();
    // The last room has one more: the coupon that is held for a checkout.
    let elsewhere = "SELECT count(*) FROM coupons WHERE room_id <> min((coupon_id - 1) / 5 + 1, 10)";
    assert_eq!(number(&database, elsewhere), 0);
    let orphans = "SELECT count(*) FROM coupons WHERE room_id NOT IN (SELECT room_id FROM live_rooms)";
    assert_eq!(number(&database, orphans), 0);
}

#[test]
fn sample_stock_is_whole_and_logged() {
    let database = with_sample();
    assert_eq!(number(&database, "SELECT count(*) FROM coupons WHERE remaining_stock <> total_stock"), 0);
    let logged = "SELECT count(*) FROM coupons JOIN stock_logs USING (coupon_id)
                  WHERE operation_type = 1 AND stock_before = 0 AND stock_after = total_stock";
    assert_eq!(number(&database, logged), 51);
}

#[test]
fn sample_coupons_are_open_for_decades() {
    let database = with_sample();
    let (first, last) = ("2026-01-01T00:00:00Z", "2099-12-31T23:59:59Z");
    let [first, last] = [first, last].map(|time| time.parse::<coupon_core::Timestamp>().unwrap().millis());
    let open = format!(
        "SELECT count(*) FROM coupons WHERE status = 1 AND start_time <= {first} AND end_time > {last}"
    );
    assert_eq!(number(&database, &open), 51);
}

#[test]
fn sample_details_say_in_json_which_products_they_are_for() {
    let database = with_sample();
    let details =
        "SELECT count(*) FROM coupon_details WHERE json_array_length(product_range, '$.include') > 0
                   AND length(description) > 200 AND length(usage_rules) > 200";
    assert_eq!(number(&database, details), 51);
}
