//! The same of the servers' backend.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use actix_web::dev::ServerHandle;
use coupon_core::{Placement, Plan, ResultQuery, RouteError, RowKey, ShardId, ShardingStrategy};
use coupon_service::app::Application;
use coupon_stack::{Stack, StackOptions};
use coupon_store::clock::Clock;
use coupon_store::settings::NoSettings;
use coupon_store::settings::Sources;

use crate::client::{Answer, Connection, post, request};
use crate::document::agrees;
use crate::exposition::{Family, check, parse};

const SHARDS: NonZeroU16 = NonZeroU16::new(2).unwrap();

#[derive(Debug)]
struct ByParity;

impl ShardingStrategy for ByParity {
    fn name(&self) -> &str {
        "by-parity"
    }
    fn shard_count(&self) -> NonZeroU16 {
        SHARDS
    }
    fn place(&self, row: &RowKey) -> Result<Placement, RouteError> {
        Ok(Placement::single(ShardId::new((row.user.get() % 2) as u16)))
    }
    fn plan(&self, _query: &ResultQuery) -> Plan {
        Plan::All
    }
}

/// A service on servers. Dropping it stops it.
struct Running {
    address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(stack: &Stack, role: &str) -> Self {
        let mut flags = stack.addresses().settings();
        flags.extend(["shards=2".to_owned(), format!("servers.role={role}")]);
        let service_defaults = "listen = \"127.0.0.1:0\"".to_owned();
        let sources = Sources { service_defaults, flags, ..Sources::default() };
        let (settings, NoSettings {}) = sources.read("own").unwrap();
        let (ready, started) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let application =
                    Application::build("test-svc", settings, Arc::new(ByParity), Clock::system()).unwrap();
                ready.send((application.address(), application.handle())).unwrap();
                application.run().await.unwrap();
            });
        });
        let (address, handle) = started.recv().unwrap();
        Self { address, handle, thread: Some(thread) }
    }

    fn send(&self, bytes: &[u8]) -> Answer {
        let mut connection = Connection::open(self.address);
        connection.send(bytes);
        connection.receive(false)
    }

    fn metrics(&self) -> BTreeMap<String, Family> {
        parse(&self.send(&request("GET", "/metrics", "", b"")).text())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

#[test]
fn the_servers_backend_has_the_metrics_that_are_written_down_each_process_those_of_its_role() {
    let stack = Stack::start(&StackOptions { shards: SHARDS, ..StackOptions::default() }).unwrap();
    let all = {
        let service = Running::start(&stack, "all");
        for user in 1..=4 {
            let grab = format!(r#"{{"user_id":{user},"coupon_id":1}}"#);
            assert_eq!(service.send(&post("/api/coupon/grab", &grab)).status, 200);
        }
        assert_eq!(service.send(&request("POST", "/admin/drain", "", b"")).status, 200);
        assert_eq!(service.send(&request("GET", "/api/orders/recent", "", b"")).status, 200);
        service.metrics()
    };
    check(&all);
    agrees(&all, "servers");
    for (name, count) in [
        ("coupon_published_total", 1.0),
        ("coupon_confirm_seconds", 2.0),
        ("coupon_consume_results", 2.0),
        ("coupon_consume_seconds", 2.0),
        ("coupon_main_applied_total", 1.0),
        ("coupon_gate_open", 1.0),
        ("coupon_gate_epoch", 1.0),
        ("coupon_gate_fills_total", 1.0),
        ("coupon_shard_store_seconds", 2.0),
        ("coupon_shard_read_seconds", 2.0),
        ("coupon_hand_over_seconds", 2.0),
    ] {
        assert!(all[name].sum() >= count, "{name}: {:?}", all[name]);
    }
    roles_differ(&stack);
    stack.shut_down().unwrap();
}

/// A process exports nothing about a role that it does not have.
fn roles_differ(stack: &Stack) {
    let takes = ["coupon_published_total", "coupon_confirm_seconds"];
    let stores = ["coupon_consume_seconds", "coupon_main_apply_seconds", "coupon_reconciled_total"];
    for (role, has, lacks) in [("api", &takes[..], &stores[..]), ("consumer", &stores[..], &takes[..])] {
        let metrics = Running::start(stack, role).metrics();
        check(&metrics);
        assert!(has.iter().all(|name| metrics.contains_key(*name)), "{role}");
        assert!(!lacks.iter().any(|name| metrics.contains_key(*name)), "{role}");
    }
}
