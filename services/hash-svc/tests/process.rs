//! A service in a process of its own, that may be frozen or killed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[cfg(feature = "servers")]
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The longest that a test waits for anything, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A service in a process of its own, which goes with this.
pub(crate) struct Service {
    child: Child,
    address: String,
}

impl Service {
    pub(crate) fn start(flags: &[String]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hash-svc"));
        command.args(["--listen", "127.0.0.1:0", "--set", "workers=1"]);
        for flag in flags {
            command.args(["--set", flag]);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address =
            lines.find_map(|line| Some(line.ok()?.strip_prefix("listening on http://")?.to_owned()));
        Self { child, address: address.unwrap() }
    }

    /// The number of its process.
    #[cfg(feature = "servers")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    #[cfg(feature = "servers")]
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Asks for a coupon, and goes on.
    #[cfg(feature = "servers")]
    pub(crate) fn ask(&self, user: u64, coupon: u64) -> TcpStream {
        self.send("POST /api/coupon/grab", &format!(r#"{{"user_id":{user},"coupon_id":{coupon}}}"#))
    }

    /// Sends a request, such as `POST /admin/drain`, and goes on.
    pub(crate) fn send(&self, request: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "{request} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .unwrap();
        stream
    }

    /// The address where it listens.
    #[cfg(feature = "servers")]
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The body of an answer, as JSON, and whether it is one of success.
    pub(crate) fn asked(&self, request: &str, body: &str) -> (bool, Value) {
        let answer = heard(self.send(request, body));
        let json = answer.split_once("\r\n\r\n").map(|(_, body)| serde_json::from_str(body).unwrap());
        (answer.starts_with("HTTP/1.1 200"), json.unwrap_or(Value::Null))
    }

    /// Asks until it succeeds: a version that was announced comes into force a second later.
    pub(crate) fn until_done(&self, request: &str, body: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.asked(request, body) {
                (true, answer) => return answer,
                (false, why) => assert!(Instant::now() < deadline, "{request}: {why}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until rows have moved as wanted.
    pub(crate) fn moved_until(&self, wanted: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            let rebalance = self.until_done("GET /admin/rebalance", "")["rebalance"].clone();
            if wanted(&rebalance) {
                return;
            }
            assert!(Instant::now() < deadline, "{rebalance}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The answer, whole.
pub(crate) fn heard(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
