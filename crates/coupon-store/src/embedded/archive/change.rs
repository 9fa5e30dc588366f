//! An archive's change of the catalogue in main's file.

use std::collections::BTreeMap;

use coupon_core::catalogue_change::{Operator, archive_begins, results_archived};
use coupon_core::{CouponId, Day, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};

use crate::NotYet;
use crate::archives::{NAMED_FROM, not_yet};
use crate::embedded::catalogue::{note, note_archive};
use crate::embedded::sql::parsed;

/// Takes coupons out of sale for good, of which so many results of before a day are about to be archived: their ends
/// cannot be moved any more, and the operator is on record. Returns the change's version; where results of a coupon may
/// not go yet, nothing is changed, and that one is returned.
pub(in crate::embedded) fn end_for_good(
    db: &Connection,
    going: &BTreeMap<CouponId, i64>,
    before: Day,
    operator: &Operator,
    now: Timestamp,
) -> rusqlite::Result<Result<u64, NotYet>> {
    let transaction = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
    if !going.is_empty() {
        let coupons: Vec<CouponId> = going.keys().copied().collect();
        let not_yet = transaction.query_row(&not_yet(&coupons, now), [], |row| {
            Ok(NotYet { coupon: parsed(row, 0, CouponId::new)?, end: Timestamp::from_millis(row.get(1)?) })
        });
        if let Some(not_yet) = not_yet.optional()? {
            return Ok(Err(not_yet));
        }
        let named_from =
            "INSERT OR IGNORE INTO meta (name, value) SELECT ?1, COALESCE(MAX(log_id), 0) FROM stock_logs";
        transaction.execute(named_from, [NAMED_FROM])?;
    }
    for (coupon, rows) in going {
        note_archive(&transaction, *coupon, results_archived(*rows, before), now)?;
    }
    let version = note(&transaction, operator.as_str(), &archive_begins(before), now)?;
    transaction.commit()?;
    Ok(Ok(version))
}
