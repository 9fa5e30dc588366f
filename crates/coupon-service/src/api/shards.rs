//! The state of the shards, and what is hot.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Every shard's state and work.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ShardsStatus {
    /// The shards, in order.
    pub shards: Vec<ShardStatus>,
    /// Rows stored in all ÷ the fullest shard's rows, of the shards that the layout uses; null without rows.
    pub effective_shards: Option<f64>,
    /// The fullest shard's rows ÷ a fair share, of the shards that the layout uses; null without rows.
    pub skew: Option<f64>,
    /// The rooms, coupons and users that results were handed over of in the last minute.
    pub hot: HotResults,
}

/// One shard's state and work.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ShardStatus {
    /// The shard.
    pub shard: u16,
    /// True if it answers.
    pub up: bool,
    /// Why it is not up, as far as that is known; null where it is.
    pub trouble: Option<String>,
    /// Results stored there.
    pub rows: u64,
    /// Part of all results, 0 to 1; null when there are none.
    pub share: Option<f64>,
    /// Results written: since the service started or, on servers, in all.
    pub rows_written: u64,
    /// Transactions committed, likewise.
    pub commits: u64,
    /// Results written a second, over the last whole seconds; null in the first second.
    pub writes_per_s: Option<f64>,
    /// Results handed over and not in their table yet.
    pub queue_depth: u64,
    /// Milliseconds a commit took, from hand-over.
    pub write_ms: Option<Percentiles>,
    /// Milliseconds a read took on this shard.
    pub read_ms: Option<Percentiles>,
    /// Open connections.
    pub connections: u64,
    /// CPU seconds spent on this shard's reads and writes; null: see `unavailable`.
    pub cpu_seconds: Option<f64>,
    /// Bytes this shard's writer has sent to storage; null: see `unavailable`.
    pub bytes_written: Option<u64>,
    /// For every figure that is null because it cannot be read: why.
    pub unavailable: Vec<String>,
}

/// A spread of latencies, in milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Percentiles {
    /// Number of requests measured.
    pub count: u64,
    /// Half were faster.
    pub p50: f64,
    /// 90% were faster.
    pub p90: f64,
    /// 99% were faster.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}

/// Hot keys: counts of the last minute's results, as far as this process handed them over. On servers every process answers for
/// itself: counts of several add up.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct HotResults {
    /// The seconds that the counts reach back: from 50 to 60, or less since the service started.
    pub seconds: f64,
    /// Results of that time: grabs that were granted and are known to be safe. On files they are stored, on servers their queue has them.
    pub results: u64,
    /// The rooms.
    pub rooms: HotKeys,
    /// The coupons.
    pub coupons: HotKeys,
    /// The users.
    pub users: HotKeys,
}

/// The keys of one kind that have the most results. Memory is bounded: where there are more than some hundreds of them, counts may
/// be too low, and none is named that might have less than one that was forgotten.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct HotKeys {
    /// The most by which a count is too low: 0.35% of all results, or less.
    pub error: u64,
    /// Ten of them at most, the one with the most results first.
    pub top: Vec<HotKey>,
}

/// A room, a coupon or a user with many results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HotKey {
    /// The room, coupon or user.
    pub id: u64,
    /// Its results: so many at least.
    pub results: u64,
    /// Their part of all, 0 to 1.
    pub share: f64,
}
