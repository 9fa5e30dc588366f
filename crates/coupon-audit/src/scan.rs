//! One pass over every stored row, and the checks that need all of them together.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;

use anyhow::Result;
use coupon_core::{Placement, ResultId, RoomId, TableId, Timestamp, UserId};

use super::history::{History, Leaving};
use super::ids::Ids;
use super::ledger::Ledger;
use super::reads::Lists;
use super::requests::Asked;
use super::room_index::Indexed;
use super::source::{Catalogue, Coupon, Earlier, Shard, Snapshot, Stored, Sums, Waiting};
use super::start::{self, Before, Start};
use super::{AuditReport, Kind, Scope, answers, life, requests, spent, steps, stock};

/// A user's result of a coupon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Holding {
    pub(super) user: i64,
    /// None once its stock was given back.
    pub(super) slot: Option<u8>,
    pub(super) id: i64,
    /// The second in which its hold ends, of one that is held.
    pub(super) ends_s: Option<NonZeroU32>,
}

impl Holding {
    /// The part of a row that is kept.
    pub(super) fn of(row: &Stored) -> Self {
        // A slot that cannot be is found by the law of the row's own life.
        let slot = u8::try_from(row.life.slot.unwrap_or(0)).unwrap_or(u8::MAX);
        let slot = row.life.is_live().then_some(slot);
        let ends_s = row.held().and_then(|(until, _)| NonZeroU32::new(u32::try_from(until / 1_000).ok()?));
        Self { user: row.grab.user, slot, id: row.grab.id, ends_s }
    }
}

/// The results of each coupon, sorted.
pub(super) type Holders = HashMap<i64, Vec<Holding>>;

/// Rows that take stock, by shard and coupon.
pub(super) type Sold = HashMap<(u16, i64), i64>;

/// The part that is kept of every row: 32 bytes each, and 48 more of one that names its request, so that ten million fit anywhere.
#[derive(Default)]
pub(super) struct Seen {
    ids: Vec<i64>,
    pub(super) holders: Holders,
    pub(super) sold: Sold,
    /// Of each of the ledger's acknowledged grabs, and of its uses and steps, true if it was found.
    pub(super) found: Vec<bool>,
    pub(super) uses: Vec<bool>,
    pub(super) steps: Vec<bool>,
    /// Of each of the start's rows, true if it was found.
    old: Vec<bool>,
    /// The rows that name their request.
    asked: Vec<Asked>,
}

/// The surroundings of each row, as the pass needs them.
struct Pass<'a> {
    scope: &'a Scope<'a>,
    /// The law of where rows belong. Without it, only what a table's own name promises is checked.
    history: Option<&'a History>,
    catalogue: &'a Catalogue,
    earlier: &'a Earlier,
    users: &'a Ids,
    accepts_unknown_users: bool,
    ledger: Option<&'a Ledger>,
    /// Without a start, the run's own rows are those with a larger id.
    since: Option<i64>,
}

/// A row, and what was there before.
#[derive(Clone, Copy)]
struct Read {
    row: Stored,
    place: Placement,
    before: Before,
}

