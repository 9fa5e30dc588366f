//! The lock under which a data set is made, opened or removed: by one process at a time.

use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::Cluster;
use crate::mysql::{BOOKS_LOCK, DatabaseError, SILENT_DAYS_S};

/// The longest wait for another process that is making or changing the same databases, in seconds.
const SETUP_WAIT_S: u32 = 120;

/// The lock lasts as long as the connection.
#[derive(Debug)]
pub(crate) struct SetupLock {
    conn: Conn,
}

impl Cluster {
    pub(crate) async fn lock(&self) -> Result<SetupLock, DatabaseError> {
        let mut conn = self.main.connect_server().await?;
        let name = format!("{}.setup", self.namespace.as_str());
        let locked: Option<Option<i64>> = conn
            .exec_first("SELECT GET_LOCK(?, ?)", (name, SETUP_WAIT_S))
            .await
            .map_err(|error| self.main.error(&error))?;
        if locked.flatten() == Some(1) {
            return Ok(SetupLock { conn });
        }
        let why = format!("another process has been making or filling it for more than {SETUP_WAIT_S} s");
        Err(self.main.failed(why, false))
    }

    /// The name of the lock by which one archive, rebuild of the books or copy at a time has a data set in hand.
    #[must_use]
    pub fn archive_lock(&self) -> String {
        format!("{}.{BOOKS_LOCK}", self.namespace.as_str())
    }
}

impl SetupLock {
    /// Keeps it for a caller that says nothing for hours: until then a server gives up a connection that is silent for
    /// one.
    pub(crate) async fn keep_for_days(&mut self) -> mysql_async::Result<()> {
        self.conn.query_drop(format!("SET SESSION wait_timeout = {SILENT_DAYS_S}")).await
    }

    /// Takes a lock of another name as well, which lasts as long. False if another connection has it.
    pub(crate) async fn take_too(&mut self, name: String) -> mysql_async::Result<bool> {
        let taken: Option<Option<i64>> = self.conn.exec_first("SELECT GET_LOCK(?, 0)", (name,)).await?;
        Ok(taken.flatten() == Some(1))
    }

    /// Keeps it, if it is not lost.
    pub(crate) async fn keep(&mut self) -> mysql_async::Result<()> {
        self.conn.ping().await
    }
}
