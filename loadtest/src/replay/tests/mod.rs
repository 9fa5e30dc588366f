//! Files as people have them, read.

mod ids;
mod lines;
mod public;
mod times;

use anyhow::Result;

use super::{ReadOptions, Recording, read};

const HEADER: &str = "user_id,room_id,coupon_id,grab_time";

fn file(text: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn read_as(text: impl AsRef<[u8]>, reading: &ReadOptions) -> Result<Recording> {
    read(file(text).path(), reading)
}

/// Lines under the header of this project's traces.
fn ours(lines: &str) -> Result<Recording> {
    read_as(format!("{HEADER}\n{lines}"), &ReadOptions::default())
}

fn refused(text: impl AsRef<[u8]>, reading: &ReadOptions) -> String {
    format!("{:#}", read_as(text, reading).unwrap_err())
}

fn described(recording: &Recording) -> String {
    recording.described().join("\n")
}
