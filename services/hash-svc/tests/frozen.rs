//! A process that is frozen while another one changes the catalogue.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use coupon_core::CouponId;
use coupon_core::CouponStatus;
use coupon_core::catalogue_change::{CatalogueChange, CouponPatch, Operator};
use coupon_stack::{Stack, StackOptions};
use coupon_store::clock::Clock;
use coupon_store::settings::{NoSettings, ServersSettings, Sources, UnknownUsers};
use coupon_store::{Applied, Backend, servers};
use rustix::process::{Pid, Signal, kill_process};

/// The longest that the test waits for anything, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const GRANTED: &str = r#""grab_status":1"#;

/// A service in a process of its own, which goes with this.
struct Service {
    child: Child,
    address: String,
}

impl Service {
    fn start(flags: &[String]) -> Self {
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

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Asks for a coupon, and goes on.
    fn ask(&self, user: u64, coupon: u64) -> TcpStream {
        let body = format!(r#"{{"user_id":{user},"coupon_id":{coupon}}}"#);
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "POST /api/coupon/grab HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
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

impl Service {
    /// The decision about a grab that was asked for, or is asked for again since nothing was decided.
    fn decided(&self, asked: TcpStream, user: u64, coupon: u64) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut answer = heard(asked);
        while answer.starts_with("HTTP/1.1 503") {
            assert!(Instant::now() < deadline, "it is not decided: {answer}");
            std::thread::sleep(Duration::from_millis(50));
            answer = heard(self.ask(user, coupon));
        }
        answer
    }

    fn grab(&self, user: u64, coupon: u64) -> String {
        self.decided(self.ask(user, coupon), user, coupon)
    }
}

fn heard(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn open(flags: &[String]) -> Backend {
    let service_defaults = "listen = \"127.0.0.1:0\"".to_owned();
    let sources = Sources { flags: flags.to_vec(), service_defaults, ..Sources::default() };
    let (settings, NoSettings {}) = sources.read("own").unwrap();
    let servers: ServersSettings = settings.servers;
    let strategy = (hash_svc::PROGRAM.strategy)(&hash_svc::HashSettings::default(), settings.shards).unwrap();
    let options =
        servers::Options { servers, workers: 1, shard_backlog: 1_000, unknown_users: UnknownUsers::Refuse };
    servers::open(&options, Arc::from(strategy), &Clock::system()).unwrap()
}

fn change(backend: &Backend, coupon: u64, patch: CouponPatch) -> Applied {
    let change = CatalogueChange::ChangeCoupon(CouponId::new(coupon).unwrap(), patch);
    let changed = backend.catalogue.change(change, Operator::new("olga").unwrap());
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(changed).unwrap()
}

fn total(total: u32) -> CouponPatch {
    CouponPatch { total_stock: Some(total), ..CouponPatch::default() }
}

fn status(status: CouponStatus) -> CouponPatch {
    CouponPatch { status: Some(status), ..CouponPatch::default() }
}

#[test]
fn a_process_that_was_frozen_is_named_and_decides_nothing_by_the_older_catalogue_when_it_goes_on() {
    let stack = Stack::start(&StackOptions::default()).unwrap();
    let mut flags = stack.addresses().settings();
    flags.push("servers.namespace=frozen".to_owned());
    let backend = open(&flags);
    let frozen = Service::start(&flags);
    assert!(frozen.grab(1, 1).contains(GRANTED));
    change(&backend, 2, status(CouponStatus::Inactive));
    assert!(frozen.grab(1, 2).contains("invalid_time"));

    frozen.signal(Signal::STOP);
    let applied = change(&backend, 1, total(1));
    let name = format!("process {} on ", frozen.child.id());
    assert!(applied.gate && applied.unconfirmed.len() == 1, "{applied:?}");
    assert!(applied.unconfirmed[0].starts_with(&name), "{applied:?}");
    // After a while it is not counted among those that live.
    let deadline = Instant::now() + PATIENCE;
    while !change(&backend, 2, status(CouponStatus::Active)).unconfirmed.is_empty() {
        assert!(Instant::now() < deadline, "it is waited for still");
    }
    // They wait for it from before it goes on.
    let (sold_out, on_offer) = (frozen.ask(2, 1), frozen.ask(3, 2));
    frozen.signal(Signal::CONT);
    let (sold_out, on_offer) = (frozen.decided(sold_out, 2, 1), frozen.decided(on_offer, 3, 2));
    assert!(sold_out.contains("out_of_stock"), "{sold_out}");
    assert!(on_offer.contains(GRANTED), "{on_offer}");
    let applied = change(&backend, 1, total(2));
    assert!(applied.unconfirmed.is_empty(), "it is one of those that live: {applied:?}");
    assert!(frozen.grab(2, 1).contains(GRANTED));
    backend.lifecycle.close();
}
