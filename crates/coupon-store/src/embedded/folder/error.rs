//! The faults of a data folder, each in one sentence that names the path.

use std::io;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use coupon_core::ShardId;

/// A folder that cannot be used as asked. Paths are those that a person can look at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum FolderError {
    /// A file is where the folder should be.
    #[error("{path} is not a directory")]
    NotADirectory { path: PathBuf },
    /// The operating system forbids it.
    #[error("no permission to use {path}: {source}")]
    NotPermitted { path: PathBuf, source: io::Error },
    /// Any other failure to read or write.
    #[error("cannot use {path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    /// Another process works on it.
    #[error("{dir} is in use by another process{holder}: stop it first, or choose another folder")]
    Locked { dir: PathBuf, holder: LockHolder },
    /// Files that no part of this system made: nothing here may be overwritten.
    #[error("{dir} holds files that are not coupon data, for example {file:?}: choose an empty folder")]
    Foreign { dir: PathBuf, file: String },
    /// There is nothing to open.
    #[error("{dir} holds no coupon data: fill it first, with the seeder")]
    NoData { dir: PathBuf },
    /// There is something already.
    #[error("{dir} holds coupon data already: choose another folder, or pass --reset to replace it")]
    HoldsData { dir: PathBuf },
    /// A copy was to be made where there is something already, which is no part of it.
    #[error(
        "{dir} holds {there}, and a copy takes the place of none: choose another folder for the copy (--to-set \
         embedded.data=…), or, if nobody needs what is there, remove the folder first"
    )]
    NotForCopy { dir: PathBuf, there: String },
    /// Its creation was cut short, by a crash for example.
    #[error("{dir} holds a data set that was never completed: seed it again with --reset")]
    Incomplete { dir: PathBuf },
    /// Likewise, and it can go on.
    #[error(
        "a copy of data set {source_id} into {dir} is under way, or was cut short: run the same `seeder copy` again, which \
         goes on with it"
    )]
    Copying { dir: PathBuf, source_id: String },
    /// A copy that was cut short, and is not the one asked for.
    #[error(
        "{dir} holds a copy of data set {source_id} laid out as \"{layout}\" that was cut short, and another one is asked \
         for: choose another folder, or add --anew to throw away what is there of it"
    )]
    OtherCopy { dir: PathBuf, source_id: String, layout: String },
    /// It would have to be changed to be read.
    #[error(
        "{dir} holds data of format {found}, made by an earlier version: start its service once, which brings it up to \
         date, and stop it"
    )]
    TooOld { dir: PathBuf, found: u32 },
    /// Rows would be looked for where they are not.
    #[error(
        "{dir} holds data laid out as \"{found}\", and this service's strategy is \"{wanted}\": start the program of that strategy \
         (hash-svc for a hash, range-svc for ranges) with its settings, choose another folder or, if nobody needs what is there, seed it \
         anew with --reset"
    )]
    OtherLayout { dir: PathBuf, found: String, wanted: String },
    /// A shard's file is not there.
    #[error("{path} is missing: restore it, or seed the folder again with --reset")]
    ShardMissing { path: PathBuf },
    /// A shard's file was copied here from somewhere else, or under another number.
    #[error("{path} belongs to {found}, not to {wanted}: restore the right file")]
    ShardOfAnother { path: PathBuf, found: String, wanted: String },
    /// Main was put back to a time before there was that shard, and the shard was not.
    #[error(
        "main knows {known} shards, and {path} is of shard {shard} and holds data: main is of an earlier time than the shards. \
         Put back the whole folder"
    )]
    BeyondMain { path: PathBuf, shard: ShardId, known: NonZeroU16 },
    /// A file that SQLite cannot make sense of.
    #[error("{path} is damaged or no database ({detail}): restore it, or seed the folder again with --reset")]
    Damaged { path: PathBuf, detail: String },
    /// Made by a later version.
    #[error("{dir} holds data of format {found}, but this version knows formats up to {known}: upgrade it")]
    TooNew { dir: PathBuf, found: u32, known: u32 },
    /// Any other complaint of SQLite's.
    #[error("{path}: {source}")]
    Sqlite { path: PathBuf, source: rusqlite::Error },
}

/// The process number that a lock file holds, if it could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockHolder(pub Option<u32>);

impl std::fmt::Display for LockHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |pid| write!(f, " (pid {pid})"))
    }
}

impl FolderError {
    /// Distinguishes the common failures of the file system.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => Self::NotADirectory { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotPermitted { path, source }
            }
            _ => Self::Unreadable { path, source },
        }
    }

    /// Distinguishes a damaged file from SQLite's other complaints.
    pub(crate) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(NotADatabase | DatabaseCorrupt) => Self::Damaged { path, detail: source.to_string() },
            _ => Self::Sqlite { path, source },
        }
    }
}
