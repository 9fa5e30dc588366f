//! A service within the test's own process, and its answers over HTTP.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use coupon_core::ShardingStrategy;
use coupon_service::app::Application;
use coupon_store::clock::Clock;
use coupon_store::settings::{NoSettings, Sources};
use serde_json::Value;

/// The longest that an answer may be "not yet".
const PATIENCE: Duration = Duration::from_secs(60);

/// A service. Dropping it stops it.
pub(crate) struct Service {
    address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Starts one with one worker, and these settings.
    pub(crate) fn start(strategy: Arc<dyn ShardingStrategy>, mut flags: Vec<String>) -> Self {
        flags.push("workers=1".to_owned());
        let service_defaults = "listen = \"127.0.0.1:0\"".to_owned();
        let sources = Sources { service_defaults, flags, ..Sources::default() };
        let (settings, NoSettings {}) = sources.read("own").unwrap();
        let (ready, started) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let name = strategy.name().to_owned();
                let service = Application::build(&name, settings, strategy, Clock::system()).unwrap();
                ready.send((service.address(), service.handle())).unwrap();
                service.run().await.unwrap();
            });
        });
        let (address, handle) = started.recv().unwrap();
        Self { address, handle, thread: Some(thread) }
    }

    /// Its address, as a command is given it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The status and the body of its answer.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    /// The answer to what must be done, asked for again while it cannot be yet.
    pub(crate) fn done(&self, method: &str, path: &str, body: &str) -> Value {
        let began = Instant::now();
        loop {
            let (status, answer) = self.ask(method, path, body);
            if status == 503 && began.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
            assert_eq!(status, 200, "{method} {path} {body}: {answer}");
            return answer;
        }
    }

    pub(crate) fn drain(&self) {
        self.done("POST", "/admin/drain", "");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.handle.stop(true));
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}
