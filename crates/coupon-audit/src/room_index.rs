//! Holds the room index against the rows, in both directions, where a data set has one.

use std::cmp::Ordering;
use std::collections::HashSet;

use anyhow::{Context as _, Result, ensure};
use coupon_core::ShardId;
use xxhash_rust::xxh3::xxh3_64;

use super::life::Life;
use super::source::{Rows, Stored};
use super::start::digest_of;
use super::{AuditReport, Kind};

/// The name under which main's label says over how many shards there is an index.
pub(super) const META: &str = "room_index";
/// The table of a shard's part of the index.
pub(super) const TABLE: &str = "room_index";
/// A held result may have expired so shortly before it was read that the index had not taken that in.
const JUST_NOW_MS: i64 = 30_000;

/// The number of shards that an index is kept on.
///
/// # Errors
/// When what the label says is no such number.
pub(super) fn shards(said: Option<&str>) -> Result<Option<u16>> {
    let Some(said) = said else { return Ok(None) };
    let shards: u16 =
        said.parse().with_context(|| format!("main's label says {META} {said:?}, which is no number"))?;
    ensure!(shards > 0, "main's label says {META} 0: an index is kept on one shard at least");
    Ok(Some(shards))
}

/// The part that is kept of a row, or of an entry: 24 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    id: i64,
    digest: u64,
    held: bool,
}

impl Seen {
    fn of(row: &Stored) -> Self {
        let Stored { grab, room, time, granted, spent, life, request } = *row;
        let Life { state, slot, hold_until, state_time } = life;
        let numbers = [grab.id, grab.user, grab.coupon, room, time, i64::from(granted), spent.status, state];
        let may_be = [spent.time, spent.cents, slot, hold_until, state_time, request];
        let digest = digest_of(&[&numbers.map(Some)[..], &may_be].concat(), "");
        Self { id: grab.id, digest, held: state == Life::HELD }
    }
}

/// The rows that the index must have.
pub(super) struct Indexed {
    /// The number of the index's shards.
    shards: u16,
    rows: Vec<Seen>,
    just_expired: HashSet<i64>,
    since: i64,
}

impl Indexed {
    /// Holds rows against an index over so many shards.
    pub(super) fn over(shards: u16) -> Self {
        let since = jiff::Timestamp::now().as_millisecond() - JUST_NOW_MS;
        Self { shards, rows: Vec::new(), just_expired: HashSet::new(), since }
    }

    /// Takes note of a row that is stored.
    pub(super) fn see(&mut self, row: &Stored) {
        self.rows.push(Seen::of(row));
        if row.life.expired_since(self.since) {
            self.just_expired.insert(row.grab.id);
        }
    }

    /// Reads the index, and adds to the report where the two differ.
    pub(super) fn check(mut self, tables: &mut dyn Rows, report: &mut AuditReport) -> Result<()> {
        let mut entries = Vec::new();
        for shard in 0..self.shards {
            tables.indexed(ShardId::new(shard), &mut |entry| {
                let place = xxh3_64(&entry.room.to_le_bytes()) % u64::from(self.shards);
                if place != u64::from(shard) {
                    report.add(Kind::Misread, 1, || {
                        format!(
                            "the room index on shard {shard} has {}, whose room is kept on shard {place}",
                            entry.grab
                        )
                    });
                }
                entries.push(Seen::of(&entry));
            })?;
        }
        self.rows.sort_unstable();
        self.rows.dedup_by_key(|row| row.id);
        entries.sort_unstable();
        self.compare(&entries, report);
        Ok(())
    }

    fn compare(&self, entries: &[Seen], report: &mut AuditReport) {
        let (mut rows, mut entries) = (self.rows.iter().peekable(), entries.iter().peekable());
        let mut wrong = |id: i64, what: &str| {
            report.add(Kind::Misread, 1, || format!("the room index {what} result {id}"));
        };
        loop {
            let order = match (rows.peek(), entries.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(row), Some(entry)) => row.id.cmp(&entry.id),
            };
            let row = if order.is_le() { rows.next() } else { None };
            let entry = if order.is_ge() { entries.next() } else { None };
            match (row, entry) {
                (Some(row), None) => wrong(row.id, "lacks"),
                (None, Some(entry)) => wrong(entry.id, "has, and no shard stores,"),
                (Some(row), Some(entry)) if row.digest != entry.digest => {
                    let may_trail = entry.held && self.just_expired.contains(&row.id);
                    if !may_trail {
                        wrong(row.id, "has another account of");
                    }
                }
                _ => {}
            }
        }
    }
}
