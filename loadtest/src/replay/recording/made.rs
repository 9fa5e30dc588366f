//! The way from lines that were read to a recording.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;

use anyhow::{Result, ensure};
use coupon_core::{RoomId, Timestamp, UserId};
use coupon_loadgen::workload::Endpoint;
use coupon_measure::random::Random;

use super::super::LeftOut;
use super::super::keys::KeyReader;
use super::super::lines::{Line, Lines};
use super::super::outliers;
use super::super::times::Precision;
use super::{RecordedRooms, RecordedRow, Recording};

/// The stream of moments in a day, apart from those of requests and rounds.
const IN_THE_DAY: u64 = 1 << 61;

/// The place that lines are from, and what is known of them as a whole.
#[derive(Debug)]
pub(in crate::replay) struct Origin {
    pub(in crate::replay) file: String,
    pub(in crate::replay) left_out: LeftOut,
    pub(in crate::replay) notes: Vec<String>,
    /// All times are days, though they are written as moments.
    pub(in crate::replay) are_days: bool,
    pub(in crate::replay) seed: u64,
}

impl Recording {
    /// Puts the lines in the order of their times, gives those of which only the day or the hour is known a moment in it,
    /// leaves out those that are far apart from all others, and gives rooms and coupons their ids.
    pub(in crate::replay) fn of(lines: Lines, origin: Origin) -> Result<Self> {
        let Origin { file, mut left_out, notes, are_days, seed } = origin;
        let (sampled, out_of_order) = (lines.sampling.part(), lines.order.back);
        let Lines { rooms, coupons, mut kept, hashed, mut keys, seconds, .. } = lines;
        spread(&mut kept, are_days, seed);
        kept.sort_by_key(|line| line.millis);
        leave_out_strays(&mut kept, &mut left_out);
        let times = as_read(&kept);
        if let Some(times) = &times {
            keys.iter_mut().for_each(|key| key.within(times));
        }

        let of_coupons = coupons_by_number(&coupons);
        let mut used = vec![false; rooms.len()];
        kept.iter().for_each(|line| set(&mut used, line.room));
        let is_used = |room: u32| index(room).and_then(|at| used.get(at)).copied().unwrap_or(false);
        let sorted = rooms.sorted(is_used);
        let rank = |room: u32| sorted.rank(room).unwrap_or_default();
        let offers = Offers::of(&kept, &of_coupons, rank);

        let mut made = Self {
            file,
            left_out,
            notes,
            sampled,
            out_of_order,
            busiest_second: times.filter(|_| sampled.is_some()).and_then(|times| seconds.busiest(&times)),
            shared_coupons: offers.shared,
            coupon_rooms: offers.rooms.iter().filter_map(|rank| sorted.ids.get(*rank).copied()).collect(),
            rooms: RecordedRooms {
                grabs: vec![0; sorted.ids.len()],
                stored: vec![0; sorted.ids.len()],
                ..RecordedRooms::default()
            },
            ..Self::default()
        };
        let room = |number| {
            let rank = rank(number);
            (rank, sorted.ids.get(rank).copied().unwrap_or_default())
        };
        let order = made.add(kept, are_days, &offers, room)?;
        (made.rooms.ids, made.rooms.labels) = (sorted.ids, sorted.labels);
        (made.rooms.are_numbered, made.rooms.others) = (sorted.are_numbered, sorted.others);
        keys.iter_mut().for_each(|key| key.select(order.iter().copied()));
        made.keys = keys.into_iter().map(KeyReader::values).collect();
        let users = made.sorted_users();
        made.hashed = hashed.into_iter().filter(|(id, _)| users.binary_search(id).is_ok()).collect();
        made.hashed.sort_unstable_by_key(|(id, _)| *id);
        made.users = users.into();
        Ok(made)
    }

    /// Adds the rows of lines, and counts them. `room` has the rank and the id of a line's room. Returns the place of
    /// each row among all grabs that were read.
    fn add(
        &mut self,
        lines: Vec<Line>,
        are_days: bool,
        offers: &Offers,
        room: impl Fn(u32) -> (usize, u64),
    ) -> Result<Vec<usize>> {
        let (mut pairs, mut of_coupon) = (HashSet::new(), vec![0_u64; offers.rooms.len()]);
        let mut order = Vec::new();
        for line in lines {
            let ((rank, id), coupon) = (room(line.room), offers.id(line.coupon));
            let row = RecordedRow {
                user: UserId::new(line.user)?,
                room: RoomId::new(id)?,
                coupon,
                time: Timestamp::from_millis(line.millis),
                repeats: false,
            };
            if line.endpoint != Endpoint::Grab {
                self.asked.push((line.endpoint, row));
                continue;
            }
            let repeats = !pairs.insert((line.user, coupon));
            self.rooms.count(rank, repeats);
            if let Some(count) = index(coupon - 1).and_then(|at| of_coupon.get_mut(at)) {
                *count += 1;
            }
            self.repeated += u64::from(repeats);
            let is_day = are_days || line.precision == Precision::Day;
            self.spread.days += u64::from(is_day);
            self.spread.hours += u64::from(!is_day && line.precision == Precision::Hour);
            order.extend(index(line.grab));
            self.rows.push(RecordedRow { repeats, ..row });
        }
        ensure!(!self.rows.is_empty(), "no line is a grab: all {} are queries", self.asked.len());
        self.busiest_coupon = of_coupon.into_iter().max().unwrap_or(1);
        Ok(order)
    }