/// Reads every row; adds to the report what is wrong with it alone, or in company.
pub(super) fn scan(
    snapshot: &mut Snapshot,
    scope: &Scope<'_>,
    ledger: Option<&Ledger>,
    report: &mut AuditReport,
) -> Result<Seen> {
    let first = || ledger.and_then(Ledger::first).map(|first| first - 1);
    let since = scope.since.or_else(first).or_else(|| scope.start.map(Start::newest));
    note_what_cannot_be_checked(scope, ledger, since, report);
    let Snapshot {
        history,
        catalogue,
        earlier,
        users,
        accepts_unknown_users,
        shards,
        rows,
        movement,
        indexed,
        ..
    } = snapshot;
    // Until everything is told, the index trails.
    let mut indexed = indexed.filter(|_| scope.drained).map(Indexed::over);
    let unknown = history.unknown(shards.len()).next().map(str::to_owned);
    if let Some(layout) = &unknown {
        let why = format!(
            "the layout {layout:?} is none that the auditor knows, so only table names were held against their rows"
        );
        report.not_checked.insert(Kind::Misplaced, why);
    }
    let history = unknown.is_none().then_some(&*history);
    let accepts_unknown_users = *accepts_unknown_users;
    let pass = Pass { scope, history, catalogue, earlier, users, accepts_unknown_users, ledger, since };
    let mut seen = Seen::default();
    let mut lists = Lists::of(scope.reads.unwrap_or_default());
    seen.found.resize(ledger.map_or(0, |ledger| ledger.granted.len()), false);
    seen.uses.resize(ledger.map_or(0, |ledger| ledger.uses.len()), false);
    seen.steps.resize(ledger.map_or(0, |ledger| ledger.steps.len()), false);
    seen.old.resize(scope.start.map_or(0, |start| start.rows.len()), false);
    for shard in &*shards {
        let mut sums = Sums::default();
        let mut held = Vec::new();
        for place in shard.places() {
            report.tables += 1;
            rows.each(place, &mut |row| {
                sums.add(&row);
                lists.see(&row, shard.number);
                indexed.iter_mut().for_each(|indexed| indexed.see(&row));
                held.extend(row.held());
                pass.row(row, place, &mut seen, report);
            })?;
        }
        held_list(shard, held, report);
        for waiting in &shard.inbox {
            // What is in the inbox is stored; which table it is meant for is written beside it.
            let row = waiting.row();
            sums.add(&row);
            lists.see(&row, shard.number);
            pass.row(row, shard.place(waiting.table), &mut seen, report);
        }
        // What leaves a shard counts there until it has arrived for good.
        shard.leaving.iter().for_each(|leaving| sums.add(&leaving.row));
        stock::kept_count(shard, sums, report);
        unguarded(shard, report);
    }
    let arrives = scope.drained && movement.is_none_or(|movement| !movement.runs);
    let mut see = |row: &Stored, shard| {
        lists.see(row, shard);
        indexed.iter_mut().for_each(|indexed| indexed.see(row));
    };
    under_way(shards, &pass, arrives, &mut seen, &mut see, report);
    lists.check(movement.as_ref(), report);
    if let Some(indexed) = indexed {
        indexed.check(&mut **rows, report)?;
    }
    report.rows = seen.ids.len() as u64;
    twice_stored(snapshot, std::mem::take(&mut seen.ids), report)?;
    twice_held(snapshot, &mut seen.holders, report)?;
    requests::granted_twice(snapshot, std::mem::take(&mut seen.asked), report)?;
    if let Some(ledger) = ledger {
        answers::check(snapshot, &seen, scope, ledger, report)?;
    }
    Ok(seen)
}

/// Rows that have left their table: one that is in no other is stored all the same. Once no rows are moved, all have `arrived`.
fn under_way(
    shards: &[Shard],
    pass: &Pass<'_>,
    arrived: bool,
    seen: &mut Seen,
    see: &mut dyn FnMut(&Stored, u16),
    report: &mut AuditReport,
) {
    if shards.iter().all(|shard| shard.leaving.is_empty()) {
        return;
    }
    let stored: HashSet<i64> = seen.ids.iter().copied().collect();
    for shard in shards {
        for Leaving { row, from, to } in &shard.leaving {
            if !stored.contains(&row.grab.id) {
                see(row, shard.number);
                pass.row(*row, *from, seen, report);
            }
            if arrived {
                report.add(Kind::Misplaced, 1, || {
                    format!("{}: it left for {to}, and no rows are moved any more", row.grab.at(*from))
                });
            }
        }
    }
}

/// Takes note of every row as it is; says how many of each coupon each shard has.
pub(super) fn remember(snapshot: &mut Snapshot, start: &mut Start) -> Result<Sold> {
    let mut sold = Sold::new();
    let Snapshot { shards, rows: tables, .. } = snapshot;
    for shard in &*shards {
        let mut note = |row: Stored| {
            start.rows.push((row.grab.id, start::digest(&row)));
            if row.life.is_live() {
                *sold.entry((shard.number, row.grab.coupon)).or_default() += 1;
            } else {
                start.given_back += 1;
            }
        };
        for place in shard.places() {
            tables.each(place, &mut note)?;
        }
        shard.inbox.iter().map(Waiting::row).for_each(&mut note);
        shard.leaving.iter().map(|leaving| leaving.row).for_each(note);
    }
    start.rows.sort_unstable();
    // One that is leaving may have arrived already.
    start.rows.dedup_by_key(|(id, _)| *id);
    Ok(sold)
}

impl Seen {
    /// Of each of the start's rows, in their order, true if it was found.
    pub(super) fn old(&self) -> &[bool] {
        &self.old
    }
}

