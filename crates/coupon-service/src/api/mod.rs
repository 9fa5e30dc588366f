//! The bodies of the HTTP API, as plain data: what the server writes, clients may read with the same types.
//!
//! Ids are numbers, but `result_id` is a string: it has more bits than JSON readers keep. Times are RFC 3339, UTC,
//! with milliseconds. Amounts are numbers with two decimals. Statuses are the numbers that the tables hold.

mod archive;
mod catalogue;
mod layout;
mod shards;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use archive::*;
pub use catalogue::*;
pub use layout::*;
pub use shards::*;

/// A request for a coupon.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GrabRequest {
    /// The user who wants it.
    #[schema(example = 123)]
    pub user_id: u64,
    /// The coupon wanted.
    #[schema(example = 456)]
    pub coupon_id: u64,
    /// May be left out; if given, it must be the coupon's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 92)]
    pub room_id: Option<u64>,
    /// The caller's name for this grab: asked for again with the same one, it is the same grab, and what
    /// was granted is answered alike.
    /// Needed where the coupon's `hold_s` is above 0 or its `user_limit` above 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "cart-81", min_length = 1, max_length = 64)]
    pub request_id: Option<String>,
}

/// The decision on a grab. `grab_status` 1 is stored; 0 says why not in `fail_reason`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GrabResponse {
    /// The user who asked.
    pub user_id: u64,
    /// For which coupon.
    pub coupon_id: u64,
    /// The coupon's room.
    pub room_id: u64,
    /// 1: the user has it; 0: see `fail_reason`.
    pub grab_status: u8,
    /// `out_of_stock`, `duplicate` or `invalid_time`.
    pub fail_reason: Option<String>,
    /// The stored result; for a duplicate, the first of those that the user has already.
    pub result_id: Option<String>,
    /// The time at which the grab was fixed.
    pub grab_time: Option<String>,
    /// The state that the result began with: `owned`, or `held` until it is confirmed. Null if the grab got nothing.
    pub state: Option<String>,
    /// The moment until which it can be confirmed; null unless it began as `held`.
    pub hold_until: Option<String>,
}

/// The shards and tables that answered a read.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema, PartialEq, Eq)]
pub struct PlanView {
    /// The shards visited.
    pub shards: Vec<u16>,
    /// Number of tables visited on them.
    pub tables: u64,
    /// True while rows are moved from where an earlier version of the layout put them; left out otherwise. Counts and sums may
    /// then be off by the rows that are under way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moving: bool,
}

/// A stored result.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema, PartialEq)]
pub struct ResultView {
    /// Unique over all shards, ordered by time.
    pub result_id: String,
    /// The user who grabbed.
    pub user_id: u64,
    /// The coupon.
    pub coupon_id: u64,
    /// In which room.
    pub room_id: u64,
    /// Always 1: only grabs that got their coupon are stored.
    pub grab_status: u8,
    /// Always null, for the same reason.
    pub fail_reason: Option<String>,
    /// The time of the grab.
    pub grab_time: String,
    /// 1 once spent.
    pub use_status: u8,
    /// The time of its use.
    pub use_time: Option<String>,
    /// The order's amount.
    pub order_amount: Option<f64>,
    /// `held`, `owned`, `used`, `returned`, `released` or `expired`; the last three gave their stock back.
    pub state: String,
    /// The moment until which it is, or was, held; null if it was the user's at once.
    pub hold_until: Option<String>,
}

/// A page of results, latest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ResultPage {
    /// The results.
    pub items: Vec<ResultView>,
    /// Give this as `cursor` to go on; null at the end.
    pub next_cursor: Option<String>,
    /// True when a shard did not answer: the page may be short.
    pub partial: bool,
    /// The shards that did not answer.
    pub missing_shards: Vec<u16>,
    /// Every grab acknowledged before this moment is included.
    pub as_of: String,
    /// The shards and tables that answered.
    pub plan: PlanView,
}

/// The place of a result.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema, PartialEq, Eq)]
pub struct PlaceView {
    /// The shard.
    pub shard: u16,
    /// The table on it.
    pub table: String,
}

