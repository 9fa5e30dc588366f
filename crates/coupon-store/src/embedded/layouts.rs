//! The versions of the layout in the main database's file, and how far rows have been moved.

use std::num::NonZeroU32;

use coupon_core::{Timestamp, VersionNumber, Versioned};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior, params};

use super::applier::LayoutStep;
use super::catalogue::note;
use super::folder::{Folder, FolderError};
use crate::{Layouts, Moving, VersionRecord, layout_records};

impl Folder {
    /// Every version of the layout, from the first on, and how far rows have been moved, if they ever were.
    ///
    /// # Errors
    /// [`FolderError`] when SQLite cannot read it.
    pub fn recorded_layouts(&self) -> Result<(Vec<VersionRecord>, Option<Moving>), FolderError> {
        let read = || {
            let main = self.connect_main_reader()?;
            Ok((read(&main)?, moving(&main)?))
        };
        read().map_err(|error| FolderError::sqlite(&self.main_path(), error))
    }
}

/// Every version, from the first on.
pub(super) fn read(db: &Connection) -> rusqlite::Result<Vec<VersionRecord>> {
    let sql = "SELECT version, valid_from, layout, receives, closed, announced_at, operator, what FROM layouts \
               ORDER BY version";
    let mut select = db.prepare_cached(sql)?;
    select.query_map([], record)?.collect()
}

fn record(row: &Row<'_>) -> rusqlite::Result<VersionRecord> {
    Ok(VersionRecord {
        number: row.get(0)?,
        from: Timestamp::from_millis(row.get(1)?),
        layout: row.get(2)?,
        receives: row.get(3)?,
        closed: row.get(4)?,
        announced: Timestamp::from_millis(row.get(5)?),
        operator: row.get(6)?,
        what: row.get(7)?,
    })
}

/// Takes a step, in one transaction. Returns the version that the catalogue has by it, and the versions of the layout, if these
/// are others now: what cannot be gone by is not committed.
pub(super) fn take(
    db: &Connection,
    step: &LayoutStep,
    now: Timestamp,
    known: &Layouts,
) -> anyhow::Result<Option<(u64, Versioned)>> {
    let transaction = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
    let version = match step {
        LayoutStep::Announce(version) => {
            add(&transaction, version)?;
            let what = format!(
                "version {} of the layout, in force from {}: {}",
                version.number, version.from, version.what
            );
            Some(note(&transaction, &version.operator, &what, now)?)
        }
        LayoutStep::Receive(moving, operator) => {
            receives(&transaction, moving.to)?;
            set_moving(&transaction, moving, operator.as_str())?;
            let what = format!("rows are moved to where version {} of the layout says", moving.to);
            Some(note(&transaction, operator.as_str(), &what, now)?)
        }
        LayoutStep::Moving(moving) => {
            set_moving(&transaction, moving, "")?;
            None
        }
        LayoutStep::Moved(moving) => {
            close_before(&transaction, moving.to)?;
            set_moving(&transaction, moving, "")?;
            let what = format!("every row is where version {} of the layout says", moving.to);
            let operator: String =
                transaction.query_row("SELECT operator FROM moves WHERE id = 1", [], |row| row.get(0))?;
            Some(note(&transaction, &operator, &what, now)?)
        }
    };
    let taken = match version {
        Some(version) => Some((version, layout_records::versioned(&known.now(), &read(&transaction)?)?)),
        None => None,
    };
    transaction.commit()?;
    Ok(taken)
}

/// Writes a version. There must be none of its number.
pub(super) fn add(db: &Connection, version: &VersionRecord) -> rusqlite::Result<()> {
    let sql = "INSERT INTO layouts (version, valid_from, layout, receives, closed, announced_at, operator, \
               what) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let VersionRecord { number, from, layout, receives, closed, announced, operator, what } = version;
    let (from, announced) = (from.millis(), announced.millis());
    let values = params![number, from, layout, receives, closed, announced, operator, what];
    db.prepare_cached(sql)?.execute(values).map(drop)
}

/// Earlier rows come to where that version says.
pub(super) fn receives(db: &Connection, version: VersionNumber) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE layouts SET receives = 1 WHERE version = ?1")?.execute([version]).map(drop)
}

/// No row is left where versions before that one said.
pub(super) fn close_before(db: &Connection, version: VersionNumber) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE layouts SET closed = 1 WHERE version < ?1")?.execute([version]).map(drop)
}

/// The last movement of rows.
pub(super) fn moving(db: &Connection) -> rusqlite::Result<Option<Moving>> {
    let sql = "SELECT to_version, began, runs, rows_moved, rows_to_look_at, rows_looked_at, rate, trouble, operator \
               FROM moves WHERE id = 1";
    let read = |row: &Row<'_>| {
        Ok(Moving {
            to: row.get(0)?,
            began: Timestamp::from_millis(row.get(1)?),
            runs: row.get(2)?,
            moved: row.get(3)?,
            rows: row.get(4)?,
            looked_at: row.get(5)?,
            rate: NonZeroU32::new(row.get(6)?).unwrap_or(NonZeroU32::MIN),
            rows_per_s: 0.0,
            trouble: row.get(7)?,
            operator: row.get(8)?,
        })
    };
    db.prepare_cached(sql)?.query_row([], read).optional()
}

/// Writes how far it has come.
pub(super) fn set_moving(db: &Connection, moving: &Moving, operator: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO moves (id, to_version, began, operator, runs, rows_to_look_at, rows_looked_at, rows_moved, rate, \
               trouble) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
               ON CONFLICT (id) DO UPDATE SET to_version = ?1, began = ?2, runs = ?4, rows_to_look_at = ?5, \
               rows_looked_at = ?6, rows_moved = ?7, rate = ?8, trouble = ?9, \
               operator = CASE WHEN ?3 = '' THEN operator ELSE ?3 END";
    let Moving { to, began, runs, moved, rows, looked_at, rate, trouble, .. } = moving;
    let values = params![to, began.millis(), operator, runs, rows, looked_at, moved, rate.get(), trouble];
    db.prepare_cached(sql)?.execute(values).map(drop)
}
