//! One thread's connection to Redis, shared by whatever is under way on it, and replaced once it has failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool_redis::Connection;
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{
    ErrorKind, FromRedisValue, Pipeline, RedisError as DriverError, ServerErrorKind,
};
use tokio::sync::Mutex;

use super::redis::Primary;
use super::{RedisError, RedisServer};

/// A thread's way to Redis.
pub(crate) struct Link {
    server: RedisServer,
    patience: Duration,
    /// Kept out of the pool for good: taking it anew would cost a round trip each time.
    kept: Mutex<Option<Arc<Line>>>,
}

/// A connection, and the gate that was found at its other end.
pub(super) struct Line {
    connection: Connection,
    to: Arc<Primary>,
    /// The number of the last epoch for which that Redis was filled; 0 before it was asked.
    epoch: AtomicU64,
}

impl Line {
    pub(super) fn connection(&self) -> MultiplexedConnection {
        let shared: &MultiplexedConnection = &self.connection;
        shared.clone()
    }

    /// Says whether the Redis at its other end is known to be the one that was filled for an epoch.
    pub(super) fn leads_to(&self, epoch: u64) -> bool {
        self.epoch.load(Ordering::Relaxed) == epoch
    }

    /// Takes note that it is.
    pub(super) fn found(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Relaxed);
    }
}

impl Link {
    pub(crate) fn new(server: RedisServer, patience: Duration) -> Self {
        Self { server, patience, kept: Mutex::new(None) }
    }

    /// The place that it leads to, without the password.
    pub(crate) fn place(&self) -> String {
        self.server.place()
    }

    /// Finds out where Redis is now: connections that lead elsewhere are replaced when they are next used.
    pub(super) async fn find(&self) -> Result<(), DriverError> {
        self.server.find().await.map(drop).map_err(away)
    }

    /// The connection that is kept, made anew where there is none, or Redis is elsewhere by now.
    pub(super) async fn line(&self) -> Result<Arc<Line>, DriverError> {
        let mut kept = self.kept.lock().await;
        if let Some(line) = kept.as_ref().filter(|line| self.server.is_at(&line.to)) {
            return Ok(Arc::clone(line));
        }
        let (to, connection) = self.server.line().await.map_err(away)?;
        let line = Arc::new(Line { connection, to, epoch: AtomicU64::new(0) });
        *kept = Some(Arc::clone(&line));
        Ok(line)
    }

    /// Sends all commands at once, and waits for all answers. Any error stands for all.
    pub(crate) async fn ask<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, DriverError> {
        self.within(async { pipeline.query_async(&mut self.line().await?.connection()).await }).await
    }

    /// Waits for answers for as long as it has patience, and replaces a connection that is of no more use.
    pub(super) async fn within<T>(
        &self,
        asked: impl Future<Output = Result<T, DriverError>>,
    ) -> Result<T, DriverError> {
        let answer = tokio::time::timeout(self.patience, asked)
            .await
            .unwrap_or_else(|_| Err(DriverError::from((ErrorKind::Io, "it did not answer in time"))));
        // A connection that does not answer may never do so again, and that would show nowhere else for a long time. Nor is one
        // to a replica of any use.
        if let Err(error) = &answer
            && (error.is_unrecoverable_error()
                || error.is_io_error()
                || error.is_timeout()
                || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly))
        {
            *self.kept.lock().await = None;
        }
        answer
    }
}

fn away(error: RedisError) -> DriverError {
    DriverError::from((ErrorKind::Io, "cannot connect", error.why))
}

/// True if Redis lacks the script: it has lost its memory.
pub(crate) fn is_no_script(error: &DriverError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}
