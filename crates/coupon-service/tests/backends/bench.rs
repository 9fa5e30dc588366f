//! A small data set of each test's own, and a backend on it.

#![allow(dead_code, reason = "each suite that shares this uses its own part of it")]

use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use coupon_audit::Differences;
use coupon_core::{
    Coupon, CouponDetails, CouponId, CouponKind, CouponResult, CouponStatus, GrabTerms, LiveRoom, Money,
    Placement, Plan, ResultId, ResultQuery, RoomId, RoomStatus, RouteError, RowKey, ShardId,
    ShardingStrategy, TableId, TimeRange, Timestamp, User, UserId, UserLevel,
};
use coupon_seeding::{Silent, Site};
use coupon_service::queries::Queries;
use coupon_stack::Stack;
use coupon_store::clock::Clock;
use coupon_store::embedded::bulk::Bulk as EmbeddedBulk;
use coupon_store::embedded::folder::Folder;
use coupon_store::servers::bulk::Bulk as ServersBulk;
use coupon_store::servers::cluster::Cluster;
use coupon_store::settings::{DecidedBy, NoSettings, ServersSettings, Sources, UnknownUsers};
use coupon_store::{
    Attempt, Backend, Decided, Decision, PageRequest, PlacedResult, Visit, embedded, servers,
};
use mysql_async::prelude::Queryable as _;
use tempfile::TempDir;

/// The longest that a test waits for anything, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) const NOW: &str = "2026-11-22T12:00:00.000Z";
const DAY: i64 = 86_400_000;
pub(crate) const USERS: u64 = 40;
/// A user who is not active.
pub(crate) const INACTIVE: u64 = 50;

/// Room 1: two of it.
pub(crate) const SCARCE: u64 = 1;
/// Room 1: plenty.
pub(crate) const PLENTY: u64 = 2;
/// Room 2: over. Users 1 to 30 hold one, grabbed on the day before.
pub(crate) const ENDED: u64 = 3;
/// Room 2: begins tomorrow.
pub(crate) const EARLY: u64 = 4;

/// Two shards by the parity of the user, a table a day.
#[derive(Debug)]
pub(crate) struct ParityAndDay;

impl ShardingStrategy for ParityAndDay {
    fn name(&self) -> &str {
        "parity-and-day"
    }
    fn shard_count(&self) -> NonZeroU16 {
        NonZeroU16::new(2).unwrap()
    }
    fn place(&self, row: &RowKey) -> Result<Placement, RouteError> {
        Ok(Placement::new(shard_of(row.user.get()), TableId::Day(row.time.day())))
    }
    fn plan(&self, _query: &ResultQuery) -> Plan {
        Plan::All
    }
    fn tables(&self, window: TimeRange) -> Vec<Placement> {
        let days = [window.start.day(), window.start.day().next(), window.end.day()];
        let on = |shard| days.map(|day| Placement::new(ShardId::new(shard), TableId::Day(day)));
        [on(0), on(1)].concat()
    }
}

pub(crate) fn shard_of(user: u64) -> ShardId {
    ShardId::new((user % 2) as u16)
}

/// One shard with one table, whose database decides grabs.
#[derive(Debug)]
pub(crate) struct OneTable;

impl ShardingStrategy for OneTable {
    fn name(&self) -> &str {
        "one-table"
    }
    fn shard_count(&self) -> NonZeroU16 {
        NonZeroU16::MIN
    }
    fn place(&self, _: &RowKey) -> Result<Placement, RouteError> {
        Ok(Placement::single(ShardId::new(0)))
    }
    fn plan(&self, _: &ResultQuery) -> Plan {
        Plan::All
    }
}

fn strategy(decided_by: DecidedBy) -> Arc<dyn ShardingStrategy> {
    match decided_by {
        DecidedBy::Gate => Arc::new(ParityAndDay),
        DecidedBy::Database => Arc::new(OneTable),
    }
}

/// The place of a row of a backend.
pub(crate) fn place(backend: &Backend, row: &CouponResult) -> Placement {
    backend.layouts.look(|versions| versions.place(&row.key())).unwrap()
}

/// The shard of a user's rows of today.
pub(crate) fn home(backend: &Backend, user: u64) -> ShardId {
    let key = RowKey { user: UserId::new(user).unwrap(), room: RoomId::new(1).unwrap(), time: now() };
    backend.layouts.look(|versions| versions.place(&key)).unwrap().shard
}

