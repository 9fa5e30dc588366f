//! All servers answer, and refuse every client without a password. The protocols are spoken by hand: drivers are for
//! programs that use a stack.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use coupon_stack::Server;

use crate::stack;

/// User, password and port of `scheme://user:password@127.0.0.1:port…`.
pub(crate) fn parts(url: &str) -> (&str, &str, u16) {
    let (_, rest) = url.split_once("://").unwrap();
    let (credentials, address) = rest.split_once('@').unwrap();
    let (user, password) = credentials.split_once(':').unwrap();
    let port = address.strip_prefix("127.0.0.1:").unwrap();
    (user, password, port.split('/').next().unwrap().parse().unwrap())
}

pub(crate) fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Redis' answers to the commands, one each.
pub(crate) fn redis(url: &str, password: Option<&str>, commands: &[&str]) -> Vec<String> {
    let (_, right, port) = parts(url);
    let mut stream = connect(port);
    let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut ask = |command: &str| {
        stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
        answers.next().unwrap().unwrap()
    };
    let login = ask(&format!("AUTH {}", password.unwrap_or(right)));
    if password.is_some() {
        return vec![login];
    }
    commands.iter().map(|command| ask(command)).collect()
}

/// The answer of the database server's own client.
pub(crate) fn mysql(user: &str, password: &str, port: u16, sql: &str) -> Result<String, String> {
    let mut command = match std::env::var_os("COUPON_STACK_MYSQL_ROOT") {
        Some(root) => {
            let mut command = Command::new("chroot");
            command.arg(root).arg("mysql");
            command
        }
        None if std::env::var_os("COUPON_STACK_MYSQL").is_some() => Command::new("mysql"),
        None => Command::new("mariadb"),
    };
    command.args(["--no-defaults", "--host=127.0.0.1", "--batch", "--skip-column-names"]);
    command.arg(format!("--port={port}")).arg(format!("--user={user}")).arg(format!("--execute={sql}"));
    // Every user of the machine may read a password on the command line.
    let output = command.env("MYSQL_PWD", password).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// The method with which RabbitMQ answers a login; none when it closes the connection.
fn rabbitmq(port: u16, user: &str, password: &str) -> Option<(u16, u16)> {
    let mut stream = connect(port);
    stream.write_all(b"AMQP\x00\x00\x09\x01").unwrap();
    assert_eq!(method(&mut stream), Some((10, 10)), "Connection.Start");
    let mut login = vec![0, 10, 0, 11];
    // No client properties, the mechanism, its answer, the locale.
    login.extend([0, 0, 0, 0, 5]);
    login.extend(b"PLAIN");
    let answer = format!("\0{user}\0{password}");
    login.extend(u32::try_from(answer.len()).unwrap().to_be_bytes());
    login.extend(answer.bytes());
    login.push(5);
    login.extend(b"en_US");
    let mut frame = vec![1, 0, 0];
    frame.extend(u32::try_from(login.len()).unwrap().to_be_bytes());
    frame.extend(login);
    frame.push(0xCE);
    stream.write_all(&frame).unwrap();
    method(&mut stream)
}

fn method(stream: &mut TcpStream) -> Option<(u16, u16)> {
    let mut head = [0; 7];
    stream.read_exact(&mut head).ok()?;
    let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
    let mut body = vec![0; usize::try_from(size).unwrap() + 1];
    stream.read_exact(&mut body).ok()?;
    Some((u16::from_be_bytes([body[0], body[1]]), u16::from_be_bytes([body[2], body[3]])))
}

#[test]
fn all_servers_answer_with_their_passwords() {
    let stack = stack();
    let addresses = stack.addresses();
    assert_eq!(addresses.shards.len(), 4);
    assert_eq!(stack.servers().count(), 7);
    for url in [&addresses.main].into_iter().chain(&addresses.shards) {
        let (user, password, port) = parts(url);
        assert_eq!(mysql(user, password, port, "SELECT @@port"), Ok(port.to_string()));
        let made =
            "CREATE DATABASE x; DROP DATABASE x; SELECT @@innodb_flush_log_at_trx_commit, @@max_connections";
        assert_eq!(mysql(user, password, port, made), Ok("1\t200".to_owned()));
    }
    assert_eq!(redis(&addresses.redis, None, &["PING"]), ["+PONG"]);
    let (user, password, port) = parts(&addresses.rabbitmq[0]);
    assert_eq!(rabbitmq(port, user, password), Some((10, 30)), "Connection.Tune");
}

#[test]
fn nobody_gets_in_with_another_password() {
    let stack = stack();
    let addresses = stack.addresses();
    let (_, of_main, _) = parts(&addresses.main);
    let (user, password, port) = parts(&addresses.shards[0]);
    assert_ne!(of_main, password, "each server has its own");
    for (user, password) in [("root", ""), (user, ""), (user, of_main), ("", "")] {
        let error = mysql(user, password, port, "SELECT 1").unwrap_err();
        assert!(error.contains("Access denied"), "{error}");
    }
    let refused = redis(&addresses.redis, Some(of_main), &[]);
    assert!(refused[0].starts_with("-WRONGPASS"), "{refused:?}");
    let (user, _, port) = parts(&addresses.rabbitmq[0]);
    for (user, password) in [("guest", "guest"), (user, of_main)] {
        assert_ne!(rabbitmq(port, user, password), Some((10, 30)), "{user}");
    }
}

#[test]
fn servers_listen_on_the_loopback_only() {
    const LISTEN: &str = "0A";
    let stack = stack();
    for server in stack.servers() {
        let pid = stack.pid(server).unwrap();
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        let open: Vec<_> = open.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok()).collect();
        let own = |inode: &str| open.iter().any(|link| link.to_str() == Some(&format!("socket:[{inode}]")));
        let mut listening = 0;
        for table in ["tcp", "tcp6"] {
            let table = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
            for line in table.lines().skip(1) {
                let fields: Vec<&str> = line.split_ascii_whitespace().collect();
                if fields[3] == LISTEN && own(fields[9]) {
                    assert!(fields[1].starts_with("0100007F:"), "{server} listens on {}", fields[1]);
                    listening += 1;
                }
            }
        }
        assert_eq!(listening, if server == Server::RabbitMq(0) { 2 } else { 1 }, "{server}");
    }
}
