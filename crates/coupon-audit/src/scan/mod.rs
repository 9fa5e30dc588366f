//! One pass over every stored row, and the checks that need all of them together.

mod duplicates;
mod row;

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;

use anyhow::Result;
use coupon_core::Timestamp;

use self::row::Pass;
use super::history::Leaving;
use super::ledger::Ledger;
use super::reads::Lists;
use super::requests::Asked;
use super::room_index::Indexed;
use super::source::{Rows, Shard, Snapshot, Stored, Sums, Waiting};
use super::start::{self, StartState};
use super::{AuditReport, Kind, Scope, answers, requests, stock};

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

/// The part that is kept of every row: 32 bytes each, and 48 more of one that names its request, so that ten million
/// fit anywhere.
#[derive(Default)]
pub(super) struct Seen {
    ids: Vec<i64>,
    pub(super) holders: Holders,
    pub(super) sold: Sold,
    /// A mark for each of the ledger's acknowledged grabs, and of its uses and steps, true if it was found.
    pub(super) found: Vec<bool>,
    pub(super) uses: Vec<bool>,
    pub(super) steps: Vec<bool>,
    /// A mark for each of the start's rows: true if it was found.
    old: Vec<bool>,
    /// The rows that name their request.
    asked: Vec<Asked>,
}

/// The checks beside the pass that see rows go by: of what readers were answered, and of the index of rooms.
struct Beside<'a> {
    lists: Lists<'a>,
    indexed: Option<Indexed>,
}

impl Beside<'_> {
    fn see(&mut self, row: &Stored, shard: u16) {
        self.lists.see(row, shard);
        self.indexed.iter_mut().for_each(|indexed| indexed.see(row));
    }
}

/// Reads every row; adds to the report what is wrong with it alone, or in company.
pub(super) fn scan(
    snapshot: &mut Snapshot,
    scope: &Scope<'_>,
    ledger: Option<&Ledger>,
    report: &mut AuditReport,
) -> Result<Seen> {
    let first = || ledger.and_then(Ledger::first).map(|first| first - 1);
    let since = scope.since.or_else(first).or_else(|| scope.start.map(StartState::newest));
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
    let mut seen = Seen::of(scope, ledger);
    // Until the services are drained, the index trails the rows.
    let indexed = indexed.filter(|_| scope.drained).map(Indexed::over);
    let mut beside = Beside { lists: Lists::of(scope.reads.unwrap_or_default()), indexed };
    for shard in &*shards {
        each_of(shard, &mut **rows, &pass, &mut beside, &mut seen, report)?;
    }
    let arrived = scope.drained && movement.is_none_or(|movement| !movement.runs);
    under_way(shards, &pass, arrived, &mut beside, &mut seen, report);
    beside.lists.check(movement.as_ref(), report);
    if let Some(indexed) = beside.indexed {
        indexed.check(&mut **rows, report)?;
    }
    report.rows = seen.ids.len() as u64;
    duplicates::twice_stored(snapshot, std::mem::take(&mut seen.ids), report)?;
    duplicates::twice_held(snapshot, &mut seen.holders, report)?;
    requests::granted_twice(snapshot, std::mem::take(&mut seen.asked), report)?;
    if let Some(ledger) = ledger {
        answers::check(snapshot, &seen, scope, ledger, report)?;
    }
    Ok(seen)
}

/// Reads a shard's rows, and holds what it says of them all together against them.
fn each_of(
    shard: &Shard,
    rows: &mut dyn Rows,
    pass: &Pass<'_>,
    beside: &mut Beside<'_>,
    seen: &mut Seen,
    report: &mut AuditReport,
) -> Result<()> {
    let mut sums = Sums::default();
    let mut held = Vec::new();
    for place in shard.places() {
        report.tables += 1;
        rows.each(place, &mut |row| {
            sums.add(&row);
            beside.see(&row, shard.number);
            held.extend(row.held());
            pass.row(row, place, seen, report);
        })?;
    }
    held_list(shard, held, report);
    for waiting in &shard.inbox {
        // What is in the inbox is stored; which table it is meant for is written beside it.
        let row = waiting.row();
        sums.add(&row);
        beside.lists.see(&row, shard.number);
        pass.row(row, shard.place(waiting.table), seen, report);
    }
    // What leaves a shard counts there until it has arrived for good.
    shard.leaving.iter().for_each(|leaving| sums.add(&leaving.row));
    stock::kept_count(shard, sums, report);
    unguarded(shard, report);
    Ok(())
}

/// Rows that have left their table: one that is in no other is stored all the same. Once no rows are moved, all have `arrived`.
fn under_way(
    shards: &[Shard],
    pass: &Pass<'_>,
    arrived: bool,
    beside: &mut Beside<'_>,
    seen: &mut Seen,
    report: &mut AuditReport,
) {
    if shards.iter().all(|shard| shard.leaving.is_empty()) {
        return;
    }
    let stored: HashSet<i64> = seen.ids.iter().copied().collect();
    for shard in shards {
        for Leaving { row, from, to } in &shard.leaving {
            if !stored.contains(&row.grab.id) {
                beside.see(row, shard.number);
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
pub(super) fn remember(snapshot: &mut Snapshot, start: &mut StartState) -> Result<Sold> {
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
    /// Nothing yet, with room for what the ledger acknowledges and what the start had.
    fn of(scope: &Scope<'_>, ledger: Option<&Ledger>) -> Self {
        let none_of = |count: fn(&Ledger) -> usize| vec![false; ledger.map_or(0, count)];
        Self {
            found: none_of(|ledger| ledger.granted.len()),
            uses: none_of(|ledger| ledger.uses.len()),
            steps: none_of(|ledger| ledger.steps.len()),
            old: vec![false; scope.start.map_or(0, |start| start.rows.len())],
            ..Self::default()
        }
    }

    /// The marks of the start's rows, in their order: true if it was found.
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
        let why = scope.beside.map_or("no read endpoint was asked", |_| scope.why_not_still());
        report.not_checked.insert(Kind::Misread, why.to_owned());
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
            if scope.beside.is_some() {
                report.not_checked.insert(Kind::Invented, scope.why_not_still().to_owned());
            } else if since.is_none() {
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