/// One result.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ResultAnswer {
    /// The result.
    pub result: ResultView,
    /// The place where it was found. A step leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceView>,
    /// The shards and tables that answered.
    pub plan: PlanView,
}

/// The remaining stock of a coupon by the gate's count: exact, not trailing.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StockView {
    /// The coupon.
    pub coupon_id: u64,
    /// The number of coupons in all.
    pub total_stock: u32,
    /// The number left.
    pub remaining_stock: u32,
    /// The number held: stored, or about to be.
    pub sold: u32,
    /// The time at which the gate was asked.
    pub as_of: String,
}

/// A coupon; `details` only when asked for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CouponView {
    /// The coupon.
    pub coupon_id: u64,
    /// Its room.
    pub room_id: u64,
    /// Its name.
    pub coupon_name: String,
    /// 1 amount off, 2 percentage, 3 no threshold.
    pub coupon_type: u8,
    /// Amount off, if it is one.
    pub discount_amount: Option<f64>,
    /// Percent off, if it is one.
    pub discount_rate: Option<u8>,
    /// From what purchase on it may be used.
    pub min_purchase: f64,
    /// The number of coupons in all.
    pub total_stock: u32,
    /// The number left by the main database's count: trails the grabs a little.
    pub remaining_stock: u32,
    /// From when it can be grabbed.
    pub start_time: String,
    /// Until when it can be grabbed.
    pub end_time: String,
    /// The time at which it was made.
    pub create_time: String,
    /// The time at which its stock last changed.
    pub update_time: String,
    /// 1 on offer, 0 withdrawn.
    pub status: u8,
    /// The seconds for which a grab is held, to be confirmed; 0: it is the user's at once.
    pub hold_s: u32,
    /// The number of these coupons that one user may have at a time.
    pub user_limit: u8,
    /// True if users may hand back what they own.
    pub returnable: bool,
    /// The wide half, kept in a table apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<CouponDetailsView>,
}

/// The wide half of a coupon.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CouponDetailsView {
    /// Its description.
    pub description: String,
    /// The rules of its use.
    pub usage_rules: String,
    /// The products that it may be used for.
    pub product_range: serde_json::Value,
}

/// The coupons of a room.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RoomCoupons {
    /// The room.
    pub room_id: u64,
    /// Its coupons, by id.
    pub items: Vec<CouponView>,
    /// Give this as `cursor` to go on; null at the end.
    pub next_cursor: Option<String>,
}

/// The sales of a room.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RoomStats {
    /// The room.
    pub room_id: u64,
    /// Number of results stored for it, whatever became of them: also of those that gave their stock back.
    pub results: u64,
    /// The latest of them.
    pub last_grab_time: Option<String>,
    /// True when a shard did not answer: the figures may be short.
    pub partial: bool,
    /// The shards that did not answer.
    pub missing_shards: Vec<u16>,
    /// Every grab acknowledged before this moment is included.
    pub as_of: String,
    /// Age of the answer in milliseconds: above 0 only when it came from the cache.
    pub age_ms: u64,
    /// The shards and tables that answered: none when it came from the cache.
    pub plan: PlanView,
}

/// Sums over every shard.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GlobalStatistics {
    /// Results stored, whatever became of them.
    pub results: u64,
    /// Number of them that were spent.
    pub used: u64,
    /// Number of them that gave their stock back: released, returned or expired.
    pub given_back: u64,
    /// Sum of the orders' amounts.
    pub order_amount: f64,
    /// The same, shard by shard.
    pub shards: Vec<ShardStatistics>,
    /// True for a scatter now, false for the aggregates that writers keep.
    pub exact: bool,
    /// True when a shard did not answer: the sums are short.
    pub partial: bool,
    /// The shards that did not answer.
    pub missing_shards: Vec<u16>,
    /// Every grab acknowledged before this moment is included.
    pub as_of: String,
    /// The shards and tables that answered.
    pub plan: PlanView,
}

