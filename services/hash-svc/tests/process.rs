//! A service in a process of its own, that may be frozen or killed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

#[cfg(feature = "servers")]
use rustix::process::{Pid, Signal, kill_process};

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
