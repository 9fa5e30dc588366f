//! Vitess' own tools, run one command at a time.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use coupon_core::KeyRange;

use super::answers::{self, Diff, Lock, Shard, Workflow};
use super::group::Group;
use super::{CELL, CELL_ROOT, GLOBAL_ROOT, KEYSPACE, Tablet};
use crate::programs::EnginePrograms;

/// The longest that a command may take: some wait for tablets.
const LIMIT: &str = "5m";
/// The lag that a switch may begin with after one that was cut short, which stopped the copy: it grows meanwhile.
const ANY_LAG: &str = "--max-replication-lag-allowed=24h";
/// The tablets to copy from. There are no others.
const PRIMARIES: &str = "--tablet-types=primary";

/// An engine that runs, as an operator has it in hand.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    vtctldclient: PathBuf,
    etcdctl: PathBuf,
    /// The ports of these two.
    vtctld: u16,
    etcd: u16,
}

impl Control {
    pub(crate) fn new(programs: &EnginePrograms, vtctld: u16, etcd: u16) -> Self {
        let (vtctldclient, etcdctl) = (programs.vtctldclient.clone(), programs.etcdctl.clone());
        Self { vtctldclient, etcdctl, vtctld, etcd }
    }

    /// Has vtctld do something, and returns what it answers.
    fn ask(&self, arguments: &[&str]) -> Result<String> {
        let server = format!("--server=127.0.0.1:{}", self.vtctld);
        let limit = format!("--action-timeout={LIMIT}");
        let mut all = vec![server.as_str(), limit.as_str(), "--log-level=error"];
        all.extend(arguments);
        run(&self.vtctldclient, &all)
    }

    /// Makes the keyspace if it is not there, and says where etcd is now. It has no tables: the program that makes
    /// them says how they are sharded.
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

    pub(crate) fn workflows(&self) -> Result<Vec<Workflow>> {
        answers::workflows(&self.ask(&["GetWorkflows", "--show-all", "--include-logs=false", KEYSPACE])?)
    }

    /// The shards that take no writes now.
    pub(crate) fn stopped(&self) -> Result<Vec<KeyRange>> {
        answers::stopped(&self.ask(&["GetSrvKeyspaces", KEYSPACE, CELL])?)
    }

    /// Does something of a copy.
    fn reshard(&self, workflow: &str, arguments: &[&str]) -> Result<String> {
        self.of_workflow("Reshard", workflow, arguments)
    }

    fn of_workflow(&self, command: &str, workflow: &str, arguments: &[&str]) -> Result<String> {
        let (workflow, keyspace) =
            (format!("--workflow={workflow}"), format!("--target-keyspace={KEYSPACE}"));
        let mut all = vec![command, workflow.as_str(), keyspace.as_str()];
        all.extend(arguments);
        self.ask(&all)
    }

    /// Begins to copy shards into others. It makes the tables there first.
    pub(crate) fn create(&self, workflow: &str, Group { from, to }: &Group) -> Result<()> {
        let list = |ranges: &[KeyRange]| ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let (from, to) = (format!("--source-shards={}", list(from)), format!("--target-shards={}", list(to)));
        self.reshard(workflow, &["create", &from, &to, PRIMARIES]).map(drop)
    }

    /// Lets a copy that was stopped go on.
    pub(crate) fn start(&self, workflow: &str) -> Result<()> {
        self.reshard(workflow, &["start"]).map(drop)
    }

    /// The rows that are copied, and of how many; nothing once all are.
    pub(crate) fn copied(&self, workflow: &str) -> Result<Option<(u64, u64)>> {
        answers::copied(&self.reshard(workflow, &["status", "--format=json"])?)
    }

    /// The last comparison of a copy.
    pub(crate) fn diff(&self, workflow: &str) -> Result<Option<Diff>> {
        answers::diff(&self.of_workflow("VDiff", workflow, &["show", "last", "--format=json"])?)
    }

    /// Begins to compare a copy with what it was made of.
    pub(crate) fn compare(&self, workflow: &str) -> Result<String> {
        answers::begun(&self.of_workflow("VDiff", workflow, &["create", PRIMARIES, "--format=json"])?)
    }

    /// Has the shards that were copied into serve, and those that they were copied from follow; `again` after a switch
    /// that was cut short.
    pub(crate) fn switch(&self, workflow: &str, again: bool) -> Result<()> {
        let arguments: &[&str] = if again { &["switchtraffic", ANY_LAG] } else { &["switchtraffic"] };
        self.reshard(workflow, arguments).map(drop)
    }

    /// Has the shards serve that were copied from.
    pub(crate) fn switch_back(&self, workflow: &str) -> Result<()> {
        self.reshard(workflow, &["reversetraffic", ANY_LAG]).map(drop)
    }

    /// Lets go of the shards that were copied from. After that there is no way back.
    pub(crate) fn complete(&self, workflow: &str) -> Result<()> {
        self.reshard(workflow, &["complete"]).map(drop)
    }

    /// Ends a copy that does not serve, and drops its tables.
    pub(crate) fn cancel(&self, workflow: &str) -> Result<()> {
        self.reshard(workflow, &["cancel"]).map(drop)
    }

    /// Has a tablet forget the streams of a copy whose other side is gone, of which Vitess says no more than that.
    pub(crate) fn forget(&self, workflow: &str, tablet: Tablet) -> Result<()> {
        let (database, alias) = (tablet.database(), tablet.alias());
        let rows = format!("db_name = '{database}' AND workflow = '{workflow}'");
        let delete = format!("DELETE FROM _vt.vreplication WHERE {rows}");
        self.ask(&["ExecuteFetchAsDBA", &alias, &delete]).map(drop)
    }

    /// Deletes a shard that does not serve.
    pub(crate) fn delete_shard(&self, range: KeyRange) -> Result<()> {
        self.ask(&["DeleteShards", "--recursive", &format!("{KEYSPACE}/{range}")]).map(drop)
    }

    /// The locks that actions of vtctld's hold.
    pub(crate) fn locks(&self) -> Result<Vec<Lock>> {
        let keys = self.etcdctl(&["get", "--prefix", "--keys-only", GLOBAL_ROOT])?;
        Ok(answers::locks(&keys, KEYSPACE))
    }

    /// Takes a lock from its holder.
    pub(crate) fn free(&self, lock: &Lock) -> Result<()> {
        self.etcdctl(&["lease", "revoke", &lock.lease]).map(drop)
    }

    fn etcdctl(&self, arguments: &[&str]) -> Result<String> {
        let server = format!("--endpoints=http://127.0.0.1:{}", self.etcd);
        let mut all = vec![server.as_str()];
        all.extend(arguments);
        run(&self.etcdctl, &all)
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
