//! Tokens that say who a user is: `<user>.<expiry in seconds since 1970>.<HMAC-SHA256 of both, base64url>`.
//!
//! The system that signs users in makes them; this service only reads them, and keeps nothing.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coupon_core::{Timestamp, UserId};
use coupon_store::settings::Secret;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The fewest characters of a secret: as many as the hash has bytes, since fewer would be the weakest part.
const SECRET_MIN: usize = 32;

/// Put before what is signed, so that nothing else signed with the same secret can pass for a token.
const DOMAIN: &[u8] = b"coupon user token 1\n";

/// Makes users' tokens, and reads them.
#[derive(Clone)]
pub struct UserTokens(Hmac<Sha256>);

/// The reason why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is none, or was made with another secret.
    #[error("the token is not one that was made with users.token_secret")]
    Wrong,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
}

impl UserTokens {
    /// Tokens of this secret; `None` when it is empty.
    ///
    /// # Errors
    /// When it is too short.
    pub fn new(secret: &Secret) -> anyhow::Result<Option<Self>> {
        if secret.is_empty() {
            return Ok(None);
        }
        anyhow::ensure!(
            secret.expose().chars().count() >= SECRET_MIN,
            "setting `users.token_secret` must have at least {SECRET_MIN} characters, for example from `openssl rand -hex 32`"
        );
        Ok(Some(Self(Hmac::new_from_slice(secret.expose().as_bytes())?)))
    }

    /// A token for a user, good until that moment.
    #[must_use]
    pub fn issue(&self, user: UserId, expires: Timestamp) -> String {
        let claim = format!("{user}.{}", expires.millis() / 1_000);
        let signature = self.signed(&claim).finalize().into_bytes();
        format!("{claim}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The user of a token. The signature is compared in constant time, and before anything else is looked at.
    ///
    /// # Errors
    /// [`TokenError`] when it is not a valid user's.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<UserId, TokenError> {
        let (claim, signature) = token.rsplit_once('.').ok_or(TokenError::Wrong)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Wrong)?;
        self.signed(claim).verify_slice(&signature).map_err(|_| TokenError::Wrong)?;
        let (user, expires) = claim.split_once('.').ok_or(TokenError::Wrong)?;
        let user = user.parse().ok().and_then(|user| UserId::new(user).ok()).ok_or(TokenError::Wrong)?;
        let expires: i64 = expires.parse().map_err(|_| TokenError::Wrong)?;
        if now.millis() < expires.saturating_mul(1_000) { Ok(user) } else { Err(TokenError::Expired) }
    }

    fn signed(&self, claim: &str) -> Hmac<Sha256> {
        self.0.clone().chain_update(DOMAIN).chain_update(claim)
    }
}

impl fmt::Debug for UserTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserTokens")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn tokens(secret: &str) -> UserTokens {
        UserTokens::new(&Secret::new(secret)).unwrap().unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn a_token_is_good_for_its_user_until_it_expires() {
        let (tokens, user) = (tokens(SECRET), UserId::new(123).unwrap());
        let token = tokens.issue(user, at(1_000));
        assert!(token.starts_with("123.1000."));
        assert_eq!(tokens.verify(&token, at(999)), Ok(user));
        assert_eq!(tokens.verify(&token, at(1_000)), Err(TokenError::Expired));
        assert_eq!(tokens.verify(&token, at(i64::MAX / 1_000)), Err(TokenError::Expired));
    }

    /// Other services make tokens too: the bytes are part of the interface. The signature is from `openssl dgst`.
    #[test]
    fn a_known_secret_signs_as_it_always_has() {
        let token = tokens(SECRET).issue(UserId::new(123).unwrap(), at(1_764_000_000));
        assert_eq!(token, "123.1764000000.4lf3mrLx9zGZ4TwGOAU3nLqSBDQsO62kN-6POTKjHtw");
    }

    #[test]
    fn a_token_changed_anywhere_cut_or_of_another_secret_lets_nobody_in() {
        let token = tokens(SECRET).issue(UserId::new(123).unwrap(), at(1_000));
        for at_byte in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at_byte] = if forged[at_byte] == b'1' { b'2' } else { b'1' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(tokens(SECRET).verify(&forged, at(1)), Err(TokenError::Wrong), "{forged}");
            assert_eq!(tokens(SECRET).verify(&token[..at_byte], at(1)), Err(TokenError::Wrong));
        }
        for forged in ["", ".", "..", "123", "123.1000", "123.1000.", "é.é.é"] {
            assert_eq!(tokens(SECRET).verify(forged, at(1)), Err(TokenError::Wrong), "{forged}");
        }
        let other = tokens("fedcba9876543210fedcba9876543210");
        assert_eq!(other.verify(&token, at(1)), Err(TokenError::Wrong));
    }

    #[test]
    fn a_secret_is_long_or_absent_and_never_shown() {
        assert!(UserTokens::new(&Secret::default()).unwrap().is_none());
        let error = UserTokens::new(&Secret::new("too short")).unwrap_err().to_string();
        assert!(error.contains("users.token_secret") && !error.contains("too short"), "{error}");
        assert_eq!(format!("{:?} {:?}", tokens(SECRET), Secret::new(SECRET)), "UserTokens (hidden)");
    }
}
