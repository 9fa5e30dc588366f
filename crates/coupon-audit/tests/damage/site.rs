//! A data set on real servers that is sound until a test breaks it.

use std::num::NonZeroU16;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use coupon_audit::{Addresses, AuditReport, Claims, Data, Scope, Servers, StartState};
use coupon_core::TableId;
use coupon_core::schema::{self, Dialect};
use coupon_stack::{Stack, Topology};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts};
use tokio::runtime::Runtime;

use crate::store::{BY_DAY, CATALOGUE, Store, TABLE_TODAY, TABLE_YESTERDAY, end, people, stored, taken};

/// The epoch that the gate is open in.
const EPOCH: u64 = 3;

/// One for all tests; it goes with this process.
static STACK: LazyLock<Stack> =
    LazyLock::new(|| Stack::start(&Topology { shards: TWO, ..Topology::default() }.into()).unwrap());
static SITES: AtomicU32 = AtomicU32::new(0);
const TWO: NonZeroU16 = NonZeroU16::new(2).unwrap();
const DATASET: &str = "d1";

/// Two shards with two daily tables each, and the coupons 1 and 2 of room 1.
pub(crate) struct Site {
    pub(crate) claims: Claims,
    pub(crate) addresses: Addresses,
    namespace: String,
    runtime: Runtime,
    /// The time at which its coupons end.
    ends: String,
}

impl Store for Site {
    const DIALECT: Dialect = Dialect::MySql;
    const SECOND_SHARD: &str = "shards[1]";

    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let namespace = format!("audited_{}", SITES.fetch_add(1, Ordering::Relaxed));
        let stack = STACK.addresses();
        let addresses = Addresses {
            main: stack.main.clone(),
            shards: stack.shards.clone(),
            engine: String::new(),
            redis: vec![stack.redis.clone()],
            ca_file: None,
            reconcile: Duration::from_secs(1),
        };
        let site = Self { claims: Claims::default(), addresses, namespace, runtime, ends: end() };
        site.fill();
        site
    }

    fn claims(&mut self) -> &mut Claims {
        &mut self.claims
    }

    fn main(&self, sql: &str) {
        self.run(&self.addresses.main, &format!("{}_main", self.namespace), sql);
    }

    fn shard(&self, shard: usize, sql: &str) {
        self.run(&self.addresses.shards[shard], &self.shard_name(shard), sql);
    }

    /// Its shard counts it.
    fn store(&self, shard: usize, table: &str, result: i64, user: u64, coupon: u64) {
        self.shard(shard, &stored(table, result, user, coupon));
        self.shard(shard, "UPDATE shard_state SET results = results + 1");
    }

    fn take(&self, shard: usize, table: &str, user: u64, coupon: u64) {
        self.shard(shard, &taken(table, user, coupon));
        self.shard(shard, "UPDATE shard_state SET results = results - 1");
        self.redis(redis::cmd("HDEL").arg(self.holders(coupon)).arg(user));
    }

    fn note(&self, shard: usize, coupon: u64) {
        self.shard(shard, "UPDATE shard_state SET outbox_id = outbox_id + 1");
        let entry = format!(
            "INSERT INTO outbox (outbox_id, deltas, create_time) SELECT outbox_id, '[[{coupon}, 1]]', 0 FROM shard_state"
        );
        self.shard(shard, &entry);
    }

    fn counts(&self, shard: usize) {
        self.shard(shard, "UPDATE shard_state SET results = results + 1");
    }

    fn gave_back(&self, shard: usize, rows: i64) {
        self.shard(shard, &format!("UPDATE shard_state SET given_back = given_back + {rows}"));
    }

    fn let_go(&self, user: u64, coupon: u64) {
        self.redis(redis::cmd("HDEL").arg(self.holders(coupon)).arg(user));
    }

    fn note_back(&self, shard: usize, coupon: u64, how: &str) {
        self.shard(shard, "UPDATE shard_state SET outbox_id = outbox_id + 1");
        let entry = format!(
            "INSERT INTO outbox (outbox_id, deltas, create_time) SELECT outbox_id, '[[{coupon}, 1, \"{how}\"]]', 0 FROM shard_state"
        );
        self.shard(shard, &entry);
    }

    fn forget(&self, shard: usize) {
        self.shard(shard, "DELETE FROM outbox");
    }

    fn hold_in(&self, user: u64, coupon: u64, slot: u8, result: i64) {
        let field = if slot == 0 { user.to_string() } else { format!("{user}.{slot}") };
        self.redis(redis::cmd("HSET").arg(self.holders(coupon)).arg(field).arg(result));
    }

    fn gate_has(&self, coupon: u64, field: &str, value: &str) {
        self.redis(redis::cmd("HSET").arg(self.holders(coupon)).arg(field).arg(value));
    }

    fn drop_unique(&self, shard: usize, table: &str) {
        self.shard(shard, &format!("DROP INDEX idx_user_coupon ON {table}"));
    }

    fn data(&self) -> Data {
        Data::Servers(Box::new(Servers::new(self.addresses.clone(), &self.namespace).unwrap()))
    }

    fn audit_around(&self, first: impl FnOnce(&Self), second: &str) -> AuditReport {
        // It reads this once it has the shard held.
        let locked = self.locked(0, "LOCK TABLES shard_meta WRITE");
        std::thread::scope(|scope| {
            let audit = scope.spawn(|| self.audit());
            self.until_somebody_waits(0);
            first(self);
            self.shard(1, second);
            self.runtime.block_on(locked.disconnect()).unwrap();
            audit.join().unwrap()
        })
    }

    fn scope<'a>(&'a self, start: Option<&'a StartState>) -> Scope<'a> {
        Scope { claims: Some(&self.claims), start, reads: Some(&[]), drained: true, ..Scope::default() }
    }
}

