//! Files that may hold what is about people: which user got what answer. They are their owner's alone.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// The permissions of such a file: its owner alone reads and writes it.
const OWNER_ONLY: u32 = 0o600;

/// Makes a file that no other user may read, or empties the one that is there.
///
/// # Errors
/// When it cannot be written, or others could go on reading it.
pub fn private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(OWNER_ONLY).open(path)?;
    // One that was there before keeps its mode; a pipe or a device is not this program's to close.
    if file.metadata()?.is_file() {
        file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
    }
    Ok(file)
}

/// Writes such a file whole, or leaves none.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let written = private(path).and_then(|mut file| file.write_all(text.as_bytes()));
    if written.is_err() {
        // It may not even be there.
        let _ = std::fs::remove_file(path);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_its_owners_alone_also_when_it_was_there_before() {
        let folder = tempfile::tempdir().unwrap();
        let (new, old) = (folder.path().join("new"), folder.path().join("old"));
        std::fs::write(&old, "earlier").unwrap();
        std::fs::set_permissions(&old, Permissions::from_mode(0o644)).unwrap();
        for path in [&new, &old] {
            private(path).unwrap();
            let found = std::fs::metadata(path).unwrap();
            assert_eq!((found.permissions().mode() & 0o777, found.len()), (OWNER_ONLY, 0));
        }
        assert!(private(Path::new("/dev/null")).is_ok());
    }
}
