//! The gate of services that run, or the stock that a database keeps in its place, held against their shards.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use anyhow::{Result, bail, ensure};
use coupon_core::{ResultId, Timestamp};

use super::Servers;
use super::gates::Lines;
use super::holds::{Differing, Hold, Kept, Slot, accounted, differing};
use super::keys::GateKeys;
use crate::kept;
use crate::scan::{Holders, Holding, Sold};
use crate::source::{Catalogue, Snapshot, Stored};
use crate::terms::on_offer;

/// The number of differences of a kind that are described; all are counted.
const SHOWN: usize = 10;

/// The differences between the gate and the shards, about coupons on offer; or between the stock that a database keeps which
/// decides grabs and its rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// True if a database decides grabs.
    by_database: bool,
    /// Coupons that were looked at.
    coupons: usize,
    /// Results of theirs that are stored or parked.
    stored: usize,
    /// Reservations on their way to a shard. They are no difference: services that run store them.
    pending: usize,
    /// Held in the gate, and stored nowhere.
    not_stored: Vec<String>,
    /// Stored, and not held in the gate.
    not_held: Vec<String>,
    /// Held in the gate as another result than the one that is stored.
    otherwise: Vec<String>,
    /// Coupons on offer that the gate, or the database's stock, lacks.
    unknown: Vec<String>,
    /// Coupons of which a database that decides grabs has sold another number than is stored.
    miscounted: Vec<String>,
}

impl Differences {
    fn kinds(&self) -> Vec<(&'static str, &[String])> {
        if self.by_database {
            return vec![
                ("coupons of which another number is sold than stored", &self.miscounted),
                ("coupons on offer that the database has no stock of", &self.unknown),
            ];
        }
        vec![
            ("held in the gate, and stored nowhere", &self.not_stored),
            ("stored, and not held in the gate", &self.not_held),
            ("held in the gate under another id than stored", &self.otherwise),
            ("coupons on offer that the gate does not know", &self.unknown),
        ]
    }

    /// Their number.
    #[must_use]
    pub fn count(&self) -> usize {
        self.kinds().iter().map(|(_, found)| found.len()).sum()
    }

    fn add(&mut self, coupon: i64, room: i64, found: Differing) {
        for ((user, slot), held) in found.not_stored {
            let put_back = if held.plain { put_back(coupon, room, user, held) } else { String::new() };
            let slot = shown(slot);
            self.not_stored.push(format!("coupon {coupon}, user {user}{slot}, result {held}{put_back}"));
        }
        self.not_held.extend(
            found.not_held.into_iter().map(|((user, slot), id)| {
                format!("coupon {coupon}, user {user}{}, result {id}", shown(slot))
            }),
        );
        self.otherwise.extend(found.otherwise.into_iter().map(|((user, slot), held, stored)| {
            format!("coupon {coupon}, user {user}{}: held as {held}, stored as {stored}", shown(slot))
        }));
    }
}

/// A slot for descriptions: nearly all are the first.
fn shown(slot: u8) -> String {
    if slot == 0 { String::new() } else { format!(" in slot {slot}") }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by_database, coupons, stored, pending, .. } = self;
        write!(f, "{coupons} coupons, {stored} results stored, ")?;
        if *by_database {
            f.write_str("no gate: the database decides grabs, and neither Redis nor RabbitMQ was asked")?;
        } else {
            write!(f, "{pending} reservations on their way")?;
        }
        for (kind, found) in self.kinds() {
            write!(f, "\n  {kind}: {}", found.len())?;
            for one in found.iter().take(SHOWN) {
                write!(f, "\n    {one}")?;
            }
            if found.len() > SHOWN {
                write!(f, "\n    … {} more", found.len() - SHOWN)?;
            }
        }
        Ok(())
    }
}

impl Servers {
    /// Holds the gate against the shards, for every coupon that is on offer now, and changes neither. Services may be
    /// running meanwhile. Takes memory for every result of those coupons. Where a database decides grabs, its stock is held
    /// against its rows instead, and nothing but databases is asked.
    ///
    /// # Errors
    /// When the gate is shut, or a server cannot be read. A difference is no error.
    pub fn verify(&self, now: Timestamp) -> Result<Differences> {
        let (gate, catalogue) = self.gate_and_catalogue()?;
        if gate.closed().is_some() {
            bail!("the gate is shut: no service has filled it yet, or one is filling it");
        }
        if gate.by_database {
            return self.verify_stock(now);
        }
        let mut lines = Lines::open(&self.addresses, gate.count())?;
        // Holders, then marks, then shards: a holder without a mark was stored before the marks were read.
        let mut held = BTreeMap::new();
        for coupon in on_offer(&catalogue, now.millis()) {
            held.insert(coupon, Kept::read(&mut lines, &gate, coupon)?);
        }
        let pending = pending(&mut lines, &gate)?;
        let (mut snapshot, _) = self.hold(false)?;
        let stored = stored(&mut snapshot, &held)?;
        let mut found = Differences { coupons: held.len(), ..Differences::default() };
        for (coupon, kept) in held {
            let accounted = accounted(&snapshot, &stored, coupon);
            found.stored += accounted.len();
            // A coupon of which the gate lacks even the total is one that it does not know.
            let Some(Kept { terms: [Some(_), ..], held }) = kept else {
                found.unknown.push(format!("coupon {coupon}"));
                continue;
            };
            let mut differing = differing(&held, &accounted, now);
            let not_stored = differing.not_stored.len();
            differing.not_stored.retain(|(slot, hold)| !pending.contains(&mark(*slot, coupon, hold.result)));
            found.pending += not_stored - differing.not_stored.len();
            still_differing(&mut lines, &gate, coupon, &mut differing)?;
            found.add(coupon, room(&catalogue, coupon), differing);
        }
        ensure!(self.gate_now(&gate)? == gate, "the gate was filled anew meanwhile: ask again");
        Ok(found)
    }
}

