//! Redis, as this process reaches it.

use std::time::Duration;

use deadpool_redis::redis::{self, AsyncConnectionConfig, Client, ErrorKind, TlsCertificates};
use deadpool_redis::{Connection, Manager, Pool, Runtime};

use super::replication::told;
use crate::servers::tls;
use crate::settings::ServerUrl;

const CONNECT: Duration = Duration::from_secs(3);
/// Filling a gate asks for much at once; each link has its own limit.
pub(in crate::servers) const RESPONSE: Duration = Duration::from_secs(30);
/// Threads and tasks that talk to Redis each keep one connection: more than there can be of them.
const CONNECTIONS: usize = 1_100;
/// Before this version, Redis writes scripts to its file and to its replicas: a script that is there would not prove
/// that nothing was lost.
const OLDEST: u32 = 7;

/// The address of Redis.
#[derive(Clone)]
pub struct RedisServer {
    pool: Pool,
    host: String,
}

/// Shows no more than the host: the driver's own text may hold the password.
impl std::fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RedisServer({})", self.host)
    }
}

/// Redis cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("setting `servers.redis`: Redis at {host}: {why}")]
pub struct RedisError {
    host: String,
    why: String,
}

impl RedisError {
    /// The reason, without the setting and the host.
    pub(super) fn why(&self) -> &str {
        &self.why
    }
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
        let encrypted = url.expose().starts_with("rediss://");
        tls::check("servers.redis", url, encrypted, "rediss:// at its beginning")?;
        let client = match tls::authority(url)? {
            Some(pem) => {
                let trusted = TlsCertificates { client_tls: None, root_cert: Some(pem) };
                Client::build_with_tls(url.expose(), trusted)
            }
            None => Client::open(url.expose()),
        };
        let server = client.map_err(|error| wrong(&error))?.get_connection_info().clone();
        let manager = Manager::new_with_config(server, config).map_err(|error| wrong(&error))?;
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

    /// Its address, without the password.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Refuses a Redis that cannot be a gate: one of a cluster or a replica, and one that would forget reservations of
    /// its own accord, or could hide that it has.
    ///
    /// # Errors
    /// When it cannot be asked, is too old, in cluster mode or a replica, evicts keys, or writes no log.
    pub async fn check(&self) -> Result<(), RedisError> {
        let mut connection = self.connect().await?;
        let info: String =
            redis::cmd("INFO").query_async(&mut connection).await.map_err(|error| self.error(&error))?;
        if let Some(why) = unfit(&info) {
            return Err(self.error(&why));
        }
        let policy = self.setting(&mut connection, "maxmemory-policy").await?;
        if policy.as_deref().is_some_and(|policy| policy != "noeviction") {
            let policy = policy.unwrap_or_default();
            return Err(self.error(&format!(
                "its maxmemory-policy is {policy}, so it may forget who holds a coupon: set it to noeviction"
            )));
        }
        let log = self.setting(&mut connection, "appendonly").await?;
        if log.as_deref() == Some("no") {
            return Err(self.error(&"it runs without appendonly, so a restart loses the gate: set it to yes"));
        }
        if policy.is_none() || log.is_none() {
            tracing::warn!(
                host = self.host,
                "Redis does not say whether it evicts keys and writes a log: it must not, and must"
            );
        }
        Ok(())
    }

    /// A setting of the server's; `None` where the server does not say, as some do not that are run by others.
    async fn setting(&self, connection: &mut Connection, name: &str) -> Result<Option<String>, RedisError> {
        let told: Result<Vec<(String, String)>, _> =
            redis::cmd("CONFIG").arg("GET").arg(name).query_async(connection).await;
        match told {
            Ok(told) => Ok(told.into_iter().next().map(|(_, value)| value)),
            Err(error) if matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) => Ok(None),
            Err(error) => Err(self.error(&error)),
        }
    }

    pub(in crate::servers) fn error(&self, error: &dyn std::fmt::Display) -> RedisError {
        let text = error.to_string();
        let why =
            if text.contains("WRONGPASS") || text.contains("NOAUTH") || text.contains("AuthenticationFailed")
            {
                format!("the password is wrong or missing ({text})")
            } else {
                format!("{text}{}", tls::hint(&text))
            };
        RedisError { host: self.host.clone(), why }
    }
}

/// Says why a Redis with these properties cannot be a gate, if it cannot.
fn unfit(info: &str) -> Option<String> {
    let told = |name| told(info, name);
    let version = told("redis_version").unwrap_or("unknown");
    let major: Option<u32> = version.split('.').next().and_then(|major| major.parse().ok());
    if major.is_none_or(|major| major < OLDEST) {
        return Some(format!("its version is {version}: at least {OLDEST} is needed"));
    }
    if told("cluster_enabled") == Some("1") {
        let why =
            "it is in cluster mode, where no script decides grabs of several coupons: use a Redis without it";
        return Some(why.to_owned());
    }
    // Its own word for a replica.
    (told("role") == Some("slave"))
        .then(|| "it is a replica, which takes no reservations: give the address of its primary".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_gate_is_named() {
        let why = |info: &str| unfit(&info.replace(' ', "\r\n")).unwrap_or_default();
        assert_eq!(why("# redis_version:7.0.15 role:master cluster_enabled:0"), "");
        assert_eq!(why("redis_version:8.0.0 role:master"), "", "what is not told is not held against it");
        for (info, named) in [
            ("redis_version:6.2.1 role:master", "6.2.1"),
            ("role:master", "unknown"),
            ("redis_version:7.0.15 role:master cluster_enabled:1", "cluster mode"),
            ("redis_version:7.0.15 role:slave", "replica"),
        ] {
            assert!(why(info).contains(named), "{info}: {}", why(info));
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let server = RedisServer::new(&ServerUrl::new("redis://:s3cret@h:6379")).unwrap();
        assert_eq!(format!("{server:?}"), "RedisServer(h:6379)");
    }
}
