//! The first bytes of a stream, looked at and put back.

use std::io::{self, Chain, Cursor, Read};

/// Reads up to so many bytes; the stream that is returned begins with them again.
pub(super) fn peek<R: Read>(mut stream: R, most: usize) -> io::Result<(Vec<u8>, Chain<Cursor<Vec<u8>>, R>)> {
    let mut head = Vec::new();
    stream.by_ref().take(most as u64).read_to_end(&mut head)?;
    let again = Cursor::new(head.clone()).chain(stream);
    Ok((head, again))
}
