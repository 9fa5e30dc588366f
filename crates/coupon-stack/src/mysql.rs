//! MariaDB and MySQL.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::files::{copy_dir, make_dir, read_from, tail, write_private};
use crate::guardian::Guardian;
use crate::kind::Place;
use crate::pair;
use crate::process::{Launch, Process, flag};
use crate::programs::MySql;

pub(crate) const USER: &str = "coupon";
/// The user that replicas follow by, and that may write to a read-only server.
pub(crate) const OPERATOR: &str = "operator";

const INSTALL: Duration = Duration::from_secs(120);

/// The options that data folders and servers have in common. Host names are not looked up, so `localhost` would never
/// match a connection: users are `@'%'`.
const COMMON: [&str; 7] = [
    "--no-defaults",
    "--skip-name-resolve",
    "--performance-schema=OFF",
    "--character-set-server=utf8mb4",
    "--innodb-buffer-pool-size=64M",
    "--innodb-flush-method=O_DIRECT",
    "--innodb-flush-log-at-trx-commit=1",
];

/// The options of a server below an engine, which copies shards from the log of their changes; a day of it is kept. No
/// client of an engine may set up its session, so all sessions are as they have to be.
const LOGGED: [&str; 7] = [
    "--log-bin=binlog",
    "--binlog-expire-logs-seconds=86400",
    "--gtid-mode=ON",
    "--enforce-gtid-consistency=ON",
    "--sql-mode=STRICT_ALL_TABLES",
    "--transaction-isolation=READ-COMMITTED",
    "--default-time-zone=+00:00",
];

/// The size of the redo log in a folder that is to be copied, and in one that is used: a server makes it larger when it
/// starts, which is faster than to copy it.
const TEMPLATE_LOG: &str = "8M";
const LOG: &str = "64M";

/// The socket, in the data folder: relative to it, since the path of one must be short.
const SOCKET: &str = "my.sock";

/// The arguments for one flavour, and those for a process of the superuser: the servers refuse to run as root unless it is named.
fn common(mysql: &MySql, log: &str) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = COMMON.map(OsString::from).into();
    if mysql.install.is_some() {
        arguments.push(format!("--innodb-log-file-size={log}").into());
    } else {
        // MySQL insists on a folder of the machine's for files that SQL writes, or none.
        arguments.push("--secure-file-priv=NULL".into());
        arguments.push(format!("--innodb-redo-log-capacity={log}").into());
    }
    if rustix::process::geteuid().is_root() {
        arguments.push("--user=root".into());
    }
    arguments
}

/// Makes one data folder, to be copied: that is faster than to make each.
pub(crate) fn make_template(mysql: &MySql, dir: &Path, guardian: Option<&Guardian>) -> Result<()> {
    if dir.exists() {
        // An earlier start was interrupted.
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    make_dir(dir)?;
    let (data, log) = (dir.join("data"), dir.join("install.log"));
    let (program, mut arguments) = mysql.install_command();
    arguments.extend(common(mysql, TEMPLATE_LOG));
    arguments.push("--skip-log-bin".into());
    arguments.push(flag("--datadir=", &mysql.inside(&data)?));
    if mysql.install.is_some() {
        // Without --force it insists on looking up the machine's name, which nothing here uses.
        let others = ["--auth-root-authentication-method=normal", "--skip-test-db", "--force"];
        arguments.extend(others.map(OsString::from));
    } else {
        arguments.push("--initialize-insecure".into());
    }
    let environment = temporary_files(mysql, dir)?;
    let launch = Launch { program, arguments, environment, log: log.clone() };
    let process =
        Process::start(&launch, |identity| guardian.map_or(Ok(()), |guardian| guardian.watch(identity)))?;
    let made = process.finish(INSTALL);
    made.map_err(|error| {
        anyhow::anyhow!(
            "cannot make a data folder of {}: {error}{}",
            mysql.flavour(),
            tail(&read_from(&log, 0))
        )
    })?;
    Ok(())
}

/// Makes a data folder of the template.
pub(crate) fn copy_template(template: &Path, data: &Path) -> Result<()> {
    copy_data(&template.join("data"), data)
}

/// Copies the data folder of a server that does not run. A copy that was interrupted is not taken for a data folder later.
pub(crate) fn copy_data(from: &Path, data: &Path) -> Result<()> {
    let partial = data.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| format!("cannot remove {}", partial.display()))?;
    }
    copy_dir(from, &partial)?;
    // MySQL gives each server its own identity, which copies must not share.
    let identity = partial.join("auto.cnf");
    if identity.exists() {
        fs::remove_file(&identity).with_context(|| format!("cannot remove {}", identity.display()))?;
    }
    fs::rename(&partial, data).with_context(|| format!("cannot make {}", data.display()))
}

/// The statements that make a server's users. They run before it listens. No other user gets in: not even root, which has no
/// password at first.
fn users(mysql: &MySql, password: &str, is_of_a_pair: bool) -> String {
    let user = |name| {
        format!(
            "CREATE USER IF NOT EXISTS '{name}'@'%' IDENTIFIED BY '{password}';\n\
             GRANT ALL ON *.* TO '{name}'@'%' WITH GRANT OPTION;\n"
        )
    };
    let mut users = String::new();
    if is_of_a_pair {
        // Each server makes its own.
        users += "SET SESSION sql_log_bin = 0;\n";
        users += &user(OPERATOR);
    }
    users += &user(USER);
    if is_of_a_pair {
        users += &pair::bind_to_read_only(mysql, USER);
    }
    users + "DROP USER IF EXISTS 'root'@'localhost', 'root'@'127.0.0.1', 'root'@'::1';\n"
}

