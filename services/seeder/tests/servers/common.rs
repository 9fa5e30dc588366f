//! Servers that all tests share, each test in its own namespace, and a look into them without the seeder's code.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::{Arc, OnceLock};
use std::thread::sleep;
use std::time::{Duration, Instant};

use coupon_core::{ShardingStrategy, TableId, Timestamp};
use coupon_seeding::{SeedOptions, SeedReport, Silent};
use coupon_stack::{Stack, StackOptions};
use coupon_store::settings::{ServersSettings, Sources};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, Row, Value};
use tokio::runtime::Runtime;

/// Started by the first test that asks; its guardian stops it when this process ends.
pub(crate) fn stack() -> &'static Stack {
    static STACK: OnceLock<Stack> = OnceLock::new();
    STACK.get_or_init(|| Stack::start(&StackOptions::default()).unwrap())
}

pub(crate) fn now() -> Timestamp {
    "2026-11-22T15:00:00Z".parse().unwrap()
}

pub(crate) fn strategy_over(name: &str, shards: u16) -> Arc<dyn ShardingStrategy> {
    coupon_strategies::strategy(name, NonZeroU16::new(shards).unwrap(), &[]).unwrap()
}

pub(crate) fn strategy(name: &str) -> Arc<dyn ShardingStrategy> {
    strategy_over(name, 4)
}

