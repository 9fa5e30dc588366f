//! The answers of Vitess' tools.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use coupon_core::KeyRange;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A shard as etcd has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) range: KeyRange,
    /// True when what is sent to these ids goes to it.
    pub(crate) serves: bool,
    /// True once one of its tablets takes writes.
    pub(crate) has_primary: bool,
}

/// Reads an answer; `of` is the command that was asked.
fn read<T: DeserializeOwned>(text: &str, of: &str) -> Result<T> {
    serde_json::from_str(text).with_context(|| format!("{of} answers something else than it should: {text}"))
}

/// The shards of the keyspace, in their order, from `FindAllShardsInKeyspace`.
pub(crate) fn shards(text: &str) -> Result<Vec<Shard>> {
    #[derive(Deserialize)]
    struct Answer {
        shards: BTreeMap<String, Named>,
    }
    #[derive(Deserialize)]
    struct Named {
        shard: Fields,
    }
    #[derive(Deserialize)]
    struct Fields {
        primary_alias: Option<serde_json::Value>,
        is_primary_serving: bool,
    }
    let answer: Answer = read(text, "FindAllShardsInKeyspace")?;
    let shards = answer.shards.into_iter().map(|(name, Named { shard })| {
        let (serves, has_primary) = (shard.is_primary_serving, shard.primary_alias.is_some());
        Ok(Shard { range: name.parse()?, serves, has_primary })
    });
    let mut shards = shards.collect::<Result<Vec<_>>>()?;
    shards.sort_unstable_by_key(|shard| shard.range);
    Ok(shards)
}

/// True when the keyspace is one of several shards, from `GetVSchema`.
pub(crate) fn is_sharded(text: &str) -> Result<bool> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        sharded: bool,
    }
    Ok(read::<Answer>(text, "GetVSchema")?.sharded)
}

/// A copy of shards into others, which follows them until it is ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Workflow {
    pub(crate) name: String,
    pub(crate) from: Vec<KeyRange>,
    pub(crate) to: Vec<KeyRange>,
    pub(crate) streams: Vec<Stream>,
}

/// A part of it: from one shard to one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Stream {
    pub(crate) state: String,
    pub(crate) message: String,
}

/// The copies that there are, in the order of their names, from `GetWorkflows`.
pub(crate) fn workflows(text: &str) -> Result<Vec<Workflow>> {
    #[derive(Deserialize)]
    struct Answer {
        workflows: Vec<Fields>,
    }
    #[derive(Deserialize)]
    struct Fields {
        name: String,
        source: Place,
        target: Place,
        shard_streams: BTreeMap<String, Streams>,
    }
    #[derive(Deserialize)]
    struct Place {
        shards: Vec<KeyRange>,
    }
    #[derive(Deserialize)]
    struct Streams {
        streams: Vec<Stream>,
    }
    let answer: Answer = read(text, "GetWorkflows")?;
    let workflows = answer.workflows.into_iter().map(|Fields { name, source, target, shard_streams }| {
        let (mut from, mut to) = (source.shards, target.shards);
        from.sort_unstable();
        to.sort_unstable();
        let streams = shard_streams.into_values().flat_map(|shard| shard.streams).collect();
        Workflow { name, from, to, streams }
    });
    let mut workflows: Vec<_> = workflows.collect();
    workflows.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(workflows)
}

/// The shards that take no writes now, since a switch from them is under way or was cut short, from `GetSrvKeyspaces`.
pub(crate) fn stopped(text: &str) -> Result<Vec<KeyRange>> {
    #[derive(Deserialize)]
    struct Cell {
        #[serde(default)]
        partitions: Vec<Partition>,
    }
    #[derive(Deserialize)]
    struct Partition {
        #[serde(default)]
        shard_tablet_controls: Vec<Shard>,
    }
    #[derive(Deserialize)]
    struct Shard {
        name: KeyRange,
        #[serde(default)]
        query_service_disabled: bool,
    }
    let cells: BTreeMap<String, Cell> = read(text, "GetSrvKeyspaces")?;
    let shards = cells.into_values().flat_map(|cell| cell.partitions);
    let shards = shards.flat_map(|partition| partition.shard_tablet_controls);
    let mut stopped: Vec<_> =
        shards.filter(|shard| shard.query_service_disabled).map(|shard| shard.name).collect();
    stopped.sort_unstable();
    stopped.dedup();
    Ok(stopped)
}

