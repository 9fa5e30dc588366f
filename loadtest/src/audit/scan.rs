//! One pass over every stored row, and what can be told from all of them together.

use std::collections::HashMap;

use anyhow::Result;
use coupon_core::{Placement, ResultId, RoomId, RowKey, TableId, Timestamp, UserId};

use super::claims::Ledger;
use super::source::{Catalogue, Shard, Snapshot, Stored, Waiting};
use super::{AuditReport, Kind, Scope, stock};

/// The users who hold each coupon, sorted.
pub(super) type Holders = HashMap<i64, Vec<i64>>;

/// What is kept of all rows: 16 bytes each, so that ten million fit anywhere.
#[derive(Default)]
struct Seen {
    ids: Vec<i64>,
    holders: Holders,
    /// Which of the ledger's acknowledged grabs were found.
    found: Vec<bool>,
}

/// What the pass needs to know of each row's surroundings.
struct Pass<'a> {
    scope: &'a Scope<'a>,
    catalogue: &'a Catalogue,
    ledger: Option<&'a Ledger>,
    /// The run's own rows are those with a larger id.
    since: Option<i64>,
}

/// Reads every row; adds to the report what is duplicate, lost, invented or misplaced.
pub(super) fn scan(
    snapshot: &mut Snapshot,
    scope: &Scope<'_>,
    ledger: Option<&Ledger>,
    report: &mut AuditReport,
) -> Result<Holders> {
    let since = scope.since.or_else(|| ledger.and_then(Ledger::first).map(|first| first - 1));
    note_what_cannot_be_checked(scope, ledger, since, report);
    let Snapshot { catalogue, shards, rows } = snapshot;
    let pass = Pass { scope, catalogue, ledger, since };
    let mut seen = Seen::default();
    seen.found.resize(ledger.map_or(0, |ledger| ledger.granted.len()), false);
    for shard in &*shards {
        let before = seen.ids.len();
        for place in shard.places() {
            report.tables += 1;
            rows.each(place, &mut |row| pass.row(row, place, &mut seen, report))?;
        }
        pass.inbox(shard, &mut seen, report);
        stock::kept_count(shard, (seen.ids.len() - before) as u64, report);
    }
    report.rows = seen.ids.len() as u64;
    twice_stored(snapshot, seen.ids, report)?;
    twice_held(snapshot, &mut seen.holders, report)?;
    if let Some(ledger) = ledger {
        lost(snapshot, ledger, &seen.found, report)?;
        not_held(ledger, &seen.holders, report);
    }
    Ok(seen.holders)
}

fn note_what_cannot_be_checked(
    scope: &Scope<'_>,
    ledger: Option<&Ledger>,
    since: Option<i64>,
    report: &mut AuditReport,
) {
    match scope.claims {
        None => {
            report.not_checked.insert(Kind::Lost, "no record of acknowledged grabs".to_owned());
            report.not_checked.insert(Kind::Invented, "no record of acknowledged grabs".to_owned());
        }
        Some(claims) => {
            report.acknowledged = ledger.map(|ledger| ledger.granted.len() as u64);
            report.refused = Some(claims.refused());
            report.unknown = Some(claims.unknown() as u64);
            if since.is_none() {
                let why = "nothing was acknowledged and no start is given";
                report.not_checked.insert(Kind::Invented, why.to_owned());
            }
        }
    }
    if scope.strategy.is_none() {
        let why = "the strategy is not known, so only table names were held against their rows";
        report.not_checked.insert(Kind::Misplaced, why.to_owned());
    }
}

