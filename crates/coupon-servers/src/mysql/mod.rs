//! One database on one MySQL or MariaDB server, as this process reaches it.

mod archiving;
mod books;
mod catalogue;
mod change;
mod layouts;
mod main;
mod moves;
mod pool;
mod primary;
mod shard;
mod steps;
mod storing;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use coupon_store::Unavailable;
use coupon_store::settings::ServerUrl;
use mysql_async::prelude::Queryable as _;
use mysql_async::{
    Conn, DriverError, IoError, Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts, SslOpts, Transaction,
    TxOpts,
};

pub use self::archiving::{end_for_good, first_not_yet};
pub(super) use self::books::{FORGET, begin_books};
pub(super) use self::catalogue::NOTE_PUT_BACK;
pub(super) use self::layouts::BOOKS_LOCK;
pub(super) use self::main::{GATE_LOCK, MainDatabase, gate_lock};
pub(super) use self::moves::{read_moves, table_in};
use self::pool::RenewedPool;
use self::primary::{Primary, Server, TAKES_NO_WRITES, Unusable};
pub(super) use self::shard::{HoldRow, LAYOUT, ShardDatabase, hold as hold_in};
pub(super) use self::steps::lock_state;
use super::engine::is_away;
use super::tls;

/// The longest that a database may take for a short question.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// The longest that a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(3);
/// The silence after which the system asks whether a connection's other side is there.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// The time for which an idle connection is kept: less than the server keeps it.
const IDLE: Duration = Duration::from_secs(30);
/// The time between two looks for idle ones.
const IDLE_CHECK: Duration = Duration::from_secs(5);
/// The time for which a server keeps a silent connection, and with it the locks of a process that was frozen half-way,
/// in seconds.
const SILENT_S: u32 = 60;
/// The same for a caller that does something long between two statements.
const SILENT_LONG_S: u32 = 3_600;
/// The same for a program that copies or fills a data set: one of its connections may wait for hours while another has
/// work.
pub(super) const SILENT_DAYS_S: u32 = 7 * 24 * 3_600;
/// The same for a connection with a batch of rows under way, less than for a lock of main's that goes with it.
const SILENT_BATCH_S: u32 = 30;
/// Statements that a bulk load's connection remembers.
const BULK_STATEMENTS: usize = 4;

/// The same rules on every server, whatever its own defaults: bad values are errors, times are UTC, a transaction locks
/// the rows it touches and not the gaps between them, and a statement outside of any transaction is one by itself.
fn session(silent_s: u32) -> Vec<String> {
    vec![
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'".to_owned(),
        "SET SESSION time_zone = '+00:00'".to_owned(),
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED".to_owned(),
        "SET SESSION autocommit = 1".to_owned(),
        format!("SET SESSION wait_timeout = {silent_s}"),
    ]
}

/// On an engine, what is set for a session takes a connection of its own behind it; all but a word to the engine itself, which
/// then refuses a transaction that writes to a second shard.
fn session_of_engine() -> Vec<String> {
    vec!["SET transaction_mode = 'single'".to_owned()]
}

/// Errors of MySQL's that mean something here.
pub(super) mod code {
    /// The user or the password is wrong.
    pub(crate) const ACCESS_DENIED: u16 = 1045;
    /// The user may not use this database.
    pub(crate) const DATABASE_DENIED: u16 = 1044;
    /// There is no such database.
    pub(crate) const NO_DATABASE: u16 = 1049;
    /// A row with that key is there already.
    pub(crate) const DUPLICATE: u16 = 1062;
    /// Two transactions waited for each other, and this one was given up.
    pub(crate) const DEADLOCK: u16 = 1213;
    /// Another transaction had a row for too long.
    pub(crate) const LOCK_TIMEOUT: u16 = 1205;
    /// There is no such table.
    pub(crate) const NO_TABLE: u16 = 1146;
    /// A table was made or changed after the moment that a transaction reads.
    pub(crate) const TABLE_CHANGED: u16 = 1412;
    /// The server is configured to refuse such a thing: above all, to be read-only.
    const FORBIDDEN: u16 = 1290;
    /// The session's transactions only read.
    const READ_ONLY_TRANSACTION: u16 = 1792;
    /// The storage engine only reads.
    const READ_ONLY_MODE: u16 = 1836;
    /// The error of a server that takes no writes, such as a primary that has become a replica.
    pub(super) const READ_ONLY: [u16; 3] = [FORBIDDEN, READ_ONLY_TRANSACTION, READ_ONLY_MODE];
}

