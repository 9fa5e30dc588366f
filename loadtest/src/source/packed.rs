//! Packed files: gzip and zstd are unpacked, what is no text is refused by its name.

use std::io::{self, BufRead, BufReader, Read};

use anyhow::{Result, bail};
use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::peek::peek;

/// Enough to see the first name within a zip archive.
const LOOKED_AT: usize = 64;

/// The first bytes of kinds of files that are no tables of text, and what to do about them.
const OTHERS: [(&[u8], &str); 6] = [
    (b"PAR1", "it is a Parquet file: export it as CSV, for example with DuckDB"),
    (b"BZh", "it is packed by bzip2: unpack it first, for example bzip2 -dc FILE | … -"),
    (b"\xfd7zXZ\0", "it is packed by xz: unpack it first, for example xz -dc FILE | … -"),
    (b"7z\xbc\xaf", "it is a 7z archive: unpack it first"),
    (b"SQLite format 3\0", "it is an SQLite database: export the table as CSV"),
    (b"\xd0\xcf\x11\xe0", "it is an Excel workbook of the old kind: save the sheet as CSV"),
];

/// The text within.
pub(crate) fn unpacked<'r>(stream: impl Read + 'r) -> Result<Box<dyn Read + 'r>> {
    let (head, stream) = peek(stream, LOOKED_AT)?;
    if head.starts_with(b"PK\x03\x04") {
        bail!(zip(&head));
    }
    if let Some((_, way_out)) = OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
        bail!(*way_out);
    }
    Ok(match head.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(BufReader::new(stream))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Box::new(Frames::new(BufReader::new(stream)))
        }
        _ => Box::new(stream),
    })
}

/// An Excel workbook is a zip archive too.
fn zip(head: &[u8]) -> &'static str {
    let name = head.get(30..).unwrap_or_default();
    if name.starts_with(b"[Content_Types].xml") || name.starts_with(b"xl/") || name.starts_with(b"_rels/") {
        "it is an Excel workbook: save the sheet as CSV"
    } else {
        "it is a zip archive: unpack it first, for example unzip -p FILE | … -"
    }
}

/// The zstd frames of a stream, one after the other.
struct Frames<R> {
    stream: R,
    decoder: FrameDecoder,
    within: bool,
}

impl<R: BufRead> Frames<R> {
    fn new(stream: R) -> Self {
        Self { stream, decoder: FrameDecoder::new(), within: false }
    }

    /// Begins the next frame; false at the end of the stream. Frames that hold no data are skipped.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.stream.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.stream) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    io::copy(&mut self.stream.by_ref().take(u64::from(length)), &mut io::sink())?;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.within && !self.begin()? {
                return Ok(0);
            }
            self.within = true;
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.stream, one).map_err(io::Error::other)?;
            }
            match self.decoder.read(out)? {
                0 if !out.is_empty() => self.within = false,
                some => return Ok(some),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn text(bytes: &[u8]) -> Result<String> {
        let mut text = String::new();
        unpacked(bytes)?.read_to_string(&mut text)?;
        Ok(text)
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &str) -> Vec<u8> {
        compress_to_vec(text.as_bytes(), CompressionLevel::Fastest)
    }

    #[test]
    fn gzip_and_zstd_are_unpacked_to_the_last_of_their_parts() {
        let long = "a,b\n".repeat(100_000);
        for pack in [gzip, zstd] {
            assert_eq!(text(&pack(&long)).unwrap(), long);
            assert_eq!(text(&[pack("one\n"), pack("two\n")].concat()).unwrap(), "one\ntwo\n");
        }
        let skipped = [&b"\x50\x2a\x4d\x18\x03\0\0\0xyz"[..], &zstd("after")].concat();
        assert_eq!(text(&skipped).unwrap(), "after");
        assert_eq!((text(b"plain").unwrap(), text(b"").unwrap()), ("plain".to_owned(), String::new()));
    }

    #[test]
    fn a_packed_file_that_was_cut_short_is_an_error() {
        for whole in [gzip(&"abc".repeat(1_000)), zstd(&"abc".repeat(1_000))] {
            assert!(text(&whole[..whole.len() - 5]).is_err());
        }
    }

    #[test]
    fn what_is_no_text_is_refused_by_its_name() {
        let archive = |name: &str| [&b"PK\x03\x04"[..], &[0; 26], name.as_bytes()].concat();
        for (bytes, named) in [
            (archive("[Content_Types].xml"), "Excel"),
            (archive("events.csv"), "zip archive"),
            (b"PAR1....".to_vec(), "Parquet"),
            (b"BZh91AY".to_vec(), "bzip2"),
            (b"SQLite format 3\0".to_vec(), "SQLite"),
        ] {
            let error = text(&bytes).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
