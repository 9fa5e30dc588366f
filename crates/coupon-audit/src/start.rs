//! The state of data before a run, to be held against its state afterwards.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use xxhash_rust::xxh3::xxh3_64;

use super::books::Line;
use super::source::{Catalogue, Coupon, Earlier, Spent, Stored, Terms};

/// A data set as it was at one moment: 16 bytes for each row, and for each line of the stock log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartState {
    /// The id of the data set.
    pub(super) dataset: String,
    /// By id: each row's id and digest.
    pub(super) rows: Vec<(i64, u64)>,
    /// By number: each line's number and digest.
    pub(super) lines: Vec<(i64, u64)>,
    pub(super) catalogue: Catalogue,
    /// By coupon: its terms as the gate had them, where there was one that was open.
    pub(super) gate: BTreeMap<i64, Terms>,
    /// The position to which main had applied each shard's outbox, and the last entry there.
    pub(super) outboxes: Vec<(i64, i64)>,
    /// The results of each shard and coupon that came of no outbox.
    pub(super) unlogged: Unlogged,
    /// The number of its rows that had given their stock back.
    pub(super) given_back: i64,
}

/// The results of each shard and coupon that no line of the stock log names: they were there before there was an outbox.
pub(super) type Unlogged = HashMap<(u16, i64), i64>;

/// The state of a row before the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// No record of it.
    Unknown,
    /// It was not there: it is the run's own.
    Absent,
    /// As it is now.
    Same,
    /// The same, but not used.
    Unused,
    /// Neither.
    Other,
}

impl StartState {
    /// The largest id that was stored; 0 without any.
    #[must_use]
    pub fn newest(&self) -> i64 {
        self.rows.last().map_or(0, |(id, _)| *id)
    }

    /// The index of a row among those remembered.
    pub(super) fn position(&self, id: i64) -> Option<usize> {
        self.rows.binary_search_by_key(&id, |(id, _)| *id).ok()
    }

    /// The earlier state of a row that is there now.
    pub(super) fn before(&self, at: Option<usize>, row: &Stored) -> Before {
        let Some(&(_, remembered)) = at.and_then(|at| self.rows.get(at)) else { return Before::Absent };
        if digest(row) == remembered {
            Before::Same
        } else if digest(&Stored { spent: Spent::default(), ..*row }) == remembered {
            Before::Unused
        } else {
            Before::Other
        }
    }

    /// The catalogue's entry for a coupon at the start.
    pub(super) fn coupon(&self, id: i64) -> Option<&Coupon> {
        self.catalogue.get(&id)
    }
}

/// The terms on which a coupon may have been grabbed since a start: main's now and at the start, those that operators
/// changed, and those that the gate had at the start, which takes over what people write into main at times of which there
/// is no record.
pub(super) fn terms(
    catalogue: &Catalogue,
    earlier: &Earlier,
    start: Option<&StartState>,
    coupon: i64,
) -> impl Iterator<Item = Terms> {
    let changed = earlier.get(&coupon).into_iter().flatten().map(Coupon::terms);
    let now = catalogue.get(&coupon).map(Coupon::terms);
    let before = start.and_then(|start| start.coupon(coupon)).map(Coupon::terms);
    let gate = start.and_then(|start| start.gate.get(&coupon)).copied();
    [now, before, gate].into_iter().flatten().chain(changed)
}

/// A hash of a row, by which an audit knows the row again, as long as it is unchanged.
pub(super) fn digest(row: &Stored) -> u64 {
    // Not of its life after the grab, which goes on.
    let Stored { grab, room, time, granted, spent, .. } = *row;
    let Spent { status, time: used, cents } = spent;
    let grab = [grab.id, grab.user, grab.coupon, room, time, i64::from(granted), status];
    digest_of(&[&grab.map(Some)[..], &[used, cents]].concat(), "")
}

/// The same of anything that has numbers, and perhaps a name: for ever, since a start may be kept in a file.
pub(super) fn digest_of(numbers: &[Option<i64>], name: &str) -> u64 {
    let mut bytes = Vec::with_capacity(numbers.len() * 9 + name.len());
    for number in numbers {
        bytes.push(u8::from(number.is_some()));
        bytes.extend(number.unwrap_or(0).to_le_bytes());
    }
    bytes.extend(name.as_bytes());
    xxh3_64(&bytes)
}

/// Holds the stock log against what it was: a log is only ever added to.
#[derive(Debug)]
pub(super) struct OldLines<'a> {
    start: &'a StartState,
    found: HashSet<i64>,
    /// Results retired since, by coupon.
    pub(super) retired: BTreeMap<i64, i64>,
    /// Coupons whose books in main were rebuilt since.
    pub(super) rebuilt: BTreeSet<i64>,
    /// Results that gave their stock back since.
    pub(super) given_back: i64,
}

impl<'a> OldLines<'a> {
    pub(super) fn of(start: &'a StartState) -> Self {
        Self {
            start,
            found: HashSet::new(),
            retired: BTreeMap::new(),
            rebuilt: BTreeSet::new(),
            given_back: 0,
        }
    }

    pub(super) fn see(&mut self, line: &Line) {
        let at = self.start.lines.binary_search_by_key(&line.id, |(id, _)| *id);
        match at.ok().and_then(|at| self.start.lines.get(at)) {
            Some((id, digest)) if *digest == line.digest() => {
                self.found.insert(*id);
            }
            Some(_) => {}
            None => {
                *self.retired.entry(line.coupon).or_default() += line.retired();
                self.given_back += line.given_back();
                if line.is_rebuilt() {
                    self.rebuilt.insert(line.coupon);
                }
            }
        }
    }

    /// The numbers of lines that were there, and are not as they were.
    pub(super) fn gone(&self) -> impl Iterator<Item = i64> {
        self.start.lines.iter().map(|(id, _)| *id).filter(|id| !self.found.contains(id))
    }
}
