//! Redis, and the Sentinels that look after it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::files::write_private;
use crate::kind::Place;
use crate::process::Launch;
use crate::tls::Tls;

/// The Sentinels' name for their Redis.
pub(crate) const SERVICE: &str = "coupon";
/// The number of Sentinels, and of those that must agree.
pub(crate) const SENTINELS: u8 = 3;
const QUORUM: u8 = 2;
/// The time after which a Redis that does not answer counts as gone, and the one that a fail-over may take, in milliseconds.
const DOWN_AFTER_MS: u32 = 1_000;
const FAIL_OVER_MS: u32 = 5_000;

/// A Redis, or a replica of the one at a port.
pub(crate) fn launch(
    redis: &Path,
    place: &Place<'_>,
    port: u16,
    password: &str,
    primary: Option<u16>,
) -> Result<Launch> {
    let replica = primary.map(|port| format!("replicaof 127.0.0.1 {port}\n")).unwrap_or_default();
    let config = format!(
        "{}masterauth {password}\ndir {}\nsave \"\"\nappendonly yes\nappendfsync everysec\n\
         maxmemory-policy noeviction\n{replica}",
        listen(place.tls, port, password),
        quoted(&place.dir.join("data"))
    );
    configured(redis, place, "redis.conf", &config, &[])
}

/// A Sentinel that looks after the Redis at a port.
pub(crate) fn sentinel(
    redis: &Path,
    place: &Place<'_>,
    port: u16,
    password: &str,
    primary: u16,
) -> Result<Launch> {
    let config = format!(
        "{}dir {}\nsentinel monitor {SERVICE} 127.0.0.1 {primary} {QUORUM}\nsentinel auth-pass {SERVICE} {password}\n\
         sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n\
         sentinel failover-timeout {SERVICE} {FAIL_OVER_MS}\n",
        listen(place.tls, port, password),
        quoted(&place.dir.join("data"))
    );
    configured(redis, place, "sentinel.conf", &config, &["--sentinel"])
}

fn listen(tls: Option<&Tls>, port: u16, password: &str) -> String {
    let listen = match tls {
        None => format!("port {port}"),
        Some(tls) => format!(
            "port 0\ntls-port {port}\ntls-auth-clients no\ntls-ca-cert-file {}\ntls-cert-file {}\ntls-key-file {}",
            quoted(tls.ca()),
            quoted(tls.certificate()),
            quoted(tls.key())
        ),
    };
    format!("bind 127.0.0.1\n{listen}\nrequirepass {password}\n")
}

/// Starts it with settings in a file, because every user of the machine may read a command line. One that is started again goes
/// by what it wrote there itself: whose replica it is.
fn configured(
    redis: &Path,
    place: &Place<'_>,
    name: &str,
    config: &str,
    arguments: &[&str],
) -> Result<Launch> {
    let path = place.dir.join(name);
    if place.begins || !path.is_file() {
        write_private(&path, config)?;
    }
    let mut all = vec![path.into()];
    all.extend(arguments.iter().map(Into::into));
    Ok(Launch {
        program: redis.to_owned(),
        arguments: all,
        environment: Vec::new(),
        log: place.log.to_owned(),
    })
}

/// Quotes a path as Redis reads it.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('\\', "\\\\").replace('"', "\\\""))
}

/// Logs in, and waits no longer than Redis is loading its file.
pub(crate) fn pongs(stream: &mut TcpStream, password: &str) -> Result<()> {
    let answer = asked(stream, password, "PING")?;
    ensure!(answer == ["+PONG"], "it answers {}", answer.join(" "));
    Ok(())
}

/// Says whether a replica has what its primary has.
pub(crate) fn follows(stream: &mut TcpStream, password: &str) -> Result<()> {
    let told = asked(stream, password, "INFO replication")?;
    ensure!(told.iter().any(|line| line == "master_link_status:up"), "it does not follow its primary yet");
    Ok(())
}

/// Says whether a Sentinel knows the others and the replica, so that they can elect it.
pub(crate) fn may_elect(stream: &mut TcpStream, password: &str) -> Result<()> {
    let told = asked(stream, password, &format!("SENTINEL MASTER {SERVICE}"))?;
    for (name, wanted) in [("num-slaves", "1"), ("num-other-sentinels", "2")] {
        let mut lines = told.iter().skip_while(|line| *line != name);
        // Between a name and its value is the value's length.
        ensure!(lines.nth(2).is_some_and(|value| value == wanted), "it knows too few others yet: {name}");
    }
    Ok(())
}

/// The port of the Redis that a Sentinel names.
pub(crate) fn elected(stream: &mut TcpStream, password: &str) -> Result<u16> {
    let told = asked(stream, password, &format!("SENTINEL GET-MASTER-ADDR-BY-NAME {SERVICE}"))?;
    Ok(told.last().context("it names none")?.parse()?)
}

/// Has Sentinels put the replica in the place of its primary.
pub(crate) fn fail_over(stream: &mut TcpStream, password: &str) -> Result<()> {
    let told = asked(stream, password, &format!("SENTINEL FAILOVER {SERVICE}"))?;
    ensure!(told == ["+OK"], "it answers {}", told.join(" "));
    Ok(())
}

/// The lines of the answer to a command, after the login.
fn asked(stream: &mut TcpStream, password: &str, command: &str) -> Result<Vec<String>> {
    stream.write_all(format!("AUTH {password}\r\n{command}\r\n").as_bytes())?;
    let mut lines = BufReader::new(stream).lines();
    let mut line = || lines.next().context("no answer")?.context("no answer");
    let login = line()?;
    ensure!(login == "+OK", "it answers {login}");
    let first = line()?;
    let Some((kind, size)) = first.split_at_checked(1) else { bail!("no answer") };
    let mut told = Vec::new();
    match kind {
        "*" => {
            for _ in 0..size.parse::<usize>()? * 2 {
                told.push(line()?);
            }
        }
        "$" => {
            let mut left = size.parse::<usize>()?;
            while left > 0 {
                let text = line()?;
                left = left.saturating_sub(text.len() + "\r\n".len());
                told.push(text);
            }
        }
        _ => told.push(first),
    }
    Ok(told)
}
