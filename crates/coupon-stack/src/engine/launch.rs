//! How the engine's programs are started.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::{CELL, GLOBAL_ROOT, KEYSPACE, Tablet};
use crate::files::write_private;
use crate::kind::Place;
use crate::mysql;
use crate::process::{Launch, flag};
use crate::programs::EnginePrograms;

/// The user and group `nobody`: Vitess does not run as root.
const NOBODY: u32 = 65_534;

/// The ports of a program of Vitess' own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProgramPorts {
    pub(crate) http: u16,
    pub(crate) grpc: u16,
}

/// The database server below a tablet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Database<'a> {
    pub(crate) port: u16,
    pub(crate) password: &'a str,
}

/// Keeps what the others know of each other.
pub(crate) fn etcd(programs: &EnginePrograms, place: Place<'_>, client: u16, peer: u16) -> Result<Launch> {
    let mut flags = etcd_flags(client, peer);
    flags.push(flag("--data-dir=", &place.dir.join("data")));
    launch(&programs.etcd, flags, place)
}

fn etcd_flags(client: u16, peer: u16) -> Vec<OsString> {
    let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    let flags = [
        "--name=default".to_owned(),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
    ];
    flags.map(OsString::from).into()
}

/// Makes the changes that Vitess' tools ask for.
pub(crate) fn vtctld(
    programs: &EnginePrograms,
    place: Place<'_>,
    ports: ProgramPorts,
    etcd: u16,
) -> Result<Launch> {
    let mut flags = common(ports, etcd);
    flags.push("--service-map=grpc-vtctl,grpc-vtctld".into());
    launch(&programs.vtctld, flags, place)
}

/// Serves one shard, from a database of its own on one of the stack's servers.
pub(crate) fn tablet(
    programs: &EnginePrograms,
    place: Place<'_>,
    ports: ProgramPorts,
    etcd: u16,
    tablet: Tablet,
    database: Database<'_>,
) -> Result<Launch> {
    let credentials = place.dir.join("credentials.json");
    write_private(&credentials, &format!("{{\"{}\":[\"{}\"]}}\n", mysql::USER, database.password))?;
    hand_over(&credentials)?;
    let mut flags = common(ports, etcd);
    flags.extend(tablet_flags(tablet, database.port));
    flags.push(flag("--db-credentials-file=", &credentials));
    launch(&programs.vttablet, flags, place)
}

fn tablet_flags(tablet: Tablet, database: u16) -> Vec<OsString> {
    let mut flags = vec![
        format!("--tablet-path={}", tablet.alias()),
        "--tablet-hostname=127.0.0.1".to_owned(),
        format!("--init-keyspace={KEYSPACE}"),
        format!("--init-shard={}", tablet.range),
        "--init-tablet-type=replica".to_owned(),
        "--service-map=grpc-queryservice,grpc-tabletmanager,grpc-updatestream".to_owned(),
        // It neither starts nor stops the database server.
        "--unmanaged".to_owned(),
        "--db-host=127.0.0.1".to_owned(),
        format!("--db-port={database}"),
        format!("--init-db-name-override={}", tablet.database()),
        "--queryserver-config-transaction-cap=50".to_owned(),
        "--queryserver-config-pool-size=16".to_owned(),
        // So long keep transactions their locks that a killed vtgate has left behind. By default it is half a minute.
        "--queryserver-config-transaction-timeout=5s".to_owned(),
        "--enable-consolidator=false".to_owned(),
    ];
    let users = ["app", "dba", "allprivs", "appdebug", "filtered", "repl"];
    flags.extend(users.map(|user| format!("--db-{user}-user={}", mysql::USER)));
    flags.into_iter().map(OsString::from).collect()
}

/// Speaks MySQL's protocol, and sends each statement to the shards that it concerns.
pub(crate) fn vtgate(
    programs: &EnginePrograms,
    place: Place<'_>,
    mysql: u16,
    ports: ProgramPorts,
    etcd: u16,
    password: &str,
) -> Result<Launch> {
    let users = place.dir.join("users.json");
    // Its data are the name by which it may change the keyspace's VSchema.
    let entry = format!("{{\"{0}\":[{{\"Password\":\"{password}\",\"UserData\":\"{0}\"}}]}}\n", mysql::USER);
    write_private(&users, &entry)?;
    hand_over(&users)?;
    let mut flags = common(ports, etcd);
    flags.extend(vtgate_flags(mysql));
    flags.push(flag("--mysql-auth-server-static-file=", &users));
    launch(&programs.vtgate, flags, place)
}

fn vtgate_flags(mysql: u16) -> Vec<OsString> {
    let flags = [
        format!("--cell={CELL}"),
        format!("--cells-to-watch={CELL}"),
        "--tablet-types-to-wait=PRIMARY".to_owned(),
        "--service-map=grpc-vtgateservice".to_owned(),
        // While a shard changes hands its statements wait here.
        "--enable-buffer".to_owned(),
        format!("--mysql-server-port={mysql}"),
        "--mysql-server-bind-address=127.0.0.1".to_owned(),
        "--mysql-auth-server-impl=static".to_owned(),
        format!("--vschema-ddl-authorized-users={}", mysql::USER),
    ];
    flags.map(OsString::from).into()
}