/// One database on one server, or on the one of several that takes writes.
#[derive(Clone)]
pub struct Database {
    /// `servers.main`, `servers.shards[2]`: what to look at when something is wrong.
    setting: String,
    /// Its address, without user and password.
    host: String,
    name: String,
    primary: Arc<Primary>,
    pool: RenewedPool,
    /// What each connection begins with, which the server is to keep for so many seconds while it is silent.
    session: fn(u32) -> Vec<String>,
}

/// A database that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("setting `{setting}`: MySQL at {host}, database {database}: {why}")]
pub struct DatabaseError {
    setting: String,
    host: String,
    database: String,
    why: String,
    /// True if it is merely down: then it can be served around, and may come back.
    pub down: bool,
    /// True if another transaction was in the way: see [`is_conflict`].
    pub conflict: bool,
}

impl DatabaseError {
    /// An error of a database, for that reason. It may be merely down.
    #[must_use]
    pub fn new(setting: &str, host: &str, database: &str, why: &str, down: bool) -> Self {
        let [setting, host, database, why] = [setting, host, database, why].map(ToOwned::to_owned);
        Self { setting, host, database, why, down, conflict: false }
    }
}

impl Database {
    /// The database of that name on the server that a setting names, with a pool of at most `connections`.
    ///
    /// # Errors
    /// When the setting is no address of a MySQL server.
    pub fn new(setting: &str, url: &ServerUrl, name: &str, connections: usize) -> anyhow::Result<Self> {
        Self::beginning_with(session, setting, url, name, connections)
    }

    /// The same, of an engine, whose servers have the rules by their own settings.
    ///
    /// # Errors
    /// As for [`Self::new`], and when the address names a replica: it is for the engine to know which of its servers take writes.
    pub fn of_engine(url: &ServerUrl, name: &str, connections: usize) -> anyhow::Result<Self> {
        anyhow::ensure!(
            url.each().count() == 1,
            "setting `servers.engine`: it names {}, and an engine has one address",
            url.host()
        );
        Self::beginning_with(|_| session_of_engine(), "servers.engine", url, name, connections)
    }

    fn beginning_with(
        session: fn(u32) -> Vec<String>,
        setting: &str,
        url: &ServerUrl,
        name: &str,
        connections: usize,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(
            !url.is_empty(),
            "setting `{setting}` is missing: give an address such as mysql://user:password@host:3306"
        );
        let opened = |one: ServerUrl| {
            let opts = options(setting, &one, name, connections)?.setup(session(SILENT_S));
            Ok(Server { host: one.host().to_owned(), opts: opts.into() })
        };
        let servers: Vec<Server> = url.each().map(opened).collect::<anyhow::Result<_>>()?;
        let twice = servers
            .iter()
            .enumerate()
            .find(|(at, one)| servers.iter().take(*at).any(|other| other.host == one.host));
        if let Some((_, Server { host, .. })) = twice {
            anyhow::bail!("setting `{setting}`: it names {host} twice; a replica is another server");
        }
        let host = url.host().to_owned();
        let primary = Primary::new(format!("setting `{setting}`: database {name}"), servers);
        let pool = RenewedPool::new(&primary);
        Ok(Self { setting: setting.to_owned(), host, name: name.to_owned(), primary, pool, session })
    }

    /// The same database with its own pool, for another runtime.
    #[must_use]
    pub fn with_own_pool(&self) -> Self {
        Self { pool: RenewedPool::new(&self.primary), ..self.clone() }
    }

    /// A connection of the pool's.
    ///
    /// # Errors
    /// [`DatabaseError`] when there is none to be had within a few seconds.
    pub async fn connect(&self) -> Result<Conn, DatabaseError> {
        self.within(self.pool.get_conn()).await
    }

    /// A connection outside the pool, which may be silent for long between two statements.
    ///
    /// # Errors
    /// As for [`Self::connect`].
    pub async fn connect_alone(&self) -> Result<Conn, DatabaseError> {
        self.connect_silent(SILENT_LONG_S, |opts| opts).await
    }

