//! The auditor's own connections: one to each database, and one to Redis.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, OptsBuilder};
use redis::{Client, Connection, RedisResult, TlsCertificates};
use tokio_rustls::rustls::crypto;

use super::sentinels;

/// The time limit for a connection to come about.
const CONNECT: Duration = Duration::from_secs(3);
/// The time limit for an answer of Redis.
const ANSWER: Duration = Duration::from_secs(10);
/// Times are UTC, and a connection may be silent for as long as the others are read.
const SESSION: &[&str] = &["SET SESSION time_zone = '+00:00'", "SET SESSION wait_timeout = 3600"];
/// An engine gives more than some thousand rows only over a connection that says so.
const SESSION_OF_ENGINE: &[&str] = &["SET workload = 'olap'"];
/// MySQL's error codes for a wrong user or password, and for a database that is not there.
const ACCESS_DENIED: u16 = 1045;
const NO_DATABASE: u16 = 1049;

/// The addresses of MySQL and Redis, with their passwords, which are never printed.
#[derive(Clone, Default)]
pub struct Addresses {
    /// The main MySQL: `mysql://user:password@host:3306`, or `mysql://user:password@host:3306,other:3306` with its replica.
    pub main: String,
    /// The shards' MySQLs. Shard i was made on the server i mod their number.
    pub shards: Vec<String>,
    /// The engine that has the shards in place of those, with its keyspace: `mysql://user:password@host:3306/results`; empty
    /// where they are run by hand.
    pub engine: String,
    /// The Redis of each gate: `redis://:password@host:6379`, or `redis+sentinel://:password@host:26379,host2:26379/service`;
    /// none leaves the gates out.
    pub redis: Vec<String>,
    /// The authority that signed the servers' certificates, as a PEM file; `None` for those that browsers trust.
    pub ca_file: Option<PathBuf>,
    /// The interval at which the services look through pending reservations.
    pub reconcile: Duration,
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = |urls: &[String]| urls.iter().map(|url| host(url).to_owned()).collect::<Vec<_>>();
        f.debug_struct("Addresses")
            .field("main", &host(&self.main))
            .field("shards", &hosts(&self.shards))
            .field("engine", &host(&self.engine))
            .field("redis", &hosts(&self.redis))
            .finish_non_exhaustive()
    }
}

/// Host and port of an address, without user and password; several, with commas between them, where it names a replica.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    // The password first: it may hold anything that ends a host.
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    rest.split(['/', '?']).next().unwrap_or_default()
}

/// One database on one MySQL server, or on that of several which takes writes.
#[derive(Clone)]
pub(super) struct Database {
    /// `servers.main`, `servers.shards[2]`: what to look at when something is wrong.
    setting: String,
    host: String,
    name: String,
    servers: Vec<Opts>,
}

impl Database {
    /// The database of that name on the server that a setting names.
    pub(super) fn new(setting: &str, url: &str, name: &str, ca_file: Option<&Path>) -> Result<Self> {
        Self::beginning_with(SESSION, setting, url, name, ca_file)
    }

    /// The same, of an engine.
    pub(super) fn of_engine(setting: &str, url: &str, name: &str, ca_file: Option<&Path>) -> Result<Self> {
        Self::beginning_with(SESSION_OF_ENGINE, setting, url, name, ca_file)
    }

    fn beginning_with(
        session: &[&str],
        setting: &str,
        url: &str,
        name: &str,
        ca_file: Option<&Path>,
    ) -> Result<Self> {
        const EXAMPLE: &str = "an address is mysql://user:password@host:3306";
        ensure!(!url.is_empty(), "setting `{setting}` is missing: {EXAMPLE}");
        let hosts = host(url);
        let one = |host: &str| -> Result<Opts> {
            let url = url.replacen(hosts, host, 1);
            let opts =
                Opts::from_url(&url).map_err(|error| anyhow!("setting `{setting}`: {error}; {EXAMPLE}"))?;
            let asked = opts.ssl_opts().cloned();
            check_encryption(setting, &url, asked.is_some(), ca_file, "?require_ssl=true at its end")?;
            let ssl = match (asked, authority(ca_file)?) {
                (Some(ssl), Some(pem)) => {
                    Some(ssl.with_root_certs(vec![pem.into()]).with_disable_built_in_roots(true))
                }
                (ssl, _) => ssl,
            };
            let opts = OptsBuilder::from_opts(opts)
                .ssl_opts(ssl)
                .db_name(Some(name))
                .setup(session.iter().map(|set| (*set).to_owned()).collect::<Vec<_>>())
                .prefer_socket(false);
            Ok(opts.into())
        };
        let servers = hosts.split(',').map(one).collect::<Result<Vec<Opts>>>()?;
        let (host, name) = (hosts.to_owned(), name.to_owned());
        Ok(Self { setting: setting.to_owned(), host, name, servers })
    }

    /// A database of another name on the same server.
    pub(super) fn named(&self, name: &str) -> Self {
        let there = |opts: &Opts| OptsBuilder::from_opts(opts.clone()).db_name(Some(name)).into();
        Self { name: name.to_owned(), servers: self.servers.iter().map(there).collect(), ..self.clone() }
    }

