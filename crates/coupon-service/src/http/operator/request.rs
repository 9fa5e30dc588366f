//! The bodies of changes as they come in, and what they mean.

use std::fmt;

use coupon_core::catalogue_change::{CouponPatch, NewCoupon, NewRoom, NewUser};
use coupon_core::{
    CouponDetails, CouponId, CouponKind, CouponStatus, GrabTerms, Money, RoomId, RoomStatus, Timestamp,
    UnknownCode, UserId, UserLevel,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::params::{Whole, amount};
use super::super::problem::{Kind, Problem};

/// The deepest that a `product_range` may be nested: MariaDB takes no deeper JSON.
const DEPTH_MAX: usize = 30;

/// [`NewRoomRequest`](crate::api::NewRoomRequest) as it comes in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Room {
    room_id: Whole,
    room_name: String,
    anchor_id: Whole,
    room_status: Option<Whole>,
    start_time: Timestamp,
    is_hot: Option<bool>,
}

impl Room {
    pub(super) fn read(self) -> Result<NewRoom, Problem> {
        let status = self.room_status.map(|code| code_of(code, "room_status", RoomStatus::from_code));
        Ok(NewRoom {
            room_id: self.room_id.id("room_id", RoomId::new)?,
            room_name: self.room_name,
            anchor_id: self.anchor_id.within("anchor_id", &(1..=coupon_core::MAX_ID))?,
            room_status: status.transpose()?.unwrap_or(RoomStatus::Live),
            start_time: self.start_time,
            is_hot: self.is_hot.unwrap_or(false),
        })
    }
}

/// [`NewCouponRequest`](crate::api::NewCouponRequest) as it comes in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Coupon {
    coupon_id: Whole,
    room_id: Whole,
    coupon_name: String,
    coupon_type: Whole,
    discount_amount: Option<f64>,
    discount_rate: Option<Whole>,
    min_purchase: Option<f64>,
    total_stock: Whole,
    start_time: Timestamp,
    end_time: Timestamp,
    status: Option<Whole>,
    hold_s: Option<Whole>,
    user_limit: Option<Whole>,
    returnable: Option<bool>,
    details: Option<Details>,
}

impl Coupon {
    pub(super) fn read(self) -> Result<NewCoupon, Problem> {
        let coupon_id = self.coupon_id.id("coupon_id", CouponId::new)?;
        let terms = GrabTerms::default();
        Ok(NewCoupon {
            coupon_id,
            room_id: self.room_id.id("room_id", RoomId::new)?,
            coupon_name: self.coupon_name,
            coupon_type: code_of(self.coupon_type, "coupon_type", CouponKind::from_code)?,
            discount_amount: money(self.discount_amount, "discount_amount")?,
            discount_rate: self.discount_rate.map(byte),
            min_purchase: money(self.min_purchase, "min_purchase")?.unwrap_or_default(),
            total_stock: number(self.total_stock),
            start_time: self.start_time,
            end_time: self.end_time,
            status: status(self.status)?.unwrap_or(CouponStatus::Active),
            terms: GrabTerms {
                hold_s: self.hold_s.map_or(terms.hold_s, number),
                user_limit: self.user_limit.map_or(terms.user_limit, byte),
                returnable: self.returnable.unwrap_or(terms.returnable),
            },
            details: self.details.map(|details| details.of(coupon_id)).transpose()?,
        })
    }
}

/// The wide half of a coupon to be made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Details {
    description: String,
    usage_rules: String,
    product_range: Map<String, Value>,
}

impl Details {
    fn of(self, coupon_id: CouponId) -> Result<CouponDetails, Problem> {
        let Self { description, usage_rules, product_range } = self;
        Ok(CouponDetails { coupon_id, description, usage_rules, product_range: json(product_range)? })
    }
}

/// [`CouponChangeRequest`](crate::api::CouponChangeRequest) as it comes in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Patch {
    coupon_name: Option<String>,
    discount_amount: Option<f64>,
    discount_rate: Option<Whole>,
    min_purchase: Option<f64>,
    total_stock: Option<Whole>,
    start_time: Option<Timestamp>,
    end_time: Option<Timestamp>,
    status: Option<Whole>,
    hold_s: Option<Whole>,
    user_limit: Option<Whole>,
    returnable: Option<bool>,
    details: Option<DetailsPatch>,
}

/// A change of the wide half.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DetailsPatch {
    description: Option<String>,
    usage_rules: Option<String>,
    product_range: Option<Map<String, Value>>,
}

impl Patch {
    pub(super) fn read(self) -> Result<CouponPatch, Problem> {
        let DetailsPatch { description, usage_rules, product_range } = self.details.unwrap_or_default();
        Ok(CouponPatch {
            coupon_name: self.coupon_name,
            discount_amount: money(self.discount_amount, "discount_amount")?,
            discount_rate: self.discount_rate.map(byte),
            min_purchase: money(self.min_purchase, "min_purchase")?,
            total_stock: self.total_stock.map(number),
            start_time: self.start_time,
            end_time: self.end_time,
            status: status(self.status)?,
            hold_s: self.hold_s.map(number),
            user_limit: self.user_limit.map(byte),
            returnable: self.returnable,
            description,
            usage_rules,
            product_range: product_range.map(json).transpose()?,
        })
    }
}

