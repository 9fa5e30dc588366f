//! The room index: an optional copy of all results, by room, on a shard that is chosen by the room. What is asked of a room is
//! answered by that shard alone, wherever the layout puts the results.
//!
//! Shards report to it what they have committed, as they do to main. The transaction that stores a row, or takes a step of one,
//! writes an entry beside it for the shard of the index that the row's room is kept on. A task carries entries there, in their
//! order, with the position that they lead to in the transaction that takes them in. Entries may come twice, and those of a row
//! that has moved may overtake each other: a row in the index changes only to a state that comes later in a result's life. So a
//! row that moves to another shard needs no entry.

mod making;

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use anyhow::{Context as _, ensure};
use coupon_core::schema::Dialect;
use coupon_core::{
    CouponId, CouponResult, Mix, Money, RequestKey, ResultId, ResultQuery, ResultState, RoomId, ShardId,
    Timestamp, UseStatus, UserId,
};
use serde::{Serialize, Serializer};

pub use self::making::{MAKING, MakingProgress};
use crate::statements::{COLUMNS, Fresh, settled};
use crate::{LocalFuture, PageRequest, Reservation, ResultSummary, Unavailable, Visited};

/// The name under which main's label has the number of the index's shards, if there is an index.
pub const META: &str = "room_index";
/// The table of a shard's part of the index.
pub const TABLE: &str = "room_index";
/// All tables that a shard has for the index.
pub const TABLES: [&str; 4] = [TABLE, "room_entries", "room_forgotten", "room_positions"];

/// The columns that a step of a result changes. The state is the last, since MySQL sets one after the other, and each looks at
/// the state that was there.
const STEPPED: [&str; 6] = ["use_status", "use_time", "order_amount", "slot", "state_time", "state"];

/// Says which shard of the index a room is kept on: by a hash of the room over the shards that there were when the index was
/// made. The layout has no part in it, so that nothing of the index moves when the layout changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomPlaces(NonZeroU16);

impl RoomPlaces {
    /// The places in an index over so many shards.
    #[must_use]
    pub const fn over(shards: NonZeroU16) -> Self {
        Self(shards)
    }

    /// The places in the index that main's label speaks of, by the value that it has under [`META`].
    ///
    /// # Errors
    /// When that is no number of shards.
    pub fn read(value: &str) -> anyhow::Result<Self> {
        let shards = value.parse().with_context(|| format!("{value:?} is no number of a room index' shards"));
        Ok(Self(shards?))
    }

    /// The number of the index's shards.
    #[must_use]
    pub const fn shards(self) -> NonZeroU16 {
        self.0
    }

    /// The shards of the index.
    pub fn all(self) -> impl Iterator<Item = ShardId> {
        (0..self.0.get()).map(ShardId::new)
    }

    /// The shard that a room is kept on.
    #[must_use]
    pub fn of(self, room: RoomId) -> ShardId {
        let place = Mix::Xxh3.hash(room.get()) % u64::from(self.0.get());
        ShardId::new(u16::try_from(place).unwrap_or_default())
    }

    /// Rows by the shard of the index that their rooms are kept on, in the order in which they are given.
    pub fn parted<'a>(
        self,
        rows: impl IntoIterator<Item = &'a CouponResult>,
    ) -> BTreeMap<ShardId, Vec<CouponResult>> {
        let mut parts: BTreeMap<ShardId, Vec<CouponResult>> = BTreeMap::new();
        for row in rows {
            parts.entry(self.of(row.room_id)).or_default().push(*row);
        }
        parts
    }
}

/// Refuses a process that would not keep the index of its data set up, or would miss one.
///
/// # Errors
/// When the setting `room_index` and the data set's own record differ; the message says what to do.
pub fn agreed(setting: bool, recorded: Option<RoomPlaces>) -> anyhow::Result<()> {
    ensure!(
        setting || recorded.is_none(),
        "the data set has a room index, which would be left behind: set `room_index = true`, or take the index away with \
         `seeder room-index drop`"
    );
    ensure!(
        !setting || recorded.is_some(),
        "setting `room_index` is true, and the data set has no room index: make it with `seeder room-index build`, or leave \
         the setting out"
    );
    Ok(())
}