/// The flags of all programs of Vitess: where etcd is, and that they listen on the loopback alone.
fn common(ProgramPorts { http, grpc }: ProgramPorts, etcd: u16) -> Vec<OsString> {
    let flags = [
        "--topo-implementation=etcd2".to_owned(),
        format!("--topo-global-server-address=127.0.0.1:{etcd}"),
        format!("--topo-global-root={GLOBAL_ROOT}"),
        format!("--port={http}"),
        format!("--grpc-port={grpc}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--grpc-bind-address=127.0.0.1".to_owned(),
        "--log-format=text".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    flags.map(OsString::from).into()
}

fn launch(program: &Path, flags: Vec<OsString>, Place { dir, log, .. }: Place<'_>) -> Result<Launch> {
    let data = dir.join("data");
    // As etcd wants it.
    let private = fs::set_permissions(&data, Permissions::from_mode(0o700));
    private.with_context(|| format!("cannot close {} to others", data.display()))?;
    hand_over(&data)?;
    let (program, mut arguments) = as_nobody(program);
    arguments.extend(flags);
    Ok(Launch { program, arguments, environment: vec![("VTDATAROOT", data.into())], log: log.to_owned() })
}

/// A program, and the beginning of its arguments, such that it is not root's where this process is. What starts it
/// becomes it, so that its process is the one that was started.
fn as_nobody(program: &Path) -> (PathBuf, Vec<OsString>) {
    if !rustix::process::geteuid().is_root() {
        return (program.to_owned(), Vec::new());
    }
    let user = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".to_owned()];
    let mut arguments: Vec<OsString> = user.map(OsString::from).into();
    arguments.extend(["--".into(), program.into()]);
    ("setpriv".into(), arguments)
}

/// Gives a file or folder to whom the programs run as.
fn hand_over(path: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let given = chown(path, Some(NOBODY), Some(NOBODY));
    given.with_context(|| format!("cannot give {} to nobody", path.display()))
}

/// Lets whom the programs run as pass through the stack's folder.
///
/// # Errors
/// Names what else is closed to them.
pub(crate) fn open_to_programs(stack: &Path, programs: &EnginePrograms) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let opened = fs::metadata(stack).and_then(|folder| {
        let mode = folder.permissions().mode() | 0o001;
        fs::set_permissions(stack, Permissions::from_mode(mode))
    });
    opened.with_context(|| format!("cannot open {}", stack.display()))?;
    let EnginePrograms { etcd, vtctld, vttablet, vtgate, .. } = programs;
    for path in [etcd, vtctld, vttablet, vtgate].map(PathBuf::as_path).into_iter().chain([stack]) {
        if let Some(closed) = closed(path) {
            bail!(
                "{} is closed to others, and {} is wanted by nobody, as whom Vitess runs where root starts it",
                closed.display(),
                path.display()
            );
        }
    }
    Ok(())
}

/// A part of a path that others cannot pass through, or run.
fn closed(path: &Path) -> Option<&Path> {
    let closed = |part: &&Path| fs::metadata(part).is_ok_and(|part| part.permissions().mode() & 0o001 == 0);
    path.ancestors().find(closed)
}

/// Asks a server's page of health.
pub(crate) fn lives(stream: &mut TcpStream, page: &str) -> Result<()> {
    stream.write_all(format!("GET {page} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").as_bytes())?;
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status)?;
    ensure!(status.split(' ').nth(1) == Some("200"), "it answers {}", status.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(flags: &[OsString], flag: &str) -> bool {
        flags.iter().any(|told| told == flag)
    }

    #[test]
    fn a_tablet_is_told_its_shard_and_its_database() {
        let tablet = Tablet { number: 5, range: "20-40".parse().unwrap() };
        let flags = tablet_flags(tablet, 3_311);
        for flag in [
            "--tablet-path=z1-105",
            "--init-keyspace=results",
            "--init-shard=20-40",
            "--db-port=3311",
            "--init-db-name-override=engine_5",
            "--db-filtered-user=coupon",
            "--unmanaged",
        ] {
            assert!(told(&flags, flag), "{flag} in {flags:?}");
        }
    }

    #[test]
    fn everything_listens_on_the_loopback_only() {
        let ports = ProgramPorts { http: 2, grpc: 3 };
        let common = common(ports, 1);
        for flag in ["--bind-address=127.0.0.1", "--grpc-bind-address=127.0.0.1", "--port=2", "--grpc-port=3"]
        {
            assert!(told(&common, flag), "{flag}");
        }
        assert!(told(&vtgate_flags(4), "--mysql-server-bind-address=127.0.0.1"));
        let all = [
            common,
            vtgate_flags(4),
            etcd_flags(5, 6),
            tablet_flags(Tablet { number: 0, range: "-".parse().unwrap() }, 7),
        ];
        let told = all.concat();
        let addresses = told.iter().filter_map(|flag| flag.to_str()).filter(|flag| flag.contains("://"));
        assert_eq!(addresses.clone().count(), 5);
        assert!(addresses.into_iter().all(|flag| flag.contains("http://127.0.0.1:")));
    }

    #[test]
    fn what_others_cannot_pass_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("vtgate");
        fs::write(&program, "").unwrap();
        let open = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        open(&program, 0o755);
        open(dir.path(), 0o700);
        assert_eq!(closed(&program), Some(dir.path()));
        open(dir.path(), 0o711);
        assert_ne!(closed(&program), Some(dir.path()));
        open(&program, 0o700);
        assert_eq!(closed(&program), Some(program.as_path()));
    }
}
