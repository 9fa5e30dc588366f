//! Answers that no single row can confirm: grabs that are not stored, refusals that did not hold.

use anyhow::Result;

use super::ledger::Ledger;
use super::scan::{Holders, Holding, Seen};
use super::source::{Snapshot, Terms};
use super::{AuditReport, Kind, Scope, spent, start};

/// The longest time before its answer that a grab may have been decided, with clocks that differ as far as they may.
const DECIDED_BEFORE_MS: i64 = 30_000;
/// The most by which clocks may differ.
const CLOCKS_MS: i64 = 10_000;

/// Adds to the report what the rows that were seen do not bear out.
pub(super) fn check(
    snapshot: &mut Snapshot,
    seen: &Seen,
    scope: &Scope<'_>,
    ledger: &Ledger,
    report: &mut AuditReport,
) -> Result<()> {
    lost(snapshot, ledger, &seen.found, report)?;
    told_to_hold(ledger, &seen.holders, report);
    steps_lost(ledger, seen, report);
    told_outside(snapshot, scope, ledger, report);
    Ok(())
}

/// Finds grabs that were acknowledged and are not stored as they were.
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

/// Finds answers "you hold it already" to users who do not, or not under that id.
fn told_to_hold(ledger: &Ledger, holders: &Holders, report: &mut AuditReport) {
    for &(user, coupon, told) in &ledger.held {
        let holds = holds(holders, user, coupon);
        if holds.is_empty() {
            report.add(Kind::Lost, 1, || {
                format!("user {user} was told that they hold coupon {coupon} already, and no shard says so")
            });
        } else if let Some(told) = told
            && holds.iter().all(|held| held.id != told)
        {
            report.add(Kind::Misjudged, 1, || {
                let stored: Vec<String> = holds.iter().map(|held| held.id.to_string()).collect();
                let stored = stored.join(", ");
                format!(
                    "user {user} was told that they hold coupon {coupon} as result {told}; stored is {stored}"
                )
            });
        }
    }
}

/// The results by which a user holds a coupon, or held it before they gave it back.
fn holds(holders: &Holders, user: u64, coupon: u64) -> &[Holding] {
    let (Ok(user), Ok(coupon)) = (i64::try_from(user), i64::try_from(coupon)) else { return &[] };
    let all = holders.get(&coupon).map(Vec::as_slice).unwrap_or_default();
    let first = all.partition_point(|held| held.user < user);
    let after = all.partition_point(|held| held.user <= user);
    all.get(first..after).unwrap_or_default()
}

/// Finds answers that a coupon cannot be grabbed now, given when it could.
fn told_outside(snapshot: &Snapshot, scope: &Scope<'_>, ledger: &Ledger, report: &mut AuditReport) {
    let Snapshot { catalogue, earlier, .. } = snapshot;
    for &(user, coupon, at) in &ledger.outside {
        let Ok(id) = i64::try_from(coupon) else { continue };
        let start = scope.start.and_then(|start| start.coupon(id));
        let changed = earlier.get(&id).into_iter().flatten();
        let mut known = catalogue.get(&id).into_iter().chain(start).chain(changed);
        let mut terms = start::terms(catalogue, earlier, scope.start, id).peekable();
        let (from, until) = (at.millis() - DECIDED_BEFORE_MS, at.millis() + CLOCKS_MS);
        let open = |terms: Terms| terms.start <= from && until < terms.end;
        if terms.peek().is_some() && terms.all(open) && known.all(|coupon| coupon.active) {
            report.add(Kind::Misjudged, 1, || {
                format!(
                    "user {user} was told at {at} that coupon {coupon} cannot be grabbed now, and it could"
                )
            });
        }
    }
}

/// Finds answers about uses, and about steps before them, of results that are not stored for that user.
fn steps_lost(ledger: &Ledger, seen: &Seen, report: &mut AuditReport) {
    let uses = ledger
        .uses
        .iter()
        .map(|(about, told)| (about, (!matches!(told, spent::UseAnswer::Unknown { .. })).then_some("used")));
    let steps = ledger.steps.iter().map(|(about, told)| (about, told.is_clear().then_some(told.word())));
    let found = seen.uses.iter().chain(&seen.steps);
    for ((&(result, user), told), found) in uses.chain(steps).zip(found) {
        if let Some(told) = told.filter(|_| !found) {
            report.add(Kind::Spent, 1, || {
                format!("user {user} was told that result {result} is {told}, and no shard has it for them")
            });
        }
    }
}
