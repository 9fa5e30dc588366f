//! Faults, and what is measured.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use coupon_stack::{Server, Stack, Status};

use crate::clients::{connect, parts, redis};
use crate::stack;

fn greeting(url: &str, patience: Duration) -> Option<u8> {
    let (_, _, port) = parts(url);
    let mut stream = connect(port);
    stream.set_read_timeout(Some(patience)).unwrap();
    let mut head = [0; 5];
    stream.read_exact(&mut head).ok()?;
    Some(head[4])
}

#[test]
fn a_killed_server_is_gone_until_it_is_restarted_where_it_was() {
    let stack = stack();
    let url = stack.addresses().redis.clone();
    assert_eq!(redis(&url, None, &["SET kept 1"]), ["+OK"]);
    let before = stack.pid(Server::Redis).unwrap();
    stack.kill(Server::Redis).unwrap();
    assert_eq!((stack.pid(Server::Redis), stack.status(Server::Redis).unwrap()), (None, Status::Down));
    assert!(stack.kill(Server::Redis).unwrap_err().to_string().contains("redis does not run"));
    stack.restart(Server::Redis).unwrap();
    assert_ne!(stack.pid(Server::Redis).unwrap(), before);
    assert_eq!(redis(&url, None, &["GET kept"]), ["$1"], "its file is read again");
    assert!(stack.data_dir(Server::Redis).unwrap().join("appendonlydir").is_dir());
}

#[test]
fn rabbitmq_comes_back_after_a_kill() {
    let stack = stack();
    let before = stack.pid(Server::RabbitMq(0)).unwrap();
    stack.kill(Server::RabbitMq(0)).unwrap();
    stack.restart(Server::RabbitMq(0)).unwrap();
    assert_ne!(stack.pid(Server::RabbitMq(0)).unwrap(), before);
}

#[test]
fn rabbitmqs_own_tool_reaches_the_node() {
    let stack = stack();
    let sum = stack.rabbitmqctl(&["eval", "40 + 2."]).unwrap();
    assert_eq!(sum, "42");
    let error = stack.rabbitmqctl(&["no_such_command"]).unwrap_err().to_string();
    assert!(error.contains("no_such_command"), "{error}");
}

#[test]
fn a_spare_redis_has_the_same_password_and_ends_when_dropped() {
    let stack = stack();
    let spare = stack.spare_redis().unwrap();
    let url = spare.url();
    assert_ne!(url, stack.addresses().redis);
    assert_eq!(redis(&url, None, &["SET k 1"]), ["+OK"]);
    assert_eq!(parts(&url).1, parts(&stack.addresses().redis).1);
    drop(spare);
    let (_, _, port) = parts(&url);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    // Another one starts empty.
    let again = stack.spare_redis().unwrap();
    assert_eq!(redis(&again.url(), None, &["DBSIZE"]), [":0"]);
}

#[test]
fn a_paused_server_answers_once_it_is_resumed() {
    let stack = stack();
    let shard = Server::Shard(2);
    let url = &stack.addresses().shards[2];
    stack.pause(shard).unwrap();
    assert!(stack.pid(shard).is_some());
    assert_eq!(greeting(url, Duration::from_millis(200)), None);
    assert_eq!(stack.status(shard).unwrap(), Status::Paused);
    stack.resume(shard).unwrap();
    assert_eq!(greeting(url, Duration::from_secs(10)), Some(10));
    assert_eq!(stack.status(shard).unwrap(), Status::Up);
}

#[test]
fn a_server_that_dies_at_start_is_named_with_the_end_of_its_log() {
    let stack = stack();
    let shard = Server::Shard(3);
    stack.stop(shard).unwrap();
    let (tables, away) = (stack.data_dir(shard).unwrap().join("mysql"), stack.dir().join("away"));
    let ibdata = stack.data_dir(shard).unwrap().join("ibdata1");
    let space = std::fs::read(&ibdata).unwrap();
    std::fs::rename(&tables, &away).unwrap();
    std::fs::write(&ibdata, "no tablespace").unwrap();
    let error = stack.restart(shard).unwrap_err().to_string();
    assert!(error.starts_with("shard-3 did not start: it ended; its log ends with:\n"), "{error}");
    assert!(error.contains("ERROR"), "{error}");
    assert_eq!(stack.pid(shard), None);
    std::fs::write(&ibdata, space).unwrap();
    std::fs::rename(away, tables).unwrap();
    stack.restart(shard).unwrap();
}

#[test]
fn a_server_whose_port_was_taken_says_so() {
    let stack = stack();
    let (_, _, port) = parts(&stack.addresses().redis);
    stack.kill(Server::Redis).unwrap();
    let taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let error = stack.restart(Server::Redis).unwrap_err().to_string();
    drop(taken);
    assert!(error.starts_with("redis did not start") && error.contains("already in use"), "{error}");
    stack.restart(Server::Redis).unwrap();
}

#[test]
fn a_server_that_is_not_of_the_stack_is_refused() {
    let error = stack().pause(Server::Shard(4)).unwrap_err().to_string();
    assert!(error.contains("shard-4") && error.contains("4 shards"), "{error}");
}

/// Keeps Redis busy for a while, and says how much CPU time it took.
fn cpu_seconds(stack: &Stack, during: Duration) -> f64 {
    let before = stack.usage(Server::Redis).unwrap().cpu_seconds;
    let url = &stack.addresses().redis;
    let (_, password, port) = parts(url);
    let mut stream = connect(port);
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let busy = "local x = 0; for i = 1, 300000 do x = x + i end; return 1";
    let end = Instant::now() + during;
    stream.write_all(format!("AUTH {password}\r\n").as_bytes()).unwrap();
    assert_eq!(answer(&mut stream), "+OK");
    while Instant::now() < end {
        stream.write_all(format!("EVAL \"{busy}\" 0\r\n").as_bytes()).unwrap();
        assert_eq!(answer(&mut stream), ":1");
    }
    stack.usage(Server::Redis).unwrap().cpu_seconds - before
}

fn answer(stream: &mut impl Read) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        line.extend(byte);
    }
    String::from_utf8(line).unwrap().trim().to_owned()
}

#[test]
fn a_cpu_quota_holds_also_after_a_restart_or_says_why_it_cannot() {
    let stack = stack();
    assert!(stack.limit_cpu(Server::Redis, 0.0).unwrap_err().contains("above 0"));
    if let Err(why) = stack.limit_cpu(Server::Redis, 0.1) {
        assert!(why.starts_with("CPU quotas cannot be set here: ") && !why.contains('\n'), "{why}");
        return;
    }
    stack.restart(Server::Redis).unwrap();
    // A quota bounds CPU time from above, however slow the machine is: 0.1 of a second's work, and what one period and
    // the last script may take beyond it.
    let limited = cpu_seconds(&stack, Duration::from_secs(1));
    stack.limit_cpu(Server::Redis, 64.0).unwrap();
    assert!(limited < 0.5, "it took {limited} CPU seconds");
}

#[test]
fn what_a_server_uses_is_counted() {
    let stack = stack();
    let before = stack.usage(Server::Redis).unwrap();
    let value = "v".repeat(50_000);
    let set = format!("SET written {value}");
    assert_eq!(redis(&stack.addresses().redis, None, &[set.as_str(); 40]).len(), 40);
    let after = stack.usage(Server::Redis).unwrap();
    assert!(after.bytes_written >= before.bytes_written + 1_000_000, "{before:?}, then {after:?}");
    assert!(stack.usage(Server::Main).unwrap().cpu_seconds > 0.0);
}
