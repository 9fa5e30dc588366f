//! The same of the servers' backend.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use coupon_core::{Placement, Plan, ResultQuery, RouteError, RowKey, ShardId, ShardingStrategy};
use coupon_stack::{Stack, Topology};
use coupon_store::clock::Clock;

use crate::client::{post, request};
use crate::document::agrees;
use crate::exposition::{MetricFamily, check, parse};
use crate::running::Running;

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

fn started(stack: &Stack, role: &str) -> Running {
    let mut flags = stack.addresses().settings();
    flags.extend(["shards=2".to_owned(), format!("servers.role={role}")]);
    Running::start(ByParity, flags, Clock::system())
}

fn metrics(service: &Running) -> BTreeMap<String, MetricFamily> {
    parse(&service.send(&request("GET", "/metrics", "", b"")).text())
}

#[test]
fn the_servers_backend_has_the_metrics_that_are_written_down_each_process_those_of_its_role() {
    let stack = Stack::start(&Topology { shards: SHARDS, ..Topology::default() }.into()).unwrap();
    let all = {
        let service = started(&stack, "all");
        for user in 1..=4 {
            let grab = format!(r#"{{"user_id":{user},"coupon_id":1}}"#);
            assert_eq!(service.send(&post("/api/coupon/grab", &grab)).status, 200);
        }
        assert_eq!(service.send(&request("POST", "/admin/drain", "", b"")).status, 200);
        assert_eq!(service.send(&request("GET", "/api/orders/recent", "", b"")).status, 200);
        metrics(&service)
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
        let metrics = metrics(&started(stack, role));
        check(&metrics);
        assert!(has.iter().all(|name| metrics.contains_key(*name)), "{role}");
        assert!(!lacks.iter().any(|name| metrics.contains_key(*name)), "{role}");
    }
}
