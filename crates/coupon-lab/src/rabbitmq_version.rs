//! The version of a RabbitMQ server, which it says in its first frame, before any login.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use coupon_store::settings::ServerUrl;

/// The limit of its answer.
const ANSWER: Duration = Duration::from_secs(3);
/// The first bytes of a client of AMQP 0-9-1.
const GREETING: &[u8] = b"AMQP\x00\x00\x09\x01";
/// A field of the server's properties: its name as a short string, and that a long string follows.
const FIELD: &[u8] = b"\x07versionS";
/// Type, channel and length of a frame.
const HEAD: usize = 7;
/// The first frame is some 500 bytes; a longer one is another protocol's.
const MOST: usize = 65_536;

/// Its version.
pub(super) fn version(url: &ServerUrl) -> Result<String, String> {
    let host = url.host();
    let with_port = if host.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok()) {
        host.to_owned()
    } else {
        format!("{host}:5672")
    };
    let frame = first_frame(&with_port).map_err(|error| error.to_string())?;
    version_in(&frame).ok_or_else(|| "it tells none".to_owned())
}

fn first_frame(host: &str) -> std::io::Result<Vec<u8>> {
    let none = || std::io::Error::other("it has no address");
    let addr = host.to_socket_addrs()?.next().ok_or_else(none)?;
    let mut stream = TcpStream::connect_timeout(&addr, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(GREETING)?;
    let mut head = [0; HEAD];
    stream.read_exact(&mut head)?;
    let [_, _, _, length @ ..] = head;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(MOST).min(MOST);
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    Ok(payload)
}

fn version_in(frame: &[u8]) -> Option<String> {
    let at = frame.windows(FIELD.len()).position(|window| window == FIELD)? + FIELD.len();
    let (length, rest) = frame.get(at..)?.split_first_chunk::<4>()?;
    let text = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_among_the_properties() {
        let frame = b"\x00\x0a\x00\x0a\x00\x09....\x08platformS\x00\x00\x00\x03OTP\x07versionS\x00\x00\x00\x063.10.8\x00";
        assert_eq!(version_in(frame).as_deref(), Some("3.10.8"));
        assert_eq!(version_in(b"\x07versionS\x00\x00\x00\x09short"), None);
        assert_eq!(version_in(b"HTTP/1.1 400"), None);
    }
}
