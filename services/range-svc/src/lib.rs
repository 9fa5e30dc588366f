//! Range sharding: a result lives where its time, or its room, falls.
//!
//! Neighbours live together, so a query over a range visits few places; whatever is hot lives together too, and
//! that is the price. The cures are settings: unequal boundaries, `spread`, hour buckets.

mod room;
mod settings;
mod spread;
mod time;

use coupon_service::Program;

pub use room::{Boundary, BoundaryError, PlacedRange, PlacedRanges, RoomRangeSharding, RoomRanges};
pub use settings::{By, RangeSettings, RangeSettingsError};
pub use spread::Spread;
pub use time::{Bucket, TimeRangeSharding};

/// The service that shards by ranges of time or of rooms.
pub static PROGRAM: Program<RangeSettings> = Program {
    name: "range-svc",
    listen: "127.0.0.1:8002",
    section: "range",
    strategy: |settings, shards| Ok(settings.strategy(shards)?),
    open: coupon_service::open,
};

/// The most tables of a plan; beyond, it says "all": shards find out better which of them exist.
const LONGEST_PLAN: usize = 4_096;
