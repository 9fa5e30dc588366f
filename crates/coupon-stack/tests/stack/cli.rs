//! A stack that outlives the command that starts it.

use std::path::Path;
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_coupon-stack");

fn run(arguments: &[&str], dir: &Path) -> Output {
    let mut command = Command::new(PROGRAM);
    command.env_remove("COUPON_STACK_MYSQL_ROOT").env_remove("COUPON_STACK_MYSQL");
    command.args(arguments).arg("--dir").arg(dir).output().unwrap()
}

fn said(arguments: &[&str], dir: &Path) -> String {
    let output = run(arguments, dir);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(arguments: &[&str], dir: &Path) -> String {
    let output = run(arguments, dir);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Runs a command whose output has no reader, and returns its complaints.
fn to_nobody(arguments: &[&str], dir: &Path) -> String {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(PROGRAM).args(arguments).arg("--dir").arg(dir).stdout(writer).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Stops the stack also when the test fails.
struct Down<'a>(&'a Path);

impl Drop for Down<'_> {
    fn drop(&mut self) {
        run(&["down"], self.0);
    }
}

/// A server's state in what `status` says.
fn state(status: &str, server: &str) -> String {
    let line = status.lines().find(|line| line.starts_with(server)).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().to_owned()
}

#[test]
fn a_stack_stays_up_until_it_is_taken_down_and_keeps_its_passwords() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("stack");
    let error = refused(&["status"], &dir);
    assert!(error.contains("no stack in"), "{error}");
    let _down = Down(&dir);
    let up = said(&["up", "--shards", "1"], &dir);
    assert!(up.contains("hash-svc -- --config") && up.contains("servers.toml"), "{up}");
    let settings = std::fs::read_to_string(dir.join("servers.toml")).unwrap();
    let twice = said(&["up"], &dir);
    assert!(twice.starts_with("already up in") && twice.contains("hash-svc -- --config"), "{twice}");
    assert!(refused(&["up", "--shards", "2"], &dir).contains("a stack of 1 shards"), "with others");
    assert!(refused(&["up", "--rabbitmq", "3"], &dir).contains("RabbitMQ of 3, is up"), "with others");
    assert_eq!(to_nobody(&["status"], &dir), "");

    said(&["kill", "redis"], &dir);
    said(&["pause", "shard-0"], &dir);
    let status = said(&["status"], &dir);
    let states = ["main", "shard-0", "redis", "rabbitmq"].map(|server| state(&status, server));
    assert_eq!(states, ["up", "paused", "down", "up"]);
    said(&["restart", "redis"], &dir);
    assert_eq!(state(&said(&["status"], &dir), "redis"), "up");
    assert!(refused(&["kill", "shard-1"], &dir).contains("1 shards"));

    // Also the one that is paused.
    assert!(said(&["down"], &dir).starts_with("4 servers stopped"));
    assert_eq!(state(&said(&["status"], &dir), "main"), "down");
    assert!(refused(&["up", "--shards", "2"], &dir).contains("holds a stack of 1 shards"));
    said(&["up"], &dir);
    let again = std::fs::read_to_string(dir.join("servers.toml")).unwrap();
    let without_ports = |text: &str| {
        text.split(':')
            .map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(without_ports(&again), without_ports(&settings));
}
