//! The lines of a file as they are read: what is kept of each, within bounds.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use coupon_cli::plain;
use coupon_loadgen::workload::Endpoint;
use coupon_measure::format::{count, counted};
use xxhash_rust::xxh3::xxh3_64;

use super::ids::{self, RoomNumbers};
use super::keys::KeyReader;
use super::sampling::Sampling;
use super::seconds::Seconds;
use super::times::{Moment, Precision};

/// The fields that are kept of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) user: u64,
    pub(super) millis: i64,
    /// Rooms and coupons by their numbers in the order of their first appearance.
    pub(super) room: u32,
    pub(super) coupon: u32,
    /// Its number in the file.
    pub(super) line: u32,
    pub(super) precision: Precision,
    pub(super) endpoint: Endpoint,
    /// The place of its values of candidate keys, for a grab.
    pub(super) grab: u32,
}

/// The fields of a line that make sense so far: its time is a text still.
#[derive(Debug, Clone)]
pub(super) struct Fields<T> {
    pub(super) user: T,
    pub(super) room: T,
    pub(super) coupon: T,
    pub(super) time: T,
    /// The first of its lines, and their number.
    pub(super) line: u64,
    pub(super) lines: u64,
    pub(super) endpoint: Endpoint,
    /// Its value of each candidate key.
    pub(super) keys: Vec<String>,
}

impl Fields<&str> {
    pub(super) fn owned(&self) -> Fields<String> {
        let [user, room, coupon, time] = [self.user, self.room, self.coupon, self.time].map(str::to_owned);
        Fields {
            user,
            room,
            coupon,
            time,
            line: self.line,
            lines: self.lines,
            endpoint: self.endpoint,
            keys: self.keys.clone(),
        }
    }
}

impl Fields<String> {
    pub(super) fn borrowed(&self) -> Fields<&str> {
        let Self { user, room, coupon, time, line, lines, endpoint, keys } = self;
        Fields {
            user,
            room,
            coupon,
            time,
            line: *line,
            lines: *lines,
            endpoint: *endpoint,
            keys: keys.clone(),
        }
    }
}

/// The most bytes of names of rooms and users that are kept.
const NAME_BYTES: usize = 64 << 20;

/// All that was kept.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) rooms: RoomNumbers,
    /// The coupons of each room, by the hashes of their texts.
    pub(super) coupons: HashMap<(u32, u64), u32>,
    pub(super) kept: Vec<Line>,
    pub(super) sampling: Sampling,
    /// The values of candidate keys that each grab has.
    pub(super) keys: Vec<KeyReader>,
    grabs: u32,
    /// The users whose ids are hashes of their names, with the names, if these are wanted.
    pub(super) hashed: HashMap<u64, Option<Box<str>>>,
    /// The bytes of these names.
    user_bytes: usize,
    /// True as long as every time is a midnight to the millisecond.
    pub(super) are_midnights: bool,
    pub(super) order: Order,
    pub(super) seconds: Seconds,
    spellings: Spellings,
    most: usize,
    with_names: bool,
}

impl Lines {
    pub(super) fn new(sampling: Sampling, most: usize, with_names: bool, keys: Vec<KeyReader>) -> Self {
        Self {
            rooms: RoomNumbers::default(),
            coupons: HashMap::new(),
            kept: Vec::new(),
            sampling,
            keys,
            grabs: 0,
            hashed: HashMap::new(),
            user_bytes: 0,
            are_midnights: true,
            order: Order::default(),
            seconds: Seconds::default(),
            spellings: Spellings::default(),
            most: most.max(1),
            with_names,
        }
    }

