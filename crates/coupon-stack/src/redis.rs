//! Redis.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::files::write_private;
use crate::process::Launch;
use crate::tls::Tls;

pub(crate) fn launch(
    redis: &Path,
    dir: &Path,
    port: u16,
    tls: Option<&Tls>,
    password: &str,
    log: &Path,
) -> Result<Launch> {
    let listen = match tls {
        None => format!("port {port}"),
        Some(tls) => format!(
            "port 0\ntls-port {port}\ntls-auth-clients no\ntls-ca-cert-file {}\ntls-cert-file {}\ntls-key-file {}",
            quoted(tls.ca()),
            quoted(tls.certificate()),
            quoted(tls.key())
        ),
    };
    // In a file, because every user of the machine may read a command line.
    let config = format!(
        "bind 127.0.0.1\n{listen}\nrequirepass {password}\ndir {}\nsave \"\"\nappendonly yes\n\
         appendfsync everysec\nmaxmemory-policy noeviction\n",
        quoted(&dir.join("data"))
    );
    let path = dir.join("redis.conf");
    write_private(&path, &config)?;
    let arguments = vec![path.into()];
    Ok(Launch { program: redis.to_owned(), arguments, environment: Vec::new(), log: log.to_owned() })
}

/// Quotes a path as Redis reads it.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('\\', "\\\\").replace('"', "\\\""))
}

/// Logs in, and waits no longer than Redis is loading its file.
pub(crate) fn pongs(stream: &mut TcpStream, password: &str) -> Result<()> {
    stream.write_all(format!("AUTH {password}\r\nPING\r\n").as_bytes())?;
    let mut answers = BufReader::new(stream).lines();
    for expected in ["+OK", "+PONG"] {
        let answer = answers.next().context("no answer")??;
        ensure!(answer == expected, "it answers {answer}");
    }
    Ok(())
}