static STACK: LazyLock<Stack> = LazyLock::new(|| {
    let options = coupon_stack::StackOptions {
        shards: NonZeroU16::new(2).unwrap(),
        ..coupon_stack::StackOptions::default()
    };
    Stack::start(&options).unwrap()
});

/// The servers of the suite.
pub(crate) fn stack() -> &'static Stack {
    &STACK
}

/// The place of a test's data.
#[expect(clippy::large_enum_variant, reason = "there are two, and neither is copied")]
pub(crate) enum Bench {
    Embedded { dir: TempDir, clock: Clock, decided_by: DecidedBy },
    Servers { settings: ServersSettings, clock: Clock, decided_by: DecidedBy },
}

/// Both bulk loads take the same rows by the same calls.
macro_rules! fill {
    ($bulk:expr, $strategy:expr) => {
        let mut bulk = $bulk;
        bulk.users(&users()).unwrap();
        bulk.rooms(&rooms()).unwrap();
        bulk.coupons(&coupons()).unwrap();
        bulk.details(&details()).unwrap();
        bulk.results(history(&*$strategy)).unwrap();
        bulk.finish(&mut |_, _| {}).unwrap();
    };
}

impl Bench {
    pub(crate) fn embedded() -> Self {
        Self::on_files(DecidedBy::Gate)
    }

    pub(crate) fn on_files(decided_by: DecidedBy) -> Self {
        let (dir, strategy) = (tempfile::tempdir().unwrap(), strategy(decided_by));
        let folder = Folder::create(dir.path(), &strategy.layout(), strategy.shard_count()).unwrap();
        fill!(EmbeddedBulk::new(folder).unwrap(), strategy);
        Self::Embedded { dir, clock: Clock::starting_at(NOW.parse().unwrap()), decided_by }
    }

    pub(crate) fn servers() -> Self {
        Self::servers_with(&[])
    }

    pub(crate) fn servers_with(flags: &[&str]) -> Self {
        Self::on_servers(DecidedBy::Gate, flags)
    }

    pub(crate) fn on_servers(decided_by: DecidedBy, flags: &[&str]) -> Self {
        let (settings, strategy) = (server_settings(flags), strategy(decided_by));
        fill!(ServersBulk::begin(&settings, &*strategy, false).unwrap(), strategy);
        stored_as_of_the_past(&settings, &*strategy);
        Self::Servers { settings, clock: Clock::starting_at(NOW.parse().unwrap()), decided_by }
    }

    pub(crate) fn clock(&self) -> &Clock {
        match self {
            Self::Embedded { clock, .. } | Self::Servers { clock, .. } => clock,
        }
    }

    /// Changes main as a person would, whatever services run meanwhile.
    pub(crate) async fn edit_main(&self, sql: &str) {
        match self {
            Self::Embedded { dir, .. } => {
                let main = rusqlite::Connection::open(dir.path().join("main.sqlite")).unwrap();
                main.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
                main.execute_batch(sql).unwrap();
            }
            Self::Servers { settings, .. } => {
                let main = Cluster::new(settings, &ParityAndDay).unwrap().main;
                let mut conn = main.connect_alone().await.unwrap();
                conn.query_drop(sql).await.unwrap();
                conn.disconnect().await.unwrap();
            }
        }
    }

    /// The log lines of a coupon in main, in their order: operation, stock before and after, operator.
    pub(crate) async fn log_of(&self, coupon: u64) -> Vec<(i64, i64, i64, String)> {
        let sql = format!(
            "SELECT operation_type, stock_before, stock_after, operator FROM stock_logs WHERE coupon_id = {coupon} \
             ORDER BY log_id"
        );
        match self {
            Self::Embedded { dir, .. } => {
                let main = rusqlite::Connection::open(dir.path().join("main.sqlite")).unwrap();
                let mut statement = main.prepare(&sql).unwrap();
                let line = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
                statement.query_map([], line).unwrap().map(Result::unwrap).collect()
            }
            Self::Servers { settings, .. } => {
                let main = Cluster::new(settings, &ParityAndDay).unwrap().main;
                let mut conn = main.connect_alone().await.unwrap();
                let lines = conn.query(sql).await.unwrap();
                conn.disconnect().await.unwrap();
                lines
            }
        }
    }