    /// Adds a line, if it is in the sample. Where there are more than fit, half of them go. The room has an id whether or not the
    /// line stays, so that ids are those of the whole file.
    pub(super) fn add(&mut self, fields: &Fields<&str>, moment: Moment) -> Result<()> {
        self.order.see(moment.time.millis(), fields.line);
        self.spellings.see(fields);
        if fields.endpoint == Endpoint::Grab {
            self.seconds.see(moment.time.millis());
        }
        let user = ids::canonical(fields.user);
        let user_id = ids::user_id(&user);
        let coupon = xxh3_64(ids::canonical(fields.coupon).as_bytes());
        let room = ids::canonical(fields.room);
        if !self.rooms.note(&room) {
            self.forget_those_that_went();
        }
        if !self.sampling.keeps(user_id, coupon) {
            return Ok(());
        }
        if ids::own_id(&user).is_none() && !self.hashed.contains_key(&user_id) {
            let name: Option<Box<str>> = self.with_names.then(|| user.as_ref().into());
            self.user_bytes += name.as_ref().map_or(0, |name| name.len());
            self.hashed.insert(user_id, name);
        }
        self.are_midnights &= moment.is_midnight;
        let room = self.rooms.number(&room);
        let next = u32::try_from(self.coupons.len()).unwrap_or(u32::MAX);
        let number = *self.coupons.entry((room, coupon)).or_insert(next);
        if fields.endpoint == Endpoint::Grab {
            for (key, value) in self.keys.iter_mut().zip(&fields.keys) {
                key.add(value, user_id, coupon, moment.time.millis());
            }
            self.grabs += 1;
        }
        self.kept.push(Line {
            user: user_id,
            millis: moment.time.millis(),
            room,
            coupon: number,
            line: u32::try_from(fields.line).unwrap_or(u32::MAX),
            precision: moment.precision,
            endpoint: fields.endpoint,
            grab: self.grabs.saturating_sub(1),
        });
        while self.kept.len() > self.most || self.rooms.bytes() + self.user_bytes > NAME_BYTES {
            self.halve()?;
        }
        Ok(())
    }

    fn halve(&mut self) -> Result<()> {
        let mut hashes = vec![0; self.coupons.len()];
        for ((_, hash), number) in &self.coupons {
            if let Some(place) = at(&mut hashes, *number) {
                *place = *hash;
            }
        }
        let before = self.kept.len();
        for _ in 0..32 {
            self.sampling.halve();
            let sampling = self.sampling;
            let hash = |line: &Line| hashes.get(usize::try_from(line.coupon).ok()?).copied();
            self.kept.retain(|line| hash(line).is_some_and(|coupon| sampling.keeps(line.user, coupon)));
            if self.kept.len() < before {
                break;
            }
        }
        ensure!(
            !self.kept.is_empty() && self.kept.len() < before,
            "{}: read fewer with --first",
            if before > self.most {
                format!("more than {} rows are of the same user and coupon", count(self.most as u64))
            } else {
                format!("names of rooms and users take more than {} MiB", NAME_BYTES >> 20)
            }
        );
        self.forget_those_that_went();
        Ok(())
    }

    /// Coupons, users and key values are those of the lines that are kept, and no others; so are rooms, if there are too many to
    /// keep all of them.
    fn forget_those_that_went(&mut self) {
        let mut rooms = (!self.rooms.are_all()).then(|| Renumbered::new(self.rooms.len()));
        let mut coupons = Renumbered::new(self.coupons.len());
        let (mut users, mut grabs) = (Vec::with_capacity(self.kept.len()), Vec::new());
        for line in &mut self.kept {
            line.room = rooms.as_mut().map_or(line.room, |rooms| rooms.number(line.room));
            line.coupon = coupons.number(line.coupon);
            users.push(line.user);
            if line.endpoint == Endpoint::Grab {
                grabs.push(usize::try_from(line.grab).unwrap_or(usize::MAX));
                line.grab = u32::try_from(grabs.len() - 1).unwrap_or(u32::MAX);
            }
        }
        let room = |number: u32| rooms.as_ref().map_or(Some(number), |rooms| rooms.known(number));
        if rooms.is_some() {
            self.rooms.renumber(room);
        }
        let kept = std::mem::take(&mut self.coupons)
            .into_iter()
            .filter_map(|((of, hash), number)| Some(((room(of)?, hash), coupons.known(number)?)));
        self.coupons = kept.collect();
        users.sort_unstable();
        self.hashed.retain(|user, _| users.binary_search(user).is_ok());
        self.user_bytes = self.hashed.values().flatten().map(|name| name.len()).sum();
        self.grabs = u32::try_from(grabs.len()).unwrap_or(u32::MAX);
        self.keys.iter_mut().for_each(|key| key.select(grabs.iter().copied()));
    }

