//! The servers' programs on this machine.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// Takes a database server other than the packaged one.
pub(crate) const MYSQL: &str = "COUPON_STACK_MYSQL";
/// The folder under which that server runs, by `chroot`.
pub(crate) const MYSQL_ROOT: &str = "COUPON_STACK_MYSQL_ROOT";

/// Takes a Redis other than the packaged one, or a Valkey.
const REDIS: &str = "COUPON_STACK_REDIS";

/// The folder of Vitess' programs, where neither PATH nor `make engine` has them.
const VITESS: &str = "COUPON_STACK_VITESS";

/// Folders of servers that a person's PATH may not name.
const SERVER_DIRS: [&str; 5] = ["/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/libexec", "/usr/local/bin"];
/// Debian's own, for `rabbitmq-server` in the PATH is there a wrapper that insists on another user.
const RABBITMQ: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// The programs that a stack runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Programs {
    pub(crate) mysql: MySql,
    pub(crate) redis: PathBuf,
    pub(crate) rabbitmq: PathBuf,
    /// Erlang's port mapper, without which no RabbitMQ starts.
    pub(crate) epmd: PathBuf,
    /// Those of its engine, if it has one.
    #[serde(default)]
    pub(crate) engine: Option<EnginePrograms>,
}

/// The programs of an engine: etcd and its tool, and Vitess'.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct EnginePrograms {
    pub(crate) etcd: PathBuf,
    pub(crate) etcdctl: PathBuf,
    pub(crate) vtctld: PathBuf,
    pub(crate) vtctldclient: PathBuf,
    pub(crate) vtgate: PathBuf,
    pub(crate) vttablet: PathBuf,
}

/// A database server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MySql {
    /// The path as seen from inside `root`.
    pub(crate) server: PathBuf,
    pub(crate) root: Option<PathBuf>,
    /// MariaDB's program that makes a data folder; a MySQL server does that itself.
    pub(crate) install: Option<PathBuf>,
}

impl Programs {
    /// Finds them. Without an error, an empty list of what is missing.
    pub(crate) fn find() -> Result<Result<Self, Vec<&'static str>>> {
        let dirs = dirs();
        let chosen = MySql::chosen(&dirs)?;
        Ok(Self::find_in(&dirs, Path::new(RABBITMQ), chosen, chosen_redis()?))
    }

    fn find_in(
        dirs: &[PathBuf],
        rabbitmq: &Path,
        mysql: Option<MySql>,
        redis: Option<PathBuf>,
    ) -> Result<Self, Vec<&'static str>> {
        let mysql = mysql.or_else(|| MySql::packaged(dirs));
        let redis = redis.or_else(|| program(dirs, "redis-server"));
        let redis = redis.or_else(|| program(dirs, "valkey-server"));
        let rabbitmq = Some(rabbitmq.to_owned()).filter(|path| path.is_file());
        let rabbitmq = rabbitmq.or_else(|| program(dirs, "rabbitmq-server"));
        let epmd = program(dirs, "epmd");
        match (mysql, redis, rabbitmq, epmd) {
            (Some(mysql), Some(redis), Some(rabbitmq), Some(epmd)) => {
                Ok(Self { mysql, redis, rabbitmq, epmd, engine: None })
            }
            (mysql, redis, rabbitmq, epmd) => {
                let mut missing = Vec::new();
                missing.extend(mysql.is_none().then_some("mariadb-server"));
                missing.extend(redis.is_none().then_some("redis-server"));
                missing.extend((rabbitmq.is_none() || epmd.is_none()).then_some("rabbitmq-server"));
                Err(missing)
            }
        }
    }

    /// Those of its engine.
    pub(crate) fn engine(&self) -> Result<&EnginePrograms> {
        self.engine.as_ref().context("this stack has no engine")
    }
}

impl EnginePrograms {
    /// Finds them, or the packages that are missing.
    pub(crate) fn find() -> Result<Result<Self, Vec<&'static str>>> {
        let own = env::var_os(VITESS).filter(|dir| !dir.is_empty());
        let own = own.map(std::path::absolute).transpose()?;
        let all: Vec<PathBuf> = own.into_iter().chain(dirs()).chain(built()).collect();
        Self::find_in(&all)
    }

    fn find_in(dirs: &[PathBuf]) -> Result<Result<Self, Vec<&'static str>>> {
        let vitess = |name: &str| {
            program(dirs, name).with_context(|| {
                format!("{name} is not found: `make engine` builds it, or {VITESS}=DIR says where it is")
            })
        };
        let (vtctld, vtctldclient) = (vitess("vtctld")?, vitess("vtctldclient")?);
        let (vtgate, vttablet) = (vitess("vtgate")?, vitess("vttablet")?);
        Ok(match (program(dirs, "etcd"), program(dirs, "etcdctl")) {
            (Some(etcd), Some(etcdctl)) => Ok(Self { etcd, etcdctl, vtctld, vtctldclient, vtgate, vttablet }),
            (etcd, etcdctl) => {
                let mut missing = Vec::new();
                missing.extend(etcd.is_none().then_some("etcd-server"));
                missing.extend(etcdctl.is_none().then_some("etcd-client"));
                Err(missing)
            }
        })
    }
}

