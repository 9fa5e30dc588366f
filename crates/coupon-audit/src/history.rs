//! The versions that a layout has had, and where they allow a row to be.

use anyhow::{Context, Result};
use coupon_core::{Placement, RoomId, ShardId, TableId, Timestamp, UserId};

use super::placement::Law;
use super::source::Stored;

/// A version of the layout, as main has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    /// The time of the first row that is written where it says; the first version has every row before, too.
    pub(super) from: i64,
    pub(super) layout: String,
    /// Earlier rows are being moved to where it says.
    pub(super) receives: bool,
    /// No row is left where it said.
    pub(super) closed: bool,
}

impl Version {
    /// The columns to select for it, on any kind of database, from [`Version::TABLE`].
    pub(super) const SELECT: &str =
        "SELECT valid_from, layout, receives, closed FROM layouts ORDER BY version";
    /// The table of versions, which data of before lacks.
    pub(super) const TABLE: &str = "layouts";
}

/// The movement of rows to the latest version, as main has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Movement {
    /// True while it goes on.
    pub(super) runs: bool,
    /// The time at which it began.
    pub(super) began: i64,
    /// Rows that it has looked at, and rows that it has moved.
    pub(super) done: (i64, i64),
}

impl Movement {
    /// The columns to select for it, on any kind of database, from [`Movement::TABLE`].
    pub(super) const SELECT: &str = "SELECT runs, began, rows_looked_at, rows_moved FROM moves";
    /// The table that it is in, which data of before lacks.
    pub(super) const TABLE: &str = "moves";
}

/// A shard's movement so far, from it and to it: each step of a movement changes one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moved {
    /// The last batch that left.
    pub(super) left: i64,
    /// The rows that have left and are not known to have arrived.
    pub(super) leaving: i64,
    /// The last batch that arrived from each shard, and that shard.
    pub(super) arrived: Vec<(i64, i64)>,
}

impl Moved {
    /// The last batch that left, and the rows that are leaving.
    pub(super) const LEFT: &str =
        "SELECT (SELECT COALESCE(MAX(batch), 0) FROM move_state), (SELECT COUNT(*) FROM leaving)";
    /// The last batch that arrived from each shard.
    pub(super) const ARRIVED: &str = "SELECT from_shard, batch FROM arrivals ORDER BY from_shard";
    /// The table of rows that are leaving, which data of before lacks.
    pub(super) const TABLE: &str = "leaving";
}

/// All versions that a layout has had, from the first on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct History(Vec<(Version, Option<Law>)>);

impl History {
    /// These versions; those of a data set without a list of them are the layout that it says it has.
    pub(super) fn of(versions: Vec<Version>, said: String) -> Self {
        let first = || vec![Version { from: 0, layout: said, receives: false, closed: false }];
        let versions = if versions.is_empty() { first() } else { versions };
        let with_law = |version: Version| {
            let law = Law::of(&version.layout);
            (version, law)
        };
        Self(versions.into_iter().map(with_law).collect())
    }

    /// The versions that the auditor has no law for, or that name more shards than so many.
    pub(super) fn unknown(&self, shards: usize) -> impl Iterator<Item = &str> {
        let known = move |law: &Law| law.shards() <= shards as u64;
        self.0
            .iter()
            .filter(move |(version, law)| !version.closed && !law.as_ref().is_some_and(known))
            .map(|(version, _)| version.layout.as_str())
    }

    /// The places where a row may be: where the version says that was in force at its time, unless nothing is left there, and
    /// where each later one says that rows are moved to. Once they were all moved, that is its home alone.
    pub(super) fn places(&self, user: UserId, room: RoomId, time: Timestamp) -> Vec<Placement> {
        let later = |(version, _): &(Version, Option<Law>)| version.from <= time.millis();
        let written = self.0.iter().rposition(later).unwrap_or(0);
        let may = |(at, (version, _)): &(usize, &(Version, Option<Law>))| {
            !version.closed && (*at == written || *at > written && version.receives)
        };
        let open = self.0.iter().enumerate().filter(may);
        open.filter_map(|(_, (_, law))| law.as_ref()?.place(user, room, time)).collect()
    }
}

/// The rows that have left their table, and are not known to have arrived in their new one.
#[derive(Debug, Clone)]
pub(super) struct Leaving {
    pub(super) row: Stored,
    /// The table that they left.
    pub(super) from: Placement,
    /// The place that they go to.
    pub(super) to: Placement,
}

impl Leaving {
    /// The columns to select after those of a row.
    pub(super) const MORE: &str = "from_table, to_shard, to_table";

    /// A row that left a table of a shard for one of another.
    ///
    /// # Errors
    /// When a name is none of a table of results.
    pub(super) fn new(
        row: Stored,
        shard: u16,
        (from_table, to_shard, to_table): (&str, u16, &str),
    ) -> Result<Self> {
        Ok(Self { row, from: named(shard, from_table)?, to: named(to_shard, to_table)? })
    }
}

fn named(shard: u16, table: &str) -> Result<Placement> {
    let table =
        TableId::parse(table).with_context(|| format!("leaving: {table:?} is no table of results"))?;
    Ok(Placement::new(ShardId::new(shard), table))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(from: i64, shards: u16, receives: bool, closed: bool) -> Version {
        let layout = format!("hash of user_id, mix modulo, {shards} shards");
        Version { from, layout, receives, closed }
    }

    fn shards(history: &History, user: u64, time: i64) -> Vec<u16> {
        let (user, room) = (UserId::new(user).unwrap(), RoomId::new(1).unwrap());
        let places = history.places(user, room, Timestamp::from_millis(time));
        places.into_iter().map(|place| place.shard.number()).collect()
    }

    #[test]
    fn a_row_is_where_the_version_of_its_time_says() {
        let history =
            History::of(vec![version(0, 2, false, false), version(1_000, 5, false, false)], String::new());
        assert_eq!((shards(&history, 9, 999), shards(&history, 9, 1_000)), (vec![1], vec![4]));
    }

    #[test]
    fn while_rows_are_moved_it_may_be_at_either_place_and_afterwards_at_home_alone() {
        let moving =
            [version(0, 2, false, false), version(1_000, 3, false, false), version(2_000, 5, true, false)];
        let history = History::of(moving.to_vec(), String::new());
        assert_eq!((shards(&history, 9, 1), shards(&history, 9, 1_500)), (vec![1, 4], vec![0, 4]));
        let mut moved = moving;
        moved[0].closed = true;
        moved[1].closed = true;
        let history = History::of(moved.to_vec(), String::new());
        assert_eq!(
            (shards(&history, 9, 1), shards(&history, 9, 1_500), shards(&history, 9, 3_000)),
            (vec![4], vec![4], vec![4])
        );
    }

    #[test]
    fn data_without_a_list_of_versions_has_the_layout_that_it_says() {
        let history = History::of(Vec::new(), "hash of user_id, mix modulo, 4 shards".to_owned());
        assert_eq!(shards(&history, 7, 1), [3]);
        assert_eq!(history.unknown(4).count(), 0);
        assert_eq!(history.unknown(3).collect::<Vec<_>>(), ["hash of user_id, mix modulo, 4 shards"]);
        let unknown = History::of(Vec::new(), "jump, 4 shards".to_owned());
        assert_eq!(unknown.unknown(4).collect::<Vec<_>>(), ["jump, 4 shards"]);
    }
}