    /// Changes a shard's file.
    pub(crate) fn edit_shard(&self, shard: ShardId, sql: &str) {
        match self {
            Self::Embedded { dir, .. } => {
                let file = dir.path().join(format!("shard-{}.sqlite", shard.number()));
                let shard = rusqlite::Connection::open(file).unwrap();
                shard.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
                shard.execute_batch(sql).unwrap();
            }
            Self::Servers { .. } => panic!("this is about files"),
        }
    }

    /// The settings of one that is on servers.
    pub(crate) fn settings(&self) -> &ServersSettings {
        match self {
            Self::Servers { settings, .. } => settings,
            Self::Embedded { .. } => panic!("this is about servers"),
        }
    }

    /// The flags of a service on it.
    pub(crate) fn flags(&self) -> Vec<String> {
        match self {
            Self::Embedded { dir, .. } => vec![format!("embedded.data={:?}", dir.path())],
            Self::Servers { settings, .. } => flags_of(&settings.namespace),
        }
    }

    pub(crate) fn open(&self) -> Backend {
        self.try_open().unwrap()
    }

    pub(crate) fn try_open(&self) -> anyhow::Result<Backend> {
        self.open_with(UnknownUsers::Refuse)
    }

    pub(crate) fn open_with(&self, unknown_users: UnknownUsers) -> anyhow::Result<Backend> {
        self.open_as(unknown_users, false)
    }

    /// Opens it with its room index.
    pub(crate) fn open_indexed(&self) -> anyhow::Result<Backend> {
        self.open_as(UnknownUsers::Refuse, true)
    }

    /// Makes its room index, with no service on it.
    pub(crate) fn build_room_index(&self) {
        let site = match self {
            Self::Embedded { dir, .. } => Site::Folder(dir.path().to_owned()),
            Self::Servers { settings, .. } => Site::Servers(Box::new(settings.clone())),
        };
        let build = || coupon_seeding::build_room_index(&site, None, &mut Silent);
        // It has a runtime of its own, which a thread of another cannot enter.
        std::thread::scope(|scope| scope.spawn(build).join().unwrap()).unwrap();
    }

    /// Changes a shard as a person would.
    pub(crate) async fn damage_shard(&self, shard: ShardId, sql: &str) {
        match self {
            Self::Embedded { .. } => self.edit_shard(shard, sql),
            Self::Servers { settings, .. } => {
                let cluster = Cluster::new(settings, &ParityAndDay).unwrap();
                let database = cluster.shards.get(shard.index()).unwrap();
                let mut conn = database.connect_alone().await.unwrap();
                conn.query_drop(sql).await.unwrap();
                conn.disconnect().await.unwrap();
            }
        }
    }

    fn open_as(&self, unknown_users: UnknownUsers, room_index: bool) -> anyhow::Result<Backend> {
        let (Self::Embedded { decided_by, .. } | Self::Servers { decided_by, .. }) = self;
        self.open_on(&strategy(*decided_by), *decided_by, (unknown_users, room_index))
    }

    /// Opens it with grabs decided otherwise than it was made for.
    pub(crate) fn decided_by(&self, other: DecidedBy) -> anyhow::Result<Backend> {
        let (Self::Embedded { decided_by, .. } | Self::Servers { decided_by, .. }) = self;
        self.open_on(&strategy(*decided_by), other, (UnknownUsers::Refuse, false))
    }

    fn open_on(
        &self,
        strategy: &Arc<dyn ShardingStrategy>,
        decided_by: DecidedBy,
        (unknown_users, room_index): (UnknownUsers, bool),
    ) -> anyhow::Result<Backend> {
        match self {
            Self::Embedded { dir, clock, .. } => {
                let options = embedded::Options {
                    data: dir.path().to_owned(),
                    readers: NonZeroUsize::MIN,
                    max_file_mb: 0,
                    shard_backlog: 1_000,
                    shards_prepared: NonZeroU16::MIN,
                    room_index,
                    unknown_users,
                };
                embedded::open_decided_by(decided_by, &options, Arc::clone(strategy), clock)
            }
            Self::Servers { settings, clock, .. } => {
                let options = servers::Options {
                    servers: settings.clone(),
                    workers: 1,
                    shards_prepared: std::num::NonZeroU16::MIN,
                    room_index,
                    shard_backlog: 1_000,
                    unknown_users,
                };
                servers::open_decided_by(decided_by, &options, Arc::clone(strategy), clock)
            }
        }
    }
}