/// The text of an entry with these rows as they are now.
pub fn entry(rows: &[CouponResult]) -> serde_json::Result<String> {
    serde_json::to_string(&rows.iter().map(|row| EntryRow(*row)).collect::<Vec<_>>())
}

/// The rows of an entry.
///
/// # Errors
/// When it is none.
pub fn rows(entry: &str) -> anyhow::Result<Vec<CouponResult>> {
    let told: Vec<Vec<Option<i64>>> = serde_json::from_str(entry)?;
    told.iter().map(|numbers| result(numbers)).collect()
}

/// A row in an entry.
struct EntryRow(CouponResult);

impl Serialize for EntryRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = &self.0;
        let plain = [
            Some(row.result_id.number()),
            Some(row.user_id.get().cast_signed()),
            Some(row.coupon_id.get().cast_signed()),
            Some(row.room_id.get().cast_signed()),
        ];
        if Fresh::of(row) == Fresh::Plain {
            return serializer.collect_seq(plain);
        }
        let since = [
            Some(row.state.code()),
            row.slot.map(i64::from),
            row.hold_until.map(Timestamp::millis),
            row.request.map(RequestKey::number),
            row.state_time.map(Timestamp::millis),
            row.use_time.map(Timestamp::millis),
            row.order_amount.map(Money::cents),
        ];
        serializer.collect_seq(plain.into_iter().chain(since))
    }
}

/// The row that these numbers are.
fn result(numbers: &[Option<i64>]) -> anyhow::Result<CouponResult> {
    let need = |at: usize| {
        numbers.get(at).copied().flatten().with_context(|| format!("{numbers:?} lacks its number {at}"))
    };
    let id = |at| anyhow::Ok(need(at)?.cast_unsigned());
    let reserved = Reservation::plain(ResultId::from_number(need(0)?)?);
    let granted = reserved.result(UserId::new(id(1)?)?, CouponId::new(id(2)?)?, RoomId::new(id(3)?)?);
    let [state, slot, hold_until, request, state_time, use_time, cents] = match numbers.get(4..) {
        Some([]) => return Ok(granted),
        Some(&[state, slot, hold_until, request, state_time, use_time, cents]) => {
            [state, slot, hold_until, request, state_time, use_time, cents]
        }
        _ => anyhow::bail!("{numbers:?} is no row of an entry"),
    };
    let state = ResultState::from_code(state.with_context(|| format!("{numbers:?} has no state"))?)?;
    Ok(CouponResult {
        state,
        use_status: if state == ResultState::Used { UseStatus::Used } else { UseStatus::Unused },
        slot: slot.map(u8::try_from).transpose()?,
        hold_until: hold_until.map(Timestamp::from_millis),
        request: request.and_then(RequestKey::from_number),
        state_time: state_time.map(Timestamp::from_millis),
        use_time: use_time.map(Timestamp::from_millis),
        order_amount: cents.map(Money::from_cents),
        ..granted
    })
}

/// The statement that takes rows into the index, or gives those that are there the state that they have come to since; `values`
/// are those of the rows, in the order of a table's columns.
pub fn put(dialect: Dialect, values: &str) -> String {
    let (columns, key) = (COLUMNS.join(", "), "room_id, grab_time, result_id");
    let set = |change: fn(&str) -> String| STEPPED.map(change).join(", ");
    let then = match dialect {
        Dialect::Sqlite => format!(
            "ON CONFLICT ({key}) DO UPDATE SET {} WHERE excluded.state > {TABLE}.state",
            set(|column| format!("{column} = excluded.{column}"))
        ),
        Dialect::MySql => format!(
            "ON DUPLICATE KEY UPDATE {}",
            set(|column| format!("{column} = IF(VALUES(state) > state, VALUES({column}), {column})"))
        ),
    };
    format!("INSERT INTO {TABLE} ({columns}) VALUES {values} {then}")
}

