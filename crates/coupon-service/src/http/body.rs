//! Bodies: read up to a limit, and parsed so that an error says where it is.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use super::number;
use super::problem::{Kind, Problem};

/// The largest body that is read of most requests.
pub(super) const BODY_MAX: usize = 16 * 1_024;

/// A body that has arrived.
///
/// It is received before a request is refused for any other reason: a connection with half a body on its way can only
/// be closed, and the client's next request with it.
pub(super) struct Received(Bytes);

impl Received {
    /// Waits for the body, so long at most. One that is too large, or says so, is not waited for: the connection is
    /// closed after the answer, and what still arrives meanwhile is thrown away.
    pub(super) async fn whole(
        req: &HttpRequest,
        payload: Payload,
        patience: Duration,
    ) -> Result<Self, Problem> {
        Self::up_to(BODY_MAX, req, payload, patience).await
    }

    /// The same for a body of that many bytes at most.
    pub(super) async fn up_to(
        most: usize,
        req: &HttpRequest,
        payload: Payload,
        patience: Duration,
    ) -> Result<Self, Problem> {
        if declared(req).is_some_and(|length| length > most) {
            return Err(too_large(most));
        }
        let body = tokio::time::timeout(patience, read(payload, most)).await.map_err(|_| {
            Problem::new(Kind::RequestTimeout, format!("the body did not arrive within {patience:?}"))
        })??;
        Ok(Self(body))
    }

    /// True if there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The JSON object that it must be.
    pub(super) fn json<T: DeserializeOwned>(&self, req: &HttpRequest) -> Result<T, Problem> {
        let Self(body) = self;
        if self.is_empty() {
            return Err(Problem::new(Kind::Malformed, "there is no body; a JSON object is needed"));
        }
        let content_type = req.headers().get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        if !is_json(content_type) {
            return Err(Problem::new(Kind::NotJson, "set the header Content-Type: application/json"));
        }
        if !is_utf8(content_type) {
            return Err(Problem::new(Kind::NotJson, "JSON is UTF-8: send it so, without another charset"));
        }
        if let Some((field, number)) = number::finer_than_kept(body) {
            let detail = format!("{number} has more digits than are kept of a number");
            return Err(Problem::new(Kind::OutOfRange, detail).field(field));
        }
        parse(body).map_err(|problem| match req.headers().get(header::CONTENT_ENCODING) {
            Some(_) => Problem::new(Kind::NotJson, "send the body without a Content-Encoding"),
            None => problem,
        })
    }
}

/// The length that the headers give the body.
fn declared(req: &HttpRequest) -> Option<usize> {
    req.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(most: usize) -> Problem {
    Problem::new(Kind::TooLarge, format!("the body may have at most {most} bytes"))
}

/// Most bodies arrive in one piece, which is passed on as it is.
async fn read(mut payload: Payload, most: usize) -> Result<Bytes, Problem> {
    let (mut first, mut rest, mut length) = (Bytes::new(), BytesMut::new(), 0_usize);
    while let Some(chunk) = payload.next().await {
        let chunk = chunk
            .map_err(|error| Problem::new(Kind::Malformed, format!("the body cannot be read: {error}")))?;
        length = length.saturating_add(chunk.len());
        if length > most {
            return Err(too_large(most));
        }
        if first.is_empty() {
            first = chunk;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&chunk);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

/// `application/json`, or anything in JSON's clothes, whatever parameters follow.
fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let has_suffix = || essence.len() > 5 && essence.iter().rev().take(5).eq(b"nosj+".iter());
    essence.eq_ignore_ascii_case(b"application/json") || has_suffix()
}

/// Any charset that is named is UTF-8, the only one that JSON has.
fn is_utf8(content_type: &[u8]) -> bool {
    content_type.split(|byte| *byte == b';').skip(1).all(|parameter| {
        let mut parts = parameter.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
        let is_charset = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(b"charset"));
        let value = parts.next().unwrap_or_default();
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        !is_charset || value.eq_ignore_ascii_case(b"utf-8") || value.eq_ignore_ascii_case(b"utf8")
    })
}

/// Finds out where an error is only once there is one: looking for it costs.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // Lists would be taken for objects, their elements for the fields in order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::new(Kind::Malformed, "the body must be a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| {
        if !error.is_data() {
            return Problem::new(Kind::Malformed, error.to_string());
        }
        let mut reader = serde_json::Deserializer::from_slice(body);
        let located = serde_path_to_error::deserialize::<_, T>(&mut reader).err();
        let message = error.to_string();
        let path = located.map(|located| located.path().to_string()).filter(|path| path != ".");
        let field = match (path, named(&message)) {
            // Of a field that is unknown, the place has its name already.
            (Some(path), Some(name)) if path != name && !path.ends_with(&format!(".{name}")) => {
                Some(format!("{path}.{name}"))
            }
            (path, name) => path.or_else(|| name.map(str::to_owned)),
        };
        let problem = Problem::new(Kind::Malformed, message);
        match field {
            Some(field) if field.len() <= 100 => problem.field(field),
            _ => problem,
        }
    })
}