pub(crate) fn small(history: u64) -> SeedOptions {
    SeedOptions { users: 800, history, days: 6, as_of: now(), ..SeedOptions::default() }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The servers, and what everything on them is called in one test.
pub(crate) struct Place {
    pub(crate) settings: ServersSettings,
}

impl Place {
    pub(crate) fn new(namespace: &str) -> Self {
        Self::of(stack().addresses().settings(), namespace)
    }

    /// The same by other settings of its servers.
    pub(crate) fn of(mut flags: Vec<String>, namespace: &str) -> Self {
        flags.push(format!("servers.namespace={namespace}"));
        let sources = Sources { flags, ..Sources::default() };
        Self { settings: sources.read_storage().unwrap().servers }
    }

    pub(crate) fn seed(&self, name: &str, options: &SeedOptions, reset: bool) -> SeedReport {
        self.try_seed(name, options, reset).unwrap()
    }

    pub(crate) fn try_seed(
        &self,
        name: &str,
        options: &SeedOptions,
        reset: bool,
    ) -> anyhow::Result<SeedReport> {
        coupon_seeding::seed_servers(&self.settings, &*strategy(name), options, reset, &mut Silent)
    }

    /// The answer to a statement in main, or in shard 0, 1, …: every value as text.
    pub(crate) fn ask(&self, shard: Option<usize>, sql: &str) -> Vec<Vec<Option<String>>> {
        self.try_to_ask(shard, sql).unwrap()
    }

    /// The same where there may be no such table yet.
    pub(crate) fn try_to_ask(
        &self,
        shard: Option<usize>,
        sql: &str,
    ) -> mysql_async::Result<Vec<Vec<Option<String>>>> {
        let (opts, database) = self.database(shard);
        block_on(async {
            let mut conn = Conn::new(opts).await.unwrap();
            conn.query_drop(format!("USE {database}")).await?;
            let rows: Vec<Row> = conn.query(sql).await?;
            conn.disconnect().await?;
            Ok(rows.into_iter().map(|row| row.unwrap().into_iter().map(text).collect()).collect())
        })
    }

    /// The server of main, or of a shard, and the name of the database.
    fn database(&self, shard: Option<usize>) -> (Opts, String) {
        let namespace = &self.settings.namespace;
        let (url, database) = match shard {
            None => (&self.settings.main, format!("{namespace}_main")),
            Some(shard) => (&self.settings.shards[shard], format!("{namespace}_shard_{shard}")),
        };
        (Opts::from_url(url.expose()).unwrap(), database)
    }

    /// Begins a transaction by a statement, and keeps what that locks until it is committed, or the answer is dropped.
    pub(crate) fn begin(&self, shard: Option<usize>, sql: &str) -> Locked {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (opts, database) = self.database(shard);
        let conn = runtime.block_on(Conn::new(opts)).unwrap();
        let mut locked = Locked { conn: Some(conn), runtime };
        [&format!("USE {database}"), "START TRANSACTION", sql].into_iter().for_each(|sql| locked.run(sql));
        locked
    }

    /// Takes a lock of main's server, for as long as the answer lives.
    pub(crate) fn take_lock(&self, what: &str) -> Locked {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (opts, namespace) =
            (Opts::from_url(self.settings.main.expose()).unwrap(), &self.settings.namespace);
        let conn = runtime.block_on(async {
            let mut conn = Conn::new(opts).await.unwrap();
            conn.query_drop(format!("DO GET_LOCK('{namespace}.{what}', 5)")).await.unwrap();
            conn
        });
        Locked { conn: Some(conn), runtime }
    }

    pub(crate) fn number(&self, shard: Option<usize>, sql: &str) -> i64 {
        self.ask(shard, sql)[0][0].as_ref().unwrap().parse().unwrap()
    }

    /// Waits until a question to main counts something.
    pub(crate) fn until_some(&self, question: &str) {
        let began = Instant::now();
        while self.number(None, question) == 0 {
            assert!(began.elapsed() < Duration::from_secs(60), "{question}");
            sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn run(&self, shard: Option<usize>, sql: &str) {
        assert!(self.ask(shard, sql).is_empty());
    }

    /// Has the results of a table that a condition is true of leave it for another shard, where they do not arrive.
    pub(crate) fn leaves(&self, shard: usize, table: TableId, condition: &str) {
        let columns = "result_id, user_id, coupon_id, room_id, grab_status, grab_time";
        self.run(
            Some(shard),
            &format!(
                "INSERT INTO leaving ({columns}, from_table, to_shard, to_table) \
                 SELECT {columns}, '{table}', {}, '{table}' FROM {table} WHERE {condition}",
                (shard + 1) % 4
            ),
        );
        self.run(Some(shard), &format!("DELETE FROM {table} WHERE {condition}"));
    }

    /// Names of tables that begin so.
    pub(crate) fn tables_like(&self, shard: usize, prefix: &str) -> Vec<String> {
        let all = self.ask(Some(shard), "SHOW TABLES").into_iter().map(|row| row[0].clone().unwrap());
        all.filter(|name| name.starts_with(prefix)).collect()
    }

    /// The tables of results on a shard.
    pub(crate) fn tables(&self, shard: usize) -> Vec<TableId> {
        self.tables_like(shard, "").iter().filter_map(|name| TableId::parse(name)).collect()
    }

    /// The number of results, by coupon.
    pub(crate) fn counts(&self) -> BTreeMap<i64, i64> {
        let mut counts = BTreeMap::new();
        for shard in 0..4 {
            for table in self.tables(shard) {
                let sql = format!("SELECT coupon_id, COUNT(*) FROM {table} GROUP BY coupon_id");
                for row in self.ask(Some(shard), &sql) {
                    *counts.entry(integer(&row[0])).or_default() += integer(&row[1]);
                }
            }
        }
        counts
    }

    pub(crate) fn rows(&self) -> i64 {
        self.counts().values().sum()
    }

    /// For every coupon: total − remaining, and what its stock logs add up to, both of which must be its rows; and
    /// every shard's own sums must be those of its rows.
    pub(crate) fn assert_books_balance(&self) {
        let mut counted = self.counts();
        for row in self.ask(None, "SELECT coupon_id, total_stock, remaining_stock FROM coupons") {
            let (id, total, remaining) = (integer(&row[0]), integer(&row[1]), integer(&row[2]));
            assert_eq!(total - remaining, counted.remove(&id).unwrap_or(0), "coupon {id}: sold = rows");
            assert!(remaining >= 0 && total >= 0);
            assert_eq!(
                self.follow_logs(id),
                (total, remaining),
                "coupon {id}: total and remaining by its logs"
            );
        }
        assert!(counted.is_empty(), "results of unknown coupons: {counted:?}");
        for shard in 0..4 {
            let said = "SELECT results, used, order_amount FROM shard_state";
            assert_eq!(self.ask(Some(shard), said)[0], self.sums(shard), "shard {shard}");
        }
    }

    fn sums(&self, shard: usize) -> Vec<Option<String>> {
        let (mut rows, mut used, mut cents) = (0, 0, 0);
        for table in self.tables(shard) {
            let sql = format!(
                "SELECT COUNT(*), COALESCE(SUM(use_status), 0), CAST(COALESCE(SUM(order_amount), 0) * 100 AS SIGNED) \
                 FROM {table}"
            );
            let row = &self.ask(Some(shard), &sql)[0];
            (rows, used, cents) =
                (rows + integer(&row[0]), used + integer(&row[1]), cents + integer(&row[2]));
        }
        let amount = format!("{}.{:02}", cents / 100, cents % 100);
        [rows.to_string(), used.to_string(), amount].map(Some).to_vec()
    }

    /// The total and the remaining stock that a coupon's logs lead to; each log must begin where the last one ended.
    fn follow_logs(&self, coupon: i64) -> (i64, i64) {
        let logs = self.logs_of(coupon);
        let (mut total, mut stock) = (0, 0);
        for (operation, before, after) in logs {
            assert_eq!(before, stock, "coupon {coupon}: a log begins where the last one ended");
            stock = after;
            if operation == 1 {
                total += after - before;
            }
        }
        (total, stock)
    }

    fn logs_of(&self, coupon: i64) -> Vec<(i64, i64, i64)> {
        let sql = format!(
            "SELECT operation_type, stock_before, stock_after FROM stock_logs WHERE coupon_id = {coupon} ORDER BY log_id"
        );
        let logs = self.ask(None, &sql);
        logs.iter().map(|row| (integer(&row[0]), integer(&row[1]), integer(&row[2]))).collect()
    }
}

/// A connection that has something locked.
pub(crate) struct Locked {
    conn: Option<Conn>,
    runtime: Runtime,
}

impl Locked {
    /// Runs a statement over its connection.
    pub(crate) fn run(&mut self, sql: &str) {
        if let Some(conn) = &mut self.conn {
            self.runtime.block_on(conn.query_drop(sql)).unwrap();
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.runtime.block_on(conn.disconnect()).unwrap();
        }
    }
}

pub(crate) fn integer(text: &Option<String>) -> i64 {
    text.as_ref().unwrap().parse().unwrap()
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8(bytes).unwrap()),
        other => Some(other.as_sql(true)),
    }
}