impl Site {
    fn fill(&self) {
        self.make(&self.addresses.main, "main", &schema::main_migrations(), &schema::main_columns());
        for sql in CATALOGUE.into_iter().map(|sql| sql.replace("END", &self.ends)).chain([people()]) {
            self.main(&sql);
        }
        self.main(&format!(
            "INSERT INTO meta (name, value) VALUES ('format', '3'), ('dataset', '{DATASET}'), ('layout', '{BY_DAY}'),
                 ('shards', '2')"
        ));
        self.main("INSERT INTO outbox_positions (shard, outbox_id) VALUES (0, 0), (1, 0)");
        self.main(&format!("INSERT INTO gate_state (id, epoch, open_epoch) VALUES (1, {EPOCH}, {EPOCH})"));
        for shard in 0..2 {
            let (server, name) = (&self.addresses.shards[shard], format!("shard_{shard}"));
            self.make(server, &name, &schema::shard_migrations(), &schema::shard_columns(Dialect::MySql));
            self.shard(
                shard,
                &format!("INSERT INTO shard_meta (name, value) VALUES ('dataset', '{DATASET}'), ('shard', '{shard}')"),
            );
            self.shard(
                shard,
                &format!(
                    "INSERT INTO shard_state (id, dataset, outbox_id, closed_epoch, as_of, results, used, order_amount,
                         messages, received, commits) VALUES (1, '{DATASET}', 0, 0, 0, 0, 0, 0, 0, 0, 0)"
                ),
            );
            for table in [TABLE_TODAY, TABLE_YESTERDAY] {
                let (create, indexes) = schema::results(Dialect::MySql, TableId::parse(table).unwrap());
                self.shard(shard, &create);
                indexes.iter().for_each(|index| self.shard(shard, index));
            }
        }
        for coupon in [1, 2] {
            let key = self.holders(coupon);
            self.redis(redis::cmd("HSET").arg(key).arg(&["t", "10", "s", "0", "e", &self.ends]));
        }
    }

    /// Makes a database and its tables.
    fn make(&self, server: &str, name: &str, migrations: &[schema::Migration], columns: &[schema::Column]) {
        let database = format!("{}_{name}", self.namespace);
        self.run(server, "", &format!("CREATE DATABASE {database} CHARACTER SET utf8mb4"));
        let statements = migrations.iter().flat_map(|migration| migration.sql.split(";\n"));
        let added = columns.iter().map(|column| &*column.sql);
        statements.chain(added).for_each(|sql| self.run(server, &database, sql));
    }

    pub(crate) fn holders(&self, coupon: u64) -> String {
        format!("{}.{DATASET}.{EPOCH}.{coupon}.holders", self.namespace)
    }

    pub(crate) fn redis(&self, command: &redis::Cmd) {
        let client = redis::Client::open(self.addresses.redis[0].as_str()).unwrap();
        command.exec(&mut client.get_connection().unwrap()).unwrap();
    }

    fn run(&self, server: &str, database: &str, sql: &str) {
        self.runtime.block_on(async { connect(server, database).await.query_drop(sql).await.unwrap() });
    }

    /// A connection to a shard that has locked something.
    fn locked(&self, shard: usize, sql: &str) -> Conn {
        self.runtime.block_on(async {
            let mut conn = connect(&self.addresses.shards[shard], &self.shard_name(shard)).await;
            conn.query_drop(sql).await.unwrap();
            conn
        })
    }

    /// Waits until a connection to a shard waits for a lock.
    fn until_somebody_waits(&self, shard: usize) {
        let sql = format!(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{}' AND state LIKE 'Waiting for%lock%'",
            self.shard_name(shard)
        );
        let deadline = Instant::now() + Duration::from_secs(30);
        self.runtime.block_on(async {
            let mut conn = connect(&self.addresses.shards[shard], "").await;
            while conn.query_first::<u64, _>(&*sql).await.unwrap() == Some(0) {
                assert!(Instant::now() < deadline, "nobody waits");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }

    fn shard_name(&self, shard: usize) -> String {
        format!("{}_shard_{shard}", self.namespace)
    }
}

async fn connect(server: &str, database: &str) -> Conn {
    let server = server.trim_end_matches('/');
    Conn::new(Opts::from_url(&format!("{server}/{database}")).unwrap()).await.unwrap()
}

impl Drop for Site {
    fn drop(&mut self) {
        let drop = |server: &str, name: String| {
            self.run(server, "", &format!("DROP DATABASE IF EXISTS {}_{name}", self.namespace));
        };
        drop(&self.addresses.main, "main".to_owned());
        for (number, server) in self.addresses.shards.iter().enumerate() {
            drop(server, format!("shard_{number}"));
        }
    }
}
