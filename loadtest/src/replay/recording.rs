//! A recording of grabs, with ids from 1 and times to the millisecond.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use coupon_core::{RoomId, RowKey, TimeRange, Timestamp, UserId};
use coupon_loadgen::workload::{Endpoint, Request};
use coupon_measure::random::Random;
use coupon_seeding::SeedOptions;

use super::LeftOut;
use super::ids::{IdNumbers, Sorted};
use super::moments::Moment;

const DAY_MS: u64 = 86_400_000;
/// Apart from the streams of requests and rounds.
const IN_THE_DAY: u64 = 1 << 61;

/// Lines as they were read; ids are numbers in the order of their appearance.
#[derive(Debug, Default)]
pub(super) struct LinesRead {
    pub(super) users: IdNumbers,
    pub(super) rooms: IdNumbers,
    pub(super) coupons: IdNumbers,
    pub(super) rows: Vec<(u32, u32, u32, Moment)>,
    /// True if the format of times was given: a midnight is then a moment like any other.
    pub(super) format_given: bool,
}

/// A recorded grab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The user who grabbed.
    pub user: UserId,
    /// The room of the coupon.
    pub room: RoomId,
    /// The coupon, from 1: those of a room follow each other.
    pub coupon: u64,
    /// The time.
    pub time: Timestamp,
}

impl Row {
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

/// The rooms of a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rooms {
    /// The name that each had in the file: that of room 1 first.
    pub labels: Vec<String>,
    /// The grabs in each.
    pub grabs: Vec<u64>,
    /// Rows that would be stored, which are a shard's work.
    pub stored: Vec<u64>,
}

/// Recorded grabs, in the order of their times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recording {
    /// The file.
    pub file: String,
    /// The lines of it that could not be used.
    pub left_out: LeftOut,
    /// The number of users.
    pub users: u64,
    /// The rooms.
    pub rooms: Rooms,
    /// The number of coupons that had the same name in several rooms: each room's is a coupon by itself.
    pub shared_coupons: u64,
    /// The number of grabs of which only the day is known: they were spread over it.
    pub spread: u64,
    /// The number of grabs of a user and a coupon that came before.
    pub repeated: u64,
    coupon_rooms: Arc<[u64]>,
    /// The most grabs of one coupon.
    busiest_coupon: u64,
    rows: Vec<Row>,
}

impl LinesRead {
    pub(super) fn add(&mut self, user: &str, room: &str, coupon: &str, moment: Moment) {
        let (user, room) = (self.users.number(user), self.rooms.number(room));
        self.rows.push((user, room, self.coupons.number(coupon), moment));
    }

    /// Gives ids from 1, and the grabs of which only the day is known a moment in it.
    pub(super) fn recording(self, file: String, left_out: LeftOut, seed: u64) -> Recording {
        let Self { users, rooms, coupons, rows, format_given } = self;
        let (users, rooms, coupons) = (users.sorted(), rooms.sorted(), coupons.sorted());
        let offers = Offers::of(&rows, &rooms, &coupons);
        // Midnight to the millisecond, always, is a day written as a moment, unless a format with moments was given.
        let midnights =
            !format_given && rows.iter().all(|(.., moment)| moment.time == moment.time.day().start());
        let mut random = Random::new(seed, IN_THE_DAY);
        let mut known: Vec<Row> = Vec::with_capacity(rows.len());
        let mut spread = 0;
        for (user, room, coupon, moment) in rows {
            let mut time = moment.time;
            if moment.day_only || midnights {
                time = time.plus_millis(random.below(DAY_MS).cast_signed());
                spread += 1;
            }
            let (room, coupon) = (rooms.id(room), coupons.id(coupon));
            // There are as many ids as there are lines at most, so that every one is an id.
            if let (Ok(user), Ok(room_id)) = (UserId::new(users.id(user)), RoomId::new(room)) {
                known.push(Row { user, room: room_id, coupon: offers.id(room, coupon), time });
            }
        }
        known.sort_by_key(|row| row.time);
        let counts = Counts::of(&known, rooms.labels.len(), offers.rooms.len());
        Recording {
            file,
            left_out,
            users: users.labels.len() as u64,
            shared_coupons: offers.shared(),
            rooms: Rooms { labels: rooms.labels, grabs: counts.grabs, stored: counts.stored },
            spread,
            repeated: counts.repeated,
            busiest_coupon: counts.busiest_coupon,
            coupon_rooms: offers.rooms,
            rows: known,
        }
    }
}

