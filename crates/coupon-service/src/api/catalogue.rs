//! The bodies of operators' changes of the catalogue, and of the lists that they look at.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A room to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NewRoomRequest {
    /// Its id, which the caller chooses.
    #[schema(example = 11)]
    pub room_id: u64,
    /// Its name.
    #[schema(example = "Tea at eight", min_length = 1, max_length = 128)]
    pub room_name: String,
    /// The person in it.
    #[schema(example = 7, minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub anchor_id: u64,
    /// 0 not started, 1 live, as when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1)]
    pub room_status: Option<u8>,
    /// The time at which it begins.
    #[schema(format = DateTime, example = "2026-12-01T20:00:00Z")]
    pub start_time: String,
    /// True if many are expected there; false if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_hot: Option<bool>,
}

/// A coupon to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NewCouponRequest {
    /// Its id, which the caller chooses.
    #[schema(example = 1_001)]
    pub coupon_id: u64,
    /// The room in which it is offered.
    #[schema(example = 1)]
    pub room_id: u64,
    /// Its name.
    #[schema(example = "20 off", min_length = 1, max_length = 128)]
    pub coupon_name: String,
    /// 1 amount off, 2 percentage, 3 no threshold.
    #[schema(example = 1, minimum = 1, maximum = 3)]
    pub coupon_type: u8,
    /// Amount off; needed unless it is a percentage, and left out then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 20.0, minimum = 0, maximum = 1_000_000_000, multiple_of = 0.01)]
    pub discount_amount: Option<f64>,
    /// Percent off; needed if it is a percentage, and left out otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub discount_rate: Option<u8>,
    /// From what purchase on it may be used; 0 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 99.0, minimum = 0, maximum = 1_000_000_000, multiple_of = 0.01)]
    pub min_purchase: Option<f64>,
    /// The number of coupons in all.
    #[schema(example = 1_000, minimum = 0, maximum = 2_147_483_647)]
    pub total_stock: u32,
    /// From when it can be grabbed.
    #[schema(format = DateTime, example = "2026-12-01T20:00:00Z")]
    pub start_time: String,
    /// Until when it can be grabbed.
    #[schema(format = DateTime, example = "2026-12-01T21:00:00Z")]
    pub end_time: String,
    /// 1 on offer, as when not given; 0 withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1)]
    pub status: Option<u8>,
    /// The seconds for which a grab is held, to be confirmed; 0, as when not given: it is the user's at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 2_592_000)]
    pub hold_s: Option<u32>,
    /// The number of these coupons that one user may have at a time; 1 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub user_limit: Option<u8>,
    /// True if users may hand back what they own; false if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returnable: Option<bool>,
    /// The wide half; none if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<NewCouponDetails>,
}

/// The wide half of a coupon to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NewCouponDetails {
    /// Its description.
    pub description: String,
    /// The rules of its use.
    pub usage_rules: String,
    /// The products that it may be used for, an object.
    #[schema(value_type = Object)]
    pub product_range: serde_json::Map<String, serde_json::Value>,
}

/// A change of a coupon: of each field that is given, and of no other. `hold_s`, `user_limit` and `returnable` concern grabs,
/// and hand-backs, from then on.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct CouponChangeRequest {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    pub coupon_name: Option<String>,
    /// Amount off, unless it is a percentage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1_000_000_000, multiple_of = 0.01)]
    pub discount_amount: Option<f64>,
    /// Percent off, if it is a percentage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub discount_rate: Option<u8>,
    /// From what purchase on it may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1_000_000_000, multiple_of = 0.01)]
    pub min_purchase: Option<f64>,
    /// The number of coupons in all. Below what is sold, nothing more is sold, and no user loses theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 1_500, minimum = 0, maximum = 2_147_483_647)]
    pub total_stock: Option<u32>,
    /// From when it can be grabbed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub start_time: Option<String>,
    /// Until when it can be grabbed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub end_time: Option<String>,
    /// 1 on offer, 0 withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1)]
    pub status: Option<u8>,
    /// The seconds for which a grab is held, to be confirmed; 0: it is the user's at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 2_592_000)]
    pub hold_s: Option<u32>,
    /// The number of these coupons that one user may have at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub user_limit: Option<u8>,
    /// True if users may hand back what they own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returnable: Option<bool>,
    /// Of the wide half, what is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<CouponDetailsChange>,
}

