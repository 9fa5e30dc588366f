//! Small seedings, and a look into the files without any of the crate's code, for all tests of this crate.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::Arc;

use coupon_core::{Placement, RoomId, RowKey, ShardId, ShardingStrategy, TableId, Timestamp, UserId};
use coupon_seeding::{SeedOptions, SeedReport, Silent};
use rusqlite::Connection;

pub(crate) fn now() -> Timestamp {
    "2026-11-22T15:00:00Z".parse().unwrap()
}

pub(crate) fn strategy(name: &str) -> Arc<dyn ShardingStrategy> {
    coupon_strategies::strategy(name, NonZeroU16::new(4).unwrap(), &[]).unwrap()
}

/// The strategy of a folder that any of these tests has seeded.
pub(crate) fn of_layout(layout: &str) -> anyhow::Result<Arc<dyn ShardingStrategy>> {
    let found = coupon_core::shards_in(layout)
        .and_then(|shards| coupon_strategies::REGISTER.strategy_of_layout(layout, shards));
    found.ok_or_else(|| anyhow::anyhow!("{layout} is no layout"))
}

pub(crate) fn small(history: u64) -> SeedOptions {
    SeedOptions { users: 800, history, days: 6, as_of: now(), ..SeedOptions::default() }
}

pub(crate) fn seed(dir: &Path, name: &str, options: &SeedOptions) -> SeedReport {
    coupon_seeding::seed(dir, &*strategy(name), options, false, &mut Silent).unwrap()
}

pub(crate) fn main_db(dir: &Path) -> Connection {
    Connection::open(dir.join("main.sqlite")).unwrap()
}

pub(crate) fn shard_db(dir: &Path, shard: u16) -> Connection {
    Connection::open(dir.join(format!("shard-{shard}.sqlite"))).unwrap()
}

pub(crate) fn number(db: &Connection, sql: &str) -> i64 {
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The tables of results on a shard.
pub(crate) fn tables(db: &Connection) -> Vec<TableId> {
    let mut names = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").unwrap();
    let names = names.query_map([], |row| row.get::<_, String>(0)).unwrap();
    names.filter_map(|name| TableId::parse(&name.unwrap())).collect()
}

/// A stored result as a test needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) result: i64,
    pub(crate) user: u64,
    pub(crate) coupon: i64,
    pub(crate) room: u64,
    pub(crate) time: i64,
}

impl Row {
    pub(crate) fn key(&self) -> RowKey {
        let time = Timestamp::from_millis(self.time);
        RowKey { user: UserId::new(self.user).unwrap(), room: RoomId::new(self.room).unwrap(), time }
    }
}

/// Every stored result, with where it was found, in the order of ids.
pub(crate) fn rows(dir: &Path, shards: u16) -> Vec<(Row, Placement)> {
    let mut all = Vec::new();
    for shard in 0..shards {
        let db = shard_db(dir, shard);
        for table in tables(&db) {
            let sql = format!("SELECT result_id, user_id, coupon_id, room_id, grab_time FROM {table}");
            let mut query = db.prepare(&sql).unwrap();
            let found = query.query_map([], |row| {
                Ok(Row {
                    result: row.get(0)?,
                    user: row.get::<_, i64>(1)?.cast_unsigned(),
                    coupon: row.get(2)?,
                    room: row.get::<_, i64>(3)?.cast_unsigned(),
                    time: row.get(4)?,
                })
            });
            let place = Placement::new(ShardId::new(shard), table);
            all.extend(found.unwrap().map(|row| (row.unwrap(), place)));
        }
    }
    all.sort_unstable();
    all
}

/// For every coupon: total − remaining, and what its stock logs add up to, both of which must be its rows.
pub(crate) fn assert_books_balance(dir: &Path, rows: &[(Row, Placement)]) {
    let mut counted = BTreeMap::<i64, i64>::new();
    rows.iter().for_each(|(row, _)| *counted.entry(row.coupon).or_default() += 1);
    let main = main_db(dir);
    let mut coupons = main.prepare("SELECT coupon_id, total_stock, remaining_stock FROM coupons").unwrap();
    let coupons = coupons.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    for coupon in coupons {
        let (id, total, remaining): (i64, i64, i64) = coupon.unwrap();
        assert_eq!(total - remaining, counted.remove(&id).unwrap_or(0), "coupon {id}: sold = rows");
        assert!(remaining >= 0 && total >= 0);
        assert_eq!(
            follow_logs(&main, id),
            (total, remaining),
            "coupon {id}: total and remaining by its logs"
        );
    }
    assert!(counted.is_empty(), "results of unknown coupons: {counted:?}");
}

/// The total and the remaining stock that a coupon's logs lead to; each log must begin where the last one ended.
fn follow_logs(main: &Connection, coupon: i64) -> (i64, i64) {
    let sql = "SELECT operation_type, stock_before, stock_after FROM stock_logs WHERE coupon_id = ?1 ORDER BY log_id";
    let mut logs = main.prepare_cached(sql).unwrap();
    let logs = logs.query_map([coupon], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let (mut total, mut stock) = (0, 0);
    for log in logs {
        let (operation, before, after): (i64, i64, i64) = log.unwrap();
        assert_eq!(before, stock, "coupon {coupon}: a log begins where the last one ended");
        stock = after;
        if operation == 1 {
            total += after - before;
        }
    }
    (total, stock)
}
