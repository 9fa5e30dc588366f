//! Sentinels: they know which Redis takes reservations, and elect another when it is gone.
//!
//! A Sentinel that was cut off from the others names one that has been replaced. So all are asked, and the one that has heard of
//! the latest fail-over is believed: each has a number that no other has.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{self, Client, RedisResult};
use futures_util::future::join_all;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::redis::Trust;

/// The port of a Sentinel whose address names none.
const PORT: u16 = 26_379;
/// The longest that a Sentinel may take to answer.
const ANSWER: Duration = Duration::from_millis(500);
/// The least time between two questions: after a fail-over every thread asks.
const PAUSE: Duration = Duration::from_millis(100);

/// An address of Sentinels: `redis+sentinel://[user:password@]host:26379,host2:26379/service[/database]`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SentinelUrl<'a> {
    /// True if they, and Redis, are spoken to over TLS.
    pub(super) encrypted: bool,
    /// User and password with the `@` behind them, or nothing.
    login: &'a str,
    hosts: Vec<&'a str>,
    service: &'a str,
    database: &'a str,
}

impl<'a> SentinelUrl<'a> {
    /// Reads one; none where the address is another.
    pub(super) fn read(url: &'a str) -> Result<Option<Self>, &'static str> {
        let (encrypted, rest) =
            match (url.strip_prefix("redis+sentinel://"), url.strip_prefix("rediss+sentinel://")) {
                (Some(rest), _) => (false, rest),
                (_, Some(rest)) => (true, rest),
                (None, None) => return Ok(None),
            };
        // The password first: it may hold anything that ends a host.
        let (login, rest) = rest.rfind('@').map_or(("", rest), |at| rest.split_at(at + 1));
        let mut parts = rest.split('/');
        let hosts: Vec<&str> = parts.next().unwrap_or_default().split(',').map(str::trim).collect();
        let (service, database) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if hosts.iter().any(|host| host.is_empty()) {
            return Err("a Sentinel has no host");
        }
        if service.is_empty() || service.contains(['?', ' ']) || parts.next().is_some() {
            return Err("the Sentinels' name for their Redis is missing, or is none");
        }
        if !database.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("the database behind the Sentinels' name for their Redis is no number");
        }
        Ok(Some(Self { encrypted, login, hosts, service, database }))
    }

    fn scheme(&self) -> &'static str {
        if self.encrypted { "rediss" } else { "redis" }
    }
}

/// What a Sentinel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// Host and port of the Redis that takes reservations.
    pub(super) host: String,
    /// The number of the fail-over by which it was elected; 0 before the first.
    pub(super) failover: u64,
}

/// What all that answer say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heard {
    /// The word of the one that has heard of the latest fail-over.
    pub(super) latest: Told,
    /// True if most of them have answered.
    pub(super) of_most: bool,
}

/// The Sentinels of one Redis.
pub(super) struct Sentinels {
    service: String,
    sentinels: Vec<Sentinel>,
    /// What stands before and behind the host in the address of a Redis.
    around: (String, String),
    /// Their last answer, and when it came.
    last: Mutex<Option<(Instant, Result<Heard, String>)>>,
}

impl Sentinels {
    pub(super) fn new(of: &SentinelUrl<'_>, trust: &Trust) -> RedisResult<Self> {
        let (scheme, login) = (of.scheme(), of.login);
        let sentinels = of.hosts.iter().map(|host| {
            let host = if has_port(host) { (*host).to_owned() } else { format!("{host}:{PORT}") };
            Ok(Sentinel {
                open: trust.client(&format!("{scheme}://{host}"))?,
                with_login: trust.client(&format!("{scheme}://{login}{host}"))?,
                asks_for_login: AtomicBool::new(false),
                host,
            })
        });
        Ok(Self {
            service: of.service.to_owned(),
            sentinels: sentinels.collect::<RedisResult<_>>()?,
            around: (format!("{scheme}://{login}"), format!("/{}", of.database)),
            last: Mutex::new(None),
        })
    }

    /// Their name for the Redis.
    pub(super) fn service(&self) -> &str {
        &self.service
    }

    /// The address of a Redis, user and password included.
    pub(super) fn url_of(&self, host: &str) -> String {
        let (before, behind) = &self.around;
        format!("{before}{host}{behind}")
    }

    /// Asks all of them; the error says why none has answered.
    pub(super) async fn ask(&self) -> Result<Heard, String> {
        let mut last = self.last.lock().await;
        if let Some((_, heard)) = last.as_ref().filter(|(asked, _)| asked.elapsed() < PAUSE) {
            return heard.clone();
        }
        let asked = join_all(self.sentinels.iter().map(|sentinel| sentinel.ask(&self.service))).await;
        let heard = together(asked);
        *last = Some((Instant::now(), heard.clone()));
        heard
    }
}

/// The answer that tells of the latest fail-over, the first of several.
fn together(answers: Vec<Result<Told, String>>) -> Result<Heard, String> {
    let all = answers.len();
    let (mut latest, mut silent): (Option<Told>, Vec<String>) = (None, Vec::new());
    for answer in answers {
        match answer {
            Ok(told) if latest.as_ref().is_none_or(|latest| told.failover > latest.failover) => {
                latest = Some(told);
            }
            Ok(_) => {}
            Err(why) => silent.push(why),
        }
    }
    let latest = latest.ok_or_else(|| format!("no Sentinel says where it is: {}", silent.join("; ")))?;
    Ok(Heard { latest, of_most: 2 * silent.len() < all })
}

