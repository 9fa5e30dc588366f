//! Nothing outlives the owner, and nothing runs without its programs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_coupon-stack");

/// The processes that run in a folder, or with it as theirs for temporary files: a stack's servers, its guardian and
/// its owner.
fn processes(temporary: &Path) -> Vec<u32> {
    let mark = format!("TMPDIR={}", temporary.display());
    let all = fs::read_dir("/proc").unwrap();
    let all = all.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let ours = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        cwd.starts_with(temporary)
            || environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    all.filter(ours).collect()
}

fn until(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + patience;
    while !done() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

#[test]
fn an_owner_that_is_killed_leaves_no_process_and_no_folder() {
    let temporary = tempfile::tempdir().unwrap();
    let mut owner = Command::new(PROGRAM);
    owner.args(["run", "--shards", "1", "--", "/bin/sh", "-c", "echo $$; exec env -i sleep 600"]);
    owner.env("TMPDIR", temporary.path()).stdout(Stdio::piped());
    // The database server of a given root is out of reach of this folder.
    owner.env_remove("COUPON_STACK_MYSQL_ROOT").env_remove("COUPON_STACK_MYSQL");
    let mut owner = owner.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(owner.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let command: i32 = line.trim().parse().unwrap();
    // The owner, its guardian, main, one shard, Redis, RabbitMQ and its port mapper.
    let running = processes(temporary.path()).len();
    let folders = fs::read_dir(temporary.path()).unwrap().count();
    owner.kill().unwrap();
    owner.wait().unwrap();
    // What it ran is not its own to stop, once it is gone.
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(command).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    assert!(running >= 7, "{running} processes");
    assert_eq!(folders, 1);
    let gone =
        || processes(temporary.path()).is_empty() && fs::read_dir(temporary.path()).unwrap().count() == 0;
    assert!(
        until(Duration::from_secs(30), gone),
        "left: processes {:?}, folders {:?}",
        processes(temporary.path()),
        fs::read_dir(temporary.path()).unwrap().collect::<Vec<_>>()
    );
}

#[test]
fn an_owner_that_is_killed_while_it_starts_leaves_nothing_either() {
    for after in [5, 400, 1_200] {
        let temporary = tempfile::tempdir().unwrap();
        let mut owner = Command::new(PROGRAM);
        owner.args(["run", "--shards", "1", "--", "sleep", "600"]).env("TMPDIR", temporary.path());
        owner.env_remove("COUPON_STACK_MYSQL_ROOT").env_remove("COUPON_STACK_MYSQL");
        let mut owner = owner.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(after));
        owner.kill().unwrap();
        owner.wait().unwrap();
        let left = || (processes(temporary.path()), fs::read_dir(temporary.path()).unwrap().count());
        assert!(
            until(Duration::from_secs(30), || left() == (Vec::new(), 0)),
            "killed after {after} ms: {:?}",
            left()
        );
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let output = Command::new(PROGRAM)
        .args(["run", "--", "true"])
        .env("COUPON_STACK_MYSQL", "/nowhere/mysqld")
        .env_remove("COUPON_STACK_MYSQL_ROOT")
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(error.contains("COUPON_STACK_MYSQL=/nowhere/mysqld"), "{error}");
}