    pub(super) async fn connect(&self) -> Result<Conn> {
        if let [only] = &*self.servers {
            return self.connect_to(only).await;
        }
        let (mut takers, mut others) = (Vec::new(), Vec::new());
        for server in &self.servers {
            match self.connect_to_taker(server).await {
                Ok(Some(conn)) => takers.push(conn),
                Ok(None) => others.push("one is read-only".to_owned()),
                Err(error) => others.push(format!("{error:#}")),
            }
        }
        match (takers.pop(), takers.is_empty()) {
            (Some(conn), true) => Ok(conn),
            (Some(_), false) => bail!("{self}: more than one of its servers takes writes"),
            (None, _) => bail!("{self}: none of its servers takes writes: {}", others.join("; ")),
        }
    }

    /// A connection to a server that takes writes; `None` for one that takes none.
    async fn connect_to_taker(&self, server: &Opts) -> Result<Option<Conn>> {
        let mut conn = self.connect_to(server).await?;
        let asked: Option<String> = conn.query_first("SELECT CAST(@@GLOBAL.read_only AS CHAR)").await?;
        Ok(asked.is_some_and(|read_only| matches!(&*read_only, "0" | "OFF")).then_some(conn))
    }

    async fn connect_to(&self, server: &Opts) -> Result<Conn> {
        let connecting = tokio::time::timeout(CONNECT, Conn::new(server.clone()));
        let connected = connecting
            .await
            .with_context(|| format!("{self}: it did not answer within {} s", CONNECT.as_secs()))?;
        connected.map_err(|error| match &error {
            mysql_async::Error::Server(said) if said.code == ACCESS_DENIED => {
                anyhow!("{self}: the user or the password is wrong")
            }
            mysql_async::Error::Server(said) if said.code == NO_DATABASE => {
                anyhow!("{self}: there is no such database on that server")
            }
            _ => anyhow!("{self}: {error}"),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "setting `{}`: MySQL at {}, database {}", self.setting, self.host, self.name)
    }
}

/// The driver's own output would show the password.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({self})")
    }
}

/// A connection to Redis, wherever Sentinels say that it is.
pub(super) fn redis(url: &str, ca_file: Option<&Path>) -> Result<Connection> {
    let what = || format!("setting `servers.redis`: Redis at {}", host(url));
    let encrypted = url.starts_with("rediss");
    check_encryption("servers.redis", url, encrypted, ca_file, "rediss at its beginning")?;
    let authority = authority(ca_file)?;
    let open = |url: &str| -> RedisResult<Connection> {
        let client = match authority.clone() {
            Some(pem) => {
                Client::build_with_tls(url, TlsCertificates { client_tls: None, root_cert: Some(pem) })
            }
            None => Client::open(url),
        };
        let connection = client?.get_connection_with_timeout(CONNECT)?;
        connection.set_read_timeout(Some(ANSWER))?;
        Ok(connection)
    };
    match sentinels::read(url).with_context(what)? {
        Some(sentinels) => open(&sentinels.primary(open).with_context(what)?).with_context(what),
        None => open(url).with_context(what),
    }
}

/// Holds an address to what `servers.ca_file` promises: with an authority named, everything is to be encrypted.
fn check_encryption(
    setting: &str,
    url: &str,
    encrypted: bool,
    ca_file: Option<&Path>,
    how: &str,
) -> Result<()> {
    if encrypted {
        // Drivers take the process's; without this, any library could change which one that is.
        let _ = crypto::ring::default_provider().install_default();
    }
    ensure!(
        encrypted || ca_file.is_none(),
        "setting `{setting}`: servers.ca_file is set, so the connection to {} must be encrypted: write {how}",
        host(url)
    );
    Ok(())
}

/// The authority that the settings name, as PEM.
fn authority(ca_file: Option<&Path>) -> Result<Option<Vec<u8>>> {
    let Some(file) = ca_file else { return Ok(None) };
    let what = || format!("setting `servers.ca_file`: cannot read {}", file.display());
    std::fs::read(file).map(Some).with_context(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_printed() {
        let url = "mysql://coupon:se@cr/et?5@db.example:3306/x";
        let addresses = Addresses {
            main: url.to_owned(),
            shards: vec![url.to_owned()],
            redis: vec!["redis://:se@cret@cache:6379".to_owned()],
            ..Addresses::default()
        };
        let shown = format!("{addresses:?}");
        assert!(shown.contains("db.example:3306") && shown.contains("cache:6379"), "{shown}");
        assert!(!shown.contains("se@cr"), "{shown}");
        let plain = Database::new("servers.main", "mysql://coupon:s3cret@db:3306", "m", None).unwrap();
        assert_eq!(format!("{plain:?}"), "Database(setting `servers.main`: MySQL at db:3306, database m)");
    }

    #[test]
    fn an_address_may_name_a_server_and_its_replica() {
        let url = "mysql://a:1@a:1@db:3306,other:3307/x";
        let named = Database::new("servers.main", url, "m", None).unwrap();
        let hosts: Vec<_> =
            named.servers.iter().map(|opts| (opts.ip_or_hostname(), opts.tcp_port())).collect();
        assert_eq!((&*named.host, &*hosts), ("db:3306,other:3307", &[("db", 3306), ("other", 3307)][..]));
    }

    #[test]
    fn settings_that_name_an_authority_have_every_connection_encrypted() {
        let ca = Some(Path::new("/etc/ca.pem"));
        let plain = Database::new("servers.main", "mysql://coupon:s3cret@db:3306", "m", ca);
        let error = plain.unwrap_err().to_string();
        assert!(error.contains("servers.main") && error.contains("require_ssl"), "{error}");
    }
}