/// A field that is missing, unknown or there twice has no place in the body, but a name in the message.
fn named(message: &str) -> Option<&str> {
    ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|start| message.strip_prefix(start)?.split_once('`').map(|(name, _)| name))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::api::ProblemDetails;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Two {
        #[expect(dead_code, reason = "only its type matters")]
        one: u64,
        #[expect(dead_code, reason = "only its type matters")]
        two: Option<String>,
    }

    fn refused<T: std::fmt::Debug + DeserializeOwned>(body: &str) -> (Option<String>, String) {
        let problem = parse::<T>(body.as_bytes()).unwrap_err();
        let response = actix_web::ResponseError::error_response(&problem);
        let bytes = actix_web::body::MessageBody::try_into_bytes(response.into_body()).unwrap();
        let details: ProblemDetails = serde_json::from_slice(&bytes).unwrap();
        (details.field, details.detail)
    }

    #[test]
    fn an_error_says_which_field_and_where() {
        for (body, field) in [
            (r#"{"one":"1"}"#, Some("one")),
            (r#"{"one":1,"two":7}"#, Some("two")),
            (r#"{"two":"x"}"#, Some("one")),
            (r#"{"one":1,"three":2}"#, Some("three")),
            (r#"{"one":1,"one":2}"#, Some("one")),
            (r#"{"one":1"#, None),
            (r#"{"one":1}x"#, None),
            ("[1,null]", None),
            ("null", None),
            ("\u{feff}{}", None),
        ] {
            let (named, detail) = refused::<Two>(body);
            assert_eq!(named.as_deref(), field, "{body}: {detail}");
        }
        assert!(refused::<Two>("{\"one\":\n\"1\"}").1.contains("line 2"));
    }

    #[derive(Debug, Deserialize)]
    struct List {
        #[expect(dead_code, reason = "only its type matters")]
        list: Vec<Two>,
    }

    #[test]
    fn an_error_in_a_list_says_in_which_element() {
        for (element, field) in [
            (r#"{"one":"1"}"#, "list[1].one"),
            (r#"{"two":"x"}"#, "list[1].one"),
            (r#"{"one":1,"three":2}"#, "list[1].three"),
            (r#"{"one":1,"one":2}"#, "list[1].one"),
            ("7", "list[1]"),
        ] {
            let body = format!(r#"{{"list":[{{"one":1}},{element}]}}"#);
            assert_eq!(refused::<List>(&body).0.as_deref(), Some(field), "{body}");
        }
    }

    #[test]
    fn deep_json_is_refused_without_a_crash() {
        let (open, close) = ("[".repeat(8_000), "]".repeat(8_000));
        for body in [format!(r#"{{"one":{open}{close}}}"#), format!(r#"{{"one":1,"three":{open}"#)] {
            refused::<Two>(&body);
        }
    }

    #[test]
    fn json_has_more_than_one_media_type() {
        for json in ["application/json", "Application/JSON; charset=utf-8", "application/vnd.coupon+json"] {
            assert!(is_json(json.as_bytes()), "{json}");
        }
        for utf8 in ["", ";charset=utf-8", "; Charset = \"UTF-8\"", "; v=1; charset=utf8"] {
            assert!(is_utf8(format!("application/json{utf8}").as_bytes()), "{utf8}");
        }
        for other in ["gbk", "utf-16", "iso-8859-1", "", "\"", "utf-8; charset=gbk"] {
            assert!(!is_utf8(format!("application/json; charset={other}").as_bytes()), "{other}");
        }
        for other in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "+json"] {
            assert!(!is_json(other.as_bytes()), "{other}");
        }
    }
}
