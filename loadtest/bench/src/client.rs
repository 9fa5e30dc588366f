//! A user who asks one question after the other, over one connection.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use coupon_loadgen::http::{Target, read_some};

/// The time that an answer may take.
const ANSWER: Duration = Duration::from_secs(60);
/// The bytes that are read of an answer at a time.
const CHUNK: usize = 64 * 1024;
/// Headers of an answer, at most.
const HEADERS: usize = 32;

/// A service closes a connection that is silent for longer than this and more.
const SILENCE: Duration = Duration::from_secs(2);

/// One connection, opened again after a pause.
pub(super) struct Client {
    stream: TcpStream,
    address: SocketAddr,
    used: Instant,
    answer: Vec<u8>,
}

impl Client {
    pub(super) fn connect(target: &Target) -> Result<Self> {
        let (address, used) = (target.addr, Instant::now());
        Ok(Self { stream: open(address)?, address, used, answer: Vec::new() })
    }

    /// Asks, and says how long it took until the whole answer was here, and what it was.
    pub(super) fn get(&mut self, path: &str) -> Result<(Duration, &[u8])> {
        if self.used.elapsed() > SILENCE {
            self.stream = open(self.address)?;
        }
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        let asked = Instant::now();
        self.stream.write_all(request.as_bytes())?;
        self.answer.clear();
        let mut chunk = vec![0; CHUNK];
        loop {
            let count = read_some(&mut self.stream, &mut chunk)?;
            ensure!(count > 0, "GET {path}: the connection was closed");
            self.answer.extend_from_slice(chunk.get(..count).unwrap_or_default());
            if let Some(body) = body(&self.answer).with_context(|| format!("GET {path}"))? {
                let took = asked.elapsed();
                self.used = Instant::now();
                return Ok((took, self.answer.get(body..).unwrap_or_default()));
            }
        }
    }
}

fn open(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).context("cannot connect")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER))?;
    Ok(stream)
}

/// The beginning of an answer's body, once all of it is here.
fn body(answer: &[u8]) -> Result<Option<usize>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(begin) = response.parse(answer)? else { return Ok(None) };
    if response.code != Some(200) {
        bail!("the answer is {:?}: {}", response.code, String::from_utf8_lossy(answer));
    }
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse::<usize>().ok());
    let length = length.context("the answer does not say how long it is")?;
    Ok((answer.len() >= begin + length).then_some(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_with_its_last_byte() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(body(whole).unwrap(), Some(whole.len() - 2));
        assert_eq!(body(&whole[..whole.len() - 1]).unwrap(), None);
        assert_eq!(body(&whole[..10]).unwrap(), None);
    }

    #[test]
    fn an_error_is_no_answer() {
        let error = body(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nlate").unwrap_err().to_string();
        assert!(error.contains("503") && error.contains("late"), "{error}");
    }
}
