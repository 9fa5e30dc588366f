//! Coupon by coupon: does the stock agree with the rows, and does the log agree with both?

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use rusqlite::Connection;

use super::claims::Ledger;
use super::folder::{Shard, Snapshot};
use super::{AuditReport, Kind, Unapplied};

/// What the main database says of a coupon.
pub(super) struct Coupon {
    pub(super) room: i64,
    total: i64,
    remaining: i64,
    /// By the log: deductions less roll-backs.
    deducted: i64,
}

/// Rows stored per coupon.
pub(super) type Sold = HashMap<i64, u64>;

/// Every coupon by its id.
pub(super) type Catalogue = BTreeMap<i64, Coupon>;

/// Reads the coupons and what the log says of each.
pub(super) fn catalogue(main: &Connection) -> Result<Catalogue> {
    let sql = "SELECT coupon_id, room_id, total_stock, remaining_stock FROM coupons";
    let mut statement = main.prepare(sql)?;
    let coupons = statement.query_map([], |row| {
        let coupon = Coupon { room: row.get(1)?, total: row.get(2)?, remaining: row.get(3)?, deducted: 0 };
        Ok((row.get(0)?, coupon))
    })?;
    let mut catalogue = coupons.collect::<rusqlite::Result<Catalogue>>()?;
    let sql = "SELECT coupon_id, sum(stock_before - stock_after) FROM stock_logs \
               WHERE operation_type IN (2, 3) GROUP BY coupon_id";
    let mut statement = main.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(coupon) = catalogue.get_mut(&row.get(0)?) {
            coupon.deducted = row.get(1)?;
        }
    }
    Ok(catalogue)
}

/// Adds to the report what is oversold, parked, or does not add up.
pub(super) fn check(
    snapshot: &Snapshot,
    catalogue: &Catalogue,
    sold: &Sold,
    drained: bool,
    report: &mut AuditReport,
) -> Result<()> {
    let mut untold = HashMap::new();
    for shard in &snapshot.shards {
        let position = snapshot.positions.get(&shard.number).copied().unwrap_or(0);
        let unapplied = unapplied(shard, position, &mut untold)?;
        waiting(shard, drained, &mut untold, report);
        if unapplied.entries > 0 {
            if drained {
                let Unapplied { shard, entries, rows } = unapplied;
                report.add(Kind::Stock, 1, || {
                    format!("shard {shard}: {entries} outbox entries ({rows} rows) after {position} are not applied")
                });
            }
            report.unapplied.push(unapplied);
        }
        parked(shard, report)?;
    }
    for (&id, coupon) in catalogue {
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

/// Adds up what is in a shard's inbox: main is told of it when it reaches its table.
fn waiting(shard: &Shard, drained: bool, untold: &mut HashMap<i64, i64>, report: &mut AuditReport) {
    for waiting in &shard.inbox {
        *untold.entry(waiting.coupon).or_default() += 1;
    }
    let rows = shard.inbox.len();
    if drained && rows > 0 {
        report
            .add(Kind::Stock, 1, || format!("shard {}: {rows} results are still in the inbox", shard.number));
    }
}

/// Counts, and adds up per coupon, the entries of a shard's outbox that lie beyond a position.
fn unapplied(shard: &Shard, position: i64, untold: &mut HashMap<i64, i64>) -> Result<Unapplied> {
    let mut found = Unapplied { shard: shard.number, entries: 0, rows: 0 };
    let sql = "SELECT outbox_id, deltas FROM outbox WHERE outbox_id > ?1";
    let mut statement = shard.connection.prepare(sql)?;
    let mut entries = statement.query([position])?;
    while let Some(entry) = entries.next()? {
        let (id, deltas): (i64, String) = (entry.get(0)?, entry.get(1)?);
        let deltas: Vec<(i64, i64)> = serde_json::from_str(&deltas)
            .with_context(|| format!("shard {}, outbox entry {id}: {deltas:?}", shard.number))?;
        found.entries += 1;
        for (coupon, rows) in deltas {
            found.rows += rows;
            *untold.entry(coupon).or_default() += rows;
        }
    }
    Ok(found)
}

fn parked(shard: &Shard, report: &mut AuditReport) -> Result<()> {
    let sql =
        "SELECT result_id, user_id, coupon_id, table_name, reason FROM parked_results ORDER BY result_id";
    let mut statement = shard.connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, user, coupon): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (table, reason): (String, String) = (row.get(3)?, row.get(4)?);
        let shard = shard.number;
        report.add(Kind::Parked, 1, || {
            format!("result {id} of user {user}, coupon {coupon} (shard {shard}, table {table}): {reason}")
        });
    }
    Ok(())
}
