//! The binding of rows to their columns.

use coupon_core::schema::Dialect;
use coupon_core::{
    Coupon, CouponDetails, CouponResult, LiveRoom, Money, RequestKey, StockLog, TableId, Timestamp, User,
};
use rusqlite::types::Value;
use rusqlite::{Result, Statement, params, params_from_iter};

use crate::carried::{CarriedRow, CarriedTable, Cell};
use crate::statements::COLUMNS;

/// The statement that stores a row of a table as another data set has it, unless it is there.
pub(super) fn carried_sql(table: &CarriedTable) -> String {
    let names = table.names();
    let values = vec!["?"; names.len()].join(", ");
    let (columns, end) = (names.join(", "), table.unless_there(Dialect::Sqlite));
    format!("INSERT INTO {} ({columns}) VALUES ({values}) {end}", table.name)
}

pub(super) fn carried(into: &mut Statement<'_>, row: &CarriedRow) -> Result<usize> {
    into.execute(params_from_iter(row.iter().map(|cell| match cell {
        Cell::Null => Value::Null,
        Cell::Number(number) => Value::Integer(*number),
        Cell::Cents(cents) => Value::Real(Money::from_cents(*cents).units()),
        Cell::Text(text) => Value::Text(text.clone()),
    })))
}

pub(super) const USER: &str = "INSERT INTO users (user_id, username, phone, email, register_time, last_login, \
     user_level, is_active) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

pub(super) fn user(into: &mut Statement<'_>, user: &User) -> Result<usize> {
    into.execute(params![
        user.user_id.get().cast_signed(),
        user.username,
        user.phone,
        user.email,
        user.register_time.millis(),
        user.last_login.map(Timestamp::millis),
        user.user_level.code(),
        user.is_active,
    ])
}

pub(super) const ROOM: &str = "INSERT INTO live_rooms (room_id, room_name, anchor_id, room_status, viewer_count, \
     start_time, end_time, create_time, is_hot) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

pub(super) fn room(into: &mut Statement<'_>, room: &LiveRoom) -> Result<usize> {
    into.execute(params![
        room.room_id.get().cast_signed(),
        room.room_name,
        room.anchor_id.cast_signed(),
        room.room_status.code(),
        room.viewer_count.cast_signed(),
        room.start_time.millis(),
        room.end_time.map(Timestamp::millis),
        room.create_time.millis(),
        room.is_hot,
    ])
}

pub(super) const COUPON: &str = "INSERT INTO coupons (coupon_id, room_id, coupon_name, coupon_type, \
     discount_amount, discount_rate, min_purchase, total_stock, remaining_stock, start_time, end_time, \
     create_time, update_time, status, hold_s, user_limit, returnable) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";

pub(super) fn coupon(into: &mut Statement<'_>, coupon: &Coupon) -> Result<usize> {
    into.execute(params![
        coupon.coupon_id.get().cast_signed(),
        coupon.room_id.get().cast_signed(),
        coupon.coupon_name,
        coupon.coupon_type.code(),
        coupon.discount_amount.map(Money::units),
        coupon.discount_rate,
        coupon.min_purchase.units(),
        coupon.total_stock,
        coupon.remaining_stock,
        coupon.start_time.millis(),
        coupon.end_time.millis(),
        coupon.create_time.millis(),
        coupon.update_time.millis(),
        coupon.status.code(),
        coupon.terms.hold_s,
        coupon.terms.user_limit,
        coupon.terms.returnable,
    ])
}

pub(super) const DETAILS: &str = "INSERT INTO coupon_details (coupon_id, description, usage_rules, \
     product_range) VALUES (?1, ?2, ?3, ?4)";

pub(super) fn details(into: &mut Statement<'_>, details: &CouponDetails) -> Result<usize> {
    let id = details.coupon_id.get().cast_signed();
    into.execute(params![id, details.description, details.usage_rules, details.product_range])
}

pub(super) const LOG: &str = "INSERT INTO stock_logs (log_id, coupon_id, operation_type, stock_before, \
     stock_after, operator, shard, outbox_id, create_time) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

pub(super) fn log(into: &mut Statement<'_>, log: &StockLog) -> Result<usize> {
    into.execute(params![
        log.log_id,
        log.coupon_id.get().cast_signed(),
        log.operation_type.code(),
        log.stock_before,
        log.stock_after,
        log.operator,
        log.shard,
        log.outbox_id,
        log.create_time.millis(),
    ])
}

/// The statement that stores a result with all that became of it.
pub(super) fn whole_row(table: TableId) -> String {
    let values = COLUMNS.map(|_| "?").join(", ");
    format!("INSERT INTO {table} ({}) VALUES ({values})", COLUMNS.join(", "))
}

pub(super) fn result(into: &mut Statement<'_>, row: &CouponResult) -> Result<usize> {
    into.execute(params![
        row.result_id.number(),
        row.user_id.get().cast_signed(),
        row.coupon_id.get().cast_signed(),
        row.room_id.get().cast_signed(),
        row.grab_status.code(),
        row.fail_reason.map(|reason| reason.as_str()),
        row.grab_time.millis(),
        row.use_status.code(),
        row.use_time.map(Timestamp::millis),
        row.order_amount.map(Money::units),
        row.state.code(),
        row.slot,
        row.hold_until.map(Timestamp::millis),
        row.request.map(RequestKey::number),
        row.state_time.map(Timestamp::millis),
    ])
}
