//! The encoding of a text, converted to UTF-8.

use std::io::{self, Read};

use anyhow::{Context, Result, ensure};
use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::peek::peek;

/// Enough to recognise UTF-16 without a byte order mark by its zero bytes.
const LOOKED_AT: usize = 4_096;
/// Bytes that are converted at a time.
const PIECE: usize = 16_384;

/// An encoding by any name that browsers know it by: `gbk`, `windows-1252`, `shift_jis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextEncoding(&'static Encoding);

impl std::str::FromStr for TextEncoding {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = Encoding::for_label(text.trim().as_bytes());
        Ok(Self(known.with_context(|| {
            format!("{text:?} is no encoding known here; there are utf-8, utf-16le, gbk, big5, windows-1252 and others")
        })?))
    }
}

/// The text as UTF-8, in the encoding that is given, that its byte order mark names, or that its zero bytes betray. Text
/// without any of these stays as it is: where it is no UTF-8, its fields say so.
pub(super) fn utf8<'r>(stream: impl Read + 'r, given: Option<TextEncoding>) -> Result<Box<dyn Read + 'r>> {
    let (head, mut stream) = peek(stream, LOOKED_AT)?;
    let marked = Encoding::for_bom(&head);
    if let Some((_, length)) = marked {
        io::copy(&mut stream.by_ref().take(length as u64), &mut io::sink())?;
    }
    let encoding = given.map(|given| given.0).or(marked.map(|(encoding, _)| encoding));
    let encoding = encoding.or_else(|| unmarked(&head)).unwrap_or(UTF_8);
    ensure!(
        encoding != UTF_8 || !head.contains(&0),
        "it is no text, or text of an encoding that --encoding must name: it has bytes of value 0"
    );
    if encoding == UTF_8 {
        return Ok(Box::new(stream));
    }
    Ok(Box::new(Converted::new(stream, encoding)))
}

/// UTF-16 by its zero bytes: what is written with few other signs than ours has one in nearly every pair.
fn unmarked(head: &[u8]) -> Option<&'static Encoding> {
    let (pairs, _) = head.as_chunks::<2>();
    let zeros = |place: usize| pairs.iter().filter(|pair| pair.get(place) == Some(&0)).count();
    let (first, second) = (zeros(0), zeros(1));
    let most = |zeros: usize| pairs.len() >= 2 && zeros * 10 > pairs.len() * 4;
    match (most(first), most(second)) {
        (false, true) => Some(UTF_16LE),
        (true, false) => Some(UTF_16BE),
        _ => None,
    }
}

/// Text that is converted as it is read.
struct Converted<R> {
    stream: R,
    decoder: Decoder,
    raw: Vec<u8>,
    /// The bytes of `raw` that are not converted yet.
    left: std::ops::Range<usize>,
    ended: bool,
    text: Vec<u8>,
    /// The bytes of `text` that were not handed out yet.
    ready: std::ops::Range<usize>,
    finished: bool,
}

impl<R: Read> Converted<R> {
    fn new(stream: R, encoding: &'static Encoding) -> Self {
        Self {
            stream,
            decoder: encoding.new_decoder_without_bom_handling(),
            raw: vec![0; PIECE],
            left: 0..0,
            ended: false,
            text: vec![0; PIECE],
            ready: 0..0,
            finished: false,
        }
    }

    /// Converts the next piece; nothing at the end.
    fn convert(&mut self) -> io::Result<()> {
        loop {
            if self.left.is_empty() && !self.ended {
                self.left = 0..self.stream.read(&mut self.raw)?;
                self.ended = self.left.is_empty();
            }
            let raw = self.raw.get(self.left.clone()).unwrap_or_default();
            let (state, read, written, _) = self.decoder.decode_to_utf8(raw, &mut self.text, self.ended);
            self.left.start += read;
            self.ready = 0..written;
            // The decoder must not be asked again once it has ended.
            self.finished = self.ended && matches!(state, CoderResult::InputEmpty);
            if written > 0 || self.finished {
                return Ok(());
            }
        }
    }
}

impl<R: Read> Read for Converted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.ready.is_empty() && !self.finished {
            self.convert()?;
        }
        let mut ready = self.text.get(self.ready.clone()).unwrap_or_default();
        let handed = ready.read(out)?;
        self.ready.start += handed;
        Ok(handed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], encoding: Option<&str>) -> Result<String> {
        let mut text = String::new();
        utf8(bytes, encoding.map(|name| name.parse().unwrap()))?.read_to_string(&mut text)?;
        Ok(text)
    }

    fn utf16(text: &str, big: bool, mark: bool) -> Vec<u8> {
        let mark = if mark { "\u{feff}" } else { "" };
        let units = mark.encode_utf16().chain(text.encode_utf16());
        units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    #[test]
    fn text_is_converted_from_the_encoding_that_it_names_betrays_or_is_given() {
        let long = "user,用户\n1,é\n".repeat(5_000);
        for big in [true, false] {
            assert_eq!(read(&utf16(&long, big, true), None).unwrap(), long);
            assert_eq!(read(&utf16("user,room\n1,2\n", big, false), None).unwrap(), "user,room\n1,2\n");
        }
        let (gbk, ..) = encoding_rs::GBK.encode(&long);
        assert_eq!(read(&gbk, Some("gbk")).unwrap(), long);
        assert_eq!(read(b"caf\xe9", Some("windows-1252")).unwrap(), "café");
        assert_eq!(read(b"\xef\xbb\xbfmarked", None).unwrap(), "marked");
        assert_eq!(read(b"", Some("gbk")).unwrap(), "");
    }

    #[test]
    fn what_is_no_text_or_no_encoding_is_refused() {
        assert!(read(b"ab\0cdef\0g", None).unwrap_err().to_string().contains("--encoding"));
        assert!("latin-99".parse::<TextEncoding>().unwrap_err().to_string().contains("gbk"));
    }
}
