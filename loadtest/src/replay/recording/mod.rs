//! A recording of grabs, with ids that a service takes and times to the millisecond.

mod made;

use std::sync::Arc;

use coupon_core::{RoomId, RowKey, TimeRange, Timestamp, UserId};
use coupon_loadgen::workload::{Endpoint, Request};
use coupon_seeding::{GivenIds, SeedOptions};

use super::LeftOut;
use super::keys::KeyValues;
use super::sampling::RowShare;
use super::seconds::CountedSecond;
pub(super) use made::Origin;

/// The most ranges whose tables are made ahead.
const MOST_AHEAD: u64 = 1_000;

/// A recorded grab, or what a query is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedRow {
    /// The user who grabbed.
    pub user: UserId,
    /// The room of the coupon.
    pub room: RoomId,
    /// The coupon, from 1: those of a room follow each other.
    pub coupon: u64,
    /// The time.
    pub time: Timestamp,
    /// True for a grab of a user and a coupon that came before.
    pub repeats: bool,
}

impl RecordedRow {
    /// The key that decides the place of its result.
    #[must_use]
    pub const fn key(&self) -> RowKey {
        RowKey { user: self.user, room: self.room, time: self.time }
    }

    pub(super) const fn request(&self, endpoint: Endpoint) -> Request {
        let (user_id, room_id) = (self.user.get(), self.room.get());
        Request::alone(endpoint, user_id, self.coupon, room_id)
    }
}

/// The rooms of a recording, in the order of their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedRooms {
    /// The id that each has for a service.
    pub ids: Vec<u64>,
    /// The name that each had in the file.
    pub labels: Vec<String>,
    /// True if the ids are numbers from 1 in the order of the names, since a service does not take these.
    pub are_numbered: bool,
    /// The grabs in each.
    pub grabs: Vec<u64>,
    /// Rows that would be stored, which are a shard's work.
    pub stored: Vec<u64>,
    /// The ids and names of rooms without a row that is kept.
    pub others: Vec<(u64, String)>,
}

/// The grabs of which not the moment is known: they were spread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpreadGrabs {
    /// Over their day.
    pub days: u64,
    /// Over their hour.
    pub hours: u64,
}

/// Recorded grabs, in the order of their times.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recording {
    /// The file.
    pub file: String,
    /// The lines of it that could not be used.
    pub left_out: LeftOut,
    /// Notes about how it was read.
    pub notes: Vec<String>,
    /// The part of its rows that this is; all, without one.
    pub sampled: Option<RowShare>,
    /// The number of lines whose time is before that of the line before them.
    pub out_of_order: u64,
    /// The second with the most grabs, of all that were read and not of the part that is kept; none where all of them are.
    pub busiest_second: Option<CountedSecond>,
    /// The rooms.
    pub rooms: RecordedRooms,
    /// The number of coupons that had the same name in several rooms: each room's is a coupon by itself.
    pub shared_coupons: u64,
    /// The grabs of which only the day or the hour is known.
    pub spread: SpreadGrabs,
    /// The number of grabs of a user and a coupon that came before.
    pub repeated: u64,
    users: Arc<[u64]>,
    coupon_rooms: Arc<[u64]>,
    /// The most grabs of one coupon.
    busiest_coupon: u64,
    rows: Vec<RecordedRow>,
    asked: Vec<(Endpoint, RecordedRow)>,
    keys: Vec<KeyValues>,
    /// The users whose ids are hashes of their names, in the order of the ids, with the names, if these were kept.
    hashed: Vec<(u64, Option<Box<str>>)>,
}

impl Recording {
    /// The grabs; never none.
    #[must_use]
    pub fn rows(&self) -> &[RecordedRow] {
        &self.rows
    }

    /// The queries that were recorded, in the order of their times.
    #[must_use]
    pub fn asked(&self) -> &[(Endpoint, RecordedRow)] {
        &self.asked
    }

    /// The candidate keys that were asked for, with the values of the grabs.
    #[must_use]
    pub fn keys(&self) -> &[KeyValues] {
        &self.keys
    }

    /// The number of users.
    #[must_use]
    pub fn users(&self) -> u64 {
        self.users.len() as u64
    }

    /// The names of users whose ids are hashes of them, if they were kept.
    pub fn names(&self) -> impl Iterator<Item = (u64, &str)> {
        self.hashed.iter().filter_map(|(id, name)| Some((*id, name.as_deref()?)))
    }

    /// The number of users whose ids are hashes of their names, since a service does not take these.
    #[must_use]
    pub fn hashed_users(&self) -> u64 {
        self.hashed.len() as u64
    }

    /// True when only the days of most grabs are known, and so not the busiest of their hours.
    #[must_use]
    pub const fn days_only(&self) -> bool {
        self.spread.days * 2 > self.rows.len() as u64
    }

    /// The moment of all that was recorded, if it is one.
    #[must_use]
    pub fn moment(&self) -> Option<Timestamp> {
        let TimeRange { start, end } = self.window();
        (end.millis() - start.millis() <= 1 && !self.rows.is_empty()).then_some(start)
    }

    /// The number of coupons.
    #[must_use]
    pub fn coupons(&self) -> u64 {
        self.coupon_rooms.len() as u64
    }

    /// The grabs that would be stored: the first of each user and coupon.
    pub fn stored(&self) -> impl Iterator<Item = &RecordedRow> {
        self.rows.iter().filter(|row| !row.repeats)
    }

    /// From the first grab or query to just after the last.
    #[must_use]
    pub fn window(&self) -> TimeRange {
        let grab = |row: &RecordedRow| row.time;
        let query = |(_, row): &(Endpoint, RecordedRow)| row.time;
        let firsts = [self.rows.first().map(grab), self.asked.first().map(query)];
        let first = firsts.into_iter().flatten().min().unwrap_or(Timestamp::from_millis(0));
        let last = self.rows.last().map(grab).max(self.asked.last().map(query)).unwrap_or(first);
        TimeRange::new(first, last.plus_millis(1))
    }

    /// The longest time in which nothing came.
    #[must_use]
    pub fn widest_gap(&self) -> Option<TimeRange> {
        let mut times: Vec<i64> = self.rows.iter().map(|row| row.time.millis()).collect();
        if !self.asked.is_empty() {
            times.extend(self.asked.iter().map(|(_, row)| row.time.millis()));
            times.sort_unstable();
        }
        let (at, _) = super::outliers::widest(&times)?;
        let time = |at: usize| times.get(at).copied().map(Timestamp::from_millis);
        Some(TimeRange::new(time(at)?, time(at + 1)?))
    }

    /// The catalogue to seed for it: with so many of each coupon, or with enough for every grab.
    #[must_use]
    pub fn catalogue(&self, stock: Option<u32>, seed: u64) -> SeedOptions {
        let enough = u32::try_from(self.busiest_coupon.max(1)).unwrap_or(u32::MAX);
        let given = GivenIds {
            users: Arc::clone(&self.users),
            rooms: self.rooms.ids.as_slice().into(),
            coupon_rooms: Arc::clone(&self.coupon_rooms),
        };
        SeedOptions { stock: Some(stock.unwrap_or(enough)), seed, ..SeedOptions::of(given) }
    }

    /// Tables are made ahead for rooms up to this one, where a range has so many: for the last room, but for no more than
    /// a thousand ranges. The others are made when their first row comes.
    #[must_use]
    pub fn rooms_ahead(&self, width: u64) -> u64 {
        let last = self.rooms.ids.last().copied().unwrap_or(1);
        last.min(width.saturating_mul(MOST_AHEAD)).max(1)
    }
}
