//! One result: looked up, and spent.

use actix_web::{HttpRequest, HttpResponse, web};
use coupon_core::{Money, UserId};
use serde::Deserialize;

use super::body::Received;
use super::identity::Asker;
use super::params::{Query, Whole, result_id};
use super::problem::{Kind, Problem};
use super::responses::{BodyProblems, ReadProblems, Unanswered, Unknown, Used, UserProblems};
use super::routes::Routes;
use super::view;
use crate::api::{ResultAnswer, UseRequest};
use crate::queries::Spent;
use crate::state::Service;

/// The largest order that can be meant.
const ORDER_MAX: f64 = 1e9;

pub(super) fn configure(routes: &mut Routes<'_>) {
    routes.get("/api/result/{result_id}", result);
    routes.post("/api/coupon/use", spend);
}

/// One result
///
/// Its id holds its time but not its user, so a strategy by time finds the table, and one by user asks every shard.
/// One that is granted and not stored yet is 503, never 404.
#[utoipa::path(
    get,
    path = "/api/result/{result_id}",
    operation_id = "getResult",
    tag = "results",
    params(("result_id" = String, Path, description = "The result.")),
    responses((status = 200, description = "The result.", body = ResultAnswer), ReadProblems, Unknown, Unanswered)
)]
pub(super) async fn result(req: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let id = result_id(req.match_info().get("result_id").unwrap_or_default())?;
    Query::none(&req)?;
    let (found, answered) = service
        .queries
        .find(id, None, service.clock.now())
        .await
        .map_err(|error| Problem::unanswered(&error))?;
    let (_, found) = found.ok_or_else(|| {
        Problem::new(Kind::UnknownResult, format!("there is no result {id}")).field("result_id")
    })?;
    let body = ResultAnswer { result: view::result(&found), plan: view::plan(&answered) };
    view::timed(&body, &answered)
}

/// [`UseRequest`] as it comes in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    user_id: Whole,
    result_id: String,
    order_amount: f64,
}

impl Body {
    /// Amounts are exact: what is no whole number of cents is not rounded to one.
    fn amount(&self) -> Result<Money, Problem> {
        let meant = (0.0..=ORDER_MAX).contains(&self.order_amount);
        let amount = meant.then(|| Money::from_units(self.order_amount)).flatten();
        amount.filter(|amount| amount.units() == self.order_amount).ok_or_else(|| {
            let detail = format!("order_amount must be from 0 to {ORDER_MAX}, with two decimals at most");
            Problem::new(Kind::OutOfRange, detail).field("order_amount")
        })
    }
}

/// Spend a coupon on an order
///
/// A user who holds a coupon may spend it once, also after its end and after it was withdrawn: its window and its
/// status are about grabbing. The order must be of the coupon's `min_purchase` at least. Asked for again with the
/// same amount, the answer is the same.
#[utoipa::path(
    post,
    path = "/api/coupon/use",
    operation_id = "useCoupon",
    tag = "results",
    security((), ("user" = [])),
    request_body = UseRequest,
    responses(
        (status = 200, description = "Spent; the result as it is now.", body = ResultAnswer),
        BodyProblems,
        UserProblems,
        Used,
        Unanswered,
    )
)]
pub(super) async fn spend(
    req: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let body = Received::whole(&req, payload, service.settings.limits.body()).await?;
    let asker = Asker::of(&req, &service)?;
    Query::none(&req)?;
    let body: Body = body.json(&req)?;
    let user = body.user_id.id("user_id", UserId::new)?;
    asker.must_be(user)?;
    let id = result_id(&body.result_id)?;
    let time = service.backend.ids.mains_time(service.clock.now());
    let amount = body.amount()?;
    match service.queries.spend(user, id, amount, time).await.map_err(|error| Problem::unavailable(&error))? {
        Spent::Done(result, answered) => {
            let body = ResultAnswer { result: view::result(&result), plan: view::plan(&answered) };
            view::timed(&body, &answered)
        }
        Spent::Refused(why, _) => {
            Err(Problem::new(Kind::AlreadyUsed, format!("result {id}: {why}")).field("result_id"))
        }
        Spent::BelowMinimum(minimum) => {
            let detail = format!("this coupon takes an order of {minimum} or more");
            Err(Problem::new(Kind::BelowMinimum, detail).field("order_amount"))
        }
        Spent::NotFound(_) => {
            let detail = format!("user {user} holds no result {id}");
            Err(Problem::new(Kind::UnknownResult, detail).field("result_id"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cents(json: &str) -> Option<i64> {
        let body = format!(r#"{{"user_id":1,"result_id":"5","order_amount":{json}}}"#);
        serde_json::from_str::<Body>(&body).unwrap().amount().ok().map(Money::cents)
    }

    #[test]
    fn an_amount_is_exact_to_the_cent_and_bounded() {
        assert_eq!((cents("0"), cents("59.9"), cents("0.13")), (Some(0), Some(5_990), Some(13)));
        assert_eq!((cents("5.990e1"), cents("999999999.99")), (Some(5_990), Some(99_999_999_999)));
        assert_eq!((cents("0.001"), cents("1.005"), cents("59.899")), (None, None, None));
        assert_eq!((cents("1e9"), cents("-0.0")), (Some(100_000_000_000), Some(0)));
        assert_eq!((cents("-0.01"), cents("1000000000.01"), cents("1e300")), (None, None, None));
    }
}
