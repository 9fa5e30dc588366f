//! A whole service over a bench's data: what its clients see, whatever it stands on.

use std::time::{Duration, Instant};

use crate::bench::{Bench, ParityAndDay};
use crate::client::{Answer, post, request};
use crate::running::Running;

/// "At once", on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// A service on a bench.
pub(crate) struct Served(Running);

impl Served {
    /// A process over the bench's data, in its time, with more settings as flags spell them.
    pub(crate) fn start(bench: &Bench, flags: &[&str]) -> Self {
        let mut all = bench.flags();
        all.extend(["workers=1".to_owned(), "shards=2".to_owned()]);
        all.extend(flags.iter().map(|flag| (*flag).to_owned()));
        Self(Running::start(ParityAndDay, all, bench.clock().clone()))
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> Answer {
        self.0.send(bytes)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(&request("GET", path, "", b""))
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.send(&post(path, body))
    }

    pub(crate) fn grab(&self, user: u64, coupon: u64) -> Answer {
        self.post("/api/coupon/grab", &format!(r#"{{"user_id":{user},"coupon_id":{coupon}}}"#))
    }

    pub(crate) fn spend(&self, user: u64, result: &str, amount: f64) -> Answer {
        let body = format!(r#"{{"user_id":{user},"result_id":"{result}","order_amount":{amount}}}"#);
        self.post("/api/coupon/use", &body)
    }

    pub(crate) fn drain(&self) {
        let answer = self.send(&request("POST", "/admin/drain", "", b""));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Waits until `/readyz` is answered so.
    pub(crate) fn becomes(&self, status: u16) {
        self.becomes_saying(status, "");
    }

    /// The same, with this in the answer.
    pub(crate) fn becomes_saying(&self, status: u16, what: &str) {
        let deadline = Instant::now() + SOON;
        loop {
            let answer = self.get("/readyz");
            if answer.status == status && answer.text().contains(what) {
                return;
            }
            assert!(Instant::now() < deadline, "{} {}", answer.status, answer.text());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
