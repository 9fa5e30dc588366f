//! The bytes of requests, written without an allocation each.

use std::io::Write;

use super::Target;
use crate::workload::{CheckoutPart, Endpoint, Request, order_of};

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
    /// The steps of results, up to their content lengths.
    confirm: String,
    release: String,
    spend: String,
    give_back: String,
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
            confirm: post("/api/coupon/confirm"),
            release: post("/api/coupon/release"),
            spend: post("/api/coupon/use"),
            give_back: post("/api/coupon/return"),
            body: Vec::with_capacity(96),
        }
    }

    /// Replaces `out` by the request.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, request: &Request) {
        out.clear();
        let Request { user_id: user, coupon_id: coupon, room_id: room, .. } = request;
        let written = match request.endpoint {
            Endpoint::Grab
            | Endpoint::Echo
            | Endpoint::Confirm
            | Endpoint::Release
            | Endpoint::Use
            | Endpoint::Return => return self.write_post(out, request),
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

    fn write_post(&mut self, out: &mut Vec<u8>, request: &Request) {
        self.body.clear();
        let Request { user_id, coupon_id, room_id, .. } = request;
        let grab = format_args!("{{\"user_id\":{user_id},\"coupon_id\":{coupon_id},\"room_id\":{room_id}");
        let body = match request.part {
            None => write!(self.body, "{grab}}}"),
            Some(CheckoutPart::Grab { name, .. }) => {
                write!(self.body, "{grab},\"request_id\":\"{name}\"}}")
            }
            Some(CheckoutPart::Step { result, .. }) => {
                let step = format_args!("{{\"user_id\":{user_id},\"result_id\":\"{result}\"");
                match request.endpoint {
                    Endpoint::Use => write!(self.body, "{step},\"order_amount\":{}}}", order_of(result)),
                    _ => write!(self.body, "{step}}}"),
                }
            }
        };
        let head = match request.endpoint {
            Endpoint::Confirm => &self.confirm,
            Endpoint::Release => &self.release,
            Endpoint::Use => &self.spend,
            Endpoint::Return => &self.give_back,
            Endpoint::Echo => &self.echo,
            _ => &self.grab,
        };
        out.extend_from_slice(head.as_bytes());
        let length = write!(out, "{}\r\n\r\n", self.body.len());
        debug_assert!(body.is_ok() && length.is_ok(), "writing to memory does not fail");
        out.extend_from_slice(&self.body);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::workload::{Course, RequestName};

    fn written(endpoint: Endpoint) -> String {
        written_as(endpoint, None)
    }

    fn written_as(endpoint: Endpoint, part: Option<CheckoutPart>) -> String {
        let target = Target {
            admin_token: Some("t0p".into()),
            ..Target::from_url("x", "http://127.0.0.1:8001").unwrap()
        };
        let mut out = b"left over".to_vec();
        let request = Request { part, ..Request::alone(endpoint, 7, 11, 3) };
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
    fn a_grab_of_a_checkout_names_its_request_and_a_step_its_result() {
        let grab = written_as(
            Endpoint::Grab,
            Some(CheckoutPart::Grab {
                name: RequestName(0x5eed),
                course: Course::Expires,
                pause: Duration::ZERO,
            }),
        );
        let body = "{\"user_id\":7,\"coupon_id\":11,\"room_id\":3,\"request_id\":\"0000000000005eed\"}";
        assert!(grab.starts_with("POST /api/coupon/grab ") && grab.ends_with(body), "{grab}");
        for endpoint in Endpoint::ALL.into_iter().filter(|endpoint| endpoint.is_step()) {
            let step = written_as(
                endpoint,
                Some(CheckoutPart::Step { result: 42, course: Course::Used, pause: Duration::ZERO }),
            );
            assert!(step.starts_with(&format!("POST /api/coupon/{} ", endpoint.key())), "{step}");
            let order = if endpoint == Endpoint::Use { ",\"order_amount\":1000.42" } else { "" };
            let body = format!("{{\"user_id\":7,\"result_id\":\"42\"{order}}}");
            let end = format!("\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            assert!(step.ends_with(&end), "{step}");
        }
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
