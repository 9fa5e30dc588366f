//! What the checks read, wherever it lives: each kind of data has one way to hold it still and read it, and all share
//! the checks.

use std::collections::BTreeMap;

use anyhow::Result;
use coupon_core::{Placement, ShardId, TableId};

/// A data set, held still at one moment. What is small has been read already; rows are read when they are asked for.
pub(super) struct Snapshot {
    /// Every coupon.
    pub(super) catalogue: Catalogue,
    /// Every shard, in order.
    pub(super) shards: Vec<Shard>,
    /// Their tables.
    pub(super) rows: Box<dyn Rows>,
}

/// The tables of results of a data set that is held still.
pub(super) trait Rows {
    /// Hands on every row of a table, a few at a time in memory.
    fn each(&mut self, place: Placement, row: &mut dyn FnMut(Stored)) -> Result<()>;

    /// The rows of a table that a description has to name.
    fn find(&mut self, place: Placement, wanted: Wanted) -> Result<Vec<Grab>>;

    /// The largest `result_id` of a table.
    fn newest(&mut self, place: Placement) -> Result<Option<i64>>;
}

/// Every coupon by its id.
pub(super) type Catalogue = BTreeMap<i64, Coupon>;

/// What the main database says of a coupon.
pub(super) struct Coupon {
    pub(super) room: i64,
    pub(super) total: i64,
    pub(super) remaining: i64,
    /// By the log: deductions less roll-backs.
    pub(super) deducted: i64,
    /// Until when it can be grabbed, in milliseconds since 1970; nothing when it is withdrawn.
    pub(super) until: Option<i64>,
}

/// One shard, but for its rows.
pub(super) struct Shard {
    pub(super) number: u16,
    pub(super) tables: Vec<TableId>,
    /// Results that are stored, but not in their tables yet.
    pub(super) inbox: Vec<Waiting>,
    /// How far main has applied its outbox.
    pub(super) position: i64,
    /// The outbox beyond that.
    pub(super) outbox: Vec<Entry>,
    pub(super) parked: Vec<Parked>,
    /// How many results it counts itself, where it keeps count.
    pub(super) counted: Option<i64>,
}

/// An entry of an outbox.
pub(super) struct Entry {
    pub(super) id: i64,
    /// JSON: coupons, and how many rows of each are new.
    pub(super) deltas: String,
}

/// A result in an inbox.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) table: TableId,
    pub(super) grab: Grab,
    pub(super) room: i64,
}

/// A result that was set aside.
pub(super) struct Parked {
    pub(super) grab: Grab,
    pub(super) table: String,
    pub(super) reason: String,
}

/// Who got which coupon, by which result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grab {
    pub(super) id: i64,
    pub(super) user: i64,
    pub(super) coupon: i64,
}

impl Grab {
    /// For descriptions.
    pub(super) fn at(self, place: Placement) -> String {
        format!("{self} ({place})")
    }
}

impl std::fmt::Display for Grab {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "result {} of user {}, coupon {}", self.id, self.user, self.coupon)
    }
}

/// A stored row, as it is found.
#[derive(Clone, Copy)]
pub(super) struct Stored {
    pub(super) grab: Grab,
    pub(super) room: i64,
    pub(super) time: i64,
    /// Whether it says that the coupon was got, and nothing else.
    pub(super) granted: bool,
}

impl Stored {
    /// What to select for it, on any kind of database.
    pub(super) const COLUMNS: &str =
        "result_id, user_id, coupon_id, room_id, grab_time, grab_status = 1 AND fail_reason IS NULL";
}

/// Which rows a description has to name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    /// Those of that id.
    Result(i64),
    /// Those of that user and coupon.
    Holding { user: i64, coupon: i64 },
}

impl Snapshot {
    /// Where the rows of a user and a coupon are, for a description.
    pub(super) fn holdings(&mut self, user: i64, coupon: i64) -> Result<Vec<String>> {
        self.find(Wanted::Holding { user, coupon })
    }

    /// Where the rows with an id are, for a description.
    pub(super) fn copies(&mut self, result: i64) -> Result<Vec<String>> {
        self.find(Wanted::Result(result))
    }

    fn find(&mut self, wanted: Wanted) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for place in self.places() {
            found.extend(self.rows.find(place, wanted)?.into_iter().map(|grab| grab.at(place)));
        }
        Ok(found)
    }

    /// The largest `result_id` stored anywhere.
    pub(super) fn newest(&mut self) -> Result<Option<i64>> {
        let waiting = self.shards.iter().flat_map(|shard| &shard.inbox);
        let mut newest = waiting.map(|waiting| waiting.grab.id).max();
        for place in self.places() {
            newest = newest.max(self.rows.newest(place)?);
        }
        Ok(newest)
    }

    /// Every table of every shard.
    pub(super) fn places(&self) -> Vec<Placement> {
        self.shards.iter().flat_map(Shard::places).collect()
    }
}

impl Shard {
    /// Every table of it.
    pub(super) fn places(&self) -> impl Iterator<Item = Placement> {
        self.tables.iter().map(|&table| self.place(table))
    }

    /// A table of it.
    pub(super) fn place(&self, table: TableId) -> Placement {
        Placement::new(ShardId::new(self.number), table)
    }
}

/// The tables of results among all tables of a shard.
///
/// # Errors
/// When one is named nearly like a table of results: rows that no reader knows by name are rows that nobody will find.
pub(super) fn tables_of_results(names: impl IntoIterator<Item = String>) -> Result<Vec<TableId>> {
    let mut tables = Vec::new();
    for name in names {
        let table = TableId::parse(&name);
        let stray = table.is_none() && name.starts_with(TableId::PREFIX);
        anyhow::ensure!(!stray, "{name} looks like a table of results, but is not named like one");
        tables.extend(table);
    }
    Ok(tables)
}