fn note_what_cannot_be_checked(
    scope: &Scope<'_>,
    ledger: Option<&Ledger>,
    since: Option<i64>,
    report: &mut AuditReport,
) {
    if scope.reads.is_none() {
        report.not_checked.insert(Kind::Misread, "no read endpoint was asked".to_owned());
    }
    match scope.claims {
        None => {
            for kind in [Kind::Lost, Kind::Invented] {
                report.not_checked.insert(kind, "no record of acknowledged grabs".to_owned());
            }
            let why = "no record of acknowledged uses, so each was only held against itself";
            report.not_checked.insert(Kind::Spent, why.to_owned());
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
}

/// Finds tables that would let a user's coupon in twice.
fn unguarded(shard: &Shard, report: &mut AuditReport) {
    for (table, key) in &shard.unguarded {
        let place = shard.place(*table);
        report.add(Kind::Unguarded, 1, || format!("{place} has no {key}"));
    }
}

impl Pass<'_> {
    fn row(&self, row: Stored, place: Placement, seen: &mut Seen, report: &mut AuditReport) {
        let grab = row.grab;
        seen.ids.push(grab.id);
        seen.asked.extend(Asked::of(&row));
        seen.holders.entry(grab.coupon).or_default().push(Holding::of(&row));
        if row.life.is_live() {
            *seen.sold.entry((place.shard.number(), grab.coupon)).or_default() += 1;
        }
        if let Some(wrong) = life::wrong(row.life, row.time, row.spent) {
            report.add(Kind::Spent, 1, || format!("{}: {wrong}", grab.at(place)));
        }
        let read = Read { row, place, before: self.before(&row, seen) };
        if let Some(wrong) = self.misplaced(&read) {
            report.add(Kind::Misplaced, 1, || format!("{}: {wrong}", grab.at(place)));
        }
        if let Some(wrong) = self.misjudged(&read) {
            report.add(Kind::Misjudged, 1, || format!("{}: {wrong}", grab.at(place)));
        }
        self.used(&read, seen, report);
        self.claimed(&read, seen, report);
    }

    fn before(&self, row: &Stored, seen: &mut Seen) -> Before {
        let Some(start) = self.scope.start else {
            let own = self.since.is_some_and(|since| row.grab.id > since);
            return if own { Before::Absent } else { Before::Unknown };
        };
        let at = start.position(row.grab.id);
        if let Some(found) = at.and_then(|at| seen.old.get_mut(at)) {
            *found = true;
        }
        start.before(at, row)
    }

    /// The catalogue's entries for a coupon: now, at the start, and before each change by an operator.
    fn coupons(&self, id: i64) -> impl Iterator<Item = &Coupon> {
        let start = self.scope.start.and_then(|start| start.coupon(id));
        let changed = self.earlier.get(&id).into_iter().flatten();
        self.catalogue.get(&id).into_iter().chain(start).chain(changed)
    }

    /// Holds a row against the rules by which grabs are decided.
    ///
    /// A window may have been moved, and a coupon withdrawn, after it was grabbed. Where the start is known, rows of
    /// before are not judged, and a row of the run must be wrong by all that it may have been judged by; where it is
    /// not, the window must be as it was.
    fn misjudged(&self, read: &Read) -> Option<String> {
        let row = &read.row;
        if !self.accepts_unknown_users && !self.users.contains(row.grab.user) {
            return Some("there is no such user".to_owned());
        }
        let known = self.scope.start.is_some();
        if known && read.before != Before::Absent {
            return None;
        }
        let terms = || start::terms(self.catalogue, self.earlier, self.scope.start, row.grab.coupon);
        let (start, end) = (terms().map(|terms| terms.start).min()?, terms().map(|terms| terms.end).max()?);
        let shown = |time| Timestamp::from_millis(time);
        if row.time < start {
            return Some(format!(
                "it was grabbed before its coupon's window, which begins at {}",
                shown(start)
            ));
        }
        if row.time >= end {
            return Some(format!("it was grabbed after its coupon's window, which ends at {}", shown(end)));
        }
        let limit = self.coupons(row.grab.coupon).map(|coupon| coupon.user_limit).max().unwrap_or(1);
        if let Some(slot) = row.life.slot.filter(|slot| known && *slot >= limit) {
            return Some(format!("it is in slot {slot}, and a user may have {limit} of its coupon"));
        }
        let withdrawn = known && self.coupons(row.grab.coupon).all(|coupon| !coupon.active);
        let gate = self.scope.start.and_then(|start| start.gate.get(&row.grab.coupon));
        (withdrawn && gate.is_none_or(|gate| gate.end <= row.time))
            .then(|| "its coupon was withdrawn before".to_owned())
    }

    /// Holds a row's use, and the steps before it, against the answers about them.
    fn used(&self, read: &Read, seen: &mut Seen, report: &mut AuditReport) {
        let Read { row, place, before } = *read;
        let (id, user) = (row.grab.id, row.grab.user);
        let told = self.ledger.map(|ledger| ledger.uses.told(id, user, &mut seen.uses));
        let steps = self.ledger.map(|ledger| ledger.steps.told(id, user, &mut seen.steps));
        let wrong = spent::wrong(row.spent, row.time, told, before);
        for wrong in wrong.into_iter().chain(steps::wrong(row.life, steps, before)) {
            report.add(Kind::Spent, 1, || format!("{}: {wrong}", row.grab.at(place)));
        }
    }

    fn misplaced(&self, read: &Read) -> Option<String> {
        let Read { row, place, .. } = *read;
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
            Some(coupon) => {
                // What was stored before its coupon was moved names the room that it was in.
                let moved = self.scope.start.is_some() && read.before != Before::Absent;
                let rooms = || self.coupons(row.grab.coupon).map(|coupon| coupon.room);
                if !moved && rooms().all(|room| room != row.room) {
                    return Some(format!("it names room {}, the coupon's is {}", row.room, coupon.room));
                }
            }
        }
        if !belongs(place.table, time, room) {
            return Some(format!("its time {time} and room {room} belong in another table"));
        }
        let right = self.history?.places(user, room, time);
        if right.contains(&place) {
            return None;
        }
        let right: Vec<String> = right.iter().map(ToString::to_string).collect();
        Some(match right.as_slice() {
            [] => "its layout has no place for it".to_owned(),
            right => format!("it belongs on {}", right.join(", or on ")),
        })
    }

    /// Holds a row against what was answered.
    fn claimed(&self, read: &Read, seen: &mut Seen, report: &mut AuditReport) {
        let Read { row, place, before } = *read;
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
        if before != Before::Absent || ledger.was_granted(user, coupon) {
            return;
        }
        if ledger.is_unknown(user, coupon) {
            report.unknown_stored += 1;
        } else {
            report.add(Kind::Invented, 1, || format!("{}: nobody asked for it", row.grab.at(place)));
        }
    }
}