/// [`NewUsersRequest`](crate::api::NewUsersRequest) as it comes in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Users {
    users: Vec<User>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    user_id: Whole,
    username: Option<String>,
    phone: Option<String>,
    email: Option<String>,
    user_level: Option<Whole>,
    is_active: Option<bool>,
}

impl Users {
    pub(super) fn read(self) -> Result<Vec<NewUser>, Problem> {
        self.users.into_iter().enumerate().map(|(at, user)| user.read(at)).collect()
    }
}

impl User {
    /// `at` is its place in the list.
    fn read(self, at: usize) -> Result<NewUser, Problem> {
        let user_id = self.user_id.id(format_args!("users[{at}].user_id"), UserId::new)?;
        let level = |code| code_of(code, format_args!("users[{at}].user_level"), UserLevel::from_code);
        Ok(NewUser {
            user_id,
            username: self.username.unwrap_or_else(|| format!("user{user_id}")),
            phone: self.phone.unwrap_or_default(),
            email: self.email.unwrap_or_default(),
            user_level: self.user_level.map(level).transpose()?.unwrap_or(UserLevel::Normal),
            is_active: self.is_active.unwrap_or(true),
        })
    }
}

/// A number whose limits [`coupon_core::catalogue_change`] knows. The largest of the type is beyond all of them, so one that is
/// larger still is refused there, with what is allowed.
fn number(number: Whole) -> u32 {
    number.or(u32::MAX)
}

/// The same for a smaller one.
fn byte(number: Whole) -> u8 {
    number.or(u8::MAX)
}

fn money(units: Option<f64>, field: &'static str) -> Result<Option<Money>, Problem> {
    units.map(|units| amount(units, field)).transpose()
}

fn status(code: Option<Whole>) -> Result<Option<CouponStatus>, Problem> {
    code.map(|code| code_of(code, "status", CouponStatus::from_code)).transpose()
}

/// The meaning of a code, as tables hold it.
fn code_of<T>(
    code: Whole,
    field: impl fmt::Display,
    read: impl Fn(i64) -> Result<T, UnknownCode>,
) -> Result<T, Problem> {
    read(code.or(i64::MAX)).map_err(|UnknownCode { known, .. }| {
        let known: Vec<String> = known.iter().map(i64::to_string).collect();
        let detail = format!("{field} must be one of {}", known.join(", "));
        Problem::new(Kind::OutOfRange, detail).field(field.to_string())
    })
}

/// An object as text, if it is not nested too deeply.
fn json(object: Map<String, Value>) -> Result<String, Problem> {
    let object = Value::Object(object);
    if depth(&object) > DEPTH_MAX {
        let detail = format!("product_range must be nested {DEPTH_MAX} deep at most");
        return Err(Problem::new(Kind::OutOfRange, detail).field("details.product_range"));
    }
    Ok(object.to_string())
}

/// The depth of a value; the parser has bounded it.
fn depth(value: &Value) -> usize {
    let within = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(fields) => fields.values().map(depth).max(),
        _ => return 0,
    };
    1 + within.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError as _;

    use coupon_core::catalogue_change::CatalogueChange;

    use super::*;

    fn patch(json: &str) -> Result<CouponPatch, u16> {
        let patch: Patch = serde_json::from_str(json).map_err(|_| 400_u16)?;
        let patch = patch.read().map_err(|problem| problem.status_code().as_u16())?;
        let change = CatalogueChange::ChangeCoupon(CouponId::new(1).unwrap(), patch.clone());
        change.check().map(|()| patch).map_err(|_| 422)
    }

    #[test]
    fn a_change_holds_what_is_given_and_nothing_else() {
        assert_eq!(patch("{}"), Ok(CouponPatch::default()));
        assert_eq!(patch(r#"{"total_stock":null}"#), Ok(CouponPatch::default()));
        let more = CouponPatch { total_stock: Some(150), ..CouponPatch::default() };
        assert_eq!(patch(r#"{"total_stock":150.0}"#), Ok(more));
        let wide = CouponPatch { product_range: Some(r#"{"a":1}"#.to_owned()), ..CouponPatch::default() };
        assert_eq!(patch(r#"{"details":{"product_range":{"a":1}}}"#), Ok(wide));
    }

    #[test]
    fn what_cannot_be_meant_is_told_from_what_cannot_be_read() {
        for unread in [r#"{"total":1}"#, r#"{"total_stock":"1"}"#, r#"{"end_time":"noon"}"#, "[]"] {
            assert_eq!(patch(unread), Err(400), "{unread}");
        }
        for unmeant in [
            r#"{"total_stock":-1}"#,
            r#"{"status":2}"#,
            r#"{"user_limit":256}"#,
            r#"{"min_purchase":0.001}"#,
            r#"{"hold_s":4294967296}"#,
        ] {
            assert_eq!(patch(unmeant), Err(422), "{unmeant}");
        }
    }

    #[test]
    fn an_object_is_nested_as_deep_as_every_database_takes_it() {
        let nested = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        let given = |depth| patch(&format!(r#"{{"details":{{"product_range":{}}}}}"#, nested(depth)));
        assert!(given(DEPTH_MAX).is_ok());
        assert_eq!(given(DEPTH_MAX + 1), Err(422));
    }
}
