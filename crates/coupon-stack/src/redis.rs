//! Redis.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::files::write_private;
use crate::process::Launch;

pub(crate) fn launch(redis: &Path, dir: &Path, port: u16, password: &str, log: &Path) -> Result<Launch> {
    // In a file, because everybody may read a command line. Quoted as Redis reads it.
    let data = dir.join("data").display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
    let config = format!(
        "bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir \"{data}\"\nsave \"\"\nappendonly yes\n\
         appendfsync everysec\nmaxmemory-policy noeviction\n"
    );
    let path = dir.join("redis.conf");
    write_private(&path, &config)?;
    let arguments = vec![path.into()];
    Ok(Launch { program: redis.to_owned(), arguments, environment: Vec::new(), log: log.to_owned() })
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
