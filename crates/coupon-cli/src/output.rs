//! Files and folders that results are written to, opened before anything is measured.

use std::fs::{File, TryLockError};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::files;

/// A file to be written, opened before the measurement: that its figures cannot be kept is nothing to learn afterwards.
#[derive(Debug)]
pub struct Output {
    refusal: String,
    file: BufWriter<File>,
}

impl Output {
    /// Opens the file of a flag.
    ///
    /// # Errors
    /// When it cannot be written; the error names the flag.
    pub fn create(flag: &str, path: &Path) -> Result<Self> {
        let refusal = format!("{flag}: cannot write {}", path.display());
        let file = files::private(path).with_context(|| refusal.clone())?;
        Ok(Self { refusal, file: BufWriter::new(file) })
    }

    /// Writes everything, to the last byte; where that fails, to a temporary file, which the error names: what was
    /// measured is not to be had again.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(self, write: impl Fn(&mut BufWriter<File>) -> std::io::Result<()>) -> Result<()> {
        let Self { refusal, mut file } = self;
        let Err(error) = write(&mut file).and_then(|()| file.flush()) else { return Ok(()) };
        Err(error).context(match temporary(write) {
            Ok(copy) => format!("{refusal} (a copy is in {})", copy.display()),
            Err(_) => refusal,
        })
    }

    /// Writes a text.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_text(self, text: &str) -> Result<()> {
        self.write(|file| file.write_all(text.as_bytes()))
    }

    /// Writes something as JSON that people can read as well.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_json(self, value: &impl Serialize) -> Result<()> {
        self.write(|file| {
            serde_json::to_writer_pretty(&mut *file, value)?;
            writeln!(file)
        })
    }
}

fn temporary(write: impl Fn(&mut BufWriter<File>) -> std::io::Result<()>) -> Result<PathBuf> {
    let (file, path) = tempfile::Builder::new().prefix("loadtest-").tempfile()?.keep()?;
    let mut file = BufWriter::new(file);
    write(&mut file).and_then(|()| file.flush())?;
    Ok(path)
}

/// A folder that no other run writes to until this is dropped.
#[derive(Debug)]
pub struct LockedFolder {
    _locked: File,
}

/// Space that a report may need. A full disk takes an empty file all the same.
const REPORT_BYTES: usize = 1 << 20;

/// Makes a folder and sees that a report can be written there, before the measurement as well.
///
/// # Errors
/// When it cannot, or another run writes there; the error names the flag.
pub fn folder(flag: &str, path: &Path) -> Result<LockedFolder> {
    let open = || {
        std::fs::create_dir_all(path)?;
        tempfile::tempfile_in(path)?.write_all(&vec![0; REPORT_BYTES])?;
        File::open(path)
    };
    let folder = open().with_context(|| format!("{flag}: cannot write to the folder {}", path.display()))?;
    // Where there are no locks, there is nothing to say against it.
    if let Err(TryLockError::WouldBlock) = folder.try_lock() {
        bail!(
            "{flag}: another run is about to write to {}: give this one a folder of its own",
            path.display()
        );
    }
    Ok(LockedFolder { _locked: folder })
}
