//! The data at one moment, to tell whether anything has changed since.

use anyhow::Result;

use super::source::{Catalogue, Snapshot, Stored, Waiting};
use super::start::digest_of;

/// A data set as it was at one moment, in a few numbers and its catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The number of its rows, and the sum of their digests, wherever they are.
    rows: (u64, u64),
    catalogue: Catalogue,
    /// The position to which main had applied each shard's outbox, and the last entry there.
    outboxes: Vec<(i64, i64)>,
    /// The results that each shard had stored and not sorted into its tables yet.
    inboxes: Vec<Vec<i64>>,
}

impl Moment {
    pub(super) fn of(snapshot: &mut Snapshot) -> Result<Self> {
        let mut rows = (0, 0_u64);
        let mut note = |row: Stored| rows = (rows.0 + 1, rows.1.wrapping_add(digest(&row)));
        let Snapshot { shards, rows: tables, .. } = &mut *snapshot;
        for shard in &*shards {
            for place in shard.places() {
                tables.each(place, &mut note)?;
            }
            shard.inbox.iter().map(Waiting::row).for_each(&mut note);
            shard.leaving.iter().map(|leaving| leaving.row).for_each(&mut note);
        }
        Ok(Self {
            rows,
            catalogue: snapshot.catalogue.clone(),
            outboxes: snapshot.shards.iter().map(|shard| (shard.position, shard.last)).collect(),
            inboxes: snapshot
                .shards
                .iter()
                .map(|shard| shard.inbox.iter().map(|of| of.grab.id).collect())
                .collect(),
        })
    }

    /// True if a shard had written that entry of its outbox.
    pub(super) fn has_written(&self, shard: u16, entry: i64) -> bool {
        self.outboxes.get(usize::from(shard)).is_some_and(|(_, last)| entry <= *last)
    }

    /// True if a shard had that result, and had not sorted it into its table yet.
    pub(super) fn has_waiting(&self, shard: u16, result: i64) -> bool {
        self.inboxes.get(usize::from(shard)).is_some_and(|inbox| inbox.contains(&result))
    }
}

/// A hash of a row, by which an audit sees whether anything has happened to it since.
fn digest(row: &Stored) -> u64 {
    let Stored { grab, room, time, granted, spent, life, request } = *row;
    let always = [grab.id, grab.user, grab.coupon, room, time, i64::from(granted), spent.status, life.state];
    let perhaps = [spent.time, spent.cents, life.slot, life.hold_until, life.state_time, request];
    digest_of(&[&always.map(Some)[..], &perhaps].concat(), "")
}
