//! A database server with a replica that takes its place.

use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use coupon_stack::{Server, Stack, Topology};

use crate::clients::{mysql, parts};

/// The longest that a replica may take to have what its primary has, on a busy machine.
const SOON: Duration = Duration::from_secs(60);

const SHARD: Server = Server::Shard(0);
const REPLICA: Server = Server::ShardReplica(0);

/// Asks a server as services do.
fn ask(stack: &Stack, server: Server, sql: &str) -> Result<String, String> {
    let url = stack.url(server).unwrap();
    let (user, password, port) = parts(&url);
    mysql(user, password, port, sql)
}

/// The numbers that a server has come to be these.
fn has(stack: &Stack, server: Server, numbers: &str) {
    let deadline = Instant::now() + SOON;
    loop {
        let found = ask(stack, server, "SELECT GROUP_CONCAT(id ORDER BY id) FROM d.t");
        if found.as_deref() == Ok(numbers) {
            return;
        }
        assert!(Instant::now() < deadline, "{server} has {found:?}, not {numbers}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_read_only(stack: &Stack, server: Server) {
    let refused = ask(stack, server, "INSERT INTO d.t VALUES (99)").unwrap_err();
    assert!(refused.contains("read-only") && stack.is_read_only(server).unwrap(), "{server}: {refused}");
}

#[test]
fn a_replica_has_what_its_primary_has_takes_its_place_and_gives_it_back() {
    let topology = Topology { shards: NonZeroU16::MIN, replicas: true, ..Topology::default() };
    let stack = Stack::start(&topology.into()).unwrap();
    assert_eq!(stack.servers().count(), 6);
    for server in [SHARD, REPLICA] {
        let url = stack.url(server).unwrap();
        let port = format!("127.0.0.1:{}", parts(&url).2);
        assert!(stack.addresses().shards[0].contains(&port), "{:?}", stack.addresses());
    }
    let made = "CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY); INSERT INTO d.t VALUES (1)";
    ask(&stack, SHARD, made).unwrap();
    has(&stack, REPLICA, "1");
    is_read_only(&stack, REPLICA);
    assert!(stack.promote(SHARD).unwrap_err().to_string().contains("takes writes already"));
    assert!(stack.rejoin(SHARD).unwrap_err().to_string().contains("takes writes"));

    stack.kill(SHARD).unwrap();
    stack.promote(REPLICA).unwrap();
    ask(&stack, REPLICA, "INSERT INTO d.t VALUES (2)").unwrap();
    // It may have what the other has not.
    stack.restart(SHARD).unwrap();
    is_read_only(&stack, SHARD);
    assert!(stack.promote(SHARD).unwrap_err().to_string().contains("rejoin it first"));
    stack.rejoin(SHARD).unwrap();
    has(&stack, SHARD, "1,2");
    is_read_only(&stack, SHARD);

    // The primary is stopped, and nothing that it was told to store is lost.
    ask(&stack, REPLICA, "INSERT INTO d.t VALUES (3)").unwrap();
    stack.promote(SHARD).unwrap();
    assert_eq!(stack.pid(REPLICA), None);
    has(&stack, SHARD, "1,2,3");
    ask(&stack, SHARD, "INSERT INTO d.t VALUES (4)").unwrap();
    has(&stack, SHARD, "1,2,3,4");
}

#[test]
fn a_stack_without_replicas_promotes_none() {
    let stack = crate::stack();
    let error = stack.promote(Server::MainReplica).unwrap_err().to_string();
    assert!(error.contains("main-replica") && error.contains("without replicas"), "{error}");
    assert!(stack.promote(Server::Main).unwrap_err().to_string().contains("no replicas"));
}
