//! Coupon by coupon: do stock, rows and the stock log agree?

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;

use super::archives::Archives;
use super::books::{self, GIVEN_BACK, Line, LogSources};
use super::ledger::Ledger;
use super::moment::Moment;
use super::scan::{Seen, Sold};
use super::source::{Coupon, Entry, Parked, Shard, Snapshot, Sums, Waiting};
use super::start::{OldLines, StartState, Unlogged};
use super::{AuditReport, Kind, Scope, Unapplied, kept};

/// Results that main has not applied, by shard and coupon.
type Untold = HashMap<(u16, i64), i64>;

/// Adds to the report what is oversold, parked, or does not add up.
pub(super) fn check(
    snapshot: &mut Snapshot,
    seen: &Seen,
    scope: &Scope<'_>,
    report: &mut AuditReport,
) -> Result<()> {
    for shard in &snapshot.shards {
        outbox(shard, scope, report)?;
        parked(shard, report);
    }
    kept::check(snapshot, &seen.sold, scope, report);
    let untold = untold(&snapshot.shards)?;
    let by_coupon = |all: &HashMap<(u16, i64), i64>| {
        let mut sums: HashMap<i64, i64> = HashMap::new();
        all.iter().for_each(|(&(_, coupon), rows)| *sums.entry(coupon).or_default() += rows);
        sums
    };
    let (rows, waiting) = (by_coupon(&seen.sold), by_coupon(&untold));
    for (id, coupon) in &snapshot.catalogue {
        let of = |sums: &HashMap<i64, i64>| sums.get(id).copied().unwrap_or(0);
        compare(*id, coupon, of(&rows), of(&waiting), report);
    }
    let mut old = scope.start.map(OldLines::of);
    let read = read_log(snapshot, &untold, &seen.sold, old.as_mut(), report)?;
    if let (Some(start), Some(old)) = (scope.start, &old) {
        gone(start, seen, old, &snapshot.archives, report);
        unlogged_since(start, &read, &old.rebuilt, snapshot.has_moved(), report);
    }
    Ok(())
}

fn compare(id: i64, coupon: &Coupon, rows: i64, untold: i64, report: &mut AuditReport) {
    let Coupon { total, remaining, .. } = *coupon;
    if let Ok(excess @ 1..) = u64::try_from(rows.saturating_sub(coupon.most())) {
        report.add(Kind::Oversold, excess, || {
            let most = coupon.most();
            let had = if most > total { format!(", and of {most} once") } else { String::new() };
            format!("coupon {id}: {rows} rows of a stock of {total}{had}")
        });
    }
    if total - remaining + untold != rows {
        report.add(Kind::Miscounted, 1, || {
            format!(
                "coupon {id}: total {total} − remaining {remaining} + not yet told {untold} = {}, but {rows} rows",
                total - remaining + untold
            )
        });
    }
}

/// Reads a data set's log, coupon by coupon; adds to the report what the law of the books forbids. Returns, of each
/// shard and coupon, the results that no line names.
fn read_log(
    snapshot: &mut Snapshot,
    untold: &Untold,
    sold: &Sold,
    mut old: Option<&mut OldLines<'_>>,
    report: &mut AuditReport,
) -> Result<Unlogged> {
    let moved = snapshot.has_moved();
    let Snapshot { catalogue, shards, rows, copied_lines: copied, archives, .. } = snapshot;
    let positions: Vec<i64> = shards.iter().map(|shard| shard.position).collect();
    let sources = LogSources { positions: &positions, copied: *copied };
    let mut unlogged: Unlogged = sold.clone();
    untold.iter().for_each(|(of, rows)| *unlogged.entry(*of).or_default() -= rows);
    let mut accounts: HashMap<i64, (i64, Vec<String>)> = HashMap::new();
    let mut settle = |lines: &mut Vec<Line>| {
        let Some(id) = lines.first().map(|line| line.coupon) else { return };
        let coupon = catalogue.get(&id);
        let (total, remaining) = coupon.map_or((0, 0), |coupon| (coupon.total, coupon.remaining));
        let account = books::account(lines, total, remaining, sources);
        for (shard, logged) in account.by_shard {
            *unlogged.entry((shard, id)).or_default() -= logged;
        }
        let wrong = account.wrong.into_iter().chain(archives.faults(lines, coupon));
        accounts.insert(id, (account.sold_before, wrong.collect()));
        lines.clear();
    };
    let mut lines: Vec<Line> = Vec::new();
    rows.lines(&mut |line| {
        if let Some(old) = old.as_deref_mut() {
            old.see(&line);
        }
        if lines.last().is_some_and(|last| last.coupon != line.coupon) {
            settle(&mut lines);
        }
        lines.push(line);
    })?;
    settle(&mut lines);
    if moved {
        unlogged = anywhere(&unlogged);
    }
    let shards = (!moved).then_some(shards.len());
    for (&id, coupon) in &*catalogue {
        let (sold_before, mut wrong) = accounts
            .remove(&id)
            .unwrap_or_else(|| (0, books::account(&[], coupon.total, coupon.remaining, sources).wrong));
        if wrong.is_empty() {
            wrong.extend(other_shards(id, sold_before, shards, &unlogged));
        }
        if !wrong.is_empty() {
            report.add(Kind::Miscounted, 1, || format!("coupon {id}: {}", wrong.join("; ")));
        }
    }
    let mut without: Vec<i64> = accounts.into_keys().collect();
    without.sort_unstable();
    for id in without {
        report.add(Kind::Miscounted, 1, || {
            format!("the stock log speaks of coupon {id}, which is not in the catalogue")
        });
    }
    unlogged.retain(|_, rows| *rows != 0);
    Ok(unlogged)
}

