//! The one path that must be fast.

use std::future::{Ready, ready};
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use coupon_core::{CouponId, FailReason, ResultId, RoomId, Timestamp, UserId};
use coupon_store::Offer;
use serde::{Deserialize, Serialize};

use super::body::Received;
use super::identity::Asker;
use super::params::{Query, Whole};
use super::problem::{Kind, Problem};
use super::responses::{BodyProblems, GrabProblems, Limited, Unanswered};
use super::routes::Routes;
use super::view;
use crate::api::{GrabRequest, GrabResponse};
use crate::pipeline::{Answer, Batcher, Grab, NotDecided};
use crate::state::Service;

pub(super) fn configure(routes: &mut Routes<'_>) {
    routes.post("/api/coupon/grab", grab);
    routes.post("/bench/echo", echo);
}

/// The pipeline of the worker that the request came to.
pub(super) struct Pipeline(pub(super) Rc<Batcher>);

impl FromRequest for Pipeline {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(
            req.app_data::<Rc<Batcher>>()
                .map(|batcher| Self(Rc::clone(batcher)))
                .ok_or_else(|| Problem::internal("the worker has no pipeline")),
        )
    }
}

/// [`GrabRequest`] as it comes in: any whole number, so that one out of range gets another answer than none at all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    user_id: Whole,
    coupon_id: Whole,
    #[serde(default)]
    room_id: Option<Whole>,
}

/// [`GrabRequest`] with ids that can be meant.
struct Wish {
    user: UserId,
    coupon: CouponId,
    room: Option<RoomId>,
}

impl Wish {
    fn read(req: &HttpRequest, body: &Received) -> Result<Self, Problem> {
        Query::none(req)?;
        let body: Body = body.json(req)?;
        Ok(Self {
            user: body.user_id.id("user_id", UserId::new)?,
            coupon: body.coupon_id.id("coupon_id", CouponId::new)?,
            room: body.room_id.map(|room| room.id("room_id", RoomId::new)).transpose()?,
        })
    }
}

/// [`GrabResponse`] as it goes out: the same JSON without a string made for each field.
#[derive(Serialize)]
struct Decided {
    user_id: UserId,
    coupon_id: CouponId,
    room_id: RoomId,
    grab_status: u8,
    fail_reason: Option<&'static str>,
    result_id: Option<ResultId>,
    grab_time: Option<Timestamp>,
}

impl Decided {
    fn new(grab: Grab, answer: Answer) -> Self {
        let (grab_status, reason, result_id) = match answer {
            Answer::Granted(id) => (1, None, Some(id)),
            Answer::Duplicate(id) => (0, Some(FailReason::Duplicate), Some(id)),
            Answer::OutOfStock => (0, Some(FailReason::OutOfStock), None),
            Answer::InvalidTime => (0, Some(FailReason::InvalidTime), None),
        };
        Self {
            user_id: grab.user,
            coupon_id: grab.coupon,
            room_id: grab.room,
            grab_status,
            fail_reason: reason.map(FailReason::as_str),
            result_id,
            grab_time: result_id.map(ResultId::time),
        }
    }
}

/// Grab a coupon
///
/// A decided grab is 200, whether or not it got the coupon: `grab_status` 1 is stored for ever, 0 says why not. After
/// a 503 the outcome may be unknown; asking again is safe, and finds out. A field given twice, or one that is not
/// listed, is refused. A number is whole if it has no fraction, however it is written.
#[utoipa::path(
    post,
    path = "/api/coupon/grab",
    operation_id = "grabCoupon",
    tag = "grab",
    security((), ("user" = [])),
    request_body = GrabRequest,
    responses(
        (status = 200, description = "Decided.", body = GrabResponse),
        BodyProblems,
        GrabProblems,
        Limited,
        Unanswered,
    )
)]
pub(super) async fn grab(
    req: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
    pipeline: Pipeline,
) -> Result<HttpResponse, Problem> {
    let body = Received::whole(&req, payload, service.settings.limits.body()).await?;
    let asker = Asker::of(&req, &service)?;
    let Wish { user, coupon, room: named } = Wish::read(&req, &body)?;
    asker.must_be(user)?;
    let room = match service.backend.catalogue.known().offer(user, coupon) {
        Offer::InRoom(offered) => offered.room,
        Offer::UnknownCoupon => return Err(Problem::unknown_coupon(coupon)),
        Offer::UnknownUser => return Err(Problem::unknown_user(user)),
        Offer::InactiveUser => {
            let detail = format!("user {user} is not active, and gets no coupons");
            return Err(Problem::new(Kind::InactiveUser, detail).field("user_id"));
        }
    };
    if let Some(limit) = &service.grab_limit {
        limit.count(user).map_err(Problem::too_many_grabs)?;
    }
    if let Some(named) = named.filter(|named| *named != room) {
        let detail = format!("coupon {coupon} belongs to room {room}, not to {named}");
        return Err(Problem::new(Kind::RoomMismatch, detail).field("room_id"));
    }
    let grab = Grab { user, coupon, room };
    let answer = pipeline.0.grab(grab).await.map_err(|error| match error {
        NotDecided::Unavailable(error) => Problem::unavailable(&error),
        NotDecided::NoPlace(error) => Problem::new(Kind::NoPlace, error.to_string()),
    })?;
    view::ok(&Decided::new(grab, answer))
}

/// Parse a grab and answer as if it were decided
///
/// What a grab's HTTP and JSON cost, with nothing between: the ceiling that a benchmark can reach. 404 unless the
/// setting `bench.echo` is on.
#[utoipa::path(
    post,
    path = "/bench/echo",
    operation_id = "echoGrab",
    tag = "operation",
    request_body = GrabRequest,
    responses(
        (status = 200, description = "Not decided, and nothing is stored.", body = GrabResponse),
        BodyProblems,
    )
)]
pub(super) async fn echo(
    req: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let body = Received::whole(&req, payload, service.settings.limits.body()).await?;
    if !service.settings.bench.echo {
        return Err(Problem::new(Kind::NotFound, "set bench.echo to have this path"));
    }
    let Wish { user, coupon, room } = Wish::read(&req, &body)?;
    let room = match room {
        Some(room) => room,
        None => RoomId::new(1).map_err(Problem::internal)?,
    };
    let id = ResultId::from_number(i64::MAX >> 3).map_err(Problem::internal)?;
    view::ok(&Decided::new(Grab { user, coupon, room }, Answer::Granted(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_out_reads_back_as_the_documented_answer() {
        let grab = Grab {
            user: UserId::new(123).unwrap(),
            coupon: CouponId::new(456).unwrap(),
            room: RoomId::new(92).unwrap(),
        };
        let id = ResultId::from_parts("2026-11-22T12:00:00Z".parse().unwrap(), 1, 2).unwrap();
        for (answer, status, reason, held) in [
            (Answer::Granted(id), 1, None, true),
            (Answer::Duplicate(id), 0, Some("duplicate"), true),
            (Answer::OutOfStock, 0, Some("out_of_stock"), false),
            (Answer::InvalidTime, 0, Some("invalid_time"), false),
        ] {
            let json = serde_json::to_string(&Decided::new(grab, answer)).unwrap();
            let read: GrabResponse = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), json);
            assert_eq!((read.grab_status, read.fail_reason.as_deref()), (status, reason));
            assert_eq!(read.result_id, held.then(|| id.to_string()));
            assert_eq!(read.grab_time.as_deref(), held.then_some("2026-11-22T12:00:00.000Z"));
        }
    }
}
