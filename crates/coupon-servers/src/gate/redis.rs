//! Redis, as this process reaches it: at one address, or where Sentinels say that it is.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use coupon_core::PerGate;
use coupon_store::settings::ServerUrl;
use deadpool_redis::redis::{self, AsyncConnectionConfig, Client, ErrorKind, RedisResult, TlsCertificates};
use deadpool_redis::{Connection, Manager, Pool, Runtime};

use super::replication::told;
use super::sentinel::{SentinelUrl, Sentinels};
use crate::seam::elected;
use crate::tls;

const CONNECT: Duration = Duration::from_secs(3);
/// Filling a gate asks for much at once; each link has its own limit.
pub(crate) const RESPONSE: Duration = Duration::from_secs(30);
/// Threads and tasks that talk to Redis each keep one connection: more than there can be of them.
const CONNECTIONS: usize = 1_100;
/// Before this version, Redis writes scripts to its file and to its replicas: a script that is there would not prove
/// that nothing was lost.
const OLDEST: u32 = 7;

const EXAMPLE: &str = "an address is redis://:password@host:6379 or, of Sentinels, \
                       redis+sentinel://:password@host:26379,host2:26379/service";

/// The address of Redis, or of the Sentinels that know it.
#[derive(Clone)]
pub struct RedisServer(Arc<Inner>);

struct Inner {
    /// The hosts that the setting names.
    hosts: String,
    trust: Trust,
    sentinels: Option<Sentinels>,
    /// The Redis that takes reservations, once it is known.
    primary: RwLock<Option<Arc<Primary>>>,
}

/// A Redis that takes reservations.
pub(super) struct Primary {
    pool: Pool,
    /// Its place, as main has it: its host or, where it was elected, also by which fail-over.
    place: String,
    /// The number of that fail-over; 0 where it was not elected.
    failover: u64,
}

/// Shows no more than the hosts: the driver's own text may hold the password.
impl std::fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RedisServer({})", self.0.hosts)
    }
}

/// Redis cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("setting `servers.redis`: Redis at {host}: {why}")]
pub struct RedisError {
    host: String,
    /// The reason, without the setting and the host.
    pub(super) why: String,
}

/// The authority that signed the servers' certificates, as PEM; without one, those that browsers trust.
pub(super) struct Trust(pub(super) Option<Vec<u8>>);

impl Trust {
    pub(super) fn client(&self, url: &str) -> RedisResult<Client> {
        match &self.0 {
            Some(pem) => {
                let trusted = TlsCertificates { client_tls: None, root_cert: Some(pem.clone()) };
                Client::build_with_tls(url, trusted)
            }
            None => Client::open(url),
        }
    }

    fn pool(&self, url: &str) -> anyhow::Result<Pool> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(RESPONSE));
        let server = self.client(url)?.get_connection_info().clone();
        let manager = Manager::new_with_config(server, config)?;
        Ok(Pool::builder(manager).max_size(CONNECTIONS).runtime(Runtime::Tokio1).build()?)
    }
}

impl RedisServer {
    /// The Redis of each gate that the setting names.
    ///
    /// # Errors
    /// When it names none, or one of them is no address of one.
    pub fn list(urls: &[ServerUrl]) -> anyhow::Result<PerGate<Self>> {
        anyhow::ensure!(!urls.is_empty(), "setting `servers.redis` is missing; {EXAMPLE}");
        let gates: Vec<Self> = urls.iter().map(Self::new).collect::<anyhow::Result<_>>()?;
        PerGate::list(gates).context("setting `servers.redis`")
    }

    /// The Redis that an address in the setting names.
    ///
    /// # Errors
    /// When it is no address of one.
    pub fn new(url: &ServerUrl) -> anyhow::Result<Self> {
        let wrong =
            |error: &dyn std::fmt::Display| anyhow::anyhow!("setting `servers.redis`: {error}; {EXAMPLE}");
        let sentinels = SentinelUrl::read(url.expose()).map_err(|error| wrong(&error))?;
        let (encrypted, how) = match &sentinels {
            Some(sentinels) => (sentinels.encrypted, "rediss+sentinel:// at its beginning"),
            None => (url.expose().starts_with("rediss://"), "rediss:// at its beginning"),
        };
        tls::check("servers.redis", url, encrypted, how)?;
        let trust = Trust(tls::authority(url)?);
        let (sentinels, primary) = match sentinels {
            Some(of) => (Some(Sentinels::new(&of, &trust).map_err(|error| wrong(&error))?), None),
            None => {
                let pool = trust.pool(url.expose()).map_err(|error| wrong(&error))?;
                (None, Some(Arc::new(Primary { pool, place: url.host().to_owned(), failover: 0 })))
            }
        };
        let hosts = url.host().to_owned();
        Ok(Self(Arc::new(Inner { hosts, trust, sentinels, primary: RwLock::new(primary) })))
    }