/// The condition on rows of the index that are older than an id and have gone from their shards by an archive that began at that
/// moment. What was held then, and has been confirmed since, its shard still has.
pub(crate) fn retired(before: &str, began: Timestamp) -> String {
    format!("result_id < {before} AND {}", settled(began, true))
}

/// The statement that takes them out.
pub fn retire(before: &str, now: Timestamp) -> String {
    format!("DELETE FROM {TABLE} WHERE {}", retired(before, now))
}

/// An entry that a shard has for a shard of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// Its number, among those of its shard for that of the index.
    pub id: i64,
    /// The rows as they are now.
    pub rows: Vec<CouponResult>,
}

/// The entries that a shard has written for a shard of the index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WrittenEntries {
    /// The last one that was taken away, since the index has it.
    pub forgotten: i64,
    /// The last one that there was, or could have been.
    pub last: i64,
}

/// One of two shards was put back to an earlier state, so that the index cannot be kept up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "shard {of} has lost data: shard {at} has the room index up to entry {has} of shard {from}, where {} was taken away and {} is \
     the last. Once every shard has all its results, make the index anew with `seeder room-index build`",
    reached.forgotten,
    reached.last
)]
pub struct IndexLost {
    of: ShardId,
    at: ShardId,
    from: ShardId,
    has: i64,
    reached: WrittenEntries,
}

impl WrittenEntries {
    /// Refuses a part of the index that has less than was taken away because the index had it, and a shard whose last entry is
    /// before the last that the index has of it.
    pub const fn check(self, at: ShardId, from: ShardId, has: i64) -> Result<(), IndexLost> {
        let of = if has < self.forgotten {
            at
        } else if has > self.last {
            from
        } else {
            return Ok(());
        };
        Err(IndexLost { of, at, from, has, reached: self })
    }
}

/// Answers what is asked of a room by the room index.
///
/// The answers' `as_of` are the index's own: they say how far it has the shards' entries.
pub trait RoomIndex: Send + Sync {
    /// The places of rooms.
    fn places(&self) -> RoomPlaces;

    /// Results of a room that the query covers, latest first.
    ///
    /// A shard's part of the index is unavailable until it has been brought up to every shard once. After a loss its `as_of`
    /// stands still.
    fn page(
        &self,
        room: RoomId,
        query: ResultQuery,
        page: PageRequest,
    ) -> LocalFuture<'_, Result<Visited<Vec<CouponResult>>, Unavailable>>;

    /// Counts the results of a room that the query covers.
    fn summary(
        &self,
        room: RoomId,
        query: ResultQuery,
    ) -> LocalFuture<'_, Result<Visited<ResultSummary>, Unavailable>>;