    /// A connection outside the pool, which may be silent for days.
    pub(super) async fn connect_for_days(&self) -> Result<Conn, DatabaseError> {
        self.connect_silent(SILENT_DAYS_S, |opts| opts).await
    }

    /// A connection outside the pool, for a caller that holds locks that others wait for: should the process be
    /// frozen, the server lets go of them soon.
    pub(super) async fn connect_to_lock(&self) -> Result<Conn, DatabaseError> {
        self.connect_as(|opts| opts).await
    }

    /// A connection outside the pool, for a transaction that is to end before a lock of [`Self::connect_to_lock`] does which is
    /// held meanwhile, should the process be frozen.
    pub(super) async fn connect_for_a_batch(&self) -> Result<Conn, DatabaseError> {
        self.connect_silent(SILENT_BATCH_S, |opts| opts).await
    }

    /// A connection outside the pool for statements of thousands of values: it remembers few of them, since each takes
    /// the driver, and the server, some MB.
    ///
    /// # Errors
    /// As for [`Self::connect`].
    pub(super) async fn connect_for_bulk(&self) -> Result<Conn, DatabaseError> {
        self.connect_silent(SILENT_LONG_S, |opts| opts.stmt_cache_size(BULK_STATEMENTS)).await
    }

    /// A connection to the server that has chosen no database.
    ///
    /// # Errors
    /// As for [`Self::connect`].
    pub async fn connect_server(&self) -> Result<Conn, DatabaseError> {
        self.connect_silent(SILENT_LONG_S, |opts| opts.db_name(None::<String>)).await
    }

    /// A connection outside the pool that may be silent for so many seconds, with such options.
    async fn connect_silent(
        &self,
        silent_s: u32,
        with: impl FnOnce(OptsBuilder) -> OptsBuilder,
    ) -> Result<Conn, DatabaseError> {
        self.connect_as(|opts| with(opts.setup((self.session)(silent_s)))).await
    }

    /// A connection outside the pool, with such options.
    async fn connect_as(&self, with: impl FnOnce(OptsBuilder) -> OptsBuilder) -> Result<Conn, DatabaseError> {
        self.within(async {
            let used = self.primary.used().await?;
            Conn::new(with(OptsBuilder::from_opts(used.opts))).await
        })
        .await
    }

