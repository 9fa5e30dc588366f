//! Takes responses apart as their bytes come in, without doing any I/O.

use std::ops::Range;

use httparse::Status;

/// The room that a read gets at least.
const ROOM: usize = 4 * 1024;
/// A larger answer is no answer of this API.
const LARGEST: usize = 64 * 1024 * 1024;

/// The reason why bytes are not a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResponseError {
    /// Not HTTP/1.1 as this client reads it.
    #[error("the answer is not HTTP/1.1")]
    NotHttp,
    /// A body of more than [`LARGEST`].
    #[error("the answer is larger than 64 MiB")]
    TooLarge,
    /// The end of the stream came first.
    #[error("the connection was closed before the answer was complete")]
    Cut,
}

/// A complete response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
    /// True when the connection can carry another request.
    pub(crate) keep_alive: bool,
}

#[derive(Debug, Clone, Copy)]
struct Head {
    status: u16,
    length: usize,
    framing: Framing,
    keep_alive: bool,
}

#[derive(Debug, Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClosed,
}

/// Collects one response at a time; its memory is used again for the next.
#[derive(Debug, Default)]
pub(crate) struct ResponseReader {
    bytes: Vec<u8>,
    filled: usize,
    /// No more bytes will come.
    closed: bool,
    head: Option<Head>,
    /// Chunked bodies only: what was decoded, and up to where.
    decoded: Vec<u8>,
    decoded_to: usize,
}

impl ResponseReader {
    /// The room for the next bytes; [`ResponseReader::fill`] then takes their number.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.bytes.len() < self.filled + ROOM {
            self.bytes.resize((self.filled + ROOM).max(self.bytes.len() * 2), 0);
        }
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }

    /// None came: the connection was closed.
    pub(crate) fn fill(&mut self, count: usize) {
        self.closed = count == 0;
        self.filled = (self.filled + count).min(self.bytes.len());
    }

    /// Forgets the response, to begin the next.
    pub(crate) fn reset(&mut self) {
        self.filled = 0;
        self.closed = false;
        self.head = None;
        self.decoded.clear();
    }

    /// The response, once it is complete.
    ///
    /// # Errors
    /// When it will never be.
    pub(crate) fn complete(&mut self) -> Result<Option<Response<'_>>, ResponseError> {
        let closed = self.closed;
        let Some(head) = self.head()? else {
            return if closed { Err(ResponseError::Cut) } else { Ok(None) };
        };
        let end = match head.framing {
            Framing::Length(length) => (self.filled >= head.length + length).then_some(head.length + length),
            Framing::Chunked => self.decode()?,
            Framing::UntilClosed => closed.then_some(self.filled),
        };
        let Some(end) = end else {
            return match () {
                () if closed => Err(ResponseError::Cut),
                () if self.filled > LARGEST => Err(ResponseError::TooLarge),
                () => Ok(None),
            };
        };
        let body = match head.framing {
            Framing::Chunked => self.decoded.as_slice(),
            Framing::Length(_) | Framing::UntilClosed => self.bytes.get(head.length..end).unwrap_or_default(),
        };
        // Bytes after the end were not asked for: whatever they are, the next answer would be misread.
        let keep_alive = head.keep_alive && !closed && end == self.filled;
        Ok(Some(Response { status: head.status, body, keep_alive }))
    }

    fn head(&mut self) -> Result<Option<Head>, ResponseError> {
        while self.head.is_none() {
            let bytes = self.bytes.get(..self.filled).unwrap_or_default();
            let Some(head) = parse_head(bytes)? else { return Ok(None) };
            if head.status >= 200 {
                self.head = Some(head);
                self.decoded_to = head.length;
            } else {
                // An interim answer such as 100: the real one follows.
                self.bytes.copy_within(head.length..self.filled, 0);
                self.filled -= head.length;
            }
        }
        Ok(self.head)
    }

    /// Decodes the chunks that are complete; after the last, says where the response ends.
    fn decode(&mut self) -> Result<Option<usize>, ResponseError> {
        loop {
            let rest = self.bytes.get(self.decoded_to..self.filled).unwrap_or_default();
            let parsed = httparse::parse_chunk_size(rest).map_err(|_| ResponseError::NotHttp)?;
            let Status::Complete((prefix, size)) = parsed else { return Ok(None) };
            let size =
                usize::try_from(size).ok().filter(|size| *size <= LARGEST).ok_or(ResponseError::TooLarge)?;
            if size == 0 {
                let trailers = rest.get(prefix..).unwrap_or_default();
                return Ok(end_of_trailers(trailers).map(|length| self.decoded_to + prefix + length));
            }
            let chunk = Range { start: prefix, end: prefix + size };
            let Some(data) = rest.get(chunk).filter(|_| rest.len() >= prefix + size + 2) else {
                return Ok(None);
            };
            self.decoded.extend_from_slice(data);
            self.decoded_to += prefix + size + 2;
        }
    }
}

