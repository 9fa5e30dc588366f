//! The keys that were grabbed, over time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys of the grabs that were granted, as the load generator knows them: what was hot, and when. Rounds are laid on one
/// another, so a moment is one after the start of each.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Heat {
    /// Grabs that were granted.
    pub granted: u64,
    /// The rooms with the most of them, the hottest first; ten at most, each with 1 % or more.
    pub hot_rooms: Vec<HotKey>,
    /// The coupons, likewise.
    pub hot_coupons: Vec<HotKey>,
    /// The users, likewise: of many who are all alike none.
    pub hot_users: Vec<HotKey>,
    /// Over time, by room.
    pub rooms: HeatMap,
    /// By the user's slot, of 16,384: what a hash of the user spreads.
    pub user_slots: HeatMap,
    /// By day (UTC): what a range of time puts together.
    pub days: HeatMap,
}

/// A room, a coupon or a user with many grabs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HotKey {
    /// The room, coupon or user.
    pub id: u64,
    /// Its grabs: so many at least. Where there are more than 3,000 of its kind, it may be more by 0.09 % of all grabs.
    pub granted: u64,
    /// Their part of all.
    pub share: f64,
}

/// Grabs by range of a key and by time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeatMap {
    /// Seconds that a step takes.
    pub step_s: f64,
    /// The ranges, all alike wide, from the lowest keys to the highest that came; 32 at most.
    pub ranges: Vec<HeatRange>,
}

/// One range of keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeatRange {
    /// Its keys, such as `4–7`.
    pub name: String,
    /// Grabs granted in each step of time, from the start; 60 steps at most, as many for each range.
    pub granted: Vec<u64>,
}

impl HeatMap {
    /// The most in any range and step.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.ranges.iter().flat_map(|range| &range.granted).copied().max().unwrap_or(0)
    }

    /// The number of steps.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.ranges.first().map_or(0, |range| range.granted.len())
    }
}
