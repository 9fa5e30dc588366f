//! Sharding by an engine: a result lives where the engine's own hash of its user puts it, on whichever shard has that part of the
//! keyspace now.
//!
//! What is decided here is the lane, which is handed over to and never changes. Everything about one user is in one lane, so a
//! query about a user visits one; every other query is one visit that the engine plans.

use std::num::NonZeroU16;
use std::sync::Arc;

use anyhow::Context as _;
use coupon_core::{
    KeyspaceId, Lanes, LayoutChange, LayoutChangeError, LayoutPattern, Piece, Placement, Plan, ResultQuery,
    RouteError, RowKey, ShardingStrategy, UserId, Whole,
};
use coupon_service::{AnyProgram as _, NoSettings, Program};

/// The service whose shards an engine has.
pub static PROGRAM: Program<NoSettings> = Program {
    name: "engine-svc",
    listen: "127.0.0.1:8006",
    section: "engine",
    strategy: |_, shards| {
        let lanes = Lanes::new(shards).with_context(|| {
            format!("setting `shards` must be 1, 2, 4, 8 or so on, up to 256, for an engine's lanes, and not {shards}")
        })?;
        Ok(Arc::new(EngineSharding::new(lanes)))
    },
    open: coupon_service::open_in_engine,
};

/// Places a result in the lane of its user.
#[derive(Debug, Clone)]
pub struct EngineSharding {
    lanes: Lanes,
}

impl EngineSharding {
    /// The line that names its layout. Its shards are the lanes: as many as the engine may ever have shards.
    pub const LAYOUT: LayoutPattern = LayoutPattern(&[Piece::Text("lanes by an engine's xxhash of user_id")]);

    /// Spreads users over these lanes.
    #[must_use]
    pub const fn new(lanes: Lanes) -> Self {
        Self { lanes }
    }

    fn home(&self, user: UserId) -> Placement {
        Placement::single(self.lanes.of_user(user))
    }
}

impl ShardingStrategy for EngineSharding {
    fn name(&self) -> &str {
        "engine"
    }

    fn shard_count(&self) -> NonZeroU16 {
        self.lanes.count()
    }

    fn whole(&self) -> Whole {
        Whole::Planned(self.lanes.count())
    }

    fn place(&self, row: &RowKey) -> Result<Placement, RouteError> {
        Ok(self.home(row.user))
    }

    fn plan(&self, query: &ResultQuery) -> Plan {
        query.user.map_or(Plan::All, |user| Plan::One(self.home(user)))
    }

    fn changed(&self, change: &LayoutChange) -> Result<Arc<dyn ShardingStrategy>, LayoutChangeError> {
        Err(match change {
            LayoutChange::Shards(shards) => {
                LayoutChangeError::OfEngine { strategy: self.name().to_owned(), shards: *shards }
            }
            other => other.is_not_of(self.name()),
        })
    }

    fn layout(&self) -> String {
        Self::LAYOUT.line(&[], self.shard_count())
    }

    fn of_layout(&self, line: &str) -> Option<Arc<dyn ShardingStrategy>> {
        PROGRAM.of_layout(&[Self::LAYOUT], &[], line)
    }

    fn explain(&self, row: &RowKey) -> Vec<String> {
        let (id, home, lanes) = (KeyspaceId::of(row.user.get()), self.home(row.user), self.shard_count());
        let mut steps = vec![
            format!("keyspace id = xxhash(user_id {}) = {id}", row.user),
            format!("lane = its first byte / (256 / {lanes}) = {}", home.shard),
        ];
        steps.extend(self.lanes.key(home.shard).map(|key| {
            format!(
                "table {} of the shard that has keyspace id {key}: the engine knows which it is",
                home.table
            )
        }));
        steps
    }
}
