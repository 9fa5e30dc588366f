//! The one path that must be fast.

use std::future::{Ready, ready};
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use coupon_core::{CouponId, FailReason, GrabTerms, RequestKey, ResultId, RoomId, Timestamp, UserId};
use coupon_store::{Grant, Offer, Offered, Reservation};
use serde::{Deserialize, Serialize};

use super::body::Received;
use super::identity::Asker;
use super::params::{Query, Whole};
use super::problem::{Kind, Problem};
use super::responses::{BodyProblems, GrabProblems, Limited, Unanswered};
use super::routes::Routes;
use super::view;
use crate::api::{GrabRequest, GrabResponse};
use crate::pipeline::{Batcher, Grab, GrabDecision, NotDecided};
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

/// The longest name of a request.
const REQUEST_ID_MAX: usize = 64;

/// [`GrabRequest`] as it comes in: any whole number, so that one out of range gets another answer than none at all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    user_id: Whole,
    coupon_id: Whole,
    #[serde(default)]
    room_id: Option<Whole>,
    #[serde(default)]
    request_id: Option<String>,
}

/// [`GrabRequest`] with ids that can be meant.
struct Wish {
    user: UserId,
    coupon: CouponId,
    room: Option<RoomId>,
    request: Option<RequestKey>,
}

impl Wish {
    fn read(req: &HttpRequest, body: &Received) -> Result<Self, Problem> {
        Query::none(req)?;
        let body: Body = body.json(req)?;
        Ok(Self {
            user: body.user_id.id("user_id", UserId::new)?,
            coupon: body.coupon_id.id("coupon_id", CouponId::new)?,
            room: body.room_id.map(|room| room.id("room_id", RoomId::new)).transpose()?,
            request: body.request_id.as_deref().map(request_key).transpose()?,
        })
    }

    /// The grab that it is, of a coupon that is on these terms.
    fn of(self, offered: Offered) -> Result<Grab, Problem> {
        let Self { user, coupon, room: named, request } = self;
        let Offered { room, terms } = offered;
        if let Some(named) = named.filter(|named| *named != room) {
            let detail = format!("coupon {coupon} belongs to room {room}, not to {named}");
            return Err(Problem::new(Kind::RoomMismatch, detail).field("room_id"));
        }
        if request.is_none() && terms.need_request() {
            let GrabTerms { hold_s, user_limit, .. } = terms;
            let detail = format!(
                "coupon {coupon} is held for {hold_s} s and allows {user_limit} a user: name the grab by a request_id, so that \
                 one asked for again is not another"
            );
            return Err(Problem::new(Kind::RequestNotNamed, detail).field("request_id"));
        }
        Ok(Grab { user, coupon, room, terms, request })
    }
}

/// The key of the name that a caller gave its request.
fn request_key(name: &str) -> Result<RequestKey, Problem> {
    let length = name.chars().take(REQUEST_ID_MAX + 1).count();
    if (1..=REQUEST_ID_MAX).contains(&length) {
        return Ok(RequestKey::of(name));
    }
    let detail = format!("request_id must have from 1 to {REQUEST_ID_MAX} characters");
    Err(Problem::new(Kind::OutOfRange, detail).field("request_id"))
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
    state: Option<&'static str>,
    hold_until: Option<Timestamp>,
}

impl Decided {
    fn new(grab: Grab, answer: GrabDecision) -> Self {
        let granted = |grant: Grant| (None, Some(grant.id), Some(grant));
        let (reason, result_id, grant) = match answer {
            GrabDecision::Granted(reserved) => granted(reserved.grant()),
            GrabDecision::Repeated(grant) => granted(grant),
            GrabDecision::Duplicate(id) => (Some(FailReason::Duplicate), Some(id), None),
            GrabDecision::OutOfStock => (Some(FailReason::OutOfStock), None, None),
            GrabDecision::InvalidTime => (Some(FailReason::InvalidTime), None, None),
        };
        Self {
            user_id: grab.user,
            coupon_id: grab.coupon,
            room_id: grab.room,
            grab_status: u8::from(grant.is_some()),
            fail_reason: reason.map(FailReason::as_str),
            result_id,
            grab_time: result_id.map(ResultId::time),
            state: grant.map(|grant| grant.state().as_str()),
            hold_until: grant.and_then(|grant| grant.hold_until),
        }
    }
}