impl Pass<'_> {
    /// What is in the inbox is stored; which table it is meant for is written beside it.
    fn inbox(&self, shard: &Shard, seen: &mut Seen, report: &mut AuditReport) {
        for &Waiting { table, grab, room } in &shard.inbox {
            let time = ResultId::from_number(grab.id).map_or(0, |id| id.time().millis());
            let row = Stored { grab, room, time, granted: true };
            self.row(row, shard.place(table), seen, report);
        }
    }

    fn row(&self, row: Stored, place: Placement, seen: &mut Seen, report: &mut AuditReport) {
        seen.ids.push(row.grab.id);
        seen.holders.entry(row.grab.coupon).or_default().push(row.grab.user);
        self.placed(row, place, report);
        self.claimed(row, place, seen, report);
    }

    /// Holds a row against its place, its id and its coupon.
    fn placed(&self, row: Stored, place: Placement, report: &mut AuditReport) {
        if let Some(wrong) = self.wrong(row, place) {
            report.add(Kind::Misplaced, 1, || format!("{}: {wrong}", row.grab.at(place)));
        }
    }

    fn wrong(&self, row: Stored, place: Placement) -> Option<String> {
        let (Ok(id), Ok(user), Ok(room)) =
            (ResultId::from_number(row.grab.id), id::<UserId>(row.grab.user), id::<RoomId>(row.room))
        else {
            return Some(format!("an id is out of range (room {})", row.room));
        };
        let time = Timestamp::from_millis(row.time);
        if id.time() != time {
            return Some(format!("grab_time is {time}, but the id was made at {}", id.time()));
        }
        if !row.granted {
            return Some("it is stored although it was not granted".to_owned());
        }
        match self.catalogue.get(&row.grab.coupon) {
            None => return Some("the catalogue has no such coupon".to_owned()),
            Some(coupon) if coupon.room != row.room => {
                return Some(format!("it names room {}, the coupon's is {}", row.room, coupon.room));
            }
            Some(_) => {}
        }
        if !belongs(place.table, time, room) {
            return Some(format!("its time {time} and room {room} belong in another table"));
        }
        let right = self.scope.strategy?.place(&RowKey { user, room, time });
        match right {
            Ok(right) if right == place => None,
            Ok(right) => Some(format!("it belongs on {right}")),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Holds a row against what was answered.
    fn claimed(&self, row: Stored, place: Placement, seen: &mut Seen, report: &mut AuditReport) {
        let Some(ledger) = self.ledger else { return };
        let (Ok(user), Ok(coupon)) = (u64::try_from(row.grab.user), u64::try_from(row.grab.coupon)) else {
            return;
        };
        for index in ledger.acknowledged(row.grab.id) {
            let same = ledger.granted.get(index).is_some_and(|&(_, u, c)| (u, c) == (user, coupon));
            if let Some(found) = seen.found.get_mut(index) {
                *found |= same;
            }
        }
        if self.since.is_none_or(|since| row.grab.id <= since) || ledger.was_granted(user, coupon) {
            return;
        }
        if ledger.is_unknown(user, coupon) {
            report.unknown_stored += 1;
        } else {
            report.add(Kind::Invented, 1, || format!("{}: nobody asked for it", row.grab.at(place)));
        }
    }
}

/// Whether a table's own name allows the row.
fn belongs(table: TableId, time: Timestamp, room: RoomId) -> bool {
    match table {
        TableId::Single | TableId::Part(_) => true,
        TableId::Day(day) => time.day() == day,
        TableId::Hour(hour) => time.hour() == hour,
        TableId::Rooms { first, last } => first <= room && last.is_none_or(|last| room <= last),
    }
}

fn id<T: TryFrom<u64>>(number: i64) -> Result<T, ()> {
    u64::try_from(number).map_err(drop).and_then(|number| T::try_from(number).map_err(drop))
}

fn lost(snapshot: &mut Snapshot, ledger: &Ledger, found: &[bool], report: &mut AuditReport) -> Result<()> {
    let missing = ledger.granted.iter().zip(found).filter(|(_, found)| !**found);
    for (&(result, user, coupon), _) in missing {
        let mut instead = Vec::new();
        if report.shows(Kind::Lost) {
            instead = snapshot.copies(result)?;
            if let (Ok(user), Ok(coupon)) = (i64::try_from(user), i64::try_from(coupon)) {
                instead.extend(snapshot.holdings(user, coupon)?);
            }
        }
        report.add(Kind::Lost, 1, || {
            let claim = format!("result {result} was acknowledged to user {user}, coupon {coupon}");
            if instead.is_empty() {
                format!("{claim}, and is not stored")
            } else {
                format!("{claim}; stored instead: {}", instead.join(", "))
            }
        });
    }
    Ok(())
}

fn twice_stored(snapshot: &mut Snapshot, mut ids: Vec<i64>, report: &mut AuditReport) -> Result<()> {
    ids.sort_unstable();
    for same in ids.chunk_by(|a, b| a == b).filter(|same| same.len() > 1) {
        let Some(&id) = same.first() else { continue };
        let copies = if report.shows(Kind::Duplicate) { snapshot.copies(id)? } else { Vec::new() };
        report.add(Kind::Duplicate, same.len() as u64 - 1, || {
            format!("result {id} is stored {} times: {}", same.len(), copies.join(", "))
        });
    }
    Ok(())
}

/// Finds users who hold a coupon twice; leaves each coupon's holders sorted.
fn twice_held(snapshot: &mut Snapshot, holders: &mut Holders, report: &mut AuditReport) -> Result<()> {
    for (&coupon, users) in holders {
        users.sort_unstable();
        for same in users.chunk_by(|a, b| a == b).filter(|same| same.len() > 1) {
            let Some(&user) = same.first() else { continue };
            let held =
                if report.shows(Kind::Duplicate) { snapshot.holdings(user, coupon)? } else { Vec::new() };
            report.add(Kind::Duplicate, same.len() as u64 - 1, || {
                format!("user {user} holds coupon {coupon} {} times: {}", same.len(), held.join(", "))
            });
        }
    }
    Ok(())
}

/// Finds users who were told that they hold a coupon already, and do not.
fn not_held(ledger: &Ledger, holders: &Holders, report: &mut AuditReport) {
    for &(user, coupon) in &ledger.held {
        let users = i64::try_from(coupon).ok().and_then(|coupon| holders.get(&coupon));
        let holds =
            |users: &Vec<i64>| i64::try_from(user).is_ok_and(|user| users.binary_search(&user).is_ok());
        if !users.is_some_and(holds) {
            report.add(Kind::Lost, 1, || {
                format!("user {user} was told that they hold coupon {coupon} already, and no shard says so")
            });
        }
    }
}
