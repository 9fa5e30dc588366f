//! Models, schema and the sharding trait of a flash-sale coupon system.
//!
//! This crate decides *where* a row lives and *which* places a query must visit. It does no I/O, reads no
//! clock and takes no lock, so a strategy can be tested, simulated and explained without a database.
//!
//! A new strategy implements [`ShardingStrategy`] and hands itself to [`laws::check`]:
//!
//! ```
//! use std::num::NonZeroU16;
//! use coupon_core::{laws, Placement, Plan, ResultQuery, RouteError, RowKey, ShardId, ShardingStrategy};
//!
//! /// Everything on one shard: the baseline that asks whether shards are needed at all.
//! #[derive(Debug)]
//! struct Single;
//!
//! impl ShardingStrategy for Single {
//!     fn name(&self) -> &str {
//!         "single"
//!     }
//!     fn shard_count(&self) -> NonZeroU16 {
//!         NonZeroU16::MIN
//!     }
//!     fn place(&self, _row: &RowKey) -> Result<Placement, RouteError> {
//!         Ok(Placement::single(ShardId::new(0)))
//!     }
//!     fn plan(&self, _query: &ResultQuery) -> Plan {
//!         Plan::One(Placement::single(ShardId::new(0)))
//!     }
//! }
//!
//! laws::check(&Single, 7).unwrap();
//! ```

pub mod after_grab;
pub mod books;
pub mod catalogue_change;
mod gates;
mod id;
mod keyspace;
pub mod laws;
mod layout;
mod layout_change;
mod model;
mod money;
mod placement;
mod query;
pub mod random;
mod result_id;
mod rooms;
pub mod schema;
mod slots;
mod stats;
mod strategy;
mod time;
mod versions;

pub use after_grab::{RequestKey, ResultState};
pub use gates::{GateCount, GateCountError, GateId, PerGate};
pub use id::{CouponId, IdError, MAX_ID, RoomId, UserId};
pub use keyspace::{KeyRange, KeyRangeError, KeyspaceId, LaneKey, Lanes};
pub use layout::{LayoutPattern, Piece, shards_in};
pub use layout_change::{LayoutChange, LayoutChangeError};
pub use model::{
    Coupon, CouponDetails, CouponKind, CouponResult, CouponStatus, FailReason, GrabStatus, GrabTerms,
    LiveRoom, RoomStatus, StockLog, StockOperation, UnknownCode, UseStatus, User, UserLevel,
};
pub use money::Money;
pub use placement::{Placement, ShardId, TableId};
pub use query::{Place, Plan, ResultQuery, Whole};
pub use result_id::{RESULT_ID_EPOCH, ResultId, ResultIdError};
pub use rooms::RoomCounts;
pub use slots::{Mix, SLOTS, SlotTable, UnknownMix, evened};
pub use stats::ShardingStats;
pub use strategy::{Growth, RouteError, RowKey, ShardingStrategy};
pub use time::{Day, Hour, TimeError, TimeRange, Timestamp};
pub use versions::{LayoutVersion, VersionNumber, Versioned, VersionsError, VisitRound};