/// The same, of whatever shard, which all count as the first: where rows were moved, lines name the shards that they were
/// stored on.
fn anywhere(unlogged: &Unlogged) -> Unlogged {
    let mut all = Unlogged::new();
    unlogged.iter().for_each(|((_, coupon), rows)| *all.entry((0, *coupon)).or_default() += rows);
    all
}

/// A log that names other shards than those that have the rows, of so many; or, where rows were moved, more results than there
/// are. What no line names was there before there was an outbox.
fn other_shards(id: i64, sold_before: i64, shards: Option<usize>, unlogged: &Unlogged) -> Option<String> {
    let mut all = 0;
    for shard in 0..u16::try_from(shards.unwrap_or(1)).unwrap_or(u16::MAX) {
        let rows = unlogged.get(&(shard, id)).copied().unwrap_or(0);
        if rows < 0 {
            let whose = match shards {
                Some(_) => format!("of shard {shard} that it does not have"),
                None => "that no shard has".to_owned(),
            };
            return Some(format!("the stock log names {} results {whose}", -rows));
        }
        all += rows;
    }
    // A difference of the sums is in the report already, by rows and stock.
    (all > sold_before && sold_before > 0).then(|| {
        format!("{all} of its results come of no outbox, and the stock log has {sold_before} from before there was any")
    })
}

/// Holds what no line names against what it was: archiving takes rows and logs as many, storing adds both. Of a
/// coupon whose books were rebuilt the number of such rows is known, and their shards are not; so it is where rows were moved.
fn unlogged_since(
    start: &StartState,
    now: &Unlogged,
    rebuilt: &BTreeSet<i64>,
    moved: bool,
    report: &mut AuditReport,
) {
    let mut by_place: BTreeMap<(i64, Option<u16>), (i64, i64)> = BTreeMap::new();
    let place =
        |(shard, coupon): (u16, i64)| (coupon, (!moved && !rebuilt.contains(&coupon)).then_some(shard));
    start.unlogged.iter().for_each(|(&of, rows)| by_place.entry(place(of)).or_default().0 += rows);
    now.iter().for_each(|(&of, rows)| by_place.entry(place(of)).or_default().1 += rows);
    for ((coupon, shard), (before, after)) in by_place {
        // A number below zero is in the report already.
        if before != after && after >= 0 {
            report.add(Kind::Miscounted, 1, || {
                let of = shard.map_or_else(String::new, |shard| format!(" of shard {shard}"));
                format!(
                    "coupon {coupon}: {after} results{of} come of no outbox, and at the start {before} did"
                )
            });
        }
    }
}

