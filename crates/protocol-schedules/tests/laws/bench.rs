//! Servers for one law: in memory, and real ones.

use std::num::NonZeroU16;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use coupon_core::{
    CouponId, CouponResult, GateCount, GrabTerms, Money, Placement, Plan, RequestKey, ResultId, ResultQuery,
    ResultState, RoomId, RouteError, RowKey, ShardId, ShardingStrategy, Timestamp, UserId,
};
use coupon_servers::seam::{Hold, Servers, Terms};
use coupon_stack::{Stack, Topology};
use coupon_store::Known;
use coupon_store::clock::Clock;
use coupon_store::settings::{DecidedBy, NoSettings, Sources};
use protocol_schedules::ByUser;
use protocol_schedules::memory::{State, reach};
use protocol_schedules::world::{ProcessId, World};
use tokio::runtime::Builder;

/// The longest that a law waits for something that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const SHARDS: u16 = 2;

static STACK: LazyLock<Stack> = LazyLock::new(|| {
    let shards = NonZeroU16::new(SHARDS).unwrap();
    Stack::start(&Topology { shards, ..Topology::default() }.into()).unwrap()
});

/// Holds servers in memory to a law.
pub(crate) fn in_memory(law: impl AsyncFnOnce(&Servers)) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let terms = [terms(1, 10)];
        let world = World::new(1, State::new(SHARDS, GateCount::ONE, &terms), false);
        let users = (1..=20).map(|id| UserId::new(id).unwrap());
        let known = Known::offering(users, [terms[0].room], &terms);
        law(&reach(&world, ProcessId(0), known, SHARDS)).await;
    });
}

/// Holds real servers to a law, on a data set of its own.
pub(crate) fn on_servers(law: impl AsyncFnOnce(&Servers)) {
    on(DecidedBy::Gate, &ByUser::First, law);
}

/// Holds a database that decides grabs, and what is in the place of queues, to a law.
pub(crate) fn in_a_database(law: impl AsyncFnOnce(&Servers)) {
    on(DecidedBy::Database, &OneTable, law);
}

/// One shard with one table.
#[derive(Debug)]
struct OneTable;

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

fn on(decided_by: DecidedBy, strategy: &dyn ShardingStrategy, law: impl AsyncFnOnce(&Servers)) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let mut flags = STACK.addresses().settings();
    flags.push(format!("servers.namespace=law{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    let service_defaults = "listen = \"127.0.0.1:0\"".to_owned();
    let sources = Sources { flags, service_defaults, ..Sources::default() };
    let settings = sources.read::<NoSettings>("own").unwrap().0.servers;
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = Clock::system();
        let servers =
            coupon_servers::connect_decided_by(decided_by, &settings, strategy, &clock).await.unwrap();
        law(&servers).await;
    });
}

/// A moment that every law speaks of.
pub(crate) fn noon() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

pub(crate) fn coupon(id: u64) -> CouponId {
    CouponId::new(id).unwrap()
}

pub(crate) fn user(id: u64) -> UserId {
    UserId::new(id).unwrap()
}

/// The id of a grab so many milliseconds after noon.
pub(crate) fn id(after_ms: i64) -> ResultId {
    ResultId::from_parts(noon().plus_millis(after_ms), 1, 0).unwrap()
}

pub(crate) fn result(user_id: u64, after_ms: i64) -> CouponResult {
    CouponResult::granted(id(after_ms), user(user_id), coupon(1), RoomId::new(1).unwrap())
}

/// A result that is held until so many milliseconds after noon, in a slot, of a named request.
pub(crate) fn held(user_id: u64, after_ms: i64, slot: u8, until_ms: i64) -> CouponResult {
    let hold_until = Some(noon().plus_millis(until_ms));
    let request = Some(request(after_ms));
    let state = ResultState::Held;
    CouponResult { state, slot: Some(slot), hold_until, request, ..result(user_id, after_ms) }
}

/// A row as a gate knows it.
pub(crate) fn hold_of(row: &CouponResult) -> Hold {
    Hold {
        coupon: row.coupon_id.get(),
        user: row.user_id.get(),
        id: row.result_id.number(),
        slot: row.slot.unwrap_or(0),
        hold_until: row.hold_until,
        request: row.request,
        given_back: if row.slot.is_some() { None } else { row.state_time },
    }
}

/// The request of a grab so many milliseconds after noon.
pub(crate) fn request(after_ms: i64) -> RequestKey {
    RequestKey::of(&after_ms.to_string())
}

/// A coupon that can be grabbed for an hour from noon on.
pub(crate) fn terms(id: u64, total: u32) -> Terms {
    Terms {
        coupon: coupon(id),
        room: RoomId::new(1).unwrap(),
        total,
        taken_back: 0,
        start: noon(),
        end: noon().plus_millis(3_600_000),
        active: true,
        min_purchase: Money::default(),
        grab: GrabTerms::default(),
    }
}