/// The number of each.
struct Counts {
    grabs: Vec<u64>,
    stored: Vec<u64>,
    repeated: u64,
    busiest_coupon: u64,
}

impl Counts {
    fn of(rows: &[Row], rooms: usize, coupons: usize) -> Self {
        let (mut grabs, mut stored, mut of_coupons) = (vec![0; rooms], vec![0; rooms], vec![0; coupons]);
        let mut pairs = HashSet::new();
        for row in rows {
            add_one(&mut grabs, row.room.get());
            add_one(&mut of_coupons, row.coupon);
            if pairs.insert((row.user, row.coupon)) {
                add_one(&mut stored, row.room.get());
            }
        }
        let repeated = (rows.len() - pairs.len()) as u64;
        Self { grabs, stored, repeated, busiest_coupon: of_coupons.into_iter().max().unwrap_or(1) }
    }
}

fn add_one(counts: &mut [u64], id: u64) {
    let place = id.checked_sub(1).and_then(|index| usize::try_from(index).ok());
    if let Some(count) = place.and_then(|index| counts.get_mut(index)) {
        *count += 1;
    }
}

/// The coupons: each is a room's own, since a coupon of this system belongs to one room.
struct Offers {
    ids: HashMap<(u64, u64), u64>,
    rooms: Arc<[u64]>,
}

impl Offers {
    fn of(rows: &[(u32, u32, u32, Moment)], rooms: &Sorted, coupons: &Sorted) -> Self {
        let mut pairs: Vec<(u64, u64)> =
            rows.iter().map(|(_, room, coupon, _)| (rooms.id(*room), coupons.id(*coupon))).collect();
        pairs.sort_unstable();
        pairs.dedup();
        Self {
            rooms: pairs.iter().map(|(room, _)| *room).collect(),
            ids: pairs.into_iter().zip(1..).collect(),
        }
    }

    fn id(&self, room: u64, coupon: u64) -> u64 {
        self.ids.get(&(room, coupon)).copied().unwrap_or(1)
    }

    fn shared(&self) -> u64 {
        let mut rooms = BTreeMap::<u64, u32>::new();
        self.ids.keys().for_each(|(_, coupon)| *rooms.entry(*coupon).or_default() += 1);
        rooms.values().filter(|rooms| **rooms > 1).count() as u64
    }
}

impl Recording {
    /// The grabs; never none.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// True when only the days of most grabs are known, and so not the busiest of their hours.
    #[must_use]
    pub const fn days_only(&self) -> bool {
        self.spread * 2 > self.rows.len() as u64
    }

    /// The moment of all grabs, if it is one.
    #[must_use]
    pub fn moment(&self) -> Option<Timestamp> {
        let (first, last) = (self.rows.first()?, self.rows.last()?);
        (first.time == last.time).then_some(first.time)
    }

    /// The number of coupons.
    #[must_use]
    pub fn coupons(&self) -> u64 {
        self.coupon_rooms.len() as u64
    }

    /// The grabs that would be stored: the first of each user and coupon.
    pub fn stored(&self) -> impl Iterator<Item = &Row> {
        let mut seen = HashSet::new();
        self.rows.iter().filter(move |row| seen.insert((row.user, row.coupon)))
    }

    /// From the first grab to just after the last.
    #[must_use]
    pub fn window(&self) -> TimeRange {
        let time = |row: Option<&Row>| row.map_or(Timestamp::from_millis(0), |row| row.time);
        TimeRange::new(time(self.rows.first()), time(self.rows.last()).plus_millis(1))
    }