/// One Sentinel. It may ask for the same password as Redis, or for none.
struct Sentinel {
    host: String,
    open: Client,
    with_login: Client,
    asks_for_login: AtomicBool,
}

impl Sentinel {
    async fn ask(&self, service: &str) -> Result<Told, String> {
        let asked = async {
            if !self.asks_for_login.load(Ordering::Relaxed) {
                match ask_over(&self.open, service).await {
                    Err(error) if error.code() == Some("NOAUTH") => {
                        self.asks_for_login.store(true, Ordering::Relaxed);
                    }
                    answer => return answer,
                }
            }
            ask_over(&self.with_login, service).await
        };
        let told = match timeout(ANSWER, asked).await {
            Ok(Ok(told)) => told.ok_or_else(|| "its answer is not one of ours".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("it did not answer in time".to_owned()),
        };
        told.map_err(|why| format!("{}: {why}", self.host))
    }
}

/// Asks over a connection of its own.
async fn ask_over(client: &Client, service: &str) -> RedisResult<Option<Told>> {
    let mut connection = client.get_multiplexed_async_connection().await?;
    // The number first, so that no Redis passes for one of a later fail-over: a Sentinel has the number before it names another.
    let of: HashMap<String, String> = question("MASTER", service, &mut connection).await?;
    let place: Option<(String, u16)> = question("GET-MASTER-ADDR-BY-NAME", service, &mut connection).await?;
    let failover = of.get("config-epoch").and_then(|number| number.parse().ok());
    Ok(place.zip(failover).map(|((host, port), failover)| Told { host: joined(&host, port), failover }))
}

async fn question<T: redis::FromRedisValue>(
    name: &str,
    service: &str,
    connection: &mut MultiplexedConnection,
) -> RedisResult<T> {
    redis::cmd("SENTINEL").arg(name).arg(service).query_async(connection).await
}

/// True of a host with a port behind it.
fn has_port(host: &str) -> bool {
    // Colons are in the addresses of IPv6 as well, which are in brackets here.
    host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
        && (host.starts_with('[') == host.contains("]:"))
}

/// Host and port, as an address has them.
fn joined(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_sentinels_is_read() {
        let read = SentinelUrl::read("redis+sentinel://u:p@/ss@h:1, other/mymaster/3").unwrap().unwrap();
        let hosts = vec!["h:1", "other"];
        let (encrypted, login) = (false, "u:p@/ss@");
        assert_eq!(read, SentinelUrl { encrypted, login, hosts, service: "mymaster", database: "3" });
        assert!(SentinelUrl::read("rediss+sentinel://h/mymaster").unwrap().unwrap().encrypted);
        assert_eq!(SentinelUrl::read("redis://h:1"), Ok(None));
        for (url, says) in [
            ("redis+sentinel://h:1", "name"),
            ("redis+sentinel://h:1/", "name"),
            ("redis+sentinel://h:1,/mymaster", "host"),
            ("redis+sentinel:///mymaster", "host"),
            ("redis+sentinel://h/mymaster/x", "number"),
            ("redis+sentinel://h/mymaster/1/2", "name"),
            ("redis+sentinel://h/mymaster?db=1", "name"),
        ] {
            assert!(SentinelUrl::read(url).unwrap_err().contains(says), "{url}");
        }
    }

    #[test]
    fn a_port_that_is_not_named_is_sentinels_own() {
        for (host, wanted) in
            [("h", false), ("h:1", true), ("[::1]", false), ("[::1]:1", true), ("10.0.0.1", false)]
        {
            assert_eq!(has_port(host), wanted, "{host}");
        }
        assert_eq!((joined("h", 1), joined("::1", 1)), ("h:1".to_owned(), "[::1]:1".to_owned()));
    }

    #[test]
    fn a_redis_has_the_login_and_the_database_of_its_sentinels() {
        let of = SentinelUrl::read("rediss+sentinel://:p%40@h/mymaster/2").unwrap().unwrap();
        let sentinels = Sentinels::new(&of, &Trust(None)).unwrap();
        assert_eq!(sentinels.url_of("10.0.0.1:6379"), "rediss://:p%40@10.0.0.1:6379/2");
        assert_eq!(sentinels.sentinels[0].host, "h:26379");
    }

    #[test]
    fn the_sentinel_that_has_heard_of_the_latest_failover_is_believed() {
        let told = |host: &str, failover| Told { host: host.to_owned(), failover };
        let away = || Err("h: away".to_owned());
        let heard = |latest, of_most| Ok(Heard { latest, of_most });
        assert_eq!(together(vec![Ok(told("a", 3)), away(), Ok(told("b", 4))]), heard(told("b", 4), true));
        assert_eq!(together(vec![Ok(told("a", 3)), Ok(told("b", 3))]), heard(told("a", 3), true));
        assert_eq!(together(vec![away(), Ok(told("a", 3))]), heard(told("a", 3), false));
        assert!(together(vec![away(), away()]).unwrap_err().contains("h: away; h: away"));
    }
}