/// The folder that `make engine` builds into (deploy/engine/build).
fn built() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cache"));
    let cache = if rustix::process::geteuid().is_root() {
        Some(PathBuf::from("/var/cache"))
    } else {
        env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from).or_else(home)
    };
    Some(cache?.join("coupon-stack/engine/bin"))
}

/// The Redis that the environment asks for.
fn chosen_redis() -> Result<Option<PathBuf>> {
    let Some(chosen) = env::var_os(REDIS).filter(|redis| !redis.is_empty()) else { return Ok(None) };
    // It is started from other folders than this one.
    let redis = std::path::absolute(&chosen)?;
    ensure!(redis.is_file(), "{REDIS}={}: there is no such program", chosen.display());
    Ok(Some(redis))
}

impl MySql {
    /// The one that the environment asks for.
    fn chosen(dirs: &[PathBuf]) -> Result<Option<Self>> {
        let root = env::var_os(MYSQL_ROOT).filter(|root| !root.is_empty()).map(PathBuf::from);
        let server = env::var_os(MYSQL).filter(|server| !server.is_empty()).map(PathBuf::from);
        let Some(server) = server.or_else(|| root.as_ref().map(|_| PathBuf::from("/usr/sbin/mysqld"))) else {
            return Ok(None);
        };
        let root =
            root.map(|root| root.canonicalize().with_context(|| format!("{MYSQL_ROOT}={}", root.display())));
        let root = root.transpose()?;
        // It is started from other folders than this one.
        let server = if root.is_some() { server } else { std::path::absolute(server)? };
        let mut mysql = Self { server, root, install: None };
        let version = mysql.version().with_context(|| format!("{MYSQL}={}", mysql.server.display()))?;
        if version.contains("MariaDB") {
            let install = match &mysql.root {
                Some(_) => Some(PathBuf::from("/usr/bin/mariadb-install-db")),
                None => program(&beside(&mysql.server, dirs), "mariadb-install-db"),
            };
            mysql.install = Some(install.context("mariadb-install-db is not installed")?);
        }
        Ok(Some(mysql))
    }

    fn packaged(dirs: &[PathBuf]) -> Option<Self> {
        if let Some(server) = program(dirs, "mariadbd") {
            let install = program(dirs, "mariadb-install-db")?;
            return Some(Self { server, root: None, install: Some(install) });
        }
        let mut mysql = Self { server: program(dirs, "mysqld")?, root: None, install: None };
        if mysql.version().ok()?.contains("MariaDB") {
            mysql.install = Some(program(dirs, "mysql_install_db")?);
        }
        Some(mysql)
    }

    fn version(&self) -> Result<String> {
        let (program, mut arguments) = self.command();
        arguments.push("--version".into());
        let output = Command::new(program).args(arguments).output().context("cannot be started")?;
        ensure!(
            output.status.success(),
            "it does not tell its version: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The flavour: data folders of one cannot be read by the other.
    pub(crate) fn flavour(&self) -> &'static str {
        if self.install.is_some() { "MariaDB" } else { "MySQL" }
    }

    /// The server, and its first arguments.
    pub(crate) fn command(&self) -> (PathBuf, Vec<OsString>) {
        self.below_root(&self.server)
    }

    /// The program that makes a data folder, and its first arguments.
    pub(crate) fn install_command(&self) -> (PathBuf, Vec<OsString>) {
        self.below_root(self.install.as_ref().unwrap_or(&self.server))
    }

    /// The client that comes with the server, and its first arguments.
    pub(crate) fn client_command(&self) -> Result<(PathBuf, Vec<OsString>)> {
        let name = if self.install.is_some() { "mariadb" } else { "mysql" };
        let client = match &self.root {
            Some(_) => Path::new("/usr/bin").join(name),
            None => program(&beside(&self.server, &dirs()), name)
                .with_context(|| format!("the client {name} is not installed"))?,
        };
        Ok(self.below_root(&client))
    }

    fn below_root(&self, program: &Path) -> (PathBuf, Vec<OsString>) {
        match &self.root {
            None => (program.to_owned(), Vec::new()),
            Some(root) => ("chroot".into(), vec![root.into(), program.into()]),
        }
    }

    /// A path as the server sees it.
    pub(crate) fn inside(&self, path: &Path) -> Result<PathBuf> {
        let Some(root) = &self.root else { return Ok(path.to_owned()) };
        let inside = path.strip_prefix(root).with_context(|| {
            format!(
                "{} is not below {MYSQL_ROOT}={}, where the server could reach it",
                path.display(),
                root.display()
            )
        })?;
        Ok(Path::new("/").join(inside))
    }

    /// The folder for temporary stacks.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.as_ref().map_or_else(env::temp_dir, |root| root.join("tmp"))
    }
}

