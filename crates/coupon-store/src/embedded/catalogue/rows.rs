//! Coupons as the main database's file has them.

use coupon_core::{
    Coupon, CouponDetails, CouponId, CouponKind, CouponStatus, GrabTerms, Money, RoomId, Timestamp,
};
use rusqlite::{Connection, Row, ToSql};

use crate::embedded::sql::parsed;
use crate::{CouponAndDetails, terms};

const NARROW: &str = "c.coupon_id, c.room_id, c.coupon_name, c.coupon_type, c.discount_amount, c.discount_rate, \
     c.min_purchase, c.total_stock, c.remaining_stock, c.start_time, c.end_time, c.create_time, c.update_time, c.status, c.hold_s, c.user_limit, \
     c.returnable";
/// The first column behind those.
const FIRST_DETAIL: usize = 17;

/// A row that does not say what its coupon is, or is of no room, is none that could be shown.
pub(super) fn select(details: bool, rest: &str) -> String {
    let shown = terms::SHOWN;
    if details {
        format!(
            "SELECT {NARROW}, d.description, d.usage_rules, d.product_range \
             FROM coupons c LEFT JOIN coupon_details d ON d.coupon_id = c.coupon_id WHERE {shown} AND {rest}"
        )
    } else {
        format!("SELECT {NARROW} FROM coupons c WHERE {shown} AND {rest}")
    }
}

pub(super) fn rows(
    db: &Connection,
    sql: &str,
    values: &[&dyn ToSql],
    details: bool,
) -> rusqlite::Result<Vec<CouponAndDetails>> {
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map(values, |row| {
        let narrow = coupon(row)?;
        let wide = if details { wide(row, narrow.coupon_id)? } else { None };
        Ok((narrow, wide))
    })?;
    rows.collect()
}

fn coupon(row: &Row<'_>) -> rusqlite::Result<Coupon> {
    let time = |column| row.get(column).map(Timestamp::from_millis);
    let money = |column| -> rusqlite::Result<Option<Money>> {
        Ok(row.get::<_, Option<f64>>(column)?.and_then(Money::from_units))
    };
    Ok(Coupon {
        coupon_id: parsed(row, 0, CouponId::new)?,
        room_id: parsed(row, 1, RoomId::new)?,
        coupon_name: row.get(2)?,
        coupon_type: parsed(row, 3, CouponKind::from_code)?,
        discount_amount: money(4)?,
        discount_rate: row.get::<_, Option<i64>>(5)?.and_then(|rate| u8::try_from(rate).ok()),
        min_purchase: money(6)?.unwrap_or_default(),
        total_stock: terms::shown(row.get(7)?),
        remaining_stock: terms::shown(row.get(8)?),
        sold: terms::shown(row.get::<_, i64>(7)?.saturating_sub(row.get(8)?)),
        start_time: time(9)?,
        end_time: time(10)?,
        create_time: time(11)?,
        update_time: time(12)?,
        status: parsed(row, 13, CouponStatus::from_code)?,
        terms: GrabTerms {
            hold_s: terms::shown(row.get(14)?),
            user_limit: terms::shown_limit(row.get(15)?),
            returnable: row.get::<_, i64>(16)? != 0,
        },
    })
}

fn wide(row: &Row<'_>, coupon_id: CouponId) -> rusqlite::Result<Option<CouponDetails>> {
    let description: Option<String> = row.get(FIRST_DETAIL)?;
    let Some(description) = description else { return Ok(None) };
    let (usage_rules, product_range) = (row.get(FIRST_DETAIL + 1)?, row.get(FIRST_DETAIL + 2)?);
    Ok(Some(CouponDetails { coupon_id, description, usage_rules, product_range }))
}