    /// The catalogue to seed for it: with so many of each coupon, or with enough for every grab.
    #[must_use]
    pub fn catalogue(&self, stock: Option<u32>, seed: u64) -> SeedOptions {
        let enough = u32::try_from(self.busiest_coupon).unwrap_or(u32::MAX);
        SeedOptions {
            users: self.users,
            rooms: self.rooms.labels.len() as u64,
            hot_rooms: 0,
            coupon_rooms: Some(Arc::clone(&self.coupon_rooms)),
            stock: Some(stock.unwrap_or(enough)),
            seed,
            ..SeedOptions::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(rows: &[(&str, &str, &str, &str, bool)], seed: u64) -> Recording {
        recording_of(LinesRead::default(), rows, seed)
    }

    fn recording_of(mut raw: LinesRead, rows: &[(&str, &str, &str, &str, bool)], seed: u64) -> Recording {
        for (user, room, coupon, time, day_only) in rows {
            let moment = Moment { time: time.parse().unwrap(), day_only: *day_only };
            raw.add(user, room, coupon, moment);
        }
        raw.recording("x.csv".into(), LeftOut::default(), seed)
    }

    #[test]
    fn ids_become_dense_and_coupons_keep_their_rooms() {
        let (noon, later) = ("2016-02-28T12:00:00Z", "2016-02-28T12:00:01Z");
        let recording = recording(
            &[
                ("7399999", "900", "5", later, false),
                ("12", "31", "8", noon, false),
                ("12", "31", "5", noon, false),
                ("7399999", "900", "5", later, false),
            ],
            1,
        );
        let seen: Vec<_> = recording.rows().iter().map(|r| (r.user.get(), r.room.get(), r.coupon)).collect();
        assert_eq!(seen, [(1, 1, 2), (1, 1, 1), (2, 2, 3), (2, 2, 3)]);
        assert_eq!((recording.users, recording.coupons(), recording.shared_coupons), (2, 3, 1));
        assert_eq!((recording.repeated, recording.stored().count()), (1, 3));
        assert_eq!(
            (recording.rooms.labels[0].as_str(), recording.rooms.grabs.as_slice()),
            ("31", &[2, 2][..])
        );
        let options = recording.catalogue(None, 1);
        assert_eq!(options.coupon_rooms.as_deref(), Some(&[1, 1, 2][..]));
        assert_eq!((options.users, options.rooms, options.stock), (2, 2, Some(2)));
        assert_eq!(options.check(), Ok(()));
    }

    #[test]
    fn days_are_spread_over_by_the_seed_and_moments_are_kept() {
        let day = "2016-02-28T00:00:00Z";
        let rows: Vec<_> = (0..200).map(|_| ("1", "1", "1", day, true)).collect();
        let (one, same, other) = (recording(&rows, 1), recording(&rows, 1), recording(&rows, 2));
        assert_eq!(one, same);
        assert_ne!(one.rows(), other.rows());
        assert!(one.days_only() && one.rows().iter().all(|row| row.time.day().to_string() == "2016-02-28"));
        assert!(one.window().end.millis() - one.window().start.millis() > 80_000_000);
        let noon =
            recording(&[("1", "1", "1", "2016-02-28T12:00:00Z", false), ("1", "1", "1", day, false)], 1);
        assert!(noon.spread == 0 && noon.rows()[0].time.to_string() == "2016-02-28T00:00:00.000Z");
    }

    #[test]
    fn a_midnight_for_every_grab_is_a_day_written_as_a_moment() {
        let rows =
            [("1", "1", "1", "2016-02-28T00:00:00Z", false), ("1", "1", "1", "2016-02-29T00:00:00Z", false)];
        assert!(recording(&rows, 1).days_only());
    }

    #[test]
    fn midnights_are_moments_where_somebody_said_how_times_are_written() {
        let rows = [("1", "1", "1", "2016-02-28T00:00:00Z", false); 2];
        let meant = recording_of(LinesRead { format_given: true, ..LinesRead::default() }, &rows, 1);
        assert_eq!((meant.spread, meant.days_only()), (0, false));
        assert_eq!(meant.moment(), Some("2016-02-28T00:00:00Z".parse().unwrap()));
        assert_eq!(recording(&rows, 1).moment(), None);
    }

    #[test]
    fn a_few_days_among_moments_are_spread_alone_and_leave_the_rest_its_hours() {
        let (day, noon) = ("2016-02-28T00:00:00Z", "2016-02-29T12:00:00Z");
        let mut rows = vec![("1", "1", "1", noon, false); 9];
        rows.push(("1", "1", "1", day, true));
        let few = recording(&rows, 1);
        assert_eq!((few.spread, few.days_only()), (1, false));
        assert!(few.rows()[1..].iter().all(|row| row.time == noon.parse().unwrap()));
        let told = few.described().join("\n");
        assert!(told.contains("of 1 of 10 grabs only the day is known"), "{told}");
        rows.extend([("1", "1", "1", day, true); 9]);
        let most = recording(&rows, 1);
        assert_eq!((most.spread, most.days_only()), (10, true));
    }
}
