//! Connections to the files of a folder, all set alike.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{FolderError, files};

const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Pages of log before it is folded into its database: 48 MB, so that a page which many commits touch is folded in
/// once.
const WAL_PAGES: i64 = 12_000;
/// Range strategies have many tables, and each has its own few statements.
const CACHED_STATEMENTS: usize = 512;

pub(super) fn connect(path: &Path, more: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
    db.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    Ok(db)
}

pub(super) fn query_only(db: Connection) -> rusqlite::Result<Connection> {
    db.pragma_update(None, "query_only", true)?;
    Ok(db)
}

/// A connection to a file of an open folder that cannot write.
pub(in crate::embedded) fn connect_reader(path: &Path) -> rusqlite::Result<Connection> {
    query_only(connect(path, OpenFlags::empty())?)
}

/// Makes one database file, whole or not at all.
pub(super) fn make(
    path: &Path,
    tables: &[String],
    meta: &str,
    rows: &[(&str, &str)],
) -> Result<(), FolderError> {
    files::make_private(path)?;
    let all = || {
        let mut db = connect(path, OpenFlags::SQLITE_OPEN_CREATE)?;
        let transaction = db.transaction()?;
        for sql in tables {
            transaction.execute_batch(sql)?;
        }
        for row in rows {
            transaction.execute(&format!("INSERT INTO {meta} (name, value) VALUES (?1, ?2)"), *row)?;
        }
        transaction.commit()
    };
    all().map_err(|error| FolderError::sqlite(path, error))
}