/// The bulk load says by the system's clock up to when everything is stored, which is later than any time of the
/// bench's.
fn stored_as_of_the_past(settings: &ServersSettings, strategy: &dyn ShardingStrategy) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for shard in Cluster::new(settings, strategy).unwrap().shards {
            let mut conn = shard.connect_alone().await.unwrap();
            conn.query_drop("UPDATE shard_state SET as_of = 0").await.unwrap();
            conn.disconnect().await.unwrap();
        }
    });
}

/// Settings that lead to the suite's servers, under a namespace for this test alone.
pub(crate) fn server_settings(flags: &[&str]) -> ServersSettings {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let mut all = flags_of(&format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    all.extend(flags.iter().map(|flag| (*flag).to_owned()));
    let service_defaults = "listen = \"127.0.0.1:0\"".to_owned();
    let sources = Sources { flags: all, service_defaults, ..Sources::default() };
    sources.read::<NoSettings>("own").unwrap().0.servers
}

/// The flags that lead to a namespace on the suite's servers.
fn flags_of(namespace: &str) -> Vec<String> {
    let mut flags = stack().addresses().settings();
    flags.extend([
        format!("servers.namespace={namespace}"),
        "servers.reconcile_ms=300".to_owned(),
        "servers.publish_timeout_ms=1000".to_owned(),
    ]);
    flags
}

/// Runs a law as an HTTP worker would: on one thread.
pub(crate) fn run(bench: &Bench, law: impl AsyncFnOnce(&Bench)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(law(bench));
}

/// Looks again and again until it finds something; fails with what it saw last.
pub(crate) async fn eventually<T, E: std::fmt::Debug>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => {
                assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}; last: {seen:?}");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks again and again until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    eventually(what, async || holds().await.then_some(()).ok_or("it does not hold")).await;
}

/// The differences between the gate and the shards, as the auditor finds them beside services that run.
pub(crate) fn verified(bench: &Bench) -> Differences {
    // It has a runtime of its own, which a thread of another cannot enter.
    let verify = || coupon_seeding::verify_servers(bench.settings(), None, bench.clock().now()).unwrap();
    std::thread::scope(|scope| scope.spawn(verify).join().unwrap())
}

pub(crate) fn coupon_id(id: u64) -> CouponId {
    CouponId::new(id).unwrap()
}

/// A row as the pipeline would make it.
pub(crate) fn placed(user: u64, coupon: u64, room: u64, id: ResultId) -> PlacedResult {
    let user = UserId::new(user).unwrap();
    let result = CouponResult::granted(id, user, coupon_id(coupon), RoomId::new(room).unwrap());
    PlacedResult { placement: ParityAndDay.place(&result.key()).unwrap(), result }
}

/// An attempt, fixed as the pipeline fixes it.
pub(crate) fn attempt(backend: &Backend, bench: &Bench, user: u64, coupon: u64) -> Attempt {
    // Workers are numbered as they come; two of the same number are for no one.
    static WORKER: AtomicU16 = AtomicU16::new(0);
    let worker = WORKER.fetch_add(1, Ordering::Relaxed);
    let id = backend.ids.generator(bench.clock(), worker).make().unwrap();
    Attempt::plain(UserId::new(user).unwrap(), coupon_id(coupon), id)
}

/// Queries that answer reads by the strategy's plans, over a backend.
pub(crate) fn queries(backend: Backend) -> (Arc<Backend>, Queries) {
    let backend = Arc::new(backend);
    let patience = Duration::from_secs(5);
    let queries = Queries::new(Arc::clone(&backend), patience);
    (backend, queries)
}

/// Asks the gate alone.
pub(crate) async fn decide(backend: &Backend, attempts: &[Attempt]) -> Vec<Decision> {
    backend.gate.reserve(1, attempts).await.unwrap().decisions
}

/// The decision about a batch of one.
pub(crate) fn only(decided: &Decided) -> Decision {
    decided.decisions.first().copied().unwrap()
}