/// Grab a coupon
///
/// A decided grab is 200, whether or not it got the coupon: `grab_status` 1 is stored, 0 says why not. After a 503 the
/// outcome may be unknown; asking again is safe, and finds out. With a `request_id` a request that was granted gets the same
/// answer again, until an hour after its result gave its stock back or a day after its coupon's end, when it is
/// `invalid_time`, and a grab by another one is another grab. One that was refused is decided anew. A field given twice, or
/// one that is not listed, is refused. A number is whole if it has no fraction, however it is written.
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
    let wish = Wish::read(&req, &body)?;
    let (user, coupon) = (wish.user, wish.coupon);
    asker.must_be(user)?;
    let offered = match service.backend.catalogue.offer(user, coupon) {
        Offer::InRoom(offered) => offered,
        Offer::UnknownCoupon => return Err(Problem::unknown_coupon(coupon)),
        Offer::UnknownUser => return Err(Problem::unknown_user(user)),
        Offer::InactiveUser => {
            let detail = format!("user {user} is not active, and gets no coupons");
            return Err(Problem::new(Kind::InactiveUser, detail).field("user_id"));
        }
    };
    if let Some(limit) = &service.grab_limit {
        limit.count(user).map_err(|wait| Problem::too_many("grabs", wait))?;
    }
    let grab = wish.of(offered)?;
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
    let wish = Wish::read(&req, &body)?;
    let room = match wish.room {
        Some(room) => room,
        None => RoomId::new(1).map_err(Problem::internal)?,
    };
    let id = ResultId::from_number(i64::MAX >> 3).map_err(Problem::internal)?;
    let grab = wish.of(Offered { room, terms: GrabTerms::default() })?;
    view::ok(&Decided::new(grab, GrabDecision::Granted(Reservation::plain(id))))
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
            terms: GrabTerms::default(),
            request: None,
        };
        let id = ResultId::from_parts("2026-11-22T12:00:00Z".parse().unwrap(), 1, 2).unwrap();
        let until = Some("2026-11-22T12:10:00Z".parse().unwrap());
        let (owned, held) =
            (Reservation::plain(id), Reservation { hold_until: until, ..Reservation::plain(id) });
        for (answer, status, reason, state) in [
            (GrabDecision::Granted(owned), 1, None, Some("owned")),
            (GrabDecision::Granted(held), 1, None, Some("held")),
            (GrabDecision::Repeated(held.grant()), 1, None, Some("held")),
            (GrabDecision::Duplicate(id), 0, Some("duplicate"), None),
            (GrabDecision::OutOfStock, 0, Some("out_of_stock"), None),
            (GrabDecision::InvalidTime, 0, Some("invalid_time"), None),
        ] {
            let json = serde_json::to_string(&Decided::new(grab, answer)).unwrap();
            let read: GrabResponse = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), json);
            assert_eq!((read.grab_status, read.fail_reason.as_deref()), (status, reason));
            let named = state.is_some() || reason == Some("duplicate");
            assert_eq!(read.result_id, named.then(|| id.to_string()));
            assert_eq!(read.grab_time.as_deref(), named.then_some("2026-11-22T12:00:00.000Z"));
            assert_eq!(read.state.as_deref(), state);
            let until = (state == Some("held")).then_some("2026-11-22T12:10:00.000Z");
            assert_eq!(read.hold_until.as_deref(), until);
        }
    }

    #[test]
    fn the_name_of_a_request_has_from_1_to_64_characters() {
        assert_eq!(request_key(&"é".repeat(64)).unwrap(), RequestKey::of(&"é".repeat(64)));
        for wrong in [String::new(), "a".repeat(65)] {
            assert!(request_key(&wrong).unwrap_err().to_string().contains("request_id"));
        }
    }

    #[test]
    fn a_coupon_that_is_held_or_not_limited_to_one_needs_requests_with_names() {
        let (user, coupon) = (UserId::new(1).unwrap(), CouponId::new(2).unwrap());
        let wish = |request| Wish { user, coupon, room: None, request };
        let plain = GrabTerms::default();
        for (terms, needed) in [
            (plain, false),
            (GrabTerms { hold_s: 1, ..plain }, true),
            (GrabTerms { user_limit: 2, ..plain }, true),
            (GrabTerms { returnable: true, ..plain }, false),
        ] {
            let offered = Offered { room: RoomId::new(3).unwrap(), terms };
            assert_eq!(wish(None).of(offered).is_err(), needed, "{terms:?}");
            assert!(wish(Some(RequestKey::of("a"))).of(offered).is_ok());
        }
    }
}
