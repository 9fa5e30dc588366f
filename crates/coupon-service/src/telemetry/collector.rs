//! The way to a collector: one POST at a time over plain HTTP, from a thread that has nothing else to do.
//!
//! The exporter's own clients bring a second HTTP stack and its runtime along, for one request every few seconds.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use url::Url;

/// The time limits for a collector to take a connection, and then for all the rest.
const CONNECT: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(5);
/// The longest head of an answer.
const HEAD_MAX: usize = 16 * 1_024;

/// The address of a collector.
#[derive(Debug, Clone)]
pub(super) struct Collector {
    url: Url,
    host: String,
    port: u16,
}

impl Collector {
    /// # Errors
    /// When it is no address that can be used.
    pub(super) fn at(endpoint: &str) -> anyhow::Result<Self> {
        let url = Url::parse(endpoint).with_context(|| format!("{endpoint:?} is no URL"))?;
        ensure!(
            url.scheme() == "http",
            "{endpoint:?} must begin with http://: a collector nearby adds the encryption"
        );
        let host = url.host_str().with_context(|| format!("{endpoint:?} names no host"))?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        Ok(Self { host, port, url })
    }

    /// The path that takes traces.
    pub(super) fn traces(&self) -> String {
        format!("{}/v1/traces", self.url.as_str().trim_end_matches('/'))
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let mut failed = std::io::Error::other("its name has no address");
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn post(&self, request: &Request<Bytes>) -> anyhow::Result<Response<Bytes>> {
        let mut stream = self.connect()?;
        stream.set_write_timeout(Some(ANSWER))?;
        let mut head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nConnection: close\r\n",
            request.uri().path(),
            self.url.authority(),
            request.body().len()
        )
        .into_bytes();
        for (name, value) in request.headers() {
            head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        head.extend(b"\r\n");
        stream.write_all(&head)?;
        stream.write_all(request.body())?;
        let status = read_status(&mut stream)?;
        // What it has to say beside is nothing that could be acted upon.
        Ok(Response::builder().status(status).body(Bytes::new())?)
    }
}

/// Reads the head of an answer, however slowly it comes, within its time.
fn read_status(stream: &mut TcpStream) -> anyhow::Result<u16> {
    let (deadline, mut head) = (Instant::now() + ANSWER, Vec::new());
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        if response.parse(&head)?.is_complete() {
            return response.code.context("it answered without a status");
        }
        ensure!(head.len() < HEAD_MAX, "its answer has no end");
        let left = deadline.saturating_duration_since(Instant::now());
        ensure!(!left.is_zero(), "it did not answer in time");
        stream.set_read_timeout(Some(left))?;
        let mut chunk = [0; 4_096];
        let read = stream.read(&mut chunk)?;
        ensure!(read > 0, "it hung up");
        head.extend(chunk.iter().take(read));
    }
}

#[async_trait]
impl HttpClient for Collector {
    /// Blocks: the exporter has its own thread.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.post(&request).map_err(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_cannot_be_used_says_why() {
        for (endpoint, why) in [
            ("127.0.0.1:4318", "no URL"),
            ("collector", "no URL"),
            ("https://127.0.0.1:4318", "must begin with http://"),
        ] {
            let error = format!("{:#}", Collector::at(endpoint).unwrap_err());
            assert!(error.contains(why), "{endpoint}: {error}");
        }
        let at = |endpoint: &str| Collector::at(endpoint).unwrap();
        assert_eq!(at("http://127.0.0.1:4318").traces(), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(at("http://c/otlp/").traces(), "http://c/otlp/v1/traces");
        assert_eq!((at("http://[::1]:9").host.as_str(), at("http://[::1]:9").port), ("::1", 9));
    }
}
