//! The bytes of requests, written without an allocation each.

use std::io::Write;

use super::Target;
use crate::workload::{Endpoint, Request};

/// Writes the requests to one target.
#[derive(Debug)]
pub(crate) struct RequestWriter {
    /// The rest of a read's request after its path.
    after_path: String,
    /// The rest of an admin request after its path.
    after_admin_path: String,
    /// A grab, up to its content length.
    grab: String,
    /// An echo, up to its content length.
    echo: String,
    body: Vec<u8>,
}

impl RequestWriter {
    pub(crate) fn new(target: &Target) -> Self {
        let host = format!(" HTTP/1.1\r\nHost: {}\r\n", target.addr);
        let token = target.admin_token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
        let post =
            |path: &str| format!("POST {path}{host}Content-Type: application/json\r\nContent-Length: ");
        Self {
            after_path: format!("{host}\r\n"),
            after_admin_path: format!("{host}{}\r\n", token.unwrap_or_default()),
            grab: post("/api/coupon/grab"),
            echo: post("/bench/echo"),
            body: Vec::with_capacity(96),
        }
    }

    /// Replaces `out` by the request.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, request: &Request) {
        out.clear();
        let Request { user_id: user, coupon_id: coupon, room_id: room, .. } = request;
        let written = match request.endpoint {
            Endpoint::Grab | Endpoint::Echo => return self.write_grab(out, request),
            Endpoint::UserCoupons => write!(out, "GET /api/user/{user}/coupons"),
            Endpoint::Stock => write!(out, "GET /api/coupon/{coupon}/stock"),
            Endpoint::RoomOrders => write!(out, "GET /api/room/{room}/orders"),
            Endpoint::RoomStats => write!(out, "GET /api/room/{room}/stats"),
            Endpoint::Recent => write!(out, "GET /api/orders/recent?hours=1"),
            Endpoint::Global => write!(out, "GET /api/statistics/global"),
            Endpoint::AdminStats => write!(out, "GET /admin/stats"),
            Endpoint::ShardsStatus => write!(out, "GET /admin/shards/status"),
            Endpoint::Coupon => write!(out, "GET /api/coupon/{coupon}"),
            Endpoint::CouponDetails => write!(out, "GET /api/coupon/{coupon}?details=true"),
            Endpoint::RoomCoupons => write!(out, "GET /api/room/{room}/coupons"),
            Endpoint::RoomCouponsDetails => write!(out, "GET /api/room/{room}/coupons?details=true"),
        };
        debug_assert!(written.is_ok(), "writing to memory does not fail");
        let is_admin = matches!(request.endpoint, Endpoint::AdminStats | Endpoint::ShardsStatus);
        let rest = if is_admin { &self.after_admin_path } else { &self.after_path };
        out.extend_from_slice(rest.as_bytes());
    }

    fn write_grab(&mut self, out: &mut Vec<u8>, request: &Request) {
        self.body.clear();
        let Request { user_id, coupon_id, room_id, .. } = request;
        let body =
            write!(self.body, "{{\"user_id\":{user_id},\"coupon_id\":{coupon_id},\"room_id\":{room_id}}}");
        let head = if request.endpoint == Endpoint::Grab { &self.grab } else { &self.echo };
        out.extend_from_slice(head.as_bytes());
        let length = write!(out, "{}\r\n\r\n", self.body.len());
        debug_assert!(body.is_ok() && length.is_ok(), "writing to memory does not fail");
        out.extend_from_slice(&self.body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(endpoint: Endpoint) -> String {
        let target = Target {
            admin_token: Some("t0p".into()),
            ..Target::from_url("x", "http://127.0.0.1:8001").unwrap()
        };
        let mut out = b"left over".to_vec();
        let request = Request { endpoint, user_id: 7, coupon_id: 11, room_id: 3, scenario: 0 };
        RequestWriter::new(&target).write(&mut out, &request);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_grab_is_a_post_with_its_length() {
        let body = "{\"user_id\":7,\"coupon_id\":11,\"room_id\":3}";
        let head =
            "POST /api/coupon/grab HTTP/1.1\r\nHost: 127.0.0.1:8001\r\nContent-Type: application/json\r\n";
        assert_eq!(written(Endpoint::Grab), format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()));
        assert!(written(Endpoint::Echo).starts_with("POST /bench/echo "));
        assert!(written(Endpoint::Echo).ends_with(body));
    }

    #[test]
    fn a_read_names_its_id() {
        let end = " HTTP/1.1\r\nHost: 127.0.0.1:8001\r\n\r\n";
        assert_eq!(written(Endpoint::UserCoupons), format!("GET /api/user/7/coupons{end}"));
        assert_eq!(written(Endpoint::RoomOrders), format!("GET /api/room/3/orders{end}"));
        assert_eq!(written(Endpoint::Stock), format!("GET /api/coupon/11/stock{end}"));
    }

    #[test]
    fn every_path_is_the_documented_one() {
        for endpoint in Endpoint::ALL {
            let request = written(endpoint);
            let path = request.split(" HTTP").next().unwrap();
            let path = path.replace("/7", "/{id}").replace("/11", "/{id}").replace("/3", "/{id}");
            assert_eq!(path.replace("?hours=1", ""), endpoint.path());
        }
    }

    #[test]
    fn only_admin_requests_carry_the_token() {
        for endpoint in Endpoint::ALL {
            let is_admin = endpoint.path().contains("/admin/");
            assert_eq!(written(endpoint).contains("Authorization: Bearer t0p\r\n"), is_admin, "{endpoint:?}");
        }
    }
}