/// A comparison of a copy with what it was made of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Diff {
    #[serde(rename = "UUID")]
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) rows_compared: u64,
    pub(crate) has_mismatch: bool,
    /// By shard.
    #[serde(default)]
    pub(crate) errors: BTreeMap<String, String>,
}

/// The last comparison, if there was one, from `VDiff show last`.
pub(crate) fn diff(text: &str) -> Result<Option<Diff>> {
    if text.trim() == "{}" { Ok(None) } else { read(text, "VDiff show").map(Some) }
}

/// The comparison that was begun, from `VDiff create`.
pub(crate) fn begun(text: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "UUID")]
        id: String,
    }
    Ok(read::<Answer>(text, "VDiff create")?.id)
}

/// The rows that are copied, and of how many, as the database servers estimate both, from `Reshard status`. Nothing once
/// all are.
pub(crate) fn copied(text: &str) -> Result<Option<(u64, u64)>> {
    #[derive(Deserialize)]
    struct Answer {
        table_copy_state: BTreeMap<String, Table>,
    }
    // Protocol buffers have numbers of 64 bits as text.
    #[derive(Deserialize)]
    struct Table {
        rows_copied: String,
        rows_total: String,
    }
    let tables = read::<Answer>(text, "Reshard status")?.table_copy_state;
    let mut sums = (0_u64, 0_u64);
    for Table { rows_copied, rows_total } in tables.values() {
        let number =
            |text: &str| text.parse::<u64>().with_context(|| format!("{text:?} is no number of rows"));
        sums.0 += number(rows_copied)?;
        sums.1 += number(rows_total)?;
    }
    Ok((!tables.is_empty()).then_some(sums))
}

/// A lock that some action of vtctld's holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lock {
    /// What is locked.
    pub(crate) of: String,
    /// The lease that the lock ends with, as etcdctl wants it.
    pub(crate) lease: String,
}

/// The locks on a keyspace and on its copies, from the keys that etcd has.
pub(crate) fn locks(keys: &str, keyspace: &str) -> Vec<Lock> {
    let lock = |key: &str| {
        let (of, lease) = key.rsplit_once("/locks/")?;
        let (_, named) = of.split_once("/named_locks/").or_else(|| of.split_once("/keyspaces/"))?;
        let ours = named == keyspace || named.split_once('/').is_some_and(|(first, _)| first == keyspace);
        // The name is the lease's number, which etcdctl wants in its base.
        let lease = format!("{:x}", lease.parse::<u64>().ok()?);
        ours.then(|| Lock { of: named.to_owned(), lease })
    };
    keys.lines().filter_map(|key| lock(key.trim())).collect()
}