    /// A connection.
    ///
    /// # Errors
    /// [`RedisError`] when there is none to be had.
    pub async fn connect(&self) -> Result<Connection, RedisError> {
        Ok(self.line().await?.1)
    }

    /// The Redis that takes reservations now, and a connection to it.
    pub(super) async fn line(&self) -> Result<(Arc<Primary>, Connection), RedisError> {
        let primary = self.find().await?;
        let connection = primary.pool.get().await.map_err(|error| self.error(&error))?;
        Ok((primary, connection))
    }

    /// Asks Sentinels where it is. Where none of them answers, or most do not and the others have not heard of the last
    /// fail-over, it is where it was last.
    pub(super) async fn find(&self) -> Result<Arc<Primary>, RedisError> {
        let known = self.known();
        let Some(sentinels) = &self.0.sentinels else { return known.ok_or_else(|| self.error(&"unknown")) };
        let told = match (sentinels.ask().await, known) {
            (Ok(heard), Some(known)) if !heard.of_most && heard.latest.failover < known.failover => {
                return Ok(known);
            }
            (Ok(heard), _) => heard.latest,
            (Err(_), Some(known)) => return Ok(known),
            (Err(why), None) => return Err(self.error(&why)),
        };
        let place = elected(&told.host, sentinels.service(), told.failover);
        let is_known = |primary: &Option<Arc<Primary>>| primary.clone().filter(|known| known.place == place);
        if let Some(known) = is_known(&self.known()) {
            return Ok(known);
        }
        let pool = self.0.trust.pool(&sentinels.url_of(&told.host)).map_err(|error| self.error(&error))?;
        let mut primary = self.0.primary.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been faster.
        if let Some(known) = is_known(&primary) {
            return Ok(known);
        }
        if let Some(before) = &*primary {
            tracing::warn!(from = before.place, to = place, "Redis has failed over");
        }
        let found = Arc::new(Primary { pool, place, failover: told.failover });
        *primary = Some(Arc::clone(&found));
        Ok(found)
    }

    fn known(&self) -> Option<Arc<Primary>> {
        self.0.primary.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says whether that one is where reservations are taken, as far as this process knows.
    pub(super) fn is_at(&self, primary: &Arc<Primary>) -> bool {
        self.0.sentinels.is_none() || self.known().is_some_and(|known| Arc::ptr_eq(&known, primary))
    }

    /// Its place, without the password: of one that Sentinels have not told of yet, theirs.
    #[must_use]
    pub fn place(&self) -> String {
        self.known().map_or_else(|| self.0.hosts.clone(), |primary| primary.place.clone())
    }

    /// Refuses a Redis that cannot be a gate: one of a cluster or a replica, and one that would forget reservations of
    /// its own accord, or could hide that it has. Returns its own name for this run of it, if it gives one.
    ///
    /// # Errors
    /// When it cannot be asked, is too old, in cluster mode or a replica, evicts keys, or writes no log.
    pub async fn check(&self) -> Result<Option<String>, RedisError> {
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
                host = self.place(),
                "Redis does not say whether it evicts keys and writes a log: it must not, and must"
            );
        }
        Ok(told(&info, "run_id").map(str::to_owned))
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

    pub(crate) fn error(&self, error: &dyn std::fmt::Display) -> RedisError {
        let text = error.to_string();
        let why =
            if text.contains("WRONGPASS") || text.contains("NOAUTH") || text.contains("AuthenticationFailed")
            {
                format!("the password is wrong or missing ({text})")
            } else {
                format!("{text}{}", tls::hint(&text))
            };
        RedisError { host: self.place(), why }
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
