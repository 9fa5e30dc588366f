//! A data set on real servers that is sound until a test breaks it.

use std::num::NonZeroU16;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

use coupon_core::schema::{self, Dialect};
use coupon_core::{CouponId, ResultId, ShardingStrategy, TableId, Timestamp};
use coupon_service::backend::servers::cluster::Cluster;
use coupon_service::backend::servers::mysql::Database;
use coupon_service::settings::{ServersSettings, Sources};
use coupon_stack::{Options, Stack};
use deadpool_redis::redis;
use loadtest::audit::{AuditReport, Claim, Claims, Data, Kind, Scope, Servers};
use mysql_async::prelude::Queryable as _;
use tokio::runtime::Runtime;

pub(crate) const TODAY: &str = "2026-11-22T12:00:00Z";
pub(crate) const YESTERDAY: &str = "2026-11-21T12:00:00Z";
pub(crate) const TABLE_TODAY: &str = "coupon_results_2026_11_22";
pub(crate) const TABLE_YESTERDAY: &str = "coupon_results_2026_11_21";
/// How many of each coupon there are.
const TOTAL: i64 = 10;
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
}

pub(crate) fn id(time: &str, sequence: u16) -> i64 {
    ResultId::from_parts(time.parse().unwrap(), 1, sequence).unwrap().number()
}

/// The shard of a day.
pub(crate) fn shard_of(time: &str) -> usize {
    let day = time.parse::<Timestamp>().unwrap().day();
    usize::try_from(day.number() % 2).unwrap()
}

impl Site {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let namespace = format!("audited_{}", SITES.fetch_add(1, Ordering::Relaxed));
        let mut flags = STACK.addresses().settings();
        flags.push(format!("servers.namespace={namespace}"));
        let settings = Sources { flags, ..Sources::default() }.read_storage().unwrap().servers;
        let strategy = range_svc::RangeSettings::default().strategy(TWO).unwrap();
        let cluster = Cluster::new(&settings, &*strategy).unwrap();
        let dataset = runtime.block_on(async {
            let making = cluster.create(&strategy.layout()).await.unwrap();
            cluster.complete().await.unwrap();
            making.dataset
        });
        let site =
            Self { claims: Claims::default(), settings, namespace, dataset, cluster, strategy, runtime };
        site.fill();
        site
    }

    /// Two acknowledged grabs of today, one of yesterday: stored where they belong, told to main, held in the gate.
    pub(crate) fn sound() -> Self {
        let mut site = Self::new();
        site.grab(TODAY, 1, 1);
        site.grab(TODAY, 2, 2);
        site.grab(YESTERDAY, 3, 1);
        site.claims.add(4, 1, Claim::Refused);
        site
    }

    fn fill(&self) {
        let ends = jiff::Timestamp::now().as_millisecond() + 3_600_000;
        self.main(&format!(
            "INSERT INTO coupons (coupon_id, room_id, coupon_name, coupon_type, total_stock, remaining_stock,
                 start_time, end_time, create_time, update_time)
             VALUES (1, 1, 'a', 1, {TOTAL}, {TOTAL}, 0, {ends}, 0, 0), (2, 1, 'b', 1, {TOTAL}, {TOTAL}, 0, {ends}, 0, 0)"
        ));
        self.main(
            "INSERT INTO stock_logs (log_id, coupon_id, operation_type, stock_before, stock_after, operator, create_time)
             VALUES (1, 1, 1, 0, 10, 'test', 0), (2, 2, 1, 0, 10, 'test', 0)",
        );
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
            self.redis(redis::cmd("HSET").arg(key).arg(&["t", "10", "s", "0", "e", "9999999999999"]));
        }
    }

    /// A grab as a service does it.
    pub(crate) fn grab(&mut self, time: &str, user: u64, coupon: u64) {
        let result = id(time, u16::try_from(user).unwrap());
        let table = if time == TODAY { TABLE_TODAY } else { TABLE_YESTERDAY };
        self.store(shard_of(time), table, result, user, coupon);
        self.tell(coupon);
        self.hold(user, coupon, result);
        self.claims.add(user, coupon, Claim::Granted(result));
    }

    /// Stores a row as a consumer does: its shard counts it.
    pub(crate) fn store(&self, shard: usize, table: &str, result: i64, user: u64, coupon: u64) {
        let time = ResultId::from_number(result).unwrap().time().millis();
        self.shard(
            shard,
            &format!(
                "INSERT INTO {table} (result_id, user_id, coupon_id, room_id, grab_status, grab_time)
                 VALUES ({result}, {user}, {coupon}, 1, 1, {time})"
            ),
        );
        self.shard(shard, "UPDATE shard_state SET results = results + 1");
    }

    /// Takes one from a coupon's stock, and logs it.
    pub(crate) fn tell(&self, coupon: u64) {
        self.main(&format!(
            "INSERT INTO stock_logs SELECT (SELECT MAX(log_id) + 1 FROM stock_logs), coupon_id, 2, remaining_stock,
                 remaining_stock - 1, 'shard', 0, 1, 0 FROM coupons WHERE coupon_id = {coupon}"
        ));
        self.main(&format!(
            "UPDATE coupons SET remaining_stock = remaining_stock - 1 WHERE coupon_id = {coupon}"
        ));
    }

    /// Lets a user hold a coupon in the gate.
    pub(crate) fn hold(&self, user: u64, coupon: u64, result: i64) {
        self.redis(redis::cmd("HSET").arg(self.holders(coupon)).arg(user).arg(result));
    }

    pub(crate) fn holders(&self, coupon: u64) -> String {
        self.cluster.names(&self.dataset).holders(EPOCH, CouponId::new(coupon).unwrap())
    }

    pub(crate) fn redis(&self, command: &redis::Cmd) {
        let client = redis::Client::open(self.settings.redis.expose()).unwrap();
        command.exec(&mut client.get_connection().unwrap()).unwrap();
    }

    pub(crate) fn main(&self, sql: &str) {
        self.run(&self.cluster.main, sql);
    }

    pub(crate) fn shard(&self, shard: usize, sql: &str) {
        self.run(&self.cluster.shards[shard], sql);
    }

    fn run(&self, database: &Database, sql: &str) {
        self.runtime.block_on(async { database.connect().await.unwrap().query_drop(sql).await.unwrap() });
    }

    pub(crate) fn data(&self) -> Data {
        Data::Servers(Box::new(Servers::new(self.settings.clone(), &self.namespace).unwrap()))
    }

    pub(crate) fn scope(&self) -> Scope<'_> {
        Scope { claims: Some(&self.claims), since: None, strategy: Some(&*self.strategy), drained: true }
    }

    pub(crate) fn audit(&self) -> AuditReport {
        self.data().audit(&self.scope()).unwrap()
    }

    /// The only kind of violation there is, how often, and its examples.
    pub(crate) fn only(&self) -> (Kind, u64, String) {
        let report = self.audit();
        assert_eq!(report.findings.len(), 1, "{report}");
        let (kind, finding) = report.findings.first_key_value().unwrap();
        (*kind, finding.count, finding.examples.join("\n"))
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