    /// The users of all rows and queries, each once.
    fn sorted_users(&self) -> Vec<u64> {
        let asked = self.asked.iter().map(|(_, row)| row);
        let mut users: Vec<u64> = self.rows.iter().chain(asked).map(|row| row.user.get()).collect();
        users.sort_unstable();
        users.dedup();
        users
    }
}

impl RecordedRooms {
    fn count(&mut self, rank: usize, repeats: bool) {
        if let (Some(grabs), Some(stored)) = (self.grabs.get_mut(rank), self.stored.get_mut(rank)) {
            *grabs += 1;
            *stored += u64::from(!repeats);
        }
    }
}

/// Gives lines of which only the day or the hour is known a moment in it.
fn spread(lines: &mut [Line], are_days: bool, seed: u64) {
    let mut random = Random::new(seed, IN_THE_DAY);
    for line in lines {
        let precision = if are_days { Precision::Day } else { line.precision };
        if precision != Precision::Moment {
            line.millis += random.below(precision.millis()).cast_signed();
        }
    }
}

fn leave_out_strays(lines: &mut Vec<Line>, left_out: &mut LeftOut) {
    let times: Vec<i64> = lines.iter().map(|line| line.millis).collect();
    let kept = outliers::together(&times);
    for (at, line) in lines.iter().enumerate() {
        if !kept.contains(&at) {
            let day = Timestamp::from_millis(line.millis).day();
            left_out.add(format!("far apart from all others in time, on {day}"), u64::from(line.line), 1);
        }
    }
    lines.truncate(kept.end);
    lines.drain(..kept.start);
}

/// The times that sorted lines may have been read with: those of which only the day is known were spread over it since.
fn as_read(lines: &[Line]) -> Option<RangeInclusive<i64>> {
    let (first, last) = (lines.first()?.millis, lines.last()?.millis);
    Some(first.saturating_sub(Precision::Day.millis().cast_signed())..=last)
}

/// The room and the hash of each coupon, by its number.
fn coupons_by_number(coupons: &std::collections::HashMap<(u32, u64), u32>) -> Vec<(u32, u64)> {
    let mut all = vec![(0, 0); coupons.len()];
    for (coupon, number) in coupons {
        if let Some(place) = index(*number).and_then(|at| all.get_mut(at)) {
            *place = *coupon;
        }
    }
    all
}

/// The coupons: each is a room's own, since a coupon of this system belongs to one room.
struct Offers {
    /// The id of each coupon, by its number.
    ids: Vec<u64>,
    /// The place of each coupon's room among all, coupon 1 first.
    rooms: Vec<usize>,
    /// Coupons that several rooms have.
    shared: u64,
}

impl Offers {
    fn of(lines: &[Line], coupons: &[(u32, u64)], rank: impl Fn(u32) -> usize) -> Self {
        let mut used = vec![false; coupons.len()];
        lines.iter().for_each(|line| set(&mut used, line.coupon));
        let mut order: Vec<(usize, usize, u64)> = Vec::new();
        for (number, ((room, hash), used)) in coupons.iter().zip(&used).enumerate() {
            if *used {
                order.push((rank(*room), number, *hash));
            }
        }
        order.sort_unstable();
        let mut ids = vec![0; coupons.len()];
        for (id, (_, number, _)) in (1..).zip(&order) {
            if let Some(place) = ids.get_mut(*number) {
                *place = id;
            }
        }
        let mut rooms = BTreeMap::<u64, u32>::new();
        order.iter().for_each(|(.., hash)| *rooms.entry(*hash).or_default() += 1);
        let shared = rooms.values().filter(|rooms| **rooms > 1).count() as u64;
        Self { ids, rooms: order.into_iter().map(|(rank, ..)| rank).collect(), shared }
    }

    fn id(&self, number: u32) -> u64 {
        index(number).and_then(|at| self.ids.get(at)).copied().unwrap_or(1)
    }
}

fn set(marks: &mut [bool], number: u32) {
    if let Some(mark) = index(number).and_then(|at| marks.get_mut(at)) {
        *mark = true;
    }
}

fn index<N: TryInto<usize>>(number: N) -> Option<usize> {
    number.try_into().ok()
}