/// One shard's part of [`GlobalStatistics`].
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ShardStatistics {
    /// The shard.
    pub shard: u16,
    /// Results stored there, whatever became of them.
    pub results: u64,
    /// Number of them that were spent.
    pub used: u64,
    /// Number of them that gave their stock back.
    pub given_back: u64,
    /// Sum of the orders' amounts.
    pub order_amount: f64,
}

/// A request to confirm, release or return a result.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StepRequest {
    /// The user whose result it is.
    #[schema(example = 123)]
    pub user_id: u64,
    /// The result.
    #[schema(example = "912345678901234567")]
    pub result_id: String,
}

/// A request to spend a coupon.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UseRequest {
    /// The user whose result it is.
    #[schema(example = 123)]
    pub user_id: u64,
    /// The result that says so.
    #[schema(example = "912345678901234567")]
    pub result_id: String,
    /// The order's amount, with two decimals at most.
    #[schema(example = 59.9, minimum = 0, maximum = 1_000_000_000, multiple_of = 0.01)]
    pub order_amount: f64,
}

/// The service's work since it started, and its data set.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AdminStats {
    /// `hash-svc`, `range-svc`, …
    pub service: String,
    /// `debug` or `release`, as the program was built: the times of the one are not those of the other.
    #[serde(default)]
    pub build: String,
    /// The strategy's name.
    pub strategy: String,
    /// Every parameter that decides where a row lives.
    pub layout: String,
    /// Number of shards.
    pub shards: u16,
    /// `embedded` or `servers`.
    pub backend: String,
    /// The data set's id.
    pub dataset: String,
    /// Embedded: the data folder, as an absolute path.
    pub data: Option<String>,
    /// Servers: what its databases, keys and queues are called by.
    pub namespace: Option<String>,
    /// The process.
    pub pid: u32,
    /// HTTP workers.
    pub workers: usize,
    /// Seconds since it started.
    pub uptime_s: f64,
    /// CPU seconds the whole process has used; null where the system does not say.
    pub cpu_seconds: Option<f64>,
    /// Resident memory in bytes; null where the system does not say.
    pub memory_bytes: Option<u64>,
    /// Grabs by outcome.
    pub grabs: GrabCounts,
    /// Batches through the gate.
    pub batches: u64,
    /// Grabs a batch, on average; null before the first.
    pub mean_batch: Option<f64>,
    /// The version of the catalogue that this process works by: how many times it was changed.
    pub catalogue_version: u64,
    /// Outbox entries that the main database has not applied.
    pub main_lag_entries: u64,
    /// Results parked because they contradict what is stored.
    pub parked: u64,
    /// Coupons whose row in the main database makes no sense, or has no room for what was sold. All others go on.
    pub set_aside: usize,
    /// The first hundred of them.
    pub set_aside_coupons: Vec<SetAsideCoupon>,
    /// Reservations that had not reached their shard, and were found and handed over again by this process.
    pub reconciled: u64,
}

/// A coupon whose row in the main database makes no sense.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SetAsideCoupon {
    /// The coupon, as the main database has it.
    pub coupon_id: i64,
    /// The fault in it.
    pub reason: String,
}

/// Grabs by outcome, since the service started.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct GrabCounts {
    /// Acknowledged: stored.
    pub granted: u64,
    /// Requests asked for again that got the answer of their first time.
    pub repeated: u64,
    /// None left.
    pub out_of_stock: u64,
    /// The user had as many as one may.
    pub duplicate: u64,
    /// Outside the window.
    pub invalid_time: u64,
    /// Answered 503.
    pub unavailable: u64,
}

/// The answer to a request to wait until everything handed over so far is stored and applied to main.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Drained {
    /// Always true: what cannot be drained answers 503.
    pub drained: bool,
    /// Time that it took, in milliseconds.
    pub waited_ms: u64,
}

/// An error, as RFC 9457 has it (`application/problem+json`).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ProblemDetails {
    /// A relative reference that names the kind of error.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of error, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The fault of this request.
    pub detail: String,
    /// The field that was wrong, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The request's id in the service's log and in traces; the header `x-request-id` says the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}