/// The folders of a program's companions: its own, that of a built tree's scripts, and all others.
fn beside(server: &Path, dirs: &[PathBuf]) -> Vec<PathBuf> {
    let own = server.parent().map(|own| [own.to_owned(), own.join("../bin"), own.join("../scripts")]);
    own.into_iter().flatten().chain(dirs.iter().cloned()).collect()
}

fn dirs() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    dirs.extend(SERVER_DIRS.map(PathBuf::from));
    dirs
}

/// A Chromium, or what is one under another name.
pub(crate) fn chromium() -> Option<PathBuf> {
    let dirs = dirs();
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
        .iter()
        .find_map(|name| program(&dirs, name))
}

fn program(dirs: &[PathBuf], name: &str) -> Option<PathBuf> {
    dirs.iter().map(|dir| dir.join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(programs: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let dir = tempfile::tempdir().unwrap();
        for program in programs {
            std::fs::write(dir.path().join(program), "").unwrap();
        }
        let dirs = vec![dir.path().join("none"), dir.path().to_owned()];
        (dir, dirs)
    }

    #[test]
    fn what_is_missing_is_named_by_its_package() {
        let (_dir, dirs) = machine(&["redis-server", "mariadbd", "rabbitmq-server"]);
        let missing = Programs::find_in(&dirs, Path::new("/none"), None, None).unwrap_err();
        assert_eq!(missing, ["mariadb-server", "rabbitmq-server"], "no install program, no port mapper");
    }

    #[test]
    fn programs_are_found_wherever_they_are() {
        let (dir, dirs) =
            machine(&["redis-server", "mariadbd", "mariadb-install-db", "rabbitmq-server", "epmd"]);
        let programs = Programs::find_in(&dirs, Path::new("/none"), None, None).unwrap();
        assert_eq!(programs.rabbitmq, dir.path().join("rabbitmq-server"));
        assert_eq!(programs.mysql.flavour(), "MariaDB");
        let valkey = Some(PathBuf::from("/srv/valkey-server"));
        let programs = Programs::find_in(&dirs, Path::new("/none"), None, valkey.clone()).unwrap();
        assert_eq!(Some(programs.redis), valkey, "the one that was asked for");
        std::fs::rename(dir.path().join("redis-server"), dir.path().join("valkey-server")).unwrap();
        let programs = Programs::find_in(&dirs, Path::new("/none"), None, None).unwrap();
        assert_eq!(programs.redis, dir.path().join("valkey-server"));
    }

    #[test]
    fn a_missing_program_of_an_engine_is_named_with_the_way_to_get_it() {
        let (_dir, dirs) = machine(&["vtctld", "vtctldclient", "vttablet"]);
        let error = EnginePrograms::find_in(&dirs).unwrap_err().to_string();
        assert!(error.starts_with("vtgate is not found") && error.contains("make engine"), "{error}");
        assert!(!error.contains('\n'));
        let (_dir, dirs) = machine(&["vtctld", "vtctldclient", "vttablet", "vtgate", "etcd"]);
        assert_eq!(EnginePrograms::find_in(&dirs).unwrap().unwrap_err(), ["etcd-client"]);
    }

    #[test]
    fn a_path_outside_of_the_root_is_refused() {
        let mysql = MySql { server: "/mysqld".into(), root: Some("/srv/root".into()), install: None };
        assert_eq!(mysql.inside(Path::new("/srv/root/tmp/x")).unwrap(), Path::new("/tmp/x"));
        let error = mysql.inside(Path::new("/tmp/x")).unwrap_err().to_string();
        assert!(error.contains(MYSQL_ROOT), "{error}");
    }
}
