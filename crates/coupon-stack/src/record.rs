//! The record in a stack's folder: `stack.json`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::engine::Tablets;
use crate::files::write_private;
use crate::process::Identity;
use crate::programs::Programs;
use crate::topology::Topology;

pub(crate) const FILE: &str = "stack.json";
const VERSION: u32 = 1;

/// A stack: what it was made with, and where its servers are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    /// The programs it was started with: its servers can be restarted by no other.
    pub(crate) programs: Programs,
    #[serde(flatten)]
    pub(crate) topology: Topology,
    /// The engine's, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tablets: Option<Tablets>,
    /// The start of the machine that the processes belong to.
    boot: String,
    pub(crate) servers: BTreeMap<String, ServerRecord>,
}

/// One server.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ServerRecord {
    pub(crate) ports: Vec<u16>,
    pub(crate) password: String,
    pub(crate) process: Option<Identity>,
    /// The control group that limits its CPU.
    pub(crate) group: Option<PathBuf>,
    /// Its part in a pair.
    #[serde(default)]
    pub(crate) part: Part,
}

/// The part of a database server in a pair of them. Any other server is the only one of its kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    /// It takes writes.
    #[default]
    Primary,
    /// It is read-only, and has what the primary has.
    Replica,
    /// It is read-only, and was the primary once: it may have what the primary has not.
    Demoted,
}

impl Record {
    pub(crate) fn new(
        programs: Programs,
        topology: Topology,
        tablets: Option<Tablets>,
        servers: BTreeMap<String, ServerRecord>,
    ) -> Self {
        Self { version: VERSION, programs, topology, tablets, boot: boot(), servers }
    }

    /// Reads a folder's, if it has one.
    pub(crate) fn load(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(FILE);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let mut record: Self = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        ensure!(record.version == VERSION, "{} is of another version of this program", path.display());
        if record.boot != boot() {
            // Numbers and start times begin anew with the machine.
            for server in record.servers.values_mut() {
                (server.process, server.group) = (None, None);
            }
        }
        Ok(Some(record))
    }

    pub(crate) fn save(&self, dir: &Path) -> Result<()> {
        write_private(&dir.join(FILE), &format!("{}\n", serde_json::to_string_pretty(self)?))
    }

    pub(crate) fn is_up(&self) -> bool {
        self.servers.values().filter_map(|server| server.process).any(Identity::runs)
    }
}

fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs::MySql;

    fn record(process: Identity) -> Record {
        let server = ServerRecord { ports: vec![1], process: Some(process), ..ServerRecord::default() };
        let mysql = MySql { server: "mysqld".into(), root: None, install: None };
        let (redis, rabbitmq, epmd) = ("redis".into(), "rabbitmq".into(), "epmd".into());
        let programs = Programs { mysql, redis, rabbitmq, epmd, engine: None };
        Record::new(programs, Topology::default(), None, [("main".to_owned(), server)].into())
    }

    #[test]
    fn what_runs_is_told_from_what_ran() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Record::load(dir.path()).unwrap().is_none());
        let own = Identity::of(std::process::id()).unwrap();
        record(own).save(dir.path()).unwrap();
        assert!(Record::load(dir.path()).unwrap().unwrap().is_up());
        record(Identity { started: own.started + 1, ..own }).save(dir.path()).unwrap();
        assert!(!Record::load(dir.path()).unwrap().unwrap().is_up());
        let before = Record { boot: "another".to_owned(), ..record(own) };
        before.save(dir.path()).unwrap();
        assert!(!Record::load(dir.path()).unwrap().unwrap().is_up());
    }

    #[test]
    fn a_record_of_before_has_one_server_of_each_kind() {
        let record = record(Identity::of(std::process::id()).unwrap());
        let mut value = serde_json::to_value(&record).unwrap();
        let fields = value.as_object_mut().unwrap();
        assert!(
            ["replicas", "redis", "redis_sentinel", "rabbitmq"]
                .iter()
                .all(|field| fields.remove(*field).is_some())
        );
        let read: Record = serde_json::from_value(value).unwrap();
        assert_eq!(read.topology, Topology::default());
    }

    #[test]
    fn a_broken_record_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "{").unwrap();
        let error = Record::load(dir.path()).unwrap_err().to_string();
        assert!(error.contains(FILE), "{error}");
    }
}
