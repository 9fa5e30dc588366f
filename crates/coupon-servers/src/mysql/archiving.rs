//! An archive's change of the catalogue in MySQL.

use std::collections::BTreeMap;

use coupon_core::books::ARCHIVE;
use coupon_core::catalogue_change::{Operator, archive_begins, results_archived};
use coupon_core::{CouponId, Day, Timestamp};
use coupon_store::NotYet;
use coupon_store::archives::{NAMED_FROM, not_yet};
use coupon_store::clock::Clock;
use mysql_async::prelude::Queryable;
use mysql_async::{Transaction, TxOpts, Value};

use super::catalogue::{lock_version, reach};
use super::{Database, DatabaseError, PATIENCE, change};
use crate::mains_time;

/// The number of coupons that are recorded by one statement.
const LINES: usize = 500;

/// The last to end of those among these coupons whose results may not go yet at that moment.
///
/// # Errors
/// When main cannot be asked.
pub async fn first_not_yet(
    main: &Database,
    coupons: &[CouponId],
    now: Timestamp,
) -> Result<Option<NotYet>, DatabaseError> {
    let mut conn = main.connect().await?;
    main.patiently(PATIENCE, first(&mut conn, coupons, now)).await
}

/// Takes coupons out of sale for good, of which so many results of before a day are about to be archived: their ends
/// cannot be moved any more. The record of changes names the operator who asked for it, where one is given. Where
/// results of a coupon may not go yet at that moment, nothing is changed, and that one is returned.
///
/// # Errors
/// When main cannot be asked.
pub async fn end_for_good(
    main: &Database,
    going: &BTreeMap<CouponId, i64>,
    before: Day,
    operator: Option<&Operator>,
    now: Timestamp,
) -> Result<Option<NotYet>, DatabaseError> {
    let mut conn = main.connect().await?;
    let ended = async {
        let transaction = conn.start_transaction(TxOpts::default()).await?;
        end_all(transaction, going, before, operator, now).await
    };
    main.patiently(PATIENCE, ended).await
}

async fn end_all(
    mut transaction: Transaction<'_>,
    going: &BTreeMap<CouponId, i64>,
    before: Day,
    operator: Option<&Operator>,
    now: Timestamp,
) -> mysql_async::Result<Option<NotYet>> {
    let mut version = lock_version(&mut transaction).await?;
    let mains = mains_time::expression(&Clock::system());
    let coupons: Vec<CouponId> = going.keys().copied().collect();
    if let Some(not_yet) = first(&mut transaction, &coupons, now).await? {
        transaction.rollback().await?;
        return Ok(Some(not_yet));
    }
    let named_from =
        "INSERT IGNORE INTO meta (name, value) SELECT ?, COALESCE(MAX(log_id), 0) FROM stock_logs";
    transaction.exec_drop(named_from, (NAMED_FROM,)).await?;
    if let Some(operator) = operator {
        version += 1;
        let what = archive_begins(before);
        change::record_plain(&mut transaction, version, &mains, operator.as_str(), &what).await?;
    }
    let mains = transaction.query_first(format!("SELECT {mains}")).await?.map_or(now, Timestamp::from_millis);
    let lines: Vec<(u64, (&CouponId, &i64))> = (version + 1..).zip(going).collect();
    for some in lines.chunks(LINES) {
        let sql = format!(
            "INSERT INTO catalogue_changes (version, change_time, operator, what, coupon_id) VALUES {}",
            vec!["(?, ?, ?, ?, ?)"; some.len()].join(",")
        );
        let values = some.iter().flat_map(|(version, (coupon, rows))| -> [Value; 5] {
            let what = results_archived(**rows, before);
            [(*version).into(), mains.millis().into(), ARCHIVE.into(), what.into(), coupon.get().into()]
        });
        transaction.exec_drop(sql, values.collect::<Vec<Value>>()).await?;
    }
    reach(&mut transaction, version + lines.len() as u64).await?;
    transaction.commit().await?;
    Ok(None)
}

async fn first(
    conn: &mut impl Queryable,
    coupons: &[CouponId],
    now: Timestamp,
) -> mysql_async::Result<Option<NotYet>> {
    if coupons.is_empty() {
        return Ok(None);
    }
    let first: Option<(u64, i64)> = conn.query_first(not_yet(coupons, now)).await?;
    Ok(first.and_then(|(coupon, end)| {
        Some(NotYet { coupon: CouponId::new(coupon).ok()?, end: Timestamp::from_millis(end) })
    }))
}
