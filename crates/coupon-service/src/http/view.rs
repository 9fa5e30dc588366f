//! Conversion of the system's types to the API's.

use std::fmt::Write as _;

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderValue};
use coupon_core::{Coupon, CouponDetails, CouponResult, Place, ShardId};
use serde::Serialize;

use super::problem::Problem;
use crate::api::{CouponDetailsView, CouponView, PlanView, ResultView};
use crate::queries::Answered;

/// 200 with that body.
pub(super) fn ok<T: Serialize>(body: &T) -> Result<HttpResponse, Problem> {
    let mut bytes = Vec::with_capacity(256);
    serde_json::to_writer(&mut bytes, body).map_err(Problem::internal)?;
    let json = HeaderValue::from_static("application/json");
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, json)).body(bytes))
}

/// 200 with that body, and how long each shard took for it.
pub(super) fn timed<T: Serialize>(body: &T, answered: &Answered) -> Result<HttpResponse, Problem> {
    let mut response = ok(body)?;
    if let Ok(value) = HeaderValue::try_from(server_timing(answered)) {
        response.headers_mut().insert(header::HeaderName::from_static("server-timing"), value);
    }
    Ok(response)
}

fn server_timing(answered: &Answered) -> String {
    let mut text = String::with_capacity(20 * answered.timings.len());
    for (place, took) in &answered.timings {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = match place {
            Place::Lane(shard) => write!(text, "{comma}shard{shard}"),
            Place::Whole => write!(text, "{comma}shards"),
        };
        let _ = write!(text, ";dur={:.3}", took.as_secs_f64() * 1_000.0);
    }
    text
}

pub(super) fn plan(answered: &Answered) -> PlanView {
    PlanView { shards: numbers(&answered.shards), tables: answered.tables, moving: answered.moving }
}

pub(super) fn numbers(shards: &[ShardId]) -> Vec<u16> {
    shards.iter().map(|shard| shard.number()).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the codes of the statuses are small numbers"
)]
const fn code(code: i64) -> u8 {
    code as u8
}

pub(super) fn result(result: &CouponResult) -> ResultView {
    ResultView {
        result_id: result.result_id.to_string(),
        user_id: result.user_id.get(),
        coupon_id: result.coupon_id.get(),
        room_id: result.room_id.get(),
        grab_status: code(result.grab_status.code()),
        fail_reason: result.fail_reason.map(|reason| reason.as_str().to_owned()),
        grab_time: result.grab_time.to_string(),
        use_status: code(result.use_status.code()),
        use_time: result.use_time.map(|time| time.to_string()),
        order_amount: result.order_amount.map(coupon_core::Money::units),
        state: result.state.to_string(),
        hold_until: result.hold_until.map(|until| until.to_string()),
    }
}

pub(super) fn coupon((coupon, details): (Coupon, Option<CouponDetails>)) -> CouponView {
    CouponView {
        coupon_id: coupon.coupon_id.get(),
        room_id: coupon.room_id.get(),
        coupon_name: coupon.coupon_name,
        coupon_type: code(coupon.coupon_type.code()),
        discount_amount: coupon.discount_amount.map(coupon_core::Money::units),
        discount_rate: coupon.discount_rate,
        min_purchase: coupon.min_purchase.units(),
        total_stock: coupon.total_stock,
        remaining_stock: coupon.remaining_stock,
        start_time: coupon.start_time.to_string(),
        end_time: coupon.end_time.to_string(),
        create_time: coupon.create_time.to_string(),
        update_time: coupon.update_time.to_string(),
        status: code(coupon.status.code()),
        hold_s: coupon.terms.hold_s,
        user_limit: coupon.terms.user_limit,
        returnable: coupon.terms.returnable,
        details: details.map(wide),
    }
}

fn wide(details: CouponDetails) -> CouponDetailsView {
    CouponDetailsView {
        description: details.description,
        usage_rules: details.usage_rules,
        // What is no JSON document is shown as the text it is.
        product_range: serde_json::from_str(&details.product_range)
            .unwrap_or(serde_json::Value::String(details.product_range)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_shard_that_answered_gives_its_milliseconds() {
        let answered = Answered {
            shards: (0..3).map(ShardId::new).collect(),
            tables: 2,
            missing: vec![ShardId::new(1)],
            timings: vec![
                (ShardId::new(0).into(), Duration::from_micros(1_234)),
                (ShardId::new(2).into(), Duration::from_micros(812)),
            ],
            as_of: coupon_core::Timestamp::from_millis(0),
            moving: false,
            outdated: false,
        };
        assert_eq!(server_timing(&answered), "shard0;dur=1.234, shard2;dur=0.812");
        assert_eq!(plan(&answered), PlanView { shards: vec![0, 1, 2], tables: 2, moving: false });
    }
}
