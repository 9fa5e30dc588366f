//! The binding of rows to their columns. Every value is a parameter: none is ever text of a statement.

use coupon_core::schema::Dialect;
use coupon_core::{
    Coupon, CouponDetails, CouponResult, LiveRoom, Money, RequestKey, StockLog, Timestamp, User,
};
use coupon_store::carried::{CarriedTable, Cell};
use coupon_store::statements;
use mysql_async::Value;

/// Rows of one statement: more of them gain nothing, and a statement takes 65,535 values at most.
pub(super) const ROWS: usize = 1_000;
/// The most bytes of a statement: one of fewer rows is as good, and servers take some MiB at once, but not all of them many.
pub(super) const BYTES: usize = 512 * 1024;

/// A row that is stored.
pub(crate) trait Columns {
    /// The columns of its values, in order.
    const COLUMNS: &'static [&'static str];

    /// Adds its values.
    fn bind(&self, into: &mut Vec<Value>);
}

/// The statement that stores so many rows.
pub(crate) fn insert(table: &str, columns: &[&str], rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns.len()].join(","));
    format!("INSERT INTO {table} ({}) VALUES {}", columns.join(","), vec![row.as_str(); rows].join(","))
}

/// The statement that stores so many rows of a table as another data set has them, but for those that are there.
pub(super) fn insert_carried(table: &CarriedTable, rows: usize) -> String {
    format!("{} {}", insert(table.name, &table.names(), rows), table.unless_there(Dialect::MySql))
}

/// The value of a cell.
pub(super) fn carried(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::NULL,
        Cell::Number(number) => (*number).into(),
        Cell::Cents(cents) => money(Money::from_cents(*cents)),
        Cell::Text(text) => text.as_str().into(),
    }
}

impl Columns for User {
    const COLUMNS: &'static [&'static str] =
        &["user_id", "username", "phone", "email", "register_time", "last_login", "user_level", "is_active"];

    fn bind(&self, into: &mut Vec<Value>) {
        into.extend([
            self.user_id.get().into(),
            self.username.as_str().into(),
            self.phone.as_str().into(),
            self.email.as_str().into(),
            time(self.register_time),
            self.last_login.map(Timestamp::millis).into(),
            self.user_level.code().into(),
            self.is_active.into(),
        ]);
    }
}

impl Columns for LiveRoom {
    const COLUMNS: &'static [&'static str] = &[
        "room_id",
        "room_name",
        "anchor_id",
        "room_status",
        "viewer_count",
        "start_time",
        "end_time",
        "create_time",
        "is_hot",
    ];

    fn bind(&self, into: &mut Vec<Value>) {
        into.extend([
            self.room_id.get().into(),
            self.room_name.as_str().into(),
            self.anchor_id.into(),
            self.room_status.code().into(),
            self.viewer_count.into(),
            time(self.start_time),
            self.end_time.map(Timestamp::millis).into(),
            time(self.create_time),
            self.is_hot.into(),
        ]);
    }
}

impl Columns for Coupon {
    const COLUMNS: &'static [&'static str] = &[
        "coupon_id",
        "room_id",
        "coupon_name",
        "coupon_type",
        "discount_amount",
        "discount_rate",
        "min_purchase",
        "total_stock",
        "remaining_stock",
        "start_time",
        "end_time",
        "create_time",
        "update_time",
        "status",
        "hold_s",
        "user_limit",
        "returnable",
    ];

    fn bind(&self, into: &mut Vec<Value>) {
        into.extend([
            self.coupon_id.get().into(),
            self.room_id.get().into(),
            self.coupon_name.as_str().into(),
            self.coupon_type.code().into(),
            self.discount_amount.map_or(Value::NULL, money),
            self.discount_rate.into(),
            money(self.min_purchase),
            self.total_stock.into(),
            self.remaining_stock.into(),
            time(self.start_time),
            time(self.end_time),
            time(self.create_time),
            time(self.update_time),
            self.status.code().into(),
            self.terms.hold_s.into(),
            self.terms.user_limit.into(),
            self.terms.returnable.into(),
        ]);
    }
}

impl Columns for CouponDetails {
    const COLUMNS: &'static [&'static str] = &["coupon_id", "description", "usage_rules", "product_range"];

    fn bind(&self, into: &mut Vec<Value>) {
        into.extend([
            self.coupon_id.get().into(),
            self.description.as_str().into(),
            self.usage_rules.as_str().into(),
            self.product_range.as_str().into(),
        ]);
    }
}

impl Columns for StockLog {
    const COLUMNS: &'static [&'static str] = &[
        "log_id",
        "coupon_id",
        "operation_type",
        "stock_before",
        "stock_after",
        "operator",
        "shard",
        "outbox_id",
        "create_time",
    ];

    fn bind(&self, into: &mut Vec<Value>) {
        into.extend([
            self.log_id.into(),
            self.coupon_id.get().into(),
            self.operation_type.code().into(),
            self.stock_before.into(),
            self.stock_after.into(),
            self.operator.as_str().into(),
            self.shard.into(),
            self.outbox_id.into(),
            time(self.create_time),
        ]);
    }
}

impl Columns for CouponResult {
    const COLUMNS: &'static [&'static str] = &statements::COLUMNS;

    fn bind(&self, into: &mut Vec<Value>) {
        into.extend([
            self.result_id.number().into(),
            self.user_id.get().into(),
            self.coupon_id.get().into(),
            self.room_id.get().into(),
            self.grab_status.code().into(),
            self.fail_reason.map(|reason| reason.as_str()).into(),
            time(self.grab_time),
            self.use_status.code().into(),
            self.use_time.map(Timestamp::millis).into(),
            self.order_amount.map_or(Value::NULL, money),
            self.state.code().into(),
            self.slot.into(),
            self.hold_until.map(Timestamp::millis).into(),
            self.request.map(RequestKey::number).into(),
            self.state_time.map(Timestamp::millis).into(),
        ]);
    }
}

fn time(time: Timestamp) -> Value {
    time.millis().into()
}

/// As text, which MySQL takes for a decimal to the cent; a floating-point number would be rounded.
fn money(amount: Money) -> Value {
    amount.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_has_a_place_for_every_value() {
        assert_eq!(insert("t", &["a", "b"], 3), "INSERT INTO t (a,b) VALUES (?,?),(?,?),(?,?)");
    }

    #[test]
    fn no_statement_has_more_values_than_mysql_takes() {
        assert!(ROWS * Coupon::COLUMNS.len() <= 65_535);
        assert!(Coupon::COLUMNS.len() >= User::COLUMNS.len().max(CouponResult::COLUMNS.len()));
    }

    #[test]
    fn money_is_bound_to_the_cent() {
        assert_eq!(money(Money::from_cents(123_456_789_012_345)), Value::from("1234567890123.45"));
    }
}
