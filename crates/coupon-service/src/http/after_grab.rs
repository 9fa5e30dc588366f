//! The steps of a result's life after its grab: confirmed or released, used, returned.

use actix_web::{HttpRequest, HttpResponse, web};
use coupon_core::after_grab::{Action, StepRefusal};
use coupon_core::{CouponResult, Money, ResultId, ResultState, UserId};
use coupon_store::Change;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::body::Received;
use super::identity::Asker;
use super::params::{self, Query, Whole, result_id};
use super::problem::{Kind, Problem};
use super::responses::{BodyProblems, ReturnProblems, Stands, TooOften, Unanswered, UserProblems};
use super::routes::Routes;
use super::view;
use crate::api::{ResultAnswer, StepRequest, UseRequest};
use crate::queries::StepResult;
use crate::state::Service;

pub(super) fn configure(routes: &mut Routes<'_>) {
    routes.post("/api/coupon/confirm", confirm);
    routes.post("/api/coupon/release", release);
    routes.post("/api/coupon/use", spend);
    routes.post("/api/coupon/return", give_back);
}

/// [`StepRequest`] as it comes in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    user_id: Whole,
    result_id: String,
}

/// [`UseRequest`] as it comes in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    user_id: Whole,
    result_id: String,
    order_amount: f64,
}

impl Order {
    fn amount(&self) -> Result<Money, Problem> {
        params::amount(self.order_amount, "order_amount")
    }
}

/// The result that a request is about, and who asks for it.
struct Target {
    asker: Asker,
    user: UserId,
    id: ResultId,
}

impl Target {
    fn read(asker: Asker, user_id: Whole, id: &str) -> Result<Self, Problem> {
        let user = user_id.id("user_id", UserId::new)?;
        asker.must_be(user)?;
        Ok(Self { asker, user, id: result_id(id)? })
    }

    /// Takes the step, by main's time.
    async fn take(self, service: &Service, action: Action) -> Result<HttpResponse, Problem> {
        let Self { asker, user, id } = self;
        let time = service.backend.ids.mains_time(service.clock.now());
        let may_give_back = |user| service.return_limit.as_ref().map_or(Ok(()), |limit| limit.count(user));
        let change = Change { user, id, action, time };
        let taken = service.queries.change(asker.actor(), change, may_give_back).await;
        match taken.map_err(|error| Problem::unavailable(&error))? {
            StepResult::Done(result, answered) => {
                let (result, plan) = (view::result(&result), view::plan(&answered));
                let body = ResultAnswer { result, place: None, plan };
                view::timed(&body, &answered)
            }
            StepResult::Refused(why, result) => Err(stands(why, &result)),
            StepResult::NotReturnable => {
                let detail = format!(
                    "result {id} is of a coupon that only operators take back: with the token that admin.token sets, in the header \
                     Authorization: Bearer"
                );
                Err(Problem::new(Kind::NotReturnable, detail).field("result_id"))
            }
            StepResult::TooOften(wait) => Err(Problem::too_many("gives coupons back", wait)),
            StepResult::BelowMinimum(minimum) => {
                let detail = format!("this coupon takes an order of {minimum} or more");
                Err(Problem::new(Kind::BelowMinimum, detail).field("order_amount"))
            }
            StepResult::NotFound => {
                let detail = format!("user {user} has no result {id}");
                Err(Problem::new(Kind::UnknownResult, detail).field("result_id"))
            }
        }
    }
}

/// The problem that says what stands in the way of a step.
fn stands(why: StepRefusal, result: &CouponResult) -> Problem {
    let state = match why {
        StepRefusal::State(state) => state,
        StepRefusal::TooLate => ResultState::Expired,
        StepRefusal::NotDue => ResultState::Held,
        StepRefusal::OtherOrder => ResultState::Used,
    };
    let held = match (state, result.hold_until) {
        (ResultState::Held | ResultState::Expired, Some(until)) => format!(", held until {until}"),
        _ => String::new(),
    };
    Problem::new(Kind::Stands(state), format!("result {}: {why}{held}", result.result_id)).field("result_id")
}

/// The sender of a request, and what its body says.
async fn received<B: DeserializeOwned>(
    req: &HttpRequest,
    payload: web::Payload,
    service: &Service,
) -> Result<(Asker, B), Problem> {
    let body = Received::whole(req, payload, service.settings.limits.body()).await?;
    let asker = Asker::or_operator(req, service)?;
    Query::none(req)?;
    Ok((asker, body.json(req)?))
}

