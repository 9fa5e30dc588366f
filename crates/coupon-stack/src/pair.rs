//! Pairs of database servers: a primary, and a replica that may take its place.
//!
//! A commit waits until the replica has received it (semi-synchronous replication), or until the replica counts as away. Servers
//! know by global transaction ids what they have.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::mysql::{Answer, OPERATOR};
use crate::node::Node;
use crate::process::POLL;
use crate::programs::MySql;
use crate::record::Part;

/// The longest that a replica may take to begin.
const BEGINS: Duration = Duration::from_secs(30);
/// The longest that a replica may take to apply what it has received, in seconds.
const APPLIES_S: u32 = 60;
/// The longest that a commit waits for a replica to have received it, in milliseconds.
const RECEIVED_MS: u32 = 2_000;
/// The time for which a server keeps its log of transactions, in seconds.
const LOG_KEPT_S: u32 = 86_400;

const STATUS: &str = "SHOW REPLICA STATUS";

/// The words that MariaDB and MySQL do not share.
struct Words {
    /// The column with what a replica has received.
    received: &'static str,
    /// The function that waits until it is applied.
    wait: &'static str,
    /// The rights of a user who may write to a read-only server.
    admin: &'static str,
    /// The statement by which a copy of a server's files knows what it has.
    copied: &'static str,
}

const MARIADB: Words = Words {
    received: "Gtid_IO_Pos",
    wait: "MASTER_GTID_WAIT",
    admin: "READ_ONLY ADMIN, SUPER",
    copied: "SET GLOBAL gtid_slave_pos = @@GLOBAL.gtid_binlog_pos",
};

const MYSQL: Words = Words {
    received: "Retrieved_Gtid_Set",
    wait: "WAIT_FOR_EXECUTED_GTID_SET",
    admin: "CONNECTION_ADMIN, SUPER",
    // Its files say so.
    copied: "DO 0",
};

fn is_mariadb(mysql: &MySql) -> bool {
    mysql.install.is_some()
}

fn words(mysql: &MySql) -> &'static Words {
    if is_mariadb(mysql) { &MARIADB } else { &MYSQL }
}

/// The statement that takes from a user what would let it write to a read-only server.
pub(crate) fn bind_to_read_only(mysql: &MySql, user: &str) -> String {
    format!("REVOKE {} ON *.* FROM '{user}'@'%';\n", words(mysql).admin)
}

/// The arguments of a server with that part in a pair.
pub(crate) fn arguments(mysql: &MySql, part: Part, port: u16) -> Vec<OsString> {
    let takes_writes = part == Part::Primary;
    let on = |is_on: bool| if is_on { "ON" } else { "OFF" };
    let mut arguments = vec![
        "--log-bin=binlog".to_owned(),
        "--relay-log=relay".to_owned(),
        "--relay-log-recovery=ON".to_owned(),
        "--sync-binlog=1".to_owned(),
        format!("--binlog-expire-logs-seconds={LOG_KEPT_S}"),
        // Each server of a stack has its own port.
        format!("--server-id={port}"),
        format!("--read-only={}", on(!takes_writes)),
    ];
    if is_mariadb(mysql) {
        arguments.extend([
            "--binlog-format=ROW".to_owned(),
            "--log-slave-updates".to_owned(),
            "--gtid-strict-mode=ON".to_owned(),
            "--rpl-semi-sync-master-wait-point=AFTER_SYNC".to_owned(),
            format!("--rpl-semi-sync-master-timeout={RECEIVED_MS}"),
            format!("--rpl-semi-sync-master-enabled={}", on(takes_writes)),
            format!("--rpl-semi-sync-slave-enabled={}", on(!takes_writes)),
        ]);
    } else {
        arguments.extend([
            format!("--super-read-only={}", on(!takes_writes)),
            "--gtid-mode=ON".to_owned(),
            "--enforce-gtid-consistency=ON".to_owned(),
            "--plugin-load-add=semisync_source.so;semisync_replica.so".to_owned(),
            format!("--rpl-semi-sync-source-timeout={RECEIVED_MS}"),
            format!("--rpl-semi-sync-source-enabled={}", on(takes_writes)),
            format!("--rpl-semi-sync-replica-enabled={}", on(!takes_writes)),
        ]);
    }
    arguments.into_iter().map(OsString::from).collect()
}

/// Has a replica follow a primary from what it has, and waits until it does.
pub(crate) fn attach(mysql: &MySql, primary: &Node, replica: &Node) -> Result<()> {
    let (port, password) = (primary.port(), primary.password());
    let source = if is_mariadb(mysql) {
        format!(
            "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, MASTER_USER = '{OPERATOR}', \
             MASTER_PASSWORD = '{password}', MASTER_CONNECT_RETRY = 1, MASTER_USE_GTID = slave_pos"
        )
    } else {
        format!(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, SOURCE_USER = '{OPERATOR}', \
             SOURCE_PASSWORD = '{password}', SOURCE_CONNECT_RETRY = 1, SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1"
        )
    };
    replica.run(mysql, &format!("STOP REPLICA; {source}; START REPLICA"))?;
    let end = Instant::now() + BEGINS;
    while !(follows(mysql, replica)? && has_a_replica(mysql, primary)?) {
        ensure!(
            Instant::now() < end,
            "{} does not follow {}: {}",
            replica.name(),
            primary.name(),
            complaint(&replica.run(mysql, STATUS)?)
        );
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// Says whether a server receives and applies what another commits.
pub(crate) fn follows(mysql: &MySql, replica: &Node) -> Result<bool> {
    let status = replica.run(mysql, STATUS)?;
    Ok(["_IO_Running", "_SQL_Running"].iter().all(|thread| status.ending(thread) == Some("Yes")))
}

/// Says whether a replica tells a primary what it has received.
fn has_a_replica(mysql: &MySql, primary: &Node) -> Result<bool> {
    let clients = primary.run(mysql, r"SHOW STATUS LIKE 'Rpl\_semi\_sync\_%\_clients'")?;
    Ok(clients.of("Value").is_some_and(|clients| clients != "0"))
}

/// A server that copies another has all that the other had when its files were copied.
pub(crate) fn is_copied(mysql: &MySql, copy: &Node) -> Result<()> {
    copy.run(mysql, words(mysql).copied).map(drop)
}

/// Has a replica apply what it has received, and take writes from then on.
pub(crate) fn promote(mysql: &MySql, replica: &Node) -> Result<()> {
    let Words { received, wait, .. } = words(mysql);
    replica.run(mysql, "STOP REPLICA IO_THREAD")?;
    let status = replica.run(mysql, STATUS)?;
    let received = status.of(received).with_context(|| format!("{} follows no server", replica.name()))?;
    // A list of several has a line for each.
    let received = received.replace("\\n", "");
    let waited = replica.run(mysql, &format!("SELECT {wait}('{received}', {APPLIES_S}) AS waited"))?;
    ensure!(
        waited.of("waited") == Some("0"),
        "{} has not applied within {APPLIES_S} s what it received: {}",
        replica.name(),
        complaint(&status)
    );
    // In MySQL this ends super_read_only as well.
    replica.run(mysql, "STOP REPLICA; RESET REPLICA ALL; SET GLOBAL read_only = 0").map(drop)
}

/// A replica's errors, in its own words.
fn complaint(status: &Answer) -> String {
    let errors = ["Last_IO_Error", "Last_SQL_Error"].iter().filter_map(|error| status.of(error));
    let errors: Vec<&str> = errors.filter(|error| !error.is_empty()).collect();
    if errors.is_empty() { "it names no error".to_owned() } else { errors.join("; ") }
}