/// A whole grab of a coupon of room 1: what the gate granted is handed over.
pub(crate) async fn grab(backend: &Backend, bench: &Bench, user: u64, coupon: u64) -> Decision {
    let attempt = attempt(backend, bench, user, coupon);
    let decided = backend.gate.reserve(1, &[attempt]).await.unwrap();
    let decision = only(&decided);
    if decision == Decision::Granted(0) {
        let rows = vec![placed(user, coupon, 1, attempt.id)];
        backend.hand_over.hand_over(shard_of(user), decided.epoch, rows).await.unwrap();
    }
    decision
}

/// Every result of a user, wherever it is.
pub(crate) async fn held_by(backend: &Backend, user: u64) -> Vec<CouponResult> {
    let query = ResultQuery::of_user(UserId::new(user).unwrap());
    let page = PageRequest { before: None, limit: 100 };
    let visited = backend.shards.page(home(backend, user), Visit::All, query, page).await.unwrap();
    visited.value.into_iter().map(|(_, result)| result).collect()
}

pub(crate) async fn remaining(backend: &Backend, coupon: u64) -> u32 {
    backend.catalogue.coupon(coupon_id(coupon), false).await.unwrap().unwrap().0.remaining_stock
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn users() -> Vec<User> {
    let user = |id| User {
        user_id: UserId::new(id).unwrap(),
        username: format!("user{id}"),
        phone: format!("+8613800{id:06}"),
        email: format!("user{id}@example.com"),
        register_time: now(),
        last_login: None,
        user_level: UserLevel::Normal,
        is_active: true,
    };
    (1..=USERS).map(user).chain([User { is_active: false, ..user(INACTIVE) }]).collect()
}

fn rooms() -> Vec<LiveRoom> {
    let room = |id| LiveRoom {
        room_id: RoomId::new(id).unwrap(),
        room_name: format!("room {id}"),
        anchor_id: id,
        room_status: RoomStatus::Live,
        viewer_count: 10,
        start_time: now(),
        end_time: None,
        create_time: now(),
        is_hot: id == 1,
    };
    (1..=2).map(room).collect()
}

fn coupons() -> Vec<Coupon> {
    let coupon = |id, room, total| Coupon {
        coupon_id: coupon_id(id),
        room_id: RoomId::new(room).unwrap(),
        coupon_name: format!("coupon {id}, 'quoted' and 中文"),
        coupon_type: CouponKind::AmountOff,
        discount_amount: Some(Money::from_cents(2_050)),
        discount_rate: None,
        min_purchase: Money::from_cents(9_900),
        total_stock: total,
        remaining_stock: total,
        sold: 0,
        start_time: now().plus_millis(-3 * DAY),
        end_time: now().plus_millis(3 * DAY),
        create_time: now().plus_millis(-4 * DAY),
        update_time: now().plus_millis(-4 * DAY),
        status: CouponStatus::Active,
        terms: GrabTerms::default(),
    };
    vec![
        coupon(SCARCE, 1, 2),
        coupon(PLENTY, 1, 1_000),
        Coupon { end_time: now().plus_millis(-1), remaining_stock: 20, sold: 30, ..coupon(ENDED, 2, 50) },
        Coupon { start_time: now().plus_millis(DAY), ..coupon(EARLY, 2, 10) },
    ]
}

fn details() -> Vec<CouponDetails> {
    let details = |coupon: Coupon| CouponDetails {
        coupon_id: coupon.coupon_id,
        description: "Anything in the shop.".to_owned(),
        usage_rules: "Once; 100% yours \\ truly".to_owned(),
        product_range: r#"{"categories": ["tea"]}"#.to_owned(),
    };
    coupons().into_iter().map(details).collect()
}

/// The time at which the history's result of a user was grabbed.
fn grabbed(user: u64) -> Timestamp {
    now().plus_millis(-DAY - user.cast_signed() * 60_000)
}

fn history(strategy: &dyn ShardingStrategy) -> Vec<(Placement, CouponResult)> {
    let held = |user| {
        let row = placed(user, ENDED, 2, ResultId::from_parts(grabbed(user), 1_020, 0).unwrap()).result;
        (strategy.place(&row.key()).unwrap(), row)
    };
    (1..=30).rev().map(held).collect()
}