/// The steps that a path with [`Step`] for a body takes.
async fn step(
    req: &HttpRequest,
    payload: web::Payload,
    service: &Service,
    action: Action,
) -> Result<HttpResponse, Problem> {
    let (asker, Step { user_id, result_id }) = received(req, payload, service).await?;
    Target::read(asker, user_id, &result_id)?.take(service, action).await
}

/// Confirm what is held
///
/// A result that is `held` becomes the user's, before its `hold_until` only, whatever has ended meanwhile. Asked for again,
/// also after it was used, the answer is the result as it is; once it gave its stock back, 409. With the token of
/// `admin.token`, operators may ask for any user.
#[utoipa::path(
    post,
    path = "/api/coupon/confirm",
    operation_id = "confirmResult",
    tag = "results",
    security((), ("user" = []), ("token" = [])),
    request_body = StepRequest,
    responses(
        (status = 200, description = "Confirmed; the result as it is now.", body = ResultAnswer),
        BodyProblems,
        UserProblems,
        Stands,
        Unanswered,
    )
)]
pub(super) async fn confirm(
    req: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    step(&req, payload, &service, Action::Confirm).await
}

/// Give up what is held
///
/// A result that is `held` gives its stock back, and the user may grab again. Asked for again, the answer is the same. With
/// the token of `admin.token`, operators may ask for any user. A user who gives back more than `limits.user_returns_per_h` is
/// asked to wait; what is held expires all the same.
#[utoipa::path(
    post,
    path = "/api/coupon/release",
    operation_id = "releaseResult",
    tag = "results",
    security((), ("user" = []), ("token" = [])),
    request_body = StepRequest,
    responses(
        (status = 200, description = "Released; the result as it is now.", body = ResultAnswer),
        BodyProblems,
        UserProblems,
        TooOften,
        Stands,
        Unanswered,
    )
)]
pub(super) async fn release(
    req: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    step(&req, payload, &service, Action::Release).await
}

/// Hand back what is owned
///
/// A result that is `owned` and was not used gives its stock back, and the user may grab again. Users do this where the
/// coupon is `returnable`; operators, with the token of `admin.token`, for any user and any coupon. Asked for again, the
/// answer is the same. The books say `return` for users and operators alike: no operator's name is kept with a result. A user who gives
/// back more than `limits.user_returns_per_h` is asked to wait.
#[utoipa::path(
    post,
    path = "/api/coupon/return",
    operation_id = "returnResult",
    tag = "results",
    security((), ("user" = []), ("token" = [])),
    request_body = StepRequest,
    responses(
        (status = 200, description = "Returned; the result as it is now.", body = ResultAnswer),
        BodyProblems,
        ReturnProblems,
        TooOften,
        Stands,
        Unanswered,
    )
)]
pub(super) async fn give_back(
    req: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    step(&req, payload, &service, Action::Return).await
}

/// Spend a coupon on an order
///
/// A user who owns a coupon may spend it once, also after its end and after it was withdrawn: its window and its
/// status are about grabbing. One that is held must be confirmed before. The order must be of the coupon's `min_purchase`
/// at least. Asked for again with the same amount, the answer is the same. With the token of `admin.token`, operators may
/// ask for any user.
#[utoipa::path(
    post,
    path = "/api/coupon/use",
    operation_id = "useCoupon",
    tag = "results",
    security((), ("user" = []), ("token" = [])),
    request_body = UseRequest,
    responses(
        (status = 200, description = "Spent; the result as it is now.", body = ResultAnswer),
        BodyProblems,
        UserProblems,
        Stands,
        Unanswered,
    )
)]
pub(super) async fn spend(
    req: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let (asker, body): (_, Order) = received(&req, payload, &service).await?;
    let target = Target::read(asker, body.user_id, &body.result_id)?;
    target.take(&service, Action::Use(body.amount()?)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cents(json: &str) -> Option<i64> {
        let body = format!(r#"{{"user_id":1,"result_id":"5","order_amount":{json}}}"#);
        serde_json::from_str::<Order>(&body).unwrap().amount().ok().map(Money::cents)
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
