//! The stock that a database keeps, as commands beside the services have it, which learn from the shard whether it keeps any.

use std::collections::BTreeMap;

use coupon_core::CouponId;
use coupon_store::stock::TAKE_BACK;
use mysql_async::prelude::Queryable;

use super::take_untold;
use crate::mysql::{code, has_code};

/// Takes off the stock so many results of each coupon that are retired in this transaction. Returns the results that grabs have
/// stored and no outbox entry counts yet: the entry of this transaction counts those first.
///
/// # Errors
/// When the shard refuses it.
pub async fn take_off(
    conn: &mut impl Queryable,
    retired: &BTreeMap<CouponId, i64>,
) -> mysql_async::Result<Vec<(CouponId, i64)>> {
    if conn.query_first::<String, _>("SHOW TABLES LIKE 'stock'").await?.is_none() {
        return Ok(Vec::new());
    }
    conn.exec_batch(TAKE_BACK, retired.iter().map(|(coupon, rows)| (*rows, coupon.get()))).await?;
    take_untold(conn).await
}

/// The results that are stored and that no outbox entry counts yet, by coupon; none where there is no stock.
pub(crate) async fn untold(conn: &mut impl Queryable) -> mysql_async::Result<BTreeMap<CouponId, i64>> {
    let rows: Vec<(u64, i64)> =
        match conn.query("SELECT coupon_id, untold FROM stock WHERE untold <> 0").await {
            Err(error) if has_code(&error, code::NO_TABLE) => return Ok(BTreeMap::new()),
            rows => rows?,
        };
    Ok(rows.into_iter().filter_map(|(coupon, rows)| Some((CouponId::new(coupon).ok()?, rows))).collect())
}