pub(crate) fn launch(
    mysql: &MySql,
    logged: bool,
    port: u16,
    place: Place<'_>,
    password: &str,
) -> Result<Launch> {
    let Place { dir, part, tls, log, .. } = place;
    let users = users(mysql, password, part.is_some());
    let init = dir.join("users.sql");
    write_private(&init, &users)?;
    forget_socket(dir)?;
    let (program, mut arguments) = mysql.command();
    arguments.extend(common(mysql, LOG));
    if logged {
        arguments.extend(LOGGED.map(OsString::from));
        // One that no other server of this machine has.
        arguments.push(format!("--server-id={port}").into());
    } else {
        arguments.push("--skip-log-bin".into());
    }
    arguments.extend(
        ["--bind-address=127.0.0.1", "--max-connections=200", "--max-allowed-packet=16M"].map(OsString::from),
    );
    arguments.push(format!("--socket={SOCKET}").into());
    arguments.push(format!("--port={port}").into());
    arguments.push(flag("--datadir=", &mysql.inside(&dir.join("data"))?));
    arguments.push(flag("--pid-file=", &mysql.inside(&dir.join("server.pid"))?));
    arguments.push(flag("--init-file=", &mysql.inside(&init)?));
    if mysql.install.is_none() {
        arguments.push("--mysqlx=OFF".into());
    }
    if let Some(part) = part {
        arguments.extend(pair::arguments(mysql, part, port));
    }
    if let Some(tls) = tls {
        arguments.push("--require-secure-transport=ON".into());
        arguments.push(flag("--ssl-ca=", &mysql.inside(tls.ca())?));
        arguments.push(flag("--ssl-cert=", &mysql.inside(tls.certificate())?));
        arguments.push(flag("--ssl-key=", &mysql.inside(tls.key())?));
    }
    Ok(Launch { program, arguments, environment: temporary_files(mysql, dir)?, log: log.to_owned() })
}

/// Removes what a MySQL server that was killed leaves beside its socket: the number of its process, which may be another's by
/// now, or not gone yet. One that finds it alive does not start.
fn forget_socket(dir: &Path) -> Result<()> {
    let left = dir.join("data").join(format!("{SOCKET}.lock"));
    match fs::remove_file(&left) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", left.display()))
        }
        _ => Ok(()),
    }
}

/// A folder of the server's own for its temporary tables: when a MariaDB server starts, it removes those it finds,
/// and in a folder that servers share they are another one's.
fn temporary_files(mysql: &MySql, dir: &Path) -> Result<Vec<(&'static str, OsString)>> {
    let temporary = dir.join("tmp");
    make_dir(&temporary)?;
    Ok(vec![("TMPDIR", mysql.inside(&temporary)?.into())])
}

/// The first row of an answer, by column.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer(BTreeMap<String, String>);

impl Answer {
    /// Reads what a client prints: the names of the columns, and a line for each row.
    fn read(printed: &str) -> Self {
        let mut lines = printed.lines().map(|line| line.split('\t').map(str::to_owned));
        let columns = lines.next().into_iter().flatten().zip(lines.next().into_iter().flatten());
        Self(columns.collect())
    }

    pub(crate) fn of(&self, column: &str) -> Option<&str> {
        self.0.get(column).map(String::as_str)
    }

    /// The value of the column whose name ends so: some begin otherwise in MariaDB than in MySQL.
    pub(crate) fn ending(&self, end: &str) -> Option<&str> {
        self.0.iter().find(|(column, _)| column.ends_with(end)).map(|(_, value)| value.as_str())
    }
}

/// Runs statements on a server, of which one may have an answer.
pub(crate) fn run(mysql: &MySql, port: u16, password: &str, sql: &str) -> Result<Answer> {
    let (program, mut arguments) = mysql.client_command()?;
    arguments
        .extend(["--no-defaults", "--host=127.0.0.1", "--batch", "--connect-timeout=5"].map(OsString::from));
    arguments.extend([format!("--port={port}"), format!("--user={OPERATOR}")].map(OsString::from));
    let mut client = Command::new(&program);
    client.args(arguments).env("MYSQL_PWD", password);
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = client.spawn().with_context(|| format!("cannot run {}", program.display()))?;
    // Not among its arguments, which every user of the machine may read.
    client.stdin.take().context("its stdin is missing")?.write_all(sql.as_bytes())?;
    let output = client.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", said.trim());
    Ok(Answer::read(&String::from_utf8_lossy(&output.stdout)))
}

/// Reads the greeting: a packet that begins with the protocol's version.
pub(crate) fn greets(stream: &mut TcpStream) -> Result<()> {
    const PROTOCOL: u8 = 10;
    let mut head = [0; 5];
    stream.read_exact(&mut head).context("no greeting")?;
    let [_, _, _, _, protocol] = head;
    ensure!(protocol == PROTOCOL, "it greets with protocol {protocol}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_by_column() {
        let status = Answer::read("Slave_IO_Running\tSlave_SQL_Running\tLast_IO_Error\nYes\tNo\t\n");
        assert_eq!((status.ending("_IO_Running"), status.ending("_SQL_Running")), (Some("Yes"), Some("No")));
        assert_eq!((status.of("Last_IO_Error"), status.of("Gtid_IO_Pos")), (Some(""), None));
        assert_eq!(Answer::read(""), Answer::default());
    }
}
