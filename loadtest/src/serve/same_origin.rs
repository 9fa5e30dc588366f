//! Keeps other web pages out, and says what the page itself may do.
//!
//! The page listens on loopback, but a browser on this machine reaches it on behalf of any page that is open in it:
//! [`loopback`] separates those requests from the page's own.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_TYPE, HeaderMap};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse};
use coupon_service::{loopback, web_page};

/// A report has its style within it, and neither scripts nor anything from elsewhere.
const REPORT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
                             form-action 'none'; frame-ancestors 'none'";

/// Refuses a request that is not of the page itself; adds what every answer says.
pub(super) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let is_report = request.path().starts_with("/runs/");
    let mut response = match refusal(request.method(), request.headers()) {
        Some(why) => request.into_response(HttpResponse::Forbidden().content_type("text/plain").body(why)),
        None => next.call(request).await?.map_into_boxed_body(),
    };
    web_page::protect(response.headers_mut(), if is_report { REPORT_POLICY } else { web_page::POLICY });
    Ok(response)
}

fn refusal(method: &Method, headers: &HeaderMap) -> Option<&'static str> {
    if !loopback::host_is_own(headers) {
        return Some("the host is not this machine: open the page as http://127.0.0.1 or http://localhost\n");
    }
    if matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    if loopback::is_of_another_page(headers) {
        return Some("another web page may not ask for this\n");
    }
    // A form of another page cannot say so, and a script cannot without asking first.
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let json = kind.is_some_and(|kind| kind.split(';').next() == Some("application/json"));
    (!json).then_some("the content type must be application/json\n")
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HOST, HeaderName, HeaderValue, ORIGIN};

    use super::*;

    fn headers(given: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.insert(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn is_let_in(method: &Method, given: &[(HeaderName, &str)]) -> bool {
        refusal(method, &headers(given)).is_none()
    }

    #[test]
    fn a_page_whose_name_was_made_to_lead_here_is_refused() {
        for host in ["127.0.0.1:8089", "localhost:8089", "[::1]:8089", "localhost"] {
            assert!(is_let_in(&Method::GET, &[(HOST, host)]), "{host}");
        }
        for host in ["evil.example:8089", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "::1"] {
            assert!(!is_let_in(&Method::GET, &[(HOST, host)]), "{host:?}");
        }
        assert!(!is_let_in(&Method::GET, &[]));
    }

    #[test]
    fn another_page_cannot_start_anything() {
        let json = (CONTENT_TYPE, "application/json");
        let host = (HOST, "127.0.0.1:8089");
        assert!(is_let_in(&Method::POST, &[host.clone(), json.clone()]));
        assert!(is_let_in(&Method::POST, &[host.clone(), json.clone(), (ORIGIN, "http://127.0.0.1:8089")]));
        for origin in ["http://evil.example", "http://127.0.0.1:3000", "https://127.0.0.1:8089", "null"] {
            let given = [host.clone(), json.clone(), (ORIGIN, origin)];
            assert!(!is_let_in(&Method::POST, &given), "{origin}");
        }
    }

    #[test]
    fn a_form_that_needs_no_permission_is_refused() {
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
            assert!(!is_let_in(&Method::POST, &[(HOST, "localhost:1"), (CONTENT_TYPE, kind)]), "{kind}");
        }
        assert!(!is_let_in(&Method::POST, &[(HOST, "localhost:1")]));
    }
}
