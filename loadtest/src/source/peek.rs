//! The first bytes of a stream, looked at and put back.

use std::io::{self, Chain, Cursor, Read};

/// A stream that begins with what was looked at.
pub(super) type Again<R> = Chain<Cursor<Vec<u8>>, R>;

/// Reads up to so many bytes; the stream that is returned begins with them again.
pub(super) fn peek<R: Read>(mut stream: R, most: usize) -> io::Result<(Vec<u8>, Again<R>)> {
    let mut head = Vec::new();
    stream.by_ref().take(most as u64).read_to_end(&mut head)?;
    let again = Cursor::new(head.clone()).chain(stream);
    Ok((head, again))
}