    /// A transaction on a connection of the pool's.
    pub(super) async fn begin(&self) -> Result<Transaction<'static>, DatabaseError> {
        self.within(async { self.pool.current().await?.start_transaction(TxOpts::default()).await }).await
    }

    async fn within<T>(
        &self,
        connecting: impl Future<Output = mysql_async::Result<T>>,
    ) -> Result<T, DatabaseError> {
        let failed = match tokio::time::timeout(CONNECT, connecting).await {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(error)) => self.error(&error),
            Err(_) => self.failed(format!("it did not answer within {} s", CONNECT.as_secs()), true),
        };
        // What keeps the other server from taking its place.
        Err(match self.primary.trouble() {
            Some(trouble) => DatabaseError { why: format!("{}; {trouble}", failed.why), ..failed },
            None => failed,
        })
    }

    /// Refuses a server that acknowledges commits which are not on disk.
    ///
    /// # Errors
    /// When it does, or cannot be asked.
    pub async fn check_durability(&self) -> Result<(), DatabaseError> {
        let mut conn = self.connect().await?;
        let flush: Option<i64> =
            self.patiently(CONNECT, conn.query_first("SELECT @@innodb_flush_log_at_trx_commit")).await?;
        match flush {
            Some(1) => Ok(()),
            other => {
                let other = other.map_or_else(|| "unknown".to_owned(), |value| value.to_string());
                let why = format!(
                    "its innodb_flush_log_at_trx_commit is {other}, so it may lose what it has committed: set it to 1"
                );
                Err(self.failed(why, false))
            }
        }
    }

    /// Makes the database if it is missing.
    ///
    /// # Errors
    /// When it is missing and cannot be made.
    pub async fn create(&self) -> Result<(), DatabaseError> {
        let mut conn = self.connect_server().await?;
        let sql = format!("CREATE DATABASE IF NOT EXISTS {} CHARACTER SET utf8mb4", self.name);
        conn.query_drop(sql).await.map_err(|error| self.error(&error))?;
        Ok(())
    }

    /// Removes the database if it is there.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn remove(&self) -> Result<(), DatabaseError> {
        let mut conn = self.connect_server().await?;
        conn.query_drop(format!("DROP DATABASE IF EXISTS {}", self.name))
            .await
            .map_err(|error| self.error(&error))?;
        Ok(())
    }

    /// Waits for the database's answer, or makes an error once that takes too long.
    pub(super) async fn patiently<T>(
        &self,
        patience: Duration,
        asked: impl Future<Output = mysql_async::Result<T>>,
    ) -> Result<T, DatabaseError> {
        match tokio::time::timeout(patience, asked).await {
            Ok(answer) => answer.map_err(|error| self.error(&error)),
            Err(_) => Err(self.failed(format!("it did not answer within {} s", patience.as_secs()), true)),
        }
    }

    /// Its name on the server.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server's address, without user and password.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The pool, for drivers that want one.
    ///
    /// # Errors
    /// When no server can be used.
    pub(super) async fn pool(&self) -> Result<Pool, DatabaseError> {
        self.pool.current().await.map_err(|error| self.error(&error))
    }

    /// The generation of the connections that are made now.
    pub(super) fn generation(&self) -> u64 {
        self.primary.generation()
    }

    /// Waits for an answer over a connection of a generation, for as long as that is not given up: a server that hangs, or that
    /// another has taken the place of, is left at once.
    pub(super) async fn unless_given_up<T>(
        &self,
        generation: u64,
        asked: impl Future<Output = mysql_async::Result<T>>,
    ) -> mysql_async::Result<T> {
        tokio::select! {
            biased;
            () = self.primary.given_up(generation) => Err(Unusable::GivenUp.into()),
            answer = asked => answer,
        }
    }

    /// Asks a connection of the pool's whether its server takes writes. If it does not, another server may have taken
    /// over, behind the same address or another, to which no connection leads that exists already: all of them are made anew, on
    /// every thread, those that only read included.
    pub(super) async fn follow(&self, conn: &mut Conn) -> mysql_async::Result<()> {
        let takes_no_writes: Option<bool> = conn.query_first(TAKES_NO_WRITES).await?;
        if takes_no_writes == Some(true) {
            self.primary.renew();
        }
        Ok(())
    }

    /// Makes all connections anew, as [`Self::follow`] does, when an error is that of a server that takes no writes.
    pub(super) fn notice(&self, error: &mysql_async::Error) {
        if code::READ_ONLY.iter().any(|code| has_code(error, *code)) {
            self.primary.renew();
        }
    }

    /// The error of this database, with the setting that leads there.
    #[must_use]
    pub fn error(&self, error: &mysql_async::Error) -> DatabaseError {
        self.notice(error);
        if let Some(unusable) = unusable(error) {
            return self.failed(unusable.to_string(), true);
        }
        let server_code = match error {
            mysql_async::Error::Server(error) => Some(error.code),
            _ => None,
        };
        match server_code {
            Some(code::ACCESS_DENIED) => self.failed("the user or the password is wrong".to_owned(), false),
            Some(code::DATABASE_DENIED) => {
                self.failed(format!("the user has no rights there ({error})"), false)
            }
            Some(code::NO_DATABASE) => {
                self.failed("there is no such database on that server".to_owned(), false)
            }
            _ => {
                let text = error.to_string();
                let failed = self.failed(format!("{text}{}", tls::hint(&text)), is_lost(error));
                DatabaseError { conflict: is_conflict(error), ..failed }
            }
        }
    }

    /// A reason of our own.
    pub(super) fn failed(&self, why: String, down: bool) -> DatabaseError {
        DatabaseError {
            setting: self.setting.clone(),
            host: self.host.clone(),
            database: self.name.clone(),
            why,
            down,
            conflict: false,
        }
    }
}