    /// Notes about ids and times that are not as in the file.
    pub(super) fn notes(&self, is_local: bool) -> Vec<String> {
        let mut notes = self.spellings.notes();
        notes.extend(self.order.note().filter(|_| is_local));
        notes.extend((!self.rooms.are_all()).then(|| {
            "there are too many rooms to keep all their names: ids are those of the rooms that are kept, and another part of \
             the file has others"
                .to_owned()
        }));
        notes
    }
}

/// New numbers for some of many, in the order in which they are asked for.
struct Renumbered {
    new: Vec<Option<u32>>,
    next: u32,
}

impl Renumbered {
    fn new(many: usize) -> Self {
        Self { new: vec![None; many], next: 0 }
    }

    fn number(&mut self, old: u32) -> u32 {
        let next = self.next;
        let Some(place) = at(&mut self.new, old) else { return next };
        let number = *place.get_or_insert(next);
        self.next += u32::from(number == next);
        number
    }

    fn known(&self, old: u32) -> Option<u32> {
        self.new.get(usize::try_from(old).ok()?).copied().flatten()
    }
}

fn at<T>(all: &mut [T], number: u32) -> Option<&mut T> {
    all.get_mut(usize::try_from(number).ok()?)
}

/// The order of a file's times.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Order {
    latest: Option<i64>,
    /// Lines whose time is before that of the line before them, with the first of them and its step, in milliseconds.
    pub(super) back: u64,
    first: (u64, i64),
}

impl Order {
    fn see(&mut self, millis: i64, line: u64) {
        if let Some(latest) = self.latest
            && millis < latest
        {
            if self.back == 0 {
                self.first = (line, latest - millis);
            }
            self.back += 1;
        }
        self.latest = Some(millis);
    }

    /// A file in order but for one step back of some minutes to an hour is of a clock that was set back.
    fn note(&self) -> Option<String> {
        let (line, step) = self.first;
        (self.back == 1 && (20 * 60_000..=3_700_000).contains(&step)).then(|| {
            format!(
                "times go back by {} minutes at line {line}, and nowhere else: a local clock that was set back? Say of which \
                 zone they are with --time-zone",
                count((step / 60_000).unsigned_abs())
            )
        })
    }
}

/// Ids that are not written as they are taken.
#[derive(Debug, Default)]
struct Spellings {
    /// Lines with a number written in another way, and the first such.
    rewritten: Option<(u64, String)>,
    /// The same of numbers that a spreadsheet rounded, by column.
    rounded: [Option<(u64, u64, String)>; 3],
}

impl Spellings {
    fn see(&mut self, fields: &Fields<&str>) {
        let ids = [fields.user, fields.room, fields.coupon];
        for (text, rounded) in ids.into_iter().zip(&mut self.rounded) {
            if ids::is_rounded(text) {
                rounded.get_or_insert_with(|| (0, fields.line, text.to_owned())).0 += 1;
            } else if ids::canonical(text) != text {
                self.rewritten.get_or_insert_with(|| (0, text.to_owned())).0 += 1;
            }
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some((times, first)) = &self.rewritten {
            notes.push(format!(
                "{} written with a plus, zeros before it or a fraction of zeros (such as {}): taken as the same number without",
                counted(*times, "id"),
                plain::line(first)
            ));
        }
        for (kind, rounded) in ["user", "room", "coupon"].into_iter().zip(&self.rounded) {
            if let Some((times, line, first)) = rounded {
                notes.push(format!(
                    "WARNING: {} rounded by a spreadsheet (such as {}, line {line}): different {kind}s have become one; \
                     export the column as text",
                    counted(*times, &format!("{kind} id")),
                    plain::line(first)
                ));
            }
        }
        notes
    }
}
