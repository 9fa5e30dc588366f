//! The layout, its changes, and the movement of rows, as operators see them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The layout, with all versions that it ever had.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LayoutView {
    /// Number of shards that the latest version spreads rows over.
    pub shards: u16,
    /// Number of shards that this process has opened: so many may be used without a restart.
    pub shards_prepared: u16,
    /// Shards that an earlier version used, and none does any more: no version has rows there. Services still open them, so their
    /// databases must stay.
    pub unused: Vec<u16>,
    /// The versions, from the first on.
    pub versions: Vec<LayoutVersionView>,
    /// The last movement of rows; null before the first.
    pub rebalance: Option<RebalanceView>,
}

/// A version of the layout.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema, PartialEq, Eq)]
pub struct LayoutVersionView {
    /// Its number, counted from 1.
    pub version: u32,
    /// The time of the first grab whose result is written where it says; the first version has all before, too.
    pub valid_from: String,
    /// Its layout, in one line.
    pub layout: String,
    /// True once that time has come.
    pub in_force: bool,
    /// True once earlier rows are being moved to where it says.
    pub receives: bool,
    /// True once no row is left where it said.
    pub closed: bool,
    /// The time at which it was announced.
    pub announced_at: String,
    /// The operator who announced it.
    pub operator: String,
    /// The change, in words.
    pub what: String,
}

/// A change of the layout: exactly one of `shards`, `split`, `spread` and `undo`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct LayoutChangeRequest {
    /// Go on over so many shards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 8, minimum = 1, maximum = 65_535)]
    pub shards: Option<u16>,
    /// Give each of these rooms, the hottest first, a range of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 1_000)]
    pub split: Option<Vec<u64>>,
    /// Spread each range over so many shards, by user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 65_535)]
    pub spread: Option<u16>,
    /// True: go back to the layout before the latest one, as one more version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<bool>,
    /// True: change nothing, and say what the change would be worth; false if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// Of a dry run, and of nothing else: the rate that rows would be moved at; 1,000 a second if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 4_294_967_295_i64)]
    pub rows_per_s: Option<u32>,
}

/// A change of the layout that was announced, or, of a dry run, would be.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LayoutChanged {
    /// The layout after the change, in one line.
    pub layout: String,
    /// The change, in words.
    pub what: String,
    /// The version; null after a dry run.
    pub version: Option<LayoutVersionView>,
    /// True if the gate knows of it; false while the gate is shut, which opens with it, and after a dry run.
    pub gate: bool,
    /// Processes that live and had not confirmed the version when they were no longer waited for: the gate refuses what they
    /// would put elsewhere.
    pub unconfirmed: Vec<String>,
    /// Of a dry run: the reason why the change would be refused now; null if it would be made.
    pub refused: Option<String>,
    /// Of a dry run: what the change would be worth.
    pub forecast: Option<LayoutForecast>,
    /// Time that it took, in milliseconds.
    pub waited_ms: u64,
}

/// The worth of a change of the layout, by counts and samples of the rows that there are.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema, PartialEq)]
pub struct LayoutForecast {
    /// The rows that the next six figures are of: those of the last minutes, or of all times where there are none.
    pub counted: String,
    /// The number of these rows that were looked at.
    pub rows_counted: u64,
    /// The fewest by which shares and effective shards say more than chance: a hundred for each shard after the change.
    pub rows_needed: u64,
    /// Each shard's part of new rows as it is, 0 to 1.
    pub shares_before: Vec<f64>,
    /// Each shard's part of new rows after the change.
    pub shares_after: Vec<f64>,
    /// The number of evenly loaded shards that new rows make of these shards as it is; null without rows.
    pub effective_shards_before: Option<f64>,
    /// The same after the change.
    pub effective_shards_after: Option<f64>,
    /// Rows that are stored.
    pub rows: u64,
    /// Rows that a rebalance would move to another table or shard.
    pub rows_to_move: u64,
    /// Of these, the rows that go to another shard.
    pub rows_to_other_shards: u64,
    /// The bytes that they take, at 150 a row with its entries of indexes.
    pub bytes_to_move: u64,
    /// The rate that they would be moved at.
    pub rows_per_s: u32,
    /// The time that takes, in seconds.
    pub seconds: f64,
}

/// A movement of rows to be begun.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct RebalanceRequest {
    /// The most rows to move in a second; 1,000 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 4_294_967_295_i64)]
    pub rows_per_s: Option<u32>,
}

/// The last movement of rows.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema, PartialEq)]
pub struct RebalanceView {
    /// The version of the layout that receives them.
    pub to_version: u32,
    /// The time at which it began.
    pub began_at: String,
    /// The operator who had it begin.
    pub operator: String,
    /// True while it goes on; false once all are moved, or it was stopped.
    pub runs: bool,
    /// True once every row is where that version says.
    pub done: bool,
    /// Rows that have arrived, also before it was stopped and begun again.
    pub moved: u64,
    /// Rows that there were to look at when it began.
    pub rows: u64,
    /// Those that were looked at since, moved or not.
    pub looked_at: u64,
    /// The most rows that it moves in a second.
    pub rows_per_s_most: u32,
    /// Rows that it looked at in the last seconds, by the second.
    pub rows_per_s: f64,
    /// The time left at that pace, in seconds; null where it stands still.
    pub seconds_left: Option<f64>,
    /// The reason for which it does not go on, if there is one.
    pub trouble: Option<String>,
}

/// The movement of rows, if there ever was one.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Rebalance {
    /// The last one; null before the first.
    pub rebalance: Option<RebalanceView>,
}