/// The driver's options for one server, but for what a connection begins with.
fn options(setting: &str, url: &ServerUrl, name: &str, connections: usize) -> anyhow::Result<OptsBuilder> {
    let opts = Opts::from_url(url.expose()).map_err(|error| {
        anyhow::anyhow!(
            "setting `{setting}`: {error}; an address is mysql://user:password@host:3306 or, with its replica, \
             mysql://user:password@host:3306,other:3306"
        )
    })?;
    let limits = PoolConstraints::new(0, connections.max(1)).unwrap_or_default();
    let pool_opts = PoolOpts::default()
        .with_constraints(limits)
        .with_inactive_connection_ttl(IDLE)
        .with_ttl_check_interval(IDLE_CHECK)
        .with_reset_connection(false);
    let ssl = encryption(setting, url, &opts)?;
    let builder = OptsBuilder::from_opts(opts)
        .ssl_opts(ssl)
        .db_name(Some(name))
        .pool_opts(pool_opts)
        .tcp_keepalive(Some(KEEPALIVE))
        .prefer_socket(false);
    Ok(builder)
}

/// The address's word on encryption, with the authority that the settings name.
fn encryption(setting: &str, url: &ServerUrl, opts: &Opts) -> anyhow::Result<Option<SslOpts>> {
    let asked = opts.ssl_opts().cloned();
    tls::check(setting, url, asked.is_some(), "?require_ssl=true at its end")?;
    Ok(match (asked, tls::authority(url)?) {
        (Some(ssl), Some(pem)) => {
            Some(ssl.with_root_certs(vec![pem.into()]).with_disable_built_in_roots(true))
        }
        (ssl, _) => ssl,
    })
}

/// The reason why no server is used, if that is what an error is.
fn unusable(error: &mysql_async::Error) -> Option<&Unusable> {
    match error {
        mysql_async::Error::Other(other) => other.downcast_ref(),
        _ => None,
    }
}

/// True if the server is away, rather than of another opinion.
pub(super) fn is_lost(error: &mysql_async::Error) -> bool {
    let is_cut = matches!(error, mysql_async::Error::Io(_) | mysql_async::Error::Driver(_));
    (is_cut && !is_refused(error)) || is_away(error)
}

/// True if its certificate, or the lack of one, keeps us from talking to it: waiting would not help.
fn is_refused(error: &mysql_async::Error) -> bool {
    match error {
        mysql_async::Error::Io(IoError::Io(error)) => error.kind() == std::io::ErrorKind::InvalidData,
        mysql_async::Error::Io(IoError::Tls(_)) => true,
        mysql_async::Error::Driver(error) => matches!(error, DriverError::NoClientSslFlagFromServer),
        _ => false,
    }
}

/// True if a transaction was only in another's way, or that one in its: it can be tried again from its beginning.
#[must_use]
pub fn is_conflict(error: &mysql_async::Error) -> bool {
    [code::DEADLOCK, code::LOCK_TIMEOUT].iter().any(|code| has_code(error, *code))
}

/// True if the server gave that error.
pub(super) fn has_code(error: &mysql_async::Error, code: u16) -> bool {
    matches!(error, mysql_async::Error::Server(error) if error.code == code)
}

impl From<DatabaseError> for Unavailable {
    fn from(error: DatabaseError) -> Self {
        // The message goes to clients, who need not learn the server's address; the reason goes to the log.
        Self::new("a database", error)
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "setting `{}`: MySQL at {}, database {}", self.setting, self.host, self.name)
    }
}

/// Shows no more than the address: the driver's own text holds the password.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn clients_do_not_hear_where_a_database_is_and_the_log_does() {
        let url = ServerUrl::new("mysql://u:s3cret@db.internal:3306");
        let database = Database::new("servers.main", &url, "coupon_main", 1).unwrap();
        let told = Unavailable::from(database.failed("it is away".to_owned(), true));
        assert_eq!(told.what, "a database");
        assert!(told.why.contains("servers.main") && told.why.contains("db.internal:3306"), "{}", told.why);
        assert!(!format!("{told:?} {database:?}").contains("s3cret"));
    }

    #[test]
    fn an_engine_has_one_address() {
        let url = ServerUrl::new("mysql://u:s3cret@a:1,b:2/results");
        let error = Database::of_engine(&url, "results", 1).unwrap_err().to_string();
        assert_eq!(error, "setting `servers.engine`: it names a:1,b:2, and an engine has one address");
    }
}