/// Why a tool failed, from what it wrote to its stderr: a line of its log as JSON, or one for people.
pub(crate) fn reason(stderr: &str) -> String {
    #[derive(Deserialize)]
    struct Line {
        msg: String,
    }
    let last = stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    serde_json::from_str(last).map_or_else(|_| last.trim().to_owned(), |Line { msg }| msg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_read_in_their_order() {
        let text = r#"{"shards": {
            "80-": {"keyspace": "results", "name": "80-", "shard": {"primary_alias": null, "is_primary_serving": true}},
            "-80": {"keyspace": "results", "name": "-80", "shard": {
                "primary_alias": {"cell": "z1", "uid": 100}, "key_range": {"start": "", "end": "gA=="},
                "is_primary_serving": true}},
            "-40": {"keyspace": "results", "name": "-40", "shard": {
                "primary_alias": {"cell": "z1", "uid": 102}, "is_primary_serving": false}}}}"#;
        let told = shards(text).unwrap();
        let told: Vec<_> =
            told.iter().map(|shard| (shard.range.to_string(), shard.serves, shard.has_primary)).collect();
        let expected = [("-40", false, true), ("-80", true, true), ("80-", true, false)];
        assert_eq!(told, expected.map(|(name, serves, primary)| (name.to_owned(), serves, primary)));
    }

    #[test]
    fn an_answer_that_is_none_is_quoted() {
        let error = format!("{:#}", shards("no such keyspace").unwrap_err());
        assert!(error.contains("FindAllShardsInKeyspace") && error.contains("no such keyspace"), "{error}");
        assert!(shards(r#"{"shards": {}}"#).unwrap().is_empty());
    }

    #[test]
    fn a_keyspace_without_a_vschema_is_not_sharded() {
        assert!(!is_sharded("{}").unwrap());
        assert!(is_sharded(r#"{"sharded": true, "vindexes": {}, "tables": {}}"#).unwrap());
    }

    fn ranges(names: &str) -> Vec<KeyRange> {
        names.split(' ').map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn a_copy_is_read_with_its_streams() {
        let text = r#"{"workflows": [{"name": "reshard_4", "source": {"keyspace": "results", "shards": ["-40"]},
            "target": {"keyspace": "results", "shards": ["20-40", "-20"]}, "max_v_replication_lag": "1",
            "shard_streams": {
                "-20/z1-0000000104": {"streams": [{"id": "1", "state": "Running", "message": ""}]},
                "20-40/z1-0000000105": {"streams": [{"id": "2", "state": "Stopped", "message": "FROZEN"}]}}}]}"#;
        let stream =
            |state: &str, message: &str| Stream { state: state.to_owned(), message: message.to_owned() };
        let expected = Workflow {
            name: "reshard_4".to_owned(),
            from: ranges("-40"),
            to: ranges("-20 20-40"),
            streams: vec![stream("Running", ""), stream("Stopped", "FROZEN")],
        };
        assert_eq!(workflows(text).unwrap(), [expected]);
        assert!(workflows(r#"{"workflows": []}"#).unwrap().is_empty());
    }

    #[test]
    fn shards_that_take_no_writes_are_told_from_those_that_do() {
        let text = r#"{"z1": {"partitions": [{"served_type": 1,
            "shard_references": [{"name": "-40", "key_range": {"end": "QA=="}}],
            "shard_tablet_controls": [{"name": "-40", "query_service_disabled": true}, {"name": "40-80"}]},
            {"served_type": 2, "shard_references": [{"name": "-40"}]}]}}"#;
        assert_eq!(stopped(text).unwrap(), ranges("-40"));
        assert!(stopped(r#"{"z1": {}}"#).unwrap().is_empty());
    }

    #[test]
    fn a_comparison_is_read_if_there_was_one() {
        assert_eq!(diff("{}\n").unwrap(), None);
        let text = r#"{"Workflow": "reshard_4", "Keyspace": "results", "State": "error", "UUID": "a-b",
            "RowsCompared": 12, "HasMismatch": false, "Shards": "-20,20-40", "Errors": {"-20": "gone"},
            "Progress": {"Percentage": 12.5}}"#;
        let told = diff(text).unwrap().unwrap();
        assert_eq!((told.id.as_str(), told.state.as_str(), told.rows_compared), ("a-b", "error", 12));
        assert_eq!(told.errors["-20"], "gone");
        assert_eq!(begun(r#"{"UUID": "a-b"}"#).unwrap(), "a-b");
    }

    #[test]
    fn rows_are_summed_over_the_tables_that_are_copied() {
        let text = r#"{"table_copy_state": {
            "results.r": {"rows_copied": "10", "rows_total": "40", "rows_percentage": 25},
            "results.s": {"rows_copied": "2", "rows_total": "2", "rows_percentage": 100}},
            "shard_streams": {}, "traffic_state": "Reads Not Switched. Writes Not Switched"}"#;
        assert_eq!(copied(text).unwrap(), Some((12, 42)));
        assert_eq!(copied(r#"{"table_copy_state": {}}"#).unwrap(), None);
    }

    #[test]
    fn locks_of_the_keyspace_and_its_copies_are_found_among_keys() {
        let keys = "/vitess/global/cells/z1/CellInfo\n\n\
            /vitess/global/internal/named_locks/results/reshard_4/locks/7587888413245286001\n\n\
            /vitess/global/keyspaces/results/Keyspace\n\n\
            /vitess/global/keyspaces/results/locks/255\n\n\
            /vitess/global/keyspaces/other/locks/256\n";
        let told = locks(keys, "results");
        let told: Vec<_> = told.iter().map(|lock| (lock.of.as_str(), lock.lease.as_str())).collect();
        assert_eq!(told, [("results/reshard_4", "694d984f3ac9a671"), ("results", "ff")]);
    }

    #[test]
    fn the_reason_is_the_last_line_of_a_log_or_of_a_complaint() {
        let log = "{\"level\":\"WARN\",\"msg\":\"slow\"}\n{\"level\":\"ERROR\",\"msg\":\"rpc error: no primary\"}\n\n";
        assert_eq!(reason(log), "rpc error: no primary");
        assert_eq!(reason("usage\nunknown flag: --x\n"), "unknown flag: --x");
        assert_eq!(reason(" \n"), "it said nothing");
    }
}
