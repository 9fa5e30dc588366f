//! Errors as RFC 9457 has them.

use std::fmt;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use coupon_core::{CouponId, ResultState, RoomId, UserId};
use coupon_store::Unavailable;
use coupon_store::outage::Outage;

use crate::api::ProblemDetails;
use crate::telemetry::context;

/// The longest detail: parts of it may quote the request.
const DETAIL_MAX: usize = 400;

/// Every kind of error that a client can meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Malformed,
    Unauthorized,
    UserTokenNeeded,
    OtherUser,
    InactiveUser,
    NotReturnable,
    LoopbackOnly,
    NotFound,
    UnknownCoupon,
    UnknownUser,
    UnknownRoom,
    UnknownResult,
    MethodNotAllowed,
    RequestTimeout,
    /// The result is in this state, or all but: one whose hold is over counts as expired.
    Stands(ResultState),
    /// The state that the catalogue has by now stands in the way of a change.
    Conflict,
    TooLarge,
    NotJson,
    OutOfRange,
    RoomMismatch,
    NoPlace,
    BelowMinimum,
    RequestNotNamed,
    TooMany,
    Internal,
    Unavailable,
}

impl Kind {
    /// The status, the slug that names the kind for good, and its title.
    const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed => {
                (StatusCode::BAD_REQUEST, "/problems/malformed-request", "The request cannot be read")
            }
            Self::Unauthorized => {
                (StatusCode::UNAUTHORIZED, "/problems/unauthorized", "A bearer token is needed")
            }
            Self::UserTokenNeeded => {
                (StatusCode::UNAUTHORIZED, "/problems/user-token-needed", "A token of the user's is needed")
            }
            Self::OtherUser => (StatusCode::FORBIDDEN, "/problems/other-user", "The token is another user's"),
            Self::InactiveUser => {
                (StatusCode::FORBIDDEN, "/problems/inactive-user", "The user is not active")
            }
            Self::NotReturnable => {
                (StatusCode::FORBIDDEN, "/problems/not-returnable", "Users hand nothing of this coupon back")
            }
            Self::LoopbackOnly => {
                (StatusCode::FORBIDDEN, "/problems/loopback-only", "Only this machine may ask")
            }
            Self::NotFound => (StatusCode::NOT_FOUND, "/problems/not-found", "No such path"),
            Self::UnknownCoupon => (StatusCode::NOT_FOUND, "/problems/unknown-coupon", "No such coupon"),
            Self::UnknownUser => (StatusCode::NOT_FOUND, "/problems/unknown-user", "No such user"),
            Self::UnknownRoom => (StatusCode::NOT_FOUND, "/problems/unknown-room", "No such room"),
            Self::UnknownResult => (StatusCode::NOT_FOUND, "/problems/unknown-result", "No such result"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "/problems/method-not-allowed",
                "The path does not take this method",
            ),
            Self::RequestTimeout => (
                StatusCode::REQUEST_TIMEOUT,
                "/problems/request-timeout",
                "The request took too long to arrive",
            ),
            Self::Stands(state) => {
                let (slug, title) = standing(state);
                (StatusCode::CONFLICT, slug, title)
            }
            Self::Conflict => (StatusCode::CONFLICT, "/problems/conflict", "What is there stands in the way"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "/problems/too-large", "The body is too large"),
            Self::NotJson => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "/problems/not-json", "The body must be JSON")
            }
            Self::OutOfRange => {
                (StatusCode::UNPROCESSABLE_ENTITY, "/problems/out-of-range", "A value is out of range")
            }
            Self::RoomMismatch => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "/problems/room-mismatch",
                "The coupon belongs to another room",
            ),
            Self::NoPlace => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "/problems/no-place",
                "The strategy has no place for the result",
            ),
            Self::BelowMinimum => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "/problems/below-minimum",
                "The order is too small for the coupon",
            ),
            Self::RequestNotNamed => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "/problems/request-not-named",
                "A grab of this coupon must name its request",
            ),
            Self::TooMany => {
                (StatusCode::TOO_MANY_REQUESTS, "/problems/too-many", "More than one client may ask for")
            }
            Self::Internal => {
                (StatusCode::INTERNAL_SERVER_ERROR, "/problems/internal", "The service made a mistake")
            }
            Self::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "/problems/unavailable", "Not available for now")
            }
        }
    }
}

/// The slug and the title for a result whose state stands in the way of what was asked for.
const fn standing(state: ResultState) -> (&'static str, &'static str) {
    match state {
        ResultState::Held => ("/problems/still-held", "The result is held, and not confirmed"),
        ResultState::Owned => ("/problems/already-owned", "The result is the user's"),
        ResultState::Used => ("/problems/already-used", "The coupon was spent before"),
        ResultState::Returned => ("/problems/already-returned", "The result was handed back"),
        ResultState::Released => ("/problems/already-released", "The hold was given up"),
        ResultState::Expired => ("/problems/hold-expired", "The hold is over"),
    }
}

/// An error on its way to the client.
#[derive(Debug)]
pub(super) struct Problem {
    kind: Kind,
    detail: String,
    field: Option<String>,
    allow: &'static str,
    /// Seconds after which to ask again.
    retry_after: u64,
}

