//! Single, blocking requests, for the admin API and for set-up.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Target;
use super::response::ResponseReader;

const CONNECT: Duration = Duration::from_secs(5);
/// The place where a command finds the token: the service's own words are for people who send requests by themselves.
const TOKEN: &str =
    ". Give this command the token with --admin-token, or in the environment as COUPON__ADMIN__TOKEN";
/// Draining a long queue may take its time.
const ANSWER: Duration = Duration::from_secs(120);

/// GETs a path and reads the JSON answer.
///
/// # Errors
/// When the service does not answer, answers with another status than 2xx, or with other JSON. Each names the URL.
pub fn get_json<T: DeserializeOwned>(target: &Target, path: &str) -> anyhow::Result<T> {
    request(target, "GET", path, &[])
}

/// POSTs JSON to a path and reads the JSON answer.
///
/// # Errors
/// As [`get_json`].
pub fn post_json<T: DeserializeOwned>(
    target: &Target,
    path: &str,
    body: &impl Serialize,
) -> anyhow::Result<T> {
    request(target, "POST", path, &serde_json::to_vec(body)?)
}

/// GETs a path and cares only whether the answer is 2xx.
///
/// # Errors
/// When the service does not answer, or with another status, which the error names.
pub fn get_ok(target: &Target, path: &str) -> anyhow::Result<()> {
    accepted(target, "GET", path, &[], &mut ResponseReader::default()).map(drop)
}

/// GETs a path and returns the status of the answer.
///
/// # Errors
/// When the service does not answer.
pub fn get_status(target: &Target, path: &str) -> anyhow::Result<u16> {
    let mut reader = ResponseReader::default();
    Ok(exchange(target, "GET", path, &[], ANSWER, &mut reader)?.0)
}

/// Asks once, waits no longer than that for each part of the answer, and returns its status and body.
///
/// # Errors
/// When the service does not answer.
pub fn ask(
    target: &Target,
    method: &str,
    path: &str,
    body: &[u8],
    patience: Duration,
) -> anyhow::Result<(u16, Vec<u8>)> {
    let mut reader = ResponseReader::default();
    let (status, body) = exchange(target, method, path, body, patience, &mut reader)?;
    Ok((status, body.to_vec()))
}

#[derive(Deserialize)]
struct Problem {
    detail: String,
}

fn request<T: DeserializeOwned>(target: &Target, method: &str, path: &str, body: &[u8]) -> anyhow::Result<T> {
    let mut reader = ResponseReader::default();
    let body = accepted(target, method, path, body, &mut reader)?;
    serde_json::from_slice(body)
        .with_context(|| format!("{method} {} answered JSON of another shape", target.url(path)))
}

/// The body of an answer with a 2xx status.
fn accepted<'a>(
    target: &Target,
    method: &str,
    path: &str,
    body: &[u8],
    reader: &'a mut ResponseReader,
) -> anyhow::Result<&'a [u8]> {
    let url = || format!("{method} {}", target.url(path));
    let (status, body) = exchange(target, method, path, body, ANSWER, reader).with_context(url)?;
    if !(200..300).contains(&status) {
        let problem = serde_json::from_slice::<Problem>(body).map(|problem| format!(": {}", problem.detail));
        let token = if status == 401 { TOKEN } else { "" };
        bail!("{} answered {status}{}{token}", url(), problem.unwrap_or_default());
    }
    Ok(body)
}

fn exchange<'a>(
    target: &Target,
    method: &str,
    path: &str,
    body: &[u8],
    patience: Duration,
    reader: &'a mut ResponseReader,
) -> anyhow::Result<(u16, &'a [u8])> {
    let mut stream = TcpStream::connect_timeout(&target.addr, CONNECT).context("cannot connect")?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", target.addr);
    if let Some(token) = &target.admin_token {
        head.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    if let Some(operator) = &target.operator {
        head.push_str(&format!("X-Operator: {operator}\r\n"));
    }
    if method == "POST" || !body.is_empty() {
        head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    let request = [head.as_bytes(), b"\r\n", body].concat();
    stream.write_all(&request).context("cannot send the request")?;
    loop {
        let count = read_some(&mut stream, reader.space()).context("no answer")?;
        reader.fill(count);
        if reader.complete()?.is_some() {
            break;
        }
    }
    // Asked once more, since the loop cannot hand out what it borrows.
    let response = reader.complete()?.context("no answer")?;
    Ok((response.status, response.body))
}

/// Reads what there is of an answer. A program that was stopped and goes on (Ctrl-Z, `fg`) reads on: a read with a time limit is
/// interrupted by that.
///
/// # Errors
/// Those of the stream, an interruption excepted.
pub fn read_some(stream: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
