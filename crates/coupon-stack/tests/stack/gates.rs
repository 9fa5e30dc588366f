//! Several gates.

use std::num::NonZeroU16;

use coupon_stack::{Server, Stack, Status, Topology};

use crate::clients::redis;

#[test]
fn each_gate_is_a_redis_of_its_own() {
    let (one, two) = (NonZeroU16::MIN, NonZeroU16::new(2).unwrap());
    let topology = Topology { shards: one, redis: two, ..Topology::default() };
    let stack = Stack::start(&topology.into()).unwrap();
    let urls = [Server::Redis, Server::Gate(1)].map(|server| stack.url(server).unwrap());
    assert_eq!(stack.addresses().redis, urls.join(","));
    stack.pause(Server::Gate(1)).unwrap();
    assert_eq!(redis(&urls[0], None, &["PING"]), ["+PONG"], "the other answers");
    stack.resume(Server::Gate(1)).unwrap();
    assert_eq!(redis(&urls[1], None, &["PING"]), ["+PONG"]);
    assert_eq!(stack.status(Server::Gate(1)).unwrap(), Status::Up);
}
