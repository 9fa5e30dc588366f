//! Coupon by coupon: does the stock agree with the rows, and does the log agree with both?

use std::collections::HashMap;

use anyhow::{Context, Result};

use super::claims::Ledger;
use super::source::{Catalogue, Coupon, Entry, Parked, Shard, Snapshot};
use super::{AuditReport, Kind, Unapplied};

/// Rows stored per coupon.
pub(super) type Sold = HashMap<i64, u64>;

/// Adds to the report what is oversold, parked, or does not add up.
pub(super) fn check(snapshot: &Snapshot, sold: &Sold, drained: bool, report: &mut AuditReport) -> Result<()> {
    let mut untold = HashMap::new();
    for shard in &snapshot.shards {
        let unapplied = unapplied(shard, &mut untold)?;
        waiting(shard, drained, &mut untold, report);
        if unapplied.entries > 0 {
            if drained {
                let (Unapplied { shard, entries, rows }, after) = (&unapplied, shard.position);
                report.add(Kind::Stock, 1, || {
                    format!(
                        "shard {shard}: {entries} outbox entries ({rows} rows) after {after} are not applied"
                    )
                });
            }
            report.unapplied.push(unapplied);
        }
        parked(shard, report);
    }
    for (&id, coupon) in &snapshot.catalogue {
        let rows = sold.get(&id).copied().unwrap_or(0);
        let untold = untold.get(&id).copied().unwrap_or(0);
        compare(id, coupon, i64::try_from(rows)?, untold, report);
    }
    Ok(())
}

fn compare(id: i64, coupon: &Coupon, rows: i64, untold: i64, report: &mut AuditReport) {
    let Coupon { total, remaining, deducted, .. } = *coupon;
    if let Ok(excess @ 1..) = u64::try_from(rows.saturating_sub(total)) {
        report.add(Kind::Oversold, excess, || format!("coupon {id}: {rows} rows of a stock of {total}"));
    }
    if total - remaining + untold != rows {
        report.add(Kind::Stock, 1, || {
            format!(
                "coupon {id}: total {total} − remaining {remaining} + not yet told {untold} = {}, but {rows} rows",
                total - remaining + untold
            )
        });
    }
    if deducted != total - remaining {
        report.add(Kind::Stock, 1, || {
            let sold = total - remaining;
            format!("coupon {id}: the stock log deducts {deducted}, but total {total} − remaining {remaining} = {sold}")
        });
    }
}

/// Finds coupons that somebody was told are sold out and that are not: stock that nobody can ever get.
///
/// A grab whose outcome is unknown may have held the last one at that moment and never been stored.
pub(super) fn left_over(catalogue: &Catalogue, sold: &Sold, ledger: &Ledger, report: &mut AuditReport) {
    for &id in &ledger.sold_out {
        let Some((key, coupon)) = i64::try_from(id).ok().and_then(|id| catalogue.get_key_value(&id)) else {
            continue;
        };
        let rows = sold.get(key).copied().unwrap_or(0);
        let left = u64::try_from(coupon.total).unwrap_or(0).saturating_sub(rows);
        if left > ledger.unknowns_of(id) as u64 {
            let total = coupon.total;
            report.add(Kind::Stock, 1, || {
                format!("coupon {id}: somebody was told that it is sold out, but {left} of {total} are left")
            });
        }
    }
}

/// Holds the count that a shard keeps of its results against the rows that it has.
pub(super) fn kept_count(shard: &Shard, rows: u64, report: &mut AuditReport) {
    if let Some(counted) = shard.counted
        && u64::try_from(counted) != Ok(rows)
    {
        let shard = shard.number;
        report.add(Kind::Stock, 1, || {
            format!("shard {shard} counts {counted} results itself, but has {rows} rows")
        });
    }
}

/// Adds up what is in a shard's inbox: main is told of it when it reaches its table.
fn waiting(shard: &Shard, drained: bool, untold: &mut HashMap<i64, i64>, report: &mut AuditReport) {
    for waiting in &shard.inbox {
        *untold.entry(waiting.grab.coupon).or_default() += 1;
    }
    let rows = shard.inbox.len();
    if drained && rows > 0 {
        report
            .add(Kind::Stock, 1, || format!("shard {}: {rows} results are still in the inbox", shard.number));
    }
}

/// Counts, and adds up per coupon, what main has not been told of.
fn unapplied(shard: &Shard, untold: &mut HashMap<i64, i64>) -> Result<Unapplied> {
    let mut found = Unapplied { shard: shard.number, entries: 0, rows: 0 };
    for Entry { id, deltas } in &shard.outbox {
        let deltas: Vec<(i64, i64)> = serde_json::from_str(deltas)
            .with_context(|| format!("shard {}, outbox entry {id}: {deltas:?}", shard.number))?;
        found.entries += 1;
        for (coupon, rows) in deltas {
            found.rows += rows;
            *untold.entry(coupon).or_default() += rows;
        }
    }
    Ok(found)
}

fn parked(shard: &Shard, report: &mut AuditReport) {
    for Parked { grab, table, reason } in &shard.parked {
        let shard = shard.number;
        report.add(Kind::Parked, 1, || format!("{grab} (shard {shard}, table {table}): {reason}"));
    }
}
