//! A client that sends exactly the bytes it is given.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use coupon_service::api::ProblemDetails;
use serde::de::DeserializeOwned;

/// An answer as it came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let same = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers.iter().find(same).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body of a 200.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        assert_eq!(self.status, 200, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The body of an error, which must be a problem document of that status.
    pub(crate) fn problem(&self, status: u16) -> ProblemDetails {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem: ProblemDetails = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.status, status);
        assert!(problem.kind.starts_with("/problems/") && !problem.title.is_empty());
        problem
    }
}

/// An open connection.
pub(crate) struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { stream, unread: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends these bytes, unless the server has hung up.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        match self.stream.write_all(bytes) {
            Ok(()) => true,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the server neither reads nor hangs up: {error}")
            }
            Err(_) => false,
        }
    }

    /// The next answer. That to a HEAD has no body, whatever its length claims.
    pub(crate) fn receive(&mut self, head_only: bool) -> Answer {
        loop {
            if let Some(answer) = self.take(head_only) {
                return answer;
            }
            let mut chunk = [0; 16 * 1024];
            let read = self.stream.read(&mut chunk).unwrap();
            assert!(read > 0, "the server hung up after {:?}", String::from_utf8_lossy(&self.unread));
            self.unread.extend(chunk.iter().take(read));
        }
    }

    /// True if the server has nothing more to say and hangs up, politely or not.
    pub(crate) fn is_closed(&mut self) -> bool {
        let hung_up = match self.stream.read(&mut [0; 1]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        };
        self.unread.is_empty() && hung_up
    }

    fn take(&mut self, head_only: bool) -> Option<Answer> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(head) = response.parse(&self.unread).unwrap() else { return None };
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
        let headers: Vec<_> =
            response.headers.iter().map(|header| (header.name.to_owned(), text(header.value))).collect();
        let answer = Answer { status: response.code.unwrap(), headers, body: Vec::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        let length = if head_only { 0 } else { length };
        if self.unread.len() < head + length {
            return None;
        }
        let body = self.unread.drain(..head + length).skip(head).collect();
        Some(Answer { body, ..answer })
    }
}

/// A request with a JSON body.
pub(crate) fn post(path: &str, body: &str) -> Vec<u8> {
    request("POST", path, "Content-Type: application/json\r\n", body.as_bytes())
}

/// A request with these header lines, and a `Content-Length`.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}
