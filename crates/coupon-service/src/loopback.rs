//! Requests that a user of this machine makes, separated from those that only arrive on loopback.
//!
//! A proxy on this machine passes strangers' requests on from loopback, and a browser on it sends what other people's
//! pages ask for. A page whose name has been made to lead here (DNS rebinding) sends its own name as the host; a page
//! that sends a form (CSRF) names itself as the origin; neither can hide that. A proxy can: one that neither says so
//! nor passes the host on looks like any local client.

use actix_web::http::header::{FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, VIA};

/// The names under which this machine reaches itself. The port may be another one: it may have been forwarded.
const OWN_NAMES: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Says that the one host that a request names is this machine.
#[must_use]
pub fn host_is_own(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST);
    let own = |host: &HeaderValue| is_own(host.to_str().unwrap_or_default());
    hosts.next().is_some_and(own) && hosts.next().is_none()
}

/// Says that a host, with or without a port, is this machine.
#[must_use]
pub fn is_own(host: &str) -> bool {
    OWN_NAMES.iter().any(|name| name.eq_ignore_ascii_case(name_of(host)))
}

/// Says that a page of another host makes the request.
#[must_use]
pub fn is_of_another_page(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    headers.get_all(ORIGIN).any(|origin| origin.as_bytes().strip_prefix(b"http://") != host)
}

/// True if the headers say that a proxy passed the request on.
#[must_use]
pub fn is_passed_on(headers: &HeaderMap) -> bool {
    let tells =
        |name: &HeaderName| *name == FORWARDED || *name == VIA || name.as_str().starts_with("x-forwarded-");
    headers.keys().any(tells)
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_host_is_this_machine_by_one_of_its_own_names_alone() {
        for host in ["127.0.0.1:8001", "localhost:8001", "LocalHost", "[::1]:8001", "[::1]"] {
            assert!(host_is_own(&headers(&[(HOST, host)])), "{host}");
        }
        for host in ["evil.example:8001", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "::1"] {
            assert!(!host_is_own(&headers(&[(HOST, host)])), "{host:?}");
        }
        assert!(!host_is_own(&headers(&[])));
        assert!(!host_is_own(&headers(&[(HOST, "localhost"), (HOST, "evil.example")])));
    }

    #[test]
    fn a_page_is_another_unless_its_origin_is_the_host() {
        let host = (HOST, "127.0.0.1:8001");
        assert!(!is_of_another_page(&headers(std::slice::from_ref(&host))));
        assert!(!is_of_another_page(&headers(&[host.clone(), (ORIGIN, "http://127.0.0.1:8001")])));
        for origin in ["http://evil.example", "http://127.0.0.1:3000", "https://127.0.0.1:8001", "null", ""] {
            assert!(is_of_another_page(&headers(&[host.clone(), (ORIGIN, origin)])), "{origin:?}");
        }
    }

    #[test]
    fn a_proxy_tells_that_it_is_one_in_several_ways() {
        for name in ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-anything"] {
            assert!(is_passed_on(&headers(&[(HeaderName::from_static(name), "")])), "{name}");
        }
        assert!(!is_passed_on(&headers(&[(HOST, "localhost"), (ORIGIN, "http://localhost")])));
    }
}