impl Problem {
    /// There is no such coupon.
    pub(super) fn unknown_coupon(coupon: CouponId) -> Self {
        Self::new(Kind::UnknownCoupon, format!("there is no coupon {coupon}")).field("coupon_id")
    }

    /// There is no such user.
    pub(super) fn unknown_user(user: UserId) -> Self {
        Self::new(Kind::UnknownUser, format!("there is no user {user}")).field("user_id")
    }

    /// There is no such room.
    pub(super) fn unknown_room(room: RoomId) -> Self {
        Self::new(Kind::UnknownRoom, format!("there is no room {room}")).field("room_id")
    }

    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if detail.len() > DETAIL_MAX {
            detail.truncate(detail.floor_char_boundary(DETAIL_MAX));
            detail.push('…');
        }
        Self { kind, detail, field: None, allow: "", retry_after: 1 }
    }

    /// The same problem, with the field that was wrong.
    pub(super) fn field(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    /// A user who does something more often than one may.
    pub(super) fn too_many(does: &str, wait: Duration) -> Self {
        // Rounded up: a client that comes back then is let through.
        let retry_after = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let detail = format!("this user {does} more often than one may; wait {retry_after} s");
        Self { retry_after, ..Self::new(Kind::TooMany, detail).field("user_id") }
    }

    pub(super) fn method_not_allowed(allow: &'static str) -> Self {
        let problem = Self::new(Kind::MethodNotAllowed, format!("this path takes {allow} only"));
        Self { allow, ..problem }
    }

    /// Something needed did not answer. The reason goes to the log, never to the client.
    pub(super) fn unavailable(error: &Unavailable) -> Self {
        if let Some(told) = LOG.failed() {
            tracing::warn!(
                request_id = context::request_id(),
                what = error.what,
                why = error.why,
                failures = told.failures,
                lasted_s = told.lasted_s,
                "answering 503"
            );
        }
        Self::unanswered(error)
    }

    /// The same for reads of shards, whose reasons [`crate::queries`] has logged already.
    pub(super) fn unanswered(error: &Unavailable) -> Self {
        Self::new(Kind::Unavailable, format!("{} is unavailable; asking again is safe", error.what))
    }

    /// A mistake of the service's own. The reason goes to the log, never to the client.
    pub(super) fn internal(why: impl fmt::Display) -> Self {
        tracing::error!(request_id = context::request_id(), %why, "answering 500");
        Self::new(Kind::Internal, "the service's log says more")
    }
}

impl Problem {
    fn body(&self) -> Vec<u8> {
        let (status, slug, title) = self.kind.parts();
        let body = ProblemDetails {
            kind: slug.to_owned(),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail.clone(),
            field: self.field.clone(),
            trace_id: context::request_id(),
        };
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.kind.parts().0
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.content_type("application/problem+json");
        match self.kind {
            Kind::Unauthorized => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"admin\""))
            }
            Kind::UserTokenNeeded => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"users\""))
            }
            Kind::MethodNotAllowed => response.insert_header((header::ALLOW, self.allow)),
            Kind::Unavailable | Kind::TooMany => {
                response.insert_header((header::RETRY_AFTER, self.retry_after))
            }
            _ => &mut response,
        };
        response.body(self.body())
    }
}

/// A whole answer to a connection that is one too many, before anything was asked on it.
pub(crate) fn refusal(detail: &str) -> Vec<u8> {
    let body = Problem::new(Kind::TooMany, detail).body();
    let head = format!(
        "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

/// An overloaded service answers thousands of 503 a second.
static LOG: Outage = Outage::of_requests();

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody;

    use super::*;

    fn details(problem: &Problem) -> (HttpResponse, ProblemDetails) {
        let (response, body) = problem.error_response().into_parts();
        let bytes = body.try_into_bytes().unwrap();
        (response.set_body(actix_web::body::BoxBody::new(())), serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn a_problem_names_its_kind_its_status_and_the_field() {
        let problem = Problem::new(Kind::UnknownCoupon, "there is no coupon 7").field("coupon_id");
        let (response, body) = details(&problem);
        assert_eq!(response.headers().get("content-type").unwrap(), "application/problem+json");
        assert_eq!((response.status().as_u16(), body.status), (404, 404));
        assert_eq!(body.kind, "/problems/unknown-coupon");
        assert_eq!(body.field.as_deref(), Some("coupon_id"));
    }

    #[test]
    fn what_is_unavailable_may_be_asked_again_and_keeps_its_reason_to_itself() {
        let error = Unavailable::new("shard 2", "disk I/O error in /srv/data/shard-2.sqlite");
        let (response, body) = details(&Problem::unavailable(&error));
        assert_eq!(response.headers().get("retry-after").unwrap(), "1");
        assert!(body.detail.contains("shard 2") && !body.detail.contains("sqlite"), "{}", body.detail);
    }

    #[test]
    fn a_detail_that_quotes_the_request_stays_short() {
        let (_, body) = details(&Problem::new(Kind::Malformed, "é".repeat(10_000)));
        assert!(body.detail.len() <= DETAIL_MAX + '…'.len_utf8());
    }
}
