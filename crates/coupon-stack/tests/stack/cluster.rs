//! Several nodes of RabbitMQ, which are one cluster.

use std::num::NonZeroU16;

use coupon_stack::{Server, Stack, StackOptions, Topology};

const NODES: NonZeroU16 = NonZeroU16::new(3).unwrap();

/// What the first node says to whether all of them are there.
fn all_there(stack: &Stack) -> anyhow::Result<String> {
    stack.rabbitmqctl(&["--timeout", "1", "await_online_nodes", &NODES.to_string()])
}

#[test]
fn nodes_are_one_cluster_when_a_stack_is_up_and_when_it_is_up_again() {
    let folder = tempfile::tempdir().unwrap();
    let topology = Topology { shards: NonZeroU16::MIN, rabbitmq: NODES, ..Topology::default() };
    let options = StackOptions { topology, dir: Some(folder.path().join("stack")) };
    let stack = Stack::start(&options).unwrap();
    assert_eq!(stack.addresses().rabbitmq.len(), 3);
    let last = Server::RabbitMq(2);
    all_there(&stack).unwrap();
    stack.kill(last).unwrap();
    all_there(&stack).unwrap_err();
    stack.restart(last).unwrap();
    all_there(&stack).unwrap();
    // What one is told, all know.
    stack.rabbitmqctl(&["set_cluster_name", "three"]).unwrap();
    let name = |stack: &Stack| stack.rabbitmqctl_on(last, &["eval", "rabbit_nodes:cluster_name()."]).unwrap();
    assert!(name(&stack).contains("three"));
    stack.shut_down().unwrap();

    let fewer = Topology { rabbitmq: NonZeroU16::MIN, ..topology };
    let fewer = StackOptions { topology: fewer, ..options.clone() };
    let error = Stack::start(&fewer).unwrap_err().to_string();
    assert!(error.contains("RabbitMQ of 3, not of"), "{error}");
    let stack = Stack::start(&options).unwrap();
    all_there(&stack).unwrap();
    assert!(name(&stack).contains("three"));
}