/// Finds rows, and lines of the log, that were there at the start and are not any more.
fn gone(start: &StartState, seen: &Seen, old: &OldLines<'_>, archives: &Archives, report: &mut AuditReport) {
    for line in old.gone() {
        report.add(Kind::Miscounted, 1, || {
            format!("line {line} of the stock log is not what it was at the start")
        });
    }
    let mut missing = start.rows.iter().zip(seen.old()).filter(|(_, found)| !**found).map(|((id, _), _)| *id);
    let count = missing.clone().count() as u64;
    let retired = u64::try_from(old.retired.values().sum::<i64>()).unwrap_or(0);
    // No line speaks of rows that go once they have given their stock back, whether live ones go with them or not.
    let quiet = start.given_back + old.given_back;
    // What main had forgotten of archives is in no record.
    let mut kept = missing.clone().filter(|id| old.rebuilt.is_empty() && archives.kept(*id));
    let unexplained = count.saturating_sub(retired).saturating_sub(u64::try_from(quiet).unwrap_or(0));
    let unexplained = unexplained.max(kept.clone().count() as u64);
    let hidden = unexplained.min(may_be_hidden(start, seen, old));
    if hidden > 0 {
        let why = format!(
            "{count} results of the start are not there any more, and {retired} were retired: {hidden} more may have been, \
             as main was told the books of their coupons anew and the results that came as well cancel them out"
        );
        report.skip(Kind::Lost, why);
    }
    if unexplained > hidden {
        let example = match (kept.next(), missing.next()) {
            (Some(id), _) => format!("{id}, of a day that every archive keeps"),
            (None, id) => id.unwrap_or(0).to_string(),
        };
        report.add(Kind::Lost, unexplained - hidden, || {
            format!(
                "{count} results of the start are not there any more, and {retired} were retired: for example {example}"
            )
        });
    }
}

/// The number of results that may have been retired although no line says so: where main's books were rebuilt, as
/// many that went stand in no line as came in the same time.
fn may_be_hidden(start: &StartState, seen: &Seen, old: &OldLines<'_>) -> u64 {
    let holders = old.rebuilt.iter().filter_map(|coupon| seen.holders.get(coupon)).flatten();
    holders.filter(|held| start.position(held.id).is_none()).count() as u64
}

/// Finds coupons that an answer called sold out and that are not: stock that no user can ever get.
///
/// A grab whose outcome is unknown may have held the last one at that moment and never been stored.
pub(super) fn left_over(snapshot: &Snapshot, seen: &Seen, ledger: &Ledger, report: &mut AuditReport) {
    for &id in &ledger.sold_out {
        let found = i64::try_from(id).ok().and_then(|id| snapshot.catalogue.get_key_value(&id));
        let Some((key, coupon)) = found else { continue };
        // An operator may have added stock since.
        let earlier = snapshot.earlier.get(key).into_iter().flatten().map(|coupon| coupon.total);
        let total = earlier.chain([coupon.total]).min().unwrap_or(coupon.total);
        // What was given back may have been taken at that moment.
        let rows = seen.holders.get(key).map_or(0, Vec::len) as u64;
        let left = u64::try_from(total).unwrap_or(0).saturating_sub(rows);
        if left > ledger.unknowns_of(id) as u64 {
            report.add(Kind::Miscounted, 1, || {
                format!("coupon {id}: somebody was told that it is sold out, but {left} of {total} are left")
            });
        }
    }
}

/// Holds what a shard counts of its results against the rows that it has.
pub(super) fn kept_count(shard: &Shard, rows: Sums, report: &mut AuditReport) {
    let untold: i64 = shard.stock.iter().flatten().map(|kept| kept.untold).sum();
    let counted = shard.counted.map(|counted| Sums { results: counted.results + untold, ..counted });
    let Some(counted) = counted.filter(|counted| *counted != rows) else { return };
    report.add(Kind::Miscounted, 1, || {
        format!("shard {} counts {counted} itself, but has {rows}", shard.number)
    });
}

/// Holds a shard's outbox against how far main says that it has applied it.
fn outbox(shard: &Shard, scope: &Scope<'_>, report: &mut AuditReport) -> Result<()> {
    let Shard { number, position, last, .. } = shard;
    // What everything was drained after, or may have come since.
    let must = |of_moment: &dyn Fn(&Moment) -> bool| scope.beside.map_or(scope.drained, of_moment);
    let waits = |waiting: &&Waiting| must(&|moment| moment.has_waiting(*number, waiting.grab.id));
    let inbox = shard.inbox.iter().filter(waits).count();
    if inbox > 0 {
        report.add(Kind::Miscounted, 1, || format!("shard {number}: {inbox} results are still in the inbox"));
    }
    if position > last {
        report.add(Kind::Miscounted, 1, || {
            format!(
                "shard {number}: main has applied its outbox up to {position}, and its last entry is {last}"
            )
        });
    }
    let before = scope.start.and_then(|start| start.outboxes.get(usize::from(*number)));
    if let Some((applied, written)) = before.filter(|(applied, written)| position < applied || last < written)
    {
        report.add(Kind::Miscounted, 1, || {
            format!(
                "shard {number}: main has applied its outbox up to {position} of {last}, and at the start up to {applied} \
                 of {written}"
            )
        });
    }
    let mut unapplied = Unapplied { shard: *number, entries: shard.outbox.len() as u64, rows: 0 };
    // What is held expires whenever its time comes, drained or not.
    let mut asked = Unapplied { shard: *number, entries: 0, rows: 0 };
    for entry in &shard.outbox {
        let rows = deltas(shard, entry)?.iter().map(|(_, rows)| rows).sum::<i64>();
        unapplied.rows += rows;
        if !expires_alone(entry) && must(&|moment| moment.has_written(*number, entry.id)) {
            (asked.entries, asked.rows) = (asked.entries + 1, asked.rows + rows);
        }
    }
    if unapplied.entries > 0 {
        if asked.entries > 0 {
            let Unapplied { entries, rows, .. } = asked;
            report.add(Kind::Miscounted, 1, || {
                format!(
                    "shard {number}: {entries} outbox entries ({rows} rows) after {position} are not applied"
                )
            });
        }
        report.unapplied.push(unapplied);
    }
    Ok(())
}