/// True if a table's own name allows the row.
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

/// Holds a shard's list of what is held against the rows that are.
fn held_list(shard: &Shard, mut held: Vec<(i64, i64)>, report: &mut AuditReport) {
    let mut listed = shard.holds.clone();
    held.sort_unstable();
    listed.sort_unstable();
    let only_in = |these: &[(i64, i64)], those: &[(i64, i64)]| -> Vec<(i64, i64)> {
        these.iter().filter(|one| those.binary_search(one).is_err()).copied().collect()
    };
    for (missing, what) in [
        (only_in(&held, &listed), "held, and not in its list of what is: it would never expire"),
        (only_in(&listed, &held), "in its list of what is held, and no row is held so"),
    ] {
        let Some((until, id)) = missing.first() else { continue };
        report.add(Kind::Miscounted, missing.len() as u64, || {
            let until = Timestamp::from_millis(*until);
            format!("shard {}: result {id}, until {until}, is {what}", shard.number)
        });
    }
}

/// Finds users who hold a coupon twice in one slot; leaves each coupon's holders sorted.
fn twice_held(snapshot: &mut Snapshot, holders: &mut Holders, report: &mut AuditReport) -> Result<()> {
    for (&coupon, users) in holders {
        users.sort_unstable();
        let in_one_slot = users.chunk_by(|one, next| (one.user, one.slot) == (next.user, next.slot));
        for same in in_one_slot.filter(|same| same.len() > 1) {
            let Some(&Holding { user, slot: Some(slot), .. }) = same.first() else { continue };
            let held =
                if report.shows(Kind::Duplicate) { snapshot.holdings(user, coupon)? } else { Vec::new() };
            report.add(Kind::Duplicate, same.len() as u64 - 1, || {
                let slot = if slot == 0 { String::new() } else { format!(" in slot {slot}") };
                format!("user {user} holds coupon {coupon} {} times{slot}: {}", same.len(), held.join(", "))
            });
        }
    }
    Ok(())
}
