//! Values of MySQL's as our own types. One that cannot be is the database's fault, and named.

use std::fmt;

use coupon_core::books::Stock;
use coupon_core::{
    Coupon, CouponDetails, CouponId, CouponKind, CouponResult, CouponStatus, GrabStatus, GrabTerms, LiveRoom,
    Money, RequestKey, ResultId, ResultState, RoomId, RoomStatus, Timestamp, UseStatus, UserId,
};
use coupon_store::terms;
use mysql_async::prelude::FromValue;
use mysql_async::{FromValueError, Row};

/// The columns of a coupon `c`, in the order in which [`coupon`] reads them.
pub(super) const COUPON: &str = "c.coupon_id, c.room_id, c.coupon_name, c.coupon_type, \
     CAST(c.discount_amount * 100 AS SIGNED), c.discount_rate, CAST(c.min_purchase * 100 AS SIGNED), c.total_stock, \
     c.remaining_stock, c.start_time, c.end_time, c.create_time, c.update_time, c.status, c.hold_s, \
     c.user_limit, c.returnable";

/// The columns that follow them for the wide half `d`.
pub(super) const DETAILS: &str = "d.description, d.usage_rules, d.product_range";
const FIRST_DETAIL: usize = 17;

/// The columns that follow those for its stock, whatever it is.
pub(super) const STOCK: &str = "c.total_stock, c.remaining_stock, c.taken_back";
const FIRST_STOCK: usize = FIRST_DETAIL + 3;

/// A result, from the columns that [`coupon_store::statements::columns`] names.
pub(super) fn result(row: &Row) -> mysql_async::Result<CouponResult> {
    Ok(CouponResult {
        result_id: parsed(row, 0, ResultId::from_number)?,
        user_id: parsed(row, 1, UserId::new)?,
        coupon_id: parsed(row, 2, CouponId::new)?,
        room_id: parsed(row, 3, RoomId::new)?,
        grab_status: parsed(row, 4, GrabStatus::from_code)?,
        // Only grabs that got their coupon are stored.
        fail_reason: None,
        grab_time: Timestamp::from_millis(get(row, 5)?),
        use_status: parsed(row, 6, UseStatus::from_code)?,
        use_time: get::<Option<i64>>(row, 7)?.map(Timestamp::from_millis),
        order_amount: get::<Option<i64>>(row, 8)?.map(Money::from_cents),
        state: parsed(row, 9, ResultState::from_code)?,
        slot: get(row, 10)?,
        hold_until: get::<Option<i64>>(row, 11)?.map(Timestamp::from_millis),
        request: get::<Option<i64>>(row, 12)?.and_then(RequestKey::from_number),
        state_time: get::<Option<i64>>(row, 13)?.map(Timestamp::from_millis),
    })
}

/// A sum of amounts, as MySQL writes decimals; nothing where there was none to add up.
pub(super) fn sum_of_money(row: &Row, column: usize) -> mysql_async::Result<Money> {
    let Some(text) = get::<Option<String>>(row, column)? else { return Ok(Money::default()) };
    cents(&text)
        .map(Money::from_cents)
        .ok_or_else(|| mysql_async::Error::Other(format!("{text:?} is no amount").into()))
}

/// The cents of a decimal with two digits behind the point, or none.
fn cents(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (units, rest) = digits.split_once('.').unwrap_or((digits, "00"));
    let plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if rest.len() != 2 || !plain(rest) || !plain(units) {
        return None;
    }
    let (units, rest): (i64, i64) = (units.parse().ok()?, rest.parse().ok()?);
    Some(sign * units.checked_mul(100)?.checked_add(rest)?)
}

