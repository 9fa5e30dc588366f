//! A data set on real servers that is sound until a test breaks it.

use std::num::NonZeroU16;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

use coupon_audit::{Claims, Data, Scope, Servers, Start};
use coupon_core::schema::{self, Dialect};
use coupon_core::{CouponId, ShardingStrategy, TableId};
use coupon_service::backend::servers::cluster::Cluster;
use coupon_service::backend::servers::mysql::Database;
use coupon_service::settings::{ServersSettings, Sources};
use coupon_stack::{Options, Stack};
use deadpool_redis::redis;
use mysql_async::prelude::Queryable as _;
use tokio::runtime::Runtime;

use crate::cases::{CATALOGUE, Store, TABLE_TODAY, TABLE_YESTERDAY, by_day, end, people, stored};

/// The epoch that the gate is open in.
const EPOCH: u64 = 3;

/// One for all tests; it goes with this process.
static STACK: LazyLock<Stack> = LazyLock::new(|| Stack::start(&Options { shards: TWO, dir: None }).unwrap());
static SITES: AtomicU32 = AtomicU32::new(0);
const TWO: NonZeroU16 = NonZeroU16::new(2).unwrap();

/// Two shards with two daily tables each, and the coupons 1 and 2 of room 1.
pub(crate) struct Site {
    pub(crate) claims: Claims,
    pub(crate) settings: ServersSettings,
    namespace: String,
    dataset: String,
    cluster: Cluster,
    strategy: Arc<dyn ShardingStrategy>,
    runtime: Runtime,
    /// When its coupons end.
    ends: String,
}

impl Store for Site {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let namespace = format!("audited_{}", SITES.fetch_add(1, Ordering::Relaxed));
        let mut flags = STACK.addresses().settings();
        flags.push(format!("servers.namespace={namespace}"));
        let settings = Sources { flags, ..Sources::default() }.read_storage().unwrap().servers;
        let strategy = by_day();
        let cluster = Cluster::new(&settings, &*strategy).unwrap();
        let dataset = runtime.block_on(async {
            let making = cluster.create(&strategy.layout()).await.unwrap();
            cluster.complete().await.unwrap();
            making.dataset
        });
        let site = Self {
            claims: Claims::default(),
            settings,
            namespace,
            dataset,
            cluster,
            strategy,
            runtime,
            ends: end(),
        };
        site.fill();
        site
    }

    fn claims(&mut self) -> &mut Claims {
        &mut self.claims
    }

    fn main(&self, sql: &str) {
        self.run(&self.cluster.main, sql);
    }

    fn shard(&self, shard: usize, sql: &str) {
        self.run(&self.cluster.shards[shard], sql);
    }

    /// Its shard counts it.
    fn store(&self, shard: usize, table: &str, result: i64, user: u64, coupon: u64) {
        self.shard(shard, &stored(table, result, user, coupon));
        self.shard(shard, "UPDATE shard_state SET results = results + 1");
    }

    fn note(&self, shard: usize, coupon: u64) {
        self.shard(shard, "UPDATE shard_state SET outbox_id = outbox_id + 1");
        let entry = format!("INSERT INTO outbox SELECT outbox_id, '[[{coupon}, 1]]', 0 FROM shard_state");
        self.shard(shard, &entry);
    }

    fn forget(&self, shard: usize) {
        self.shard(shard, "DELETE FROM outbox");
    }

    fn hold(&self, user: u64, coupon: u64, result: i64) {
        self.redis(redis::cmd("HSET").arg(self.holders(coupon)).arg(user).arg(result));
    }

    fn drop_unique(&self, shard: usize, table: &str) {
        self.shard(shard, &format!("DROP INDEX idx_user_coupon ON {table}"));
    }

    fn data(&self) -> Data {
        Data::Servers(Box::new(Servers::new(self.settings.clone(), &self.namespace).unwrap()))
    }

    fn scope<'a>(&'a self, start: Option<&'a Start>) -> Scope<'a> {
        Scope {
            claims: Some(&self.claims),
            start,
            strategy: Some(&*self.strategy),
            drained: true,
            ..Scope::default()
        }
    }
}

impl Site {
    fn fill(&self) {
        for sql in CATALOGUE.into_iter().map(|sql| sql.replace("END", &self.ends)).chain([people()]) {
            self.main(&sql);
        }
        self.main("REPLACE INTO outbox_positions (shard, outbox_id) VALUES (0, 0), (1, 0)");
        self.main(&format!("REPLACE INTO gate_state (id, epoch, open_epoch) VALUES (1, {EPOCH}, {EPOCH})"));
        for shard in 0..2 {
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

    pub(crate) fn holders(&self, coupon: u64) -> String {
        self.cluster.names(&self.dataset).holders(EPOCH, CouponId::new(coupon).unwrap())
    }

    pub(crate) fn redis(&self, command: &redis::Cmd) {
        let client = redis::Client::open(self.settings.redis.expose()).unwrap();
        command.exec(&mut client.get_connection().unwrap()).unwrap();
    }

    fn run(&self, database: &Database, sql: &str) {
        self.runtime.block_on(async { database.connect().await.unwrap().query_drop(sql).await.unwrap() });
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.runtime.block_on(async {
            for database in self.cluster.shards.iter().chain([&self.cluster.main]) {
                database.remove().await.unwrap();
            }
        });
    }
}
