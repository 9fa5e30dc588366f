//! Vitess' own tools, run one command at a time.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::answers::{self, Shard};
use super::{CELL, CELL_ROOT, KEYSPACE, KeyRange, Tablet};
use crate::programs::EnginePrograms;

/// The longest that a command may take: some wait for tablets.
const LIMIT: &str = "5m";

/// An engine that runs, as an operator has it in hand.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    vtctldclient: PathBuf,
    /// The ports of these two.
    vtctld: u16,
    etcd: u16,
}

impl Control {
    pub(crate) fn new(programs: &EnginePrograms, vtctld: u16, etcd: u16) -> Self {
        Self { vtctldclient: programs.vtctldclient.clone(), vtctld, etcd }
    }

    /// Has vtctld do something, and returns what it answers.
    fn ask(&self, arguments: &[&str]) -> Result<String> {
        let server = format!("--server=127.0.0.1:{}", self.vtctld);
        let limit = format!("--action-timeout={LIMIT}");
        let mut all = vec![server.as_str(), limit.as_str(), "--log-level=error"];
        all.extend(arguments);
        run(&self.vtctldclient, &all)
    }

    /// Makes the keyspace if it is not there, and says where etcd is now. It has no tables; whoever makes them says how
    /// they are sharded.
    pub(crate) fn make_keyspace(&self) -> Result<()> {
        let (root, etcd) =
            (format!("--root={CELL_ROOT}"), format!("--server-address=127.0.0.1:{}", self.etcd));
        self.ask(&["UpdateCellInfo", &root, &etcd, CELL])?;
        // With force: leave one that is there as it is.
        self.ask(&["CreateKeyspace", "--force", "--durability-policy=none", KEYSPACE])?;
        if !answers::is_sharded(&self.ask(&["GetVSchema", KEYSPACE])?)? {
            self.ask(&["ApplyVSchema", r#"--vschema={"sharded": true}"#, KEYSPACE])?;
        }
        Ok(())
    }

    pub(crate) fn shards(&self) -> Result<Vec<Shard>> {
        answers::shards(&self.ask(&["FindAllShardsInKeyspace", KEYSPACE])?)
    }

    /// Makes a shard: one that serves, if no other one serves these ids.
    pub(crate) fn create_shard(&self, range: KeyRange) -> Result<()> {
        self.ask(&["CreateShard", &format!("{KEYSPACE}/{range}")]).map(drop)
    }

    /// Lets a tablet take writes. Only now it makes its database.
    pub(crate) fn make_primary(&self, tablet: Tablet) -> Result<()> {
        self.ask(&["TabletExternallyReparented", &tablet.alias()]).map(drop)
    }
}

/// Runs a tool, and returns what it prints.
fn run(program: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    // What a person has set for tools of theirs (`ETCDCTL_…`) must not reach these.
    command.env_clear().env("LANG", "C.UTF-8").env("PATH", env::var_os("PATH").unwrap_or_default());
    let output = command.args(arguments).output();
    let output = output.with_context(|| format!("cannot run {}", program.display()))?;
    let name = program.file_name().unwrap_or_default().display().to_string();
    ensure!(
        output.status.success(),
        "{name} {}: {}",
        arguments.join(" "),
        answers::reason(&String::from_utf8_lossy(&output.stderr))
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
