//! Redis with a replica and Sentinels.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use coupon_stack::{Server, Stack, Topology};

use crate::clients::parts;

/// The longest that a fail-over may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The answer of a Redis to a write; none while it is away, or cuts its connections.
fn written(url: &str) -> Option<String> {
    let (_, password, port) = parts(url);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    stream.write_all(format!("AUTH {password}\r\nSET x 1\r\n").as_bytes()).ok()?;
    BufReader::new(stream).lines().nth(1)?.ok()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_replica_takes_the_place_of_a_redis_that_is_gone_and_keeps_it() {
    let topology = Topology { shards: NonZeroU16::MIN, redis_sentinel: true, ..Topology::default() };
    let stack = Stack::start(&topology.into()).unwrap();
    assert_eq!(stack.servers().count(), 8, "main, a shard, RabbitMQ, and five of Redis");
    let all = &stack.addresses().redis;
    assert!(all.starts_with("redis+sentinel://:") && all.ends_with("/coupon"), "{all}");
    let [first, replica] = [Server::Redis, Server::RedisReplica].map(|server| stack.url(server).unwrap());
    let is_primary = |url: &str| written(url).as_deref() == Some("+OK");
    let is_replica = |url: &str| written(url).is_some_and(|answer| answer.starts_with("-READONLY"));
    assert!(is_primary(&first) && is_replica(&replica));
    stack.kill(Server::Redis).unwrap();
    until("the replica is elected", || is_primary(&replica));
    stack.restart(Server::Redis).unwrap();
    until("the first follows it", || is_replica(&first));
    assert!(is_primary(&replica));
}
