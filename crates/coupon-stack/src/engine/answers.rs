//! The answers of Vitess' tools.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::KeyRange;

/// A shard as etcd has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) range: KeyRange,
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
    }
    let answer: Answer = read(text, "FindAllShardsInKeyspace")?;
    let shards = answer.shards.into_iter().map(|(name, Named { shard })| {
        Ok(Shard { range: name.parse()?, has_primary: shard.primary_alias.is_some() })
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
        let told: Vec<_> = told.iter().map(|shard| (shard.range.to_string(), shard.has_primary)).collect();
        let expected = [("-40", true), ("-80", true), ("80-", false)];
        assert_eq!(told, expected.map(|(name, primary)| (name.to_owned(), primary)));
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

    #[test]
    fn the_reason_is_the_last_line_of_a_log_or_of_a_complaint() {
        let log = "{\"level\":\"WARN\",\"msg\":\"slow\"}\n{\"level\":\"ERROR\",\"msg\":\"rpc error: no primary\"}\n\n";
        assert_eq!(reason(log), "rpc error: no primary");
        assert_eq!(reason("usage\nunknown flag: --x\n"), "unknown flag: --x");
        assert_eq!(reason(" \n"), "it said nothing");
    }
}
