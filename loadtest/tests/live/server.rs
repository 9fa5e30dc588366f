//! `loadtest serve` as a separate process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use coupon_lab::built;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Longer than anything takes on a busy machine: what is waited for so long will not come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// The page's program; what is left of it is killed.
pub(crate) struct Server {
    child: Child,
    /// `http://127.0.0.1:port`.
    pub(crate) url: String,
    /// The folder of its contestants' files.
    pub(crate) temporary: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        built("hash-svc").unwrap();
        let temporary = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_loadtest"))
            .args(["serve", "--port", "0"])
            .env("TMPDIR", temporary.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { child, url, temporary }
    }

    fn host(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    /// The status and the body of an answer.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        ask(self.host(), method, path, headers, body)
    }

    /// The same for JSON that the page itself could have sent.
    pub(crate) fn post(&self, path: &str, body: &str) -> (u16, serde_json::Value) {
        let (status, body) = self.ask("POST", path, "Content-Type: application/json\r\n", body);
        (status, serde_json::from_str(&body).unwrap())
    }

    /// The state that the page would show now: the first event.
    pub(crate) fn shown(&self) -> serde_json::Value {
        let mut stream = TcpStream::connect(self.host()).unwrap();
        write!(stream, "GET /api/events HTTP/1.1\r\nHost: {}\r\n\r\n", self.host()).unwrap();
        let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
        let event = lines.find_map(|line| line.strip_prefix("data: ").map(str::to_owned));
        serde_json::from_str(&event.unwrap()).unwrap()
    }

    /// Waits until the page would show what is wanted.
    pub(crate) fn wait(&self, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let patience = Instant::now() + PATIENCE;
        loop {
            let shown = self.shown();
            if wanted(&shown) {
                return shown;
            }
            assert!(shown["phase"] != "failed" && Instant::now() < patience, "{shown}");
        }
    }

    /// Interrupts it, as Ctrl-C does, and waits for its end.
    pub(crate) fn interrupt(&mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        self.child.wait().unwrap().code()
    }

    /// Kills it without warning.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The processes that it has started.
    pub(crate) fn children(&self) -> Vec<Pid> {
        let own = self.child.id();
        let tasks = format!("/proc/{own}/task");
        let mut children = Vec::new();
        for task in std::fs::read_dir(tasks).unwrap().map(Result::unwrap) {
            let text = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            children.extend(text.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().unwrap())));
        }
        children
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            // Its contestants end with it, as they would after Ctrl-C.
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

/// The status and the body of the answer of a server.
pub(crate) fn ask(host: &str, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
    let head = if headers.contains("Host:") { String::new() } else { format!("Host: {host}\r\n") };
    let mut stream = TcpStream::connect(host).unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\n{head}Connection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    (status, body)
}

pub(crate) fn runs(pid: Pid) -> bool {
    test_kill_process(pid).is_ok()
}

pub(crate) fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}