pub(super) fn coupon(row: &Row) -> mysql_async::Result<Coupon> {
    let time = |column| get(row, column).map(Timestamp::from_millis);
    Ok(Coupon {
        coupon_id: parsed(row, 0, CouponId::new)?,
        room_id: parsed(row, 1, RoomId::new)?,
        coupon_name: get(row, 2)?,
        coupon_type: parsed(row, 3, CouponKind::from_code)?,
        discount_amount: get::<Option<i64>>(row, 4)?.map(Money::from_cents),
        discount_rate: get::<Option<i64>>(row, 5)?.and_then(|rate| u8::try_from(rate).ok()),
        min_purchase: Money::from_cents(get(row, 6)?),
        total_stock: terms::shown(get(row, 7)?),
        remaining_stock: terms::shown(get(row, 8)?),
        sold: terms::shown(get::<i64>(row, 7)?.saturating_sub(get(row, 8)?)),
        start_time: time(9)?,
        end_time: time(10)?,
        create_time: time(11)?,
        update_time: time(12)?,
        status: parsed(row, 13, CouponStatus::from_code)?,
        terms: GrabTerms {
            hold_s: terms::shown(get(row, 14)?),
            user_limit: terms::shown_limit(get(row, 15)?),
            returnable: get::<i64>(row, 16)? != 0,
        },
    })
}

/// The stock of the coupon in the same row, as the columns have it.
pub(super) fn stock(row: &Row) -> mysql_async::Result<Stock> {
    let column = |at| get(row, FIRST_STOCK + at);
    Ok(Stock { total: column(0)?, remaining: column(1)?, taken_back: column(2)? })
}

/// A room, from the columns in which a bulk load stores it.
pub(super) fn room(row: &Row) -> mysql_async::Result<LiveRoom> {
    let time = |column| get(row, column).map(Timestamp::from_millis);
    Ok(LiveRoom {
        room_id: parsed(row, 0, RoomId::new)?,
        room_name: get(row, 1)?,
        anchor_id: get(row, 2)?,
        room_status: parsed(row, 3, RoomStatus::from_code)?,
        viewer_count: get(row, 4)?,
        start_time: time(5)?,
        end_time: get::<Option<i64>>(row, 6)?.map(Timestamp::from_millis),
        create_time: time(7)?,
        is_hot: get::<i64>(row, 8)? != 0,
    })
}

/// The wide half of the coupon in the same row, if it has one.
pub(super) fn details(row: &Row, coupon_id: CouponId) -> mysql_async::Result<Option<CouponDetails>> {
    let Some(description) = get::<Option<String>>(row, FIRST_DETAIL)? else { return Ok(None) };
    let (usage_rules, product_range) = (get(row, FIRST_DETAIL + 1)?, get(row, FIRST_DETAIL + 2)?);
    Ok(Some(CouponDetails { coupon_id, description, usage_rules, product_range }))
}

/// A column as one of our own types.
pub(super) fn parsed<N, T, E>(
    row: &Row,
    column: usize,
    parse: impl Fn(N) -> Result<T, E>,
) -> mysql_async::Result<T>
where
    N: FromValue,
    E: fmt::Display,
{
    parse(get(row, column)?).map_err(|error| strange(row, column, &error))
}

/// A column.
pub(super) fn get<T: FromValue>(row: &Row, column: usize) -> mysql_async::Result<T> {
    match row.get_opt(column) {
        Some(Ok(value)) => Ok(value),
        Some(Err(FromValueError(value))) => {
            Err(strange(row, column, &format!("{value:?} is of another type")))
        }
        None => Err(strange(row, column, &"it is missing")),
    }
}

fn strange(row: &Row, column: usize, why: &dyn fmt::Display) -> mysql_async::Error {
    let name =
        row.columns_ref().get(column).map_or_else(|| column.to_string(), |column| column.name_str().into());
    mysql_async::Error::Other(format!("column {name}: {why}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_read_to_the_cent() {
        for (text, wanted) in [
            ("0.00", Some(0)),
            ("1234567890123.45", Some(123_456_789_012_345)),
            ("-0.05", Some(-5)),
            ("7", Some(700)),
            ("7.5", None),
            ("1e3", None),
            ("99999999999999999999.00", None),
            ("", None),
        ] {
            assert_eq!(cents(text), wanted, "{text:?}");
        }
    }
}