/// Results that main has not applied: those of unapplied entries, and those that will be entries once they leave the
/// inbox, or are taken from where a database that decides grabs counts them.
fn untold(shards: &[Shard]) -> Result<Untold> {
    let mut untold = Untold::new();
    for shard in shards {
        for waiting in &shard.inbox {
            *untold.entry((shard.number, waiting.grab.coupon)).or_default() += 1;
        }
        for kept in shard.stock.iter().flatten() {
            *untold.entry((shard.number, kept.coupon)).or_default() += kept.untold;
        }
        for entry in &shard.outbox {
            for (coupon, rows) in deltas(shard, entry)? {
                *untold.entry((shard.number, coupon)).or_default() += rows;
            }
        }
    }
    Ok(untold)
}

/// A coupon, and its rows that were stored or, below zero, retired; or, with a word for how, that gave their stock back.
#[derive(Deserialize)]
#[serde(untagged)]
enum Delta {
    GivenBack(i64, i64, String),
    Stored(i64, i64),
}

/// True if an entry says of nothing but rows that have expired.
fn expires_alone(entry: &Entry) -> bool {
    let told: Vec<Delta> = serde_json::from_str(&entry.deltas).unwrap_or_default();
    let expired = |delta: &Delta| matches!(delta, Delta::GivenBack(.., how) if how == "expire");
    !told.is_empty() && told.iter().all(expired)
}

/// An entry's coupons, and the change of their rows that take stock.
fn deltas(shard: &Shard, Entry { id, deltas }: &Entry) -> Result<Vec<(i64, i64)>> {
    let wrong = || format!("shard {}, outbox entry {id}: {deltas:?}", shard.number);
    let told: Vec<Delta> = serde_json::from_str(deltas).with_context(wrong)?;
    let live = |delta| match delta {
        Delta::Stored(coupon, rows) => Ok((coupon, rows)),
        Delta::GivenBack(coupon, rows, how) if rows >= 0 && GIVEN_BACK.contains(&how.as_str()) => {
            Ok((coupon, -rows))
        }
        Delta::GivenBack(.., how) => Err(anyhow!("no stock is given back by {how:?}")),
    };
    told.into_iter().map(live).collect::<Result<_>>().with_context(wrong)
}

fn parked(shard: &Shard, report: &mut AuditReport) {
    for Parked { grab, table, reason, .. } in &shard.parked {
        let shard = shard.number;
        report.add(Kind::Parked, 1, || format!("{grab} (shard {shard}, table {table}): {reason}"));
    }
}

/// Remembers the present state of a data set.
pub(super) fn remember(snapshot: &mut Snapshot) -> Result<StartState> {
    let (dataset, catalogue) = (snapshot.dataset.clone(), snapshot.catalogue.clone());
    let mut start = StartState { dataset, catalogue, ..StartState::default() };
    start.outboxes = snapshot.shards.iter().map(|shard| (shard.position, shard.last)).collect();
    let sold = super::scan::remember(snapshot, &mut start)?;
    let untold = untold(&snapshot.shards)?;
    let mut unlogged = sold;
    untold.iter().for_each(|(of, rows)| *unlogged.entry(*of).or_default() -= rows);
    snapshot.rows.lines(&mut |line| {
        start.lines.push((line.id, line.digest()));
        let taken = line.before - line.after;
        if let Some(shard) =
            line.shard.and_then(|shard| u16::try_from(shard).ok()).filter(|_| line.operation != 1)
        {
            *unlogged.entry((shard, line.coupon)).or_default() -= taken;
        }
    })?;
    start.lines.sort_unstable();
    unlogged.retain(|_, rows| *rows != 0);
    start.unlogged = unlogged;
    Ok(start)
}
