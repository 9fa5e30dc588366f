//! The user who asks, as far as a request must say.

use actix_web::HttpRequest;
use actix_web::http::header;
use coupon_core::UserId;

use super::problem::{Kind, Problem};
use crate::state::Service;

/// The text after `Authorization: Bearer`. The scheme is no matter of case; the rest is.
pub(super) fn bearer(req: &HttpRequest) -> Option<&[u8]> {
    let given = req.headers().get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, given) = given.split_at_checked(b"bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| given.trim_ascii())
}

/// The user whose token came with a request; `None` when no tokens are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker(Option<UserId>);

impl Asker {
    /// Reads the token, before anything else of the request: a client without one learns nothing from it.
    pub(super) fn of(req: &HttpRequest, service: &Service) -> Result<Self, Problem> {
        let Some(tokens) = &service.user_tokens else { return Ok(Self(None)) };
        let refuse = |why: &str| {
            Problem::new(
                Kind::UserTokenNeeded,
                format!("{why}: send the header Authorization: Bearer <token>"),
            )
        };
        let given = bearer(req).ok_or_else(|| refuse("there is no token of a user's"))?;
        let given = std::str::from_utf8(given).map_err(|_| refuse("the token is none"))?;
        match tokens.verify(given, service.clock.now()) {
            Ok(user) => Ok(Self(Some(user))),
            Err(error) => Err(refuse(&error.to_string())),
        }
    }

    /// Lets users do what they do for themselves.
    pub(super) fn must_be(self, user: UserId) -> Result<(), Problem> {
        match self.0 {
            Some(asker) if asker != user => {
                let detail = format!("the token is user {asker}'s, and the request is about user {user}");
                Err(Problem::new(Kind::OtherUser, detail).field("user_id"))
            }
            _ => Ok(()),
        }
    }
}