/// Trailers end with an empty line.
fn end_of_trailers(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(b"\r\n") {
        return Some(2);
    }
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn parse_head(bytes: &[u8]) -> Result<Option<Head>, ResponseError> {
    let mut headers = [httparse::EMPTY_HEADER; 48];
    let mut response = httparse::Response::new(&mut headers);
    let Status::Complete(length) = response.parse(bytes).map_err(|_| ResponseError::NotHttp)? else {
        return Ok(None);
    };
    let status = response.code.unwrap_or_default();
    let mut framing = if matches!(status, 204 | 304) { Framing::Length(0) } else { Framing::UntilClosed };
    let mut keep_alive = response.version == Some(1);
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") && !matches!(framing, Framing::Chunked) {
            let text = std::str::from_utf8(header.value).unwrap_or_default();
            let length = text.trim().parse().map_err(|_| ResponseError::NotHttp)?;
            framing = Framing::Length(length);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Framing::Chunked;
        } else if header.name.eq_ignore_ascii_case("connection") {
            keep_alive = keep_alive && !header.value.eq_ignore_ascii_case(b"close");
        }
    }
    match framing {
        Framing::Length(length) if length > LARGEST => return Err(ResponseError::TooLarge),
        Framing::UntilClosed => keep_alive = false,
        Framing::Length(_) | Framing::Chunked => {}
    }
    Ok(Some(Head { status, length, framing, keep_alive }))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = Result<(u16, Vec<u8>, bool), ResponseError>;

    /// Reads a response that comes in pieces of `piece` bytes and then ends.
    fn read(bytes: &[u8], piece: usize) -> Read {
        let mut reader = ResponseReader::default();
        for part in bytes.chunks(piece) {
            reader.space()[..part.len()].copy_from_slice(part);
            reader.fill(part.len());
            if let Some(response) = reader.complete()? {
                return Ok((response.status, response.body.to_vec(), response.keep_alive));
            }
        }
        reader.fill(0);
        let response = reader.complete()?.unwrap();
        Ok((response.status, response.body.to_vec(), response.keep_alive))
    }

    #[test]
    fn a_body_is_read_by_its_length_whatever_the_pieces() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        for piece in 1..=bytes.len() {
            assert_eq!(read(bytes, piece), Ok((200, b"hello".to_vec(), true)), "{piece}");
        }
    }

    #[test]
    fn a_chunked_body_is_put_together_whatever_the_pieces() {
        for end in ["0\r\n\r\n", "0\r\nDigest: x\r\nY: z\r\n\r\n"] {
            let head = "HTTP/1.1 503 Busy\r\ntransfer-encoding: chunked\r\n\r\n";
            let bytes = format!("{head}3\r\nhel\r\n2;ext=1\r\nlo\r\n{end}");
            for piece in 1..=bytes.len() {
                assert_eq!(read(bytes.as_bytes(), piece), Ok((503, b"hello".to_vec(), true)), "{piece}");
            }
        }
    }

    #[test]
    fn a_connection_that_ends_early_cut_the_answer() {
        for bytes in [
            "",
            "HTTP/1.1 200 OK\r\nContent-",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        ] {
            assert_eq!(read(bytes.as_bytes(), 7), Err(ResponseError::Cut), "{bytes}");
        }
    }

    #[test]
    fn a_body_without_a_length_ends_with_the_connection() {
        assert_eq!(read(b"HTTP/1.0 200 OK\r\n\r\nhello", 9), Ok((200, b"hello".to_vec(), false)));
    }

    #[test]
    fn a_connection_that_is_to_be_closed_is_not_used_again() {
        let bytes = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(read(bytes, 999), Ok((200, Vec::new(), false)));
        let more_than_asked = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200";
        assert_eq!(read(more_than_asked, 999), Ok((200, Vec::new(), false)));
    }

    #[test]
    fn an_interim_answer_is_passed_over() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        for piece in 1..=bytes.len() {
            assert_eq!(read(bytes, piece).unwrap().0, 204);
        }
    }

    #[test]
    fn what_is_not_http_is_refused() {
        assert_eq!(read(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 99), Err(ResponseError::NotHttp));
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: lots\r\n\r\n";
        assert_eq!(read(bytes, 99), Err(ResponseError::NotHttp));
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
        assert_eq!(read(bytes, 99), Err(ResponseError::TooLarge));
    }

    #[test]
    fn a_reader_is_used_again_for_the_next_response() {
        let mut reader = ResponseReader::default();
        for body in ["first", "2nd"] {
            let bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            reader.reset();
            reader.space()[..bytes.len()].copy_from_slice(bytes.as_bytes());
            reader.fill(bytes.len());
            assert_eq!(reader.complete().unwrap().unwrap().body, body.as_bytes());
        }
    }
}
