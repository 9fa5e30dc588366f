//! The parts that this project's web pages share, whichever program serves them: the look, parts of their scripts, and the
//! headers by which a browser limits what they may do.

use actix_web::HttpResponse;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

/// The style sheet that comes before a page's own.
pub const LOOK: &str = include_str!("look.css");
/// A module of what scripts of several pages need.
pub const PARTS: &str = include_str!("parts.js");

/// The policy of a page with a script and a style of its own: nothing from elsewhere, nothing inline.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                          base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// A file of a page.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    kind: &'static str,
    text: &'static str,
}

impl Asset {
    /// The page itself.
    #[must_use]
    pub const fn html(text: &'static str) -> Self {
        Self { kind: "text/html; charset=utf-8", text }
    }

    /// A style sheet.
    #[must_use]
    pub const fn css(text: &'static str) -> Self {
        Self { kind: "text/css; charset=utf-8", text }
    }

    /// A script.
    #[must_use]
    pub const fn script(text: &'static str) -> Self {
        Self { kind: "text/javascript; charset=utf-8", text }
    }

    /// The answer with that file. It is not kept: a new version of the program must not meet an old page.
    #[must_use]
    pub fn answer(self) -> HttpResponse {
        HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).content_type(self.kind).body(self.text)
    }
}

/// Adds to an answer what a browser must know of a page: its policy, and that no other page may frame it.
pub fn protect(headers: &mut HeaderMap, policy: &'static str) {
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (RESOURCE_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
