//! Redis, as this process reaches it.

use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{
    self, AsyncConnectionConfig, ErrorKind, FromRedisValue, Pipeline, RedisError as DriverError,
    ServerErrorKind,
};
use deadpool_redis::{Connection, Manager, Pool, Runtime};
use tokio::sync::Mutex;

use crate::settings::ServerUrl;

const CONNECT: Duration = Duration::from_secs(3);
/// Filling a gate asks for much at once; grabs have a shorter limit of their own.
const RESPONSE: Duration = Duration::from_secs(30);
/// Threads and tasks that talk to Redis each keep one connection.
const CONNECTIONS: usize = 64;

/// Where Redis is.
#[derive(Clone, Debug)]
pub struct RedisServer {
    pool: Pool,
    host: String,
}

/// Redis cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("setting `servers.redis`: Redis at {host}: {why}")]
pub struct RedisError {
    host: String,
    why: String,
}

impl RedisServer {
    /// The Redis that a setting names.
    ///
    /// # Errors
    /// When it is no address of one.
    pub fn new(url: &ServerUrl) -> anyhow::Result<Self> {
        const EXAMPLE: &str = "an address is redis://:password@host:6379";
        anyhow::ensure!(!url.is_empty(), "setting `servers.redis` is missing; {EXAMPLE}");
        let wrong =
            |error: &dyn std::fmt::Display| anyhow::anyhow!("setting `servers.redis`: {error}; {EXAMPLE}");
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(RESPONSE));
        let manager = Manager::new_with_config(url.expose(), config).map_err(|error| wrong(&error))?;
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| wrong(&error))?;
        Ok(Self { pool, host: url.host().to_owned() })
    }

    /// A connection.
    ///
    /// # Errors
    /// [`RedisError`] when there is none to be had.
    pub async fn connect(&self) -> Result<Connection, RedisError> {
        self.pool.get().await.map_err(|error| self.error(&error))
    }

    /// Refuses a Redis that would forget reservations of its own accord.
    ///
    /// # Errors
    /// When it cannot be asked, evicts keys, or writes no log.
    pub async fn check(&self) -> Result<(), RedisError> {
        let mut connection = self.connect().await?;
        let answer: Vec<(String, String)> = redis::cmd("CONFIG")
            .arg("GET")
            .arg("maxmemory-policy")
            .arg("appendonly")
            .query_async(&mut connection)
            .await
            .or_else(|_| Ok::<_, RedisError>(Vec::new()))?;
        let said = |name: &str| answer.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        match (said("maxmemory-policy"), said("appendonly")) {
            (Some(policy), _) if policy != "noeviction" => Err(self.error(&format!(
                "its maxmemory-policy is {policy}, so it may forget who holds a coupon: set it to noeviction"
            ))),
            (_, Some("no")) => {
                Err(self.error(&"it runs without appendonly, so a restart loses the gate: set it to yes"))
            }
            (None, _) | (_, None) => {
                // Redis before 7 takes one name at a time; a managed Redis may hide its settings.
                tracing::warn!(host = self.host, "Redis does not say whether it may evict keys: it must not");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(in super::super) fn error(&self, error: &dyn std::fmt::Display) -> RedisError {
        let text = error.to_string();
        let why =
            if text.contains("WRONGPASS") || text.contains("NOAUTH") || text.contains("AuthenticationFailed")
            {
                format!("the password is wrong or missing ({text})")
            } else {
                text
            };
        RedisError { host: self.host.clone(), why }
    }
}

/// One thread's connection, shared by whatever is under way on it, and replaced once it has failed.
pub(in super::super) struct Link {
    server: RedisServer,
    /// Kept out of the pool for good: taking it anew would cost a round trip each time.
    kept: Mutex<Option<Connection>>,
}

impl Link {
    pub(in super::super) fn new(server: RedisServer) -> Self {
        Self { server, kept: Mutex::new(None) }
    }

    async fn connection(&self) -> Result<MultiplexedConnection, DriverError> {
        let mut kept = self.kept.lock().await;
        if let Some(connection) = kept.as_ref() {
            let shared: &MultiplexedConnection = connection;
            return Ok(shared.clone());
        }
        let connection = self
            .server
            .pool
            .get()
            .await
            .map_err(|error| DriverError::from((ErrorKind::Io, "cannot connect", error.to_string())))?;
        let shared: &MultiplexedConnection = &connection;
        let shared = shared.clone();
        *kept = Some(connection);
        Ok(shared)
    }

    /// Sends all commands at once, and waits for all answers. Any error stands for all.
    pub(in super::super) async fn ask<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
    ) -> Result<T, DriverError> {
        let mut connection = self.connection().await?;
        let answer = pipeline.query_async(&mut connection).await;
        if let Err(error) = &answer
            && (error.is_unrecoverable_error() || error.is_io_error() || error.is_timeout())
        {
            *self.kept.lock().await = None;
        }
        answer
    }
}

/// Whether Redis does not know the script: it has lost its memory.
pub(in super::super) fn is_no_script(error: &DriverError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}