impl Servers {
    fn verify_stock(&self, now: Timestamp) -> Result<Differences> {
        let (mut snapshot, _) = self.hold(false)?;
        let mut sold = Sold::new();
        for place in snapshot.places() {
            snapshot.rows.each(place, &mut |row| {
                if row.life.is_live() {
                    *sold.entry((place.shard.number(), row.grab.coupon)).or_default() += 1;
                }
            })?;
        }
        Ok(Differences {
            by_database: true,
            coupons: kept::terms(&snapshot).len(),
            stored: sold.values().map(|rows| usize::try_from(*rows).unwrap_or(0)).sum(),
            unknown: kept::unknown(&snapshot, now.millis()).map(|id| format!("coupon {id}")).collect(),
            miscounted: kept::miscounted(&snapshot, &sold),
            ..Differences::default()
        })
    }
}

/// The names of all reservations that are not known to be stored, at one moment of each gate: `user:coupon:result`, and in a
/// further slot `user:coupon:result:slot`.
fn pending(lines: &mut Lines, gate: &GateKeys) -> Result<HashSet<String>> {
    let mut all = HashSet::new();
    for place in 0..gate.count() {
        let pending: Vec<String> =
            redis::cmd("ZRANGE").arg(gate.pending(place)).arg(0).arg(-1).query(lines.to(place)?)?;
        all.extend(pending);
    }
    Ok(all)
}

/// The name of a reservation that is not known to be stored.
fn mark((user, slot): Slot, coupon: i64, result: i64) -> String {
    let first = format!("{user}:{coupon}:{result}");
    if slot == 0 { first } else { format!("{first}:{slot}") }
}

/// Every stored result of those coupons: in a table, or leaving one for another in which it is not yet.
fn stored(snapshot: &mut Snapshot, coupons: &BTreeMap<i64, Option<Kept>>) -> Result<Holders> {
    let leaving = snapshot.shards.iter().flat_map(|shard| &shard.leaving).map(|leaving| leaving.row);
    let mut leaving: BTreeMap<i64, Stored> = leaving.map(|row| (row.grab.id, row)).collect();
    let mut holders = Holders::new();
    let mut add = |row: &Stored| {
        if coupons.contains_key(&row.grab.coupon) {
            holders.entry(row.grab.coupon).or_default().push(Holding::of(row));
        }
    };
    for place in snapshot.places() {
        snapshot.rows.each(place, &mut |row| {
            leaving.remove(&row.grab.id);
            add(&row);
        })?;
    }
    leaving.values().for_each(add);
    Ok(holders)
}

/// Leaves out what the gate says otherwise by now: results that were stored while it was read may be newer than what was
/// read, and what was given back since is let go of.
fn still_differing(lines: &mut Lines, gate: &GateKeys, coupon: i64, differing: &mut Differing) -> Result<()> {
    if differing.not_held.is_empty() && differing.not_stored.is_empty() {
        return Ok(());
    }
    let now = Kept::read(lines, gate, coupon)?.map(|kept| kept.held).unwrap_or_default();
    differing.not_held.retain(|(slot, _)| !now.holders.contains_key(slot));
    differing.not_stored.retain(|(slot, hold)| now.takes_stock(*slot, *hold));
    Ok(())
}

fn room(catalogue: &Catalogue, coupon: i64) -> i64 {
    catalogue.get(&coupon).map_or(0, |coupon| coupon.room)
}

/// The statement that puts a deleted row back: its grab was acknowledged, and main counts it. The table is the
/// strategy's.
fn put_back(coupon: i64, room: i64, user: i64, held: Hold) -> String {
    let id = ResultId::from_number(held.result).ok().filter(|_| !held.parked);
    id.map_or_else(String::new, |id| {
        format!(
            "; if its row was deleted:\n      INSERT INTO <table> (result_id, user_id, coupon_id, room_id, grab_status, \
             grab_time) VALUES ({id}, {user}, {coupon}, {room}, 1, {})",
            id.time().millis()
        )
    })
}
