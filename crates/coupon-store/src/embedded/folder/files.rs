//! The files of a data folder: their names, their lock, who may read them, and which of them are ours to remove.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use coupon_core::ShardId;

use super::error::{FolderError, LockHolder};

const LOCK: &str = "lock";
pub(super) const MAIN: &str = "main.sqlite";
/// Data is about people: no other user of the machine may read it.
const OWN_FILE: u32 = 0o600;
const OWN_FOLDER: u32 = 0o700;
/// The time for which a lock that is taken is tried again: a child process that this one is just starting has all its files,
/// until it runs a program of its own.
const STARTING: Duration = Duration::from_millis(500);

pub(super) fn main(dir: &Path) -> PathBuf {
    dir.join(MAIN)
}

pub(super) fn shard(dir: &Path, shard: ShardId) -> PathBuf {
    dir.join(format!("shard-{shard}.sqlite"))
}

/// True if a file of that name is part of a data set, SQLite's companions (`-wal`, `-shm`, `-journal`) included.
pub(super) fn is_data(name: &str) -> bool {
    let name = ["-wal", "-shm", "-journal"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    name == MAIN || shard_of(name).is_some()
}

/// The shard of whose database that is the name.
fn shard_of(name: &str) -> Option<ShardId> {
    let number = name.strip_prefix("shard-")?.strip_suffix(".sqlite")?;
    number.parse().ok().map(ShardId::new)
}

/// The shards that have a file.
pub(super) fn shards(dir: &Path) -> Result<Vec<ShardId>, FolderError> {
    Ok(names(dir)?.iter().filter_map(|name| shard_of(name)).collect())
}

/// The contents of a folder.
pub(super) fn names(dir: &Path) -> Result<Vec<String>, FolderError> {
    let failed = |error| FolderError::io(dir, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// The first file in the folder that is not ours, if there is one. A folder that does not exist holds none.
pub(super) fn survey(dir: &Path) -> Result<Option<String>, FolderError> {
    if !dir.try_exists().map_err(|error| FolderError::io(dir, error))? {
        return Ok(None);
    }
    // A file system's root, which a container may mount as the folder, has its lost+found.
    let ours = |name: &str| name == LOCK || name == "lost+found" || is_data(name);
    Ok(names(dir)?.into_iter().find(|name| !ours(name)))
}

/// Makes the folder unless it is there, closed to other users. One that is there stays as it is: its maker decides.
pub(super) fn make_dir(dir: &Path) -> Result<(), FolderError> {
    let made = DirBuilder::new().recursive(true).mode(OWN_FOLDER).create(dir);
    made.map_err(|error| FolderError::io(dir, error))
}

/// Makes an empty file that no other user may read. SQLite gives the files that it makes beside it the same
/// permissions.
pub(super) fn make_private(path: &Path) -> Result<(), FolderError> {
    let made = File::options().write(true).create_new(true).mode(OWN_FILE).open(path);
    made.map(drop).map_err(|error| FolderError::io(path, error))
}

/// Makes the data's files private to their owner: earlier versions let others read them. A file may be gone by then: SQLite
/// removes its log when the last connection to a database ends.
pub(super) fn keep_private(dir: &Path) -> Result<(), FolderError> {
    for name in names(dir)?.iter().filter(|name| is_data(name)) {
        let path = dir.join(name);
        let kept = fs::metadata(&path).and_then(|file| {
            let others = file.permissions().mode() & !OWN_FILE & 0o777 != 0;
            if others { fs::set_permissions(&path, Permissions::from_mode(OWN_FILE)) } else { Ok(()) }
        });
        match kept {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(FolderError::io(&path, error)),
            _ => {}
        }
    }
    Ok(())
}

/// Takes the folder's lock, which lasts as long as the file returned, and leaves this process's number in it.
pub(super) fn lock(dir: &Path) -> Result<File, FolderError> {
    let path = dir.join(LOCK);
    let failed = |error| FolderError::io(&path, error);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(OWN_FILE)
        .open(&path)
        .map_err(|error| if dir.is_dir() { failed(error) } else { FolderError::io(dir, error) })?;
    match try_lock(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(FolderError::Locked { dir: dir.to_owned(), holder: LockHolder(pid) });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    file.set_len(0).map_err(failed)?;
    writeln!(file, "{}", std::process::id()).map_err(failed)?;
    Ok(file)
}

fn try_lock(file: &File) -> Result<(), TryLockError> {
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if began.elapsed() < STARTING => thread::sleep(STARTING / 50),
            tried => return tried,
        }
    }
}

/// Removes what belongs to a data set: main first, so that what is left of it is never taken for a whole one.
pub(super) fn remove(dir: &Path) -> Result<(), FolderError> {
    for name in names(dir)?.iter().filter(|name| is_data(name)) {
        let path = dir.join(name);
        fs::remove_file(&path).map_err(|error| FolderError::io(&path, error))?;
    }
    sync_dir(dir)
}

/// Removes a database's file, and SQLite's companions of it, if they are there.
pub(super) fn remove_database(path: &Path) -> Result<(), FolderError> {
    for end in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(FolderError::io(path, error)),
            _ => {}
        }
    }
    Ok(())
}

/// Makes the folder's list of files survive a power failure.
pub(super) fn sync_dir(dir: &Path) -> Result<(), FolderError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| FolderError::io(dir, error))
}