/// A change of the wide half of a coupon.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct CouponDetailsChange {
    /// Its description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The rules of its use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_rules: Option<String>,
    /// The products that it may be used for, an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub product_range: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Users to be added, from 1 to 10,000, each of them once. Those that exist already stay as they are.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NewUsersRequest {
    /// The users.
    #[schema(min_items = 1, max_items = 10_000)]
    pub users: Vec<NewUserRequest>,
}

/// A user to be added.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NewUserRequest {
    /// The user.
    #[schema(example = 100_001)]
    pub user_id: u64,
    /// The user's name; `user` and the id if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    pub username: Option<String>,
    /// The number of a telephone; empty if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 20)]
    pub phone: Option<String>,
    /// An address; empty if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub email: Option<String>,
    /// 1 normal, as when not given; 2 VIP, 3 SVIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3)]
    pub user_level: Option<u8>,
    /// False for one who may not grab; true if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}

/// A change of the catalogue that the main database has.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CatalogueChanged {
    /// The version of the catalogue with it.
    pub version: u64,
    /// False if it was so already: nothing was written.
    pub changed: bool,
    /// Users who were new; 0 for any other change.
    pub added: usize,
    /// True if the gate enforces it: no grab is decided any more by what was before. False while the gate is shut; it opens
    /// with it.
    pub gate: bool,
    /// Processes that live and had not confirmed the version within 2 s: for a moment longer they may show what was before, and
    /// not know what is new.
    pub unconfirmed: Vec<String>,
    /// The part of its life that the coupon is in now: `early`, `open`, `over` or `withdrawn`; null for a change of no coupon, or
    /// where the main database did not answer.
    pub phase: Option<String>,
    /// Time that it took, in milliseconds.
    pub waited_ms: u64,
}

/// A coupon as it sells.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OfferView {
    /// The coupon.
    pub coupon_id: u64,
    /// Its name.
    pub coupon_name: String,
    /// Its room.
    pub room_id: u64,
    /// `early`, `open`, `over` or `withdrawn`, by the main database's time.
    pub phase: String,
    /// 1 on offer, 0 withdrawn.
    pub status: u8,
    /// From when it can be grabbed.
    pub start_time: String,
    /// Until when it can be grabbed.
    pub end_time: String,
    /// The number of coupons in all.
    pub total_stock: u32,
    /// The number that users have, or are about to: those held included. May be above the total, if that was lowered.
    pub sold: u32,
    /// The number of those that are held, to be confirmed.
    pub held: u64,
    /// The number left.
    pub left: u32,
    /// True if the gate could not be asked: `sold` and `left` are the main database's, and trail the grabs.
    pub trailing: bool,
}

/// Coupons as they sell.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OfferPage {
    /// The coupons, by id.
    pub items: Vec<OfferView>,
    /// Give this as `cursor` to go on; null at the end.
    pub next_cursor: Option<String>,
    /// True when a shard did not answer: what is held there is not counted.
    pub partial: bool,
    /// The shards that did not answer.
    pub missing_shards: Vec<u16>,
}

/// The latest changes of the catalogue.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ChangeList {
    /// The changes, the last first.
    pub items: Vec<ChangeView>,
}

/// A change of the catalogue, as it was recorded.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ChangeView {
    /// The version of the catalogue with it.
    pub version: u64,
    /// The time of it.
    pub time: String,
    /// The name of the operator who made it.
    pub operator: String,
    /// The change, in words.
    pub what: String,
    /// The coupon that it was about, if any.
    pub coupon_id: Option<u64>,
    /// The room that it was about, if any.
    pub room_id: Option<u64>,
}