    /// The moment before which every grab acknowledged is in a shard's part of the index; none while that is not known.
    fn as_of(&self, shard: ShardId) -> LocalFuture<'_, Option<Timestamp>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(sequence: u16) -> CouponResult {
        let id = ResultId::from_parts("2026-11-22T12:00:00Z".parse().unwrap(), 1, sequence).unwrap();
        let (user, coupon, room) = (UserId::new(7), CouponId::new(8), RoomId::new(2));
        CouponResult::granted(id, user.unwrap(), coupon.unwrap(), room.unwrap())
    }

    #[test]
    fn rows_are_read_from_an_entry_as_they_were_written() {
        let now = granted(0).grab_time.plus_millis(5);
        let held = CouponResult {
            state: ResultState::Held,
            hold_until: Some(now),
            request: Some(RequestKey::of("a")),
            slot: Some(3),
            ..granted(1)
        };
        let used = CouponResult {
            state: ResultState::Used,
            use_status: UseStatus::Used,
            use_time: Some(now),
            order_amount: Some(Money::from_cents(5_990)),
            state_time: Some(now),
            ..granted(2)
        };
        let expired = CouponResult { state: ResultState::Expired, slot: None, state_time: Some(now), ..held };
        let confirmed = CouponResult { state: ResultState::Owned, state_time: Some(now), ..held };
        let all = [granted(0), held, used, expired, confirmed];
        let text = entry(&all).unwrap();
        assert!(text.starts_with(&format!("[[{},7,8,2],[", granted(0).result_id)), "{text}");
        assert_eq!(rows(&text).unwrap(), all);
    }

    #[test]
    fn an_archive_leaves_in_the_index_what_was_held_and_confirmed_while_it_ran() {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        let now = granted(0).grab_time.plus_millis(90_000_000);
        db.execute_batch(&format!(
            "CREATE TABLE {TABLE} (result_id INTEGER, state INTEGER, slot INTEGER, request INTEGER, state_time INTEGER);
             INSERT INTO {TABLE} VALUES (1, {owned}, 0, NULL, NULL), (2, {owned}, 0, NULL, {before}),
                 (3, {owned}, 0, NULL, {after}), (4, {held}, 0, NULL, NULL), (9, {owned}, 0, NULL, NULL)",
            owned = ResultState::Owned.code(),
            held = ResultState::Held.code(),
            before = now.millis() - 1,
            after = now.millis() + 1,
        ))
        .unwrap();
        db.execute(&retire("9", now), []).unwrap();
        let mut left = db.prepare(&format!("SELECT result_id FROM {TABLE} ORDER BY result_id")).unwrap();
        let left: Vec<i64> = left.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(left, [3, 4, 9]);
    }

    #[test]
    fn what_no_shard_wrote_is_no_entry() {
        for text in [
            "",
            "{}",
            "[[1,2,3]]",
            "[[1,null,3,4]]",
            "[[1,2,3,4,1]]",
            "[[1,2,3,4,9,0,null,null,null,null,null]]",
        ] {
            assert!(rows(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rooms_are_spread_over_the_shards_of_the_index_and_stay_there() {
        let places = RoomPlaces::over(NonZeroU16::new(4).unwrap());
        let of = |room| places.of(RoomId::new(room).unwrap()).number();
        // Where a room is kept decides where its rows are looked for: to change it is a migration.
        assert_eq!([1, 2, 3, 4, 5, 6, 7, 8].map(of), [2, 3, 1, 0, 0, 3, 3, 2]);
        let mut rooms = [0_u32; 4];
        (1..=1_000).for_each(|room| rooms[usize::from(of(room))] += 1);
        assert!(rooms.iter().all(|rooms| (200..=300).contains(rooms)), "{rooms:?}");
    }

    #[test]
    fn the_setting_and_the_data_set_must_agree() {
        let there = Some(RoomPlaces::over(NonZeroU16::MIN));
        assert!(agreed(true, there).is_ok() && agreed(false, None).is_ok());
        for (setting, recorded, does) in [(true, None, "room-index build"), (false, there, "room-index drop")]
        {
            let error = agreed(setting, recorded).unwrap_err().to_string();
            assert!(error.contains("`room_index") && error.contains(does), "{error}");
        }
    }

    #[test]
    fn a_shard_that_was_put_back_is_found_whichever_side_it_is_on() {
        let (at, from, reached) =
            (ShardId::new(1), ShardId::new(2), WrittenEntries { forgotten: 5, last: 9 });
        assert_eq!((5..=9).map(|has| reached.check(at, from, has)).collect::<Vec<_>>(), [Ok(()); 5]);
        let lost = |has| reached.check(at, from, has).unwrap_err().to_string();
        assert!(
            lost(4).starts_with("shard 1 has lost data") && lost(10).starts_with("shard 2 has lost data")
        );
    }
}
