//! The sender of a request, as far as it must say: a user, or an operator.

use actix_web::HttpRequest;
use actix_web::http::header;
use coupon_core::UserId;
use coupon_core::after_grab::Actor;
use coupon_store::settings::Secret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::problem::{Kind, Problem};
use crate::state::Service;

/// The text after `Authorization: Bearer`. The scheme is no matter of case; the rest is.
pub(super) fn bearer(req: &HttpRequest) -> Option<&[u8]> {
    let given = req.headers().get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, given) = given.split_at_checked(b"bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| given.trim_ascii())
}

/// True if a request has the operators' token, which must be set.
pub(super) fn has_token(req: &HttpRequest, token: &Secret) -> bool {
    // Of hashes, so that the time it takes does not give away even the length of the token.
    let same = |given: &[u8]| {
        let (given, token) = (Sha256::digest(given), Sha256::digest(token.expose()));
        bool::from(given.as_slice().ct_eq(token.as_slice()))
    };
    !token.is_empty() && bearer(req).is_some_and(same)
}

/// The sender of a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asker {
    /// Any client, in the name of any user: no tokens are asked for.
    Anybody,
    /// The user whose token came with it.
    User(UserId),
    /// A person who runs the sale, in the name of any user.
    Operator,
}

impl Asker {
    /// Reads the user's token, before anything else of the request: a client without one learns nothing from it.
    pub(super) fn of(req: &HttpRequest, service: &Service) -> Result<Self, Problem> {
        let Some(tokens) = &service.user_tokens else { return Ok(Self::Anybody) };
        let refuse = |why: &str| {
            Problem::new(
                Kind::UserTokenNeeded,
                format!("{why}: send the header Authorization: Bearer <token>"),
            )
        };
        let given = bearer(req).ok_or_else(|| refuse("there is no token of a user's"))?;
        let given = std::str::from_utf8(given).map_err(|_| refuse("the token is none"))?;
        match tokens.verify(given, service.clock.now()) {
            Ok(user) => Ok(Self::User(user)),
            Err(error) => Err(refuse(&error.to_string())),
        }
    }

    /// The same where operators may ask too. An operator is known by the token that `admin.token` sets, and by nothing else:
    /// without it, a client on this machine is like any user.
    pub(super) fn or_operator(req: &HttpRequest, service: &Service) -> Result<Self, Problem> {
        if has_token(req, &service.settings.admin.token) {
            Ok(Self::Operator)
        } else {
            Self::of(req, service)
        }
    }

    /// Lets users do what they do for themselves, and operators what they do for users.
    pub(super) fn must_be(self, user: UserId) -> Result<(), Problem> {
        match self {
            Self::User(asker) if asker != user => {
                let detail = format!("the token is user {asker}'s, and the request is about user {user}");
                Err(Problem::new(Kind::OtherUser, detail).field("user_id"))
            }
            _ => Ok(()),
        }
    }

    /// The part in which it acts on a result.
    pub(super) const fn actor(self) -> Actor {
        match self {
            Self::Anybody | Self::User(_) => Actor::User,
            Self::Operator => Actor::Operator,
        }
    }
}
