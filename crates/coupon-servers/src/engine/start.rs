//! What is looked at before anything is stored in an engine.

use std::collections::BTreeMap;

use coupon_core::{KeyRange, KeyspaceId, Lanes, ShardId};

use super::vschema::{Sharded, differences};

/// The oldest MySQL that shards may have.
const OLDEST: (u32, u32) = (8, 4);
/// The latest that was tried.
const LATEST: u32 = 9;
/// A word of a server that is no MySQL.
const MARIADB: &str = "mariadb";

/// What an engine, and each of its shards' servers, says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineAnswers {
    /// The names of the shards that serve the keyspace.
    pub shards: Vec<String>,
    /// What each table is sharded by.
    pub sharded: BTreeMap<String, Vec<Sharded>>,
    /// The engine's keyspace ids of [`KeyspaceId::ASKED`], in hexadecimal digits.
    pub ids: BTreeMap<u64, String>,
    /// Of each shard's server its name, and its variables.
    pub servers: Vec<(String, BTreeMap<String, String>)>,
}

/// An engine that nothing can be stored in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedEngine {
    /// A shard's name that is no range by the first byte.
    #[error("shard {0:?} has a name that is no range of the first byte, such as -40 or 40-80")]
    Name(String),
    /// Shards that leave ids out, or have some twice.
    #[error("the shards that serve it ({0}) do not have each keyspace id once")]
    Ids(String),
    /// A shard that ends within a lane.
    #[error(
        "shard {shard} ends within a lane, of which there are {lanes}: a lane's transaction is on one shard"
    )]
    Cut {
        /// The shard.
        shard: KeyRange,
        /// The number of lanes.
        lanes: u16,
    },
    /// A VSchema that differs.
    #[error("its VSchema differs: {0}")]
    Vschema(String),
    /// A keyspace id that is another here.
    #[error(
        "its keyspace id of {key} is {told}, and not {wanted}: rows would be in other lanes than they are looked for in"
    )]
    Hash {
        /// The key.
        key: u64,
        /// The engine's id.
        told: String,
        /// The id here.
        wanted: KeyspaceId,
    },
    /// A server with a setting that loses rows, or lets in bad ones.
    #[error("the server of shard {shard} has {setting} = {value}: {why}")]
    Setting {
        /// The shard.
        shard: String,
        /// The variable.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What is wanted of it.
        why: &'static str,
    },
}

/// The variables of a shard's server that are asked for, each with the values that will do, or `None` where that takes a closer
/// look, and what is wanted.
pub(super) const SETTINGS: [(&str, Option<&[&str]>, &str); 7] = [
    ("version", None, "MySQL from 8.4 to 9 is wanted"),
    ("innodb_flush_log_at_trx_commit", Some(&["1"]), "1 is wanted, or what is committed may be lost"),
    ("sync_binlog", Some(&["1"]), "1 is wanted, or what is committed may be lost"),
    ("sql_mode", None, "STRICT_ALL_TABLES is wanted, or bad values are stored as others"),
    (
        "transaction_isolation",
        Some(&["READ-COMMITTED"]),
        "READ-COMMITTED is wanted, or gaps between rows are locked",
    ),
    ("time_zone", Some(&["+00:00", "UTC"]), "+00:00 is wanted"),
    ("autocommit", Some(&["1", "ON"]), "1 is wanted"),
];

/// Refuses an engine in which a row could be lost, or be where no question leads.
///
/// # Errors
/// The first reason.
pub fn check(
    answers: &EngineAnswers,
    lanes: Lanes,
    wanted: &BTreeMap<String, Sharded>,
) -> Result<Vec<(KeyRange, Vec<ShardId>)>, RefusedEngine> {
    let shards = shards(&answers.shards, lanes)?;
    let differ = differences(wanted, &answers.sharded);
    if !differ.is_empty() {
        return Err(RefusedEngine::Vschema(differ.join("; ")));
    }
    for key in KeyspaceId::ASKED {
        let (told, wanted) = (answers.ids.get(&key).map_or("none", String::as_str), KeyspaceId::of(key));
        if told != wanted.to_string() {
            return Err(RefusedEngine::Hash { key, told: told.to_owned(), wanted });
        }
    }
    for (shard, variables) in &answers.servers {
        for (setting, good, why) in SETTINGS {
            let value = variables.get(setting).map_or("unknown", String::as_str);
            let will_do = match (good, setting) {
                (Some(good), _) => good.contains(&value),
                (None, "version") => version_will_do(value),
                (None, _) => value.split(',').any(|mode| mode == "STRICT_ALL_TABLES"),
            };
            if !will_do {
                return Err(RefusedEngine::Setting {
                    shard: shard.clone(),
                    setting,
                    value: value.to_owned(),
                    why,
                });
            }
        }
    }
    Ok(shards)
}

/// The shards in the order of ids, each with its lanes.
pub(super) fn shards(names: &[String], lanes: Lanes) -> Result<Vec<(KeyRange, Vec<ShardId>)>, RefusedEngine> {
    let range = |name: &String| name.parse().map_err(|_| RefusedEngine::Name(name.clone()));
    let mut ranges: Vec<KeyRange> = names.iter().map(range).collect::<Result<_, _>>()?;
    ranges.sort_unstable();
    if !KeyRange::have_all_ids(&ranges) {
        return Err(RefusedEngine::Ids(names.join(", ")));
    }
    match ranges.iter().find(|shard| lanes.are_cut_by(**shard)) {
        Some(shard) => Err(RefusedEngine::Cut { shard: *shard, lanes: lanes.count().get() }),
        None => Ok(ranges.into_iter().map(|shard| (shard, lanes.within(shard).collect())).collect()),
    }
}

fn version_will_do(version: &str) -> bool {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    let (major, minor): (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    !version.to_ascii_lowercase().contains(MARIADB) && (major, minor) >= OLDEST && major <= LATEST
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;
    use crate::engine::wanted;

    fn eight() -> Lanes {
        Lanes::new(NonZeroU16::new(8).unwrap()).unwrap()
    }

    fn answers(shards: &[&str]) -> EngineAnswers {
        let variables = [
            ("version", "9.7.0"),
            ("innodb_flush_log_at_trx_commit", "1"),
            ("sync_binlog", "1"),
            ("sql_mode", "NO_ENGINE_SUBSTITUTION,STRICT_ALL_TABLES"),
            ("transaction_isolation", "READ-COMMITTED"),
            ("time_zone", "+00:00"),
            ("autocommit", "ON"),
        ];
        let variables: BTreeMap<String, String> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        EngineAnswers {
            shards: shards.iter().map(|name| (*name).to_owned()).collect(),
            sharded: wanted().unwrap().into_iter().map(|(table, of)| (table, vec![of])).collect(),
            ids: KeyspaceId::ASKED.iter().map(|key| (*key, KeyspaceId::of(*key).to_string())).collect(),
            servers: shards.iter().map(|name| ((*name).to_owned(), variables.clone())).collect(),
        }
    }

    fn refused(change: impl FnOnce(&mut EngineAnswers)) -> String {
        let mut answers = answers(&["-40", "40-80", "80-c0", "c0-"]);
        change(&mut answers);
        check(&answers, eight(), &wanted().unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn an_engine_that_is_as_it_should_be_says_which_shard_has_which_lanes() {
        let shards = check(&answers(&["40-", "-40"]), eight(), &wanted().unwrap()).unwrap();
        let shards: Vec<_> =
            shards.into_iter().map(|(shard, lanes)| (shard.to_string(), lanes.len())).collect();
        assert_eq!(shards, [("-40".to_owned(), 2), ("40-".to_owned(), 6)]);
    }

    #[test]
    fn shards_that_a_lane_cannot_be_on_are_refused() {
        let shards = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            refused(|answers| answers.shards = names)
        };
        assert!(shards(&["-30", "30-"]).contains("-30 ends within a lane"));
        assert!(shards(&["-4000", "4000-"]).contains("\"-4000\""));
        assert!(shards(&["-40", "80-"]).contains("each keyspace id once"));
        assert!(shards(&["-80", "40-80", "80-"]).contains("each keyspace id once"));
        assert!(shards(&[]).contains("each keyspace id once"));
    }

    #[test]
    fn a_vschema_or_a_hash_that_differs_is_refused() {
        let error = refused(|answers| drop(answers.sharded.remove("coupon_results")));
        assert!(error.contains("VSchema") && error.contains("coupon_results"), "{error}");
        let error = refused(|answers| "b7b41276360564d4".clone_into(answers.ids.get_mut(&1).unwrap()));
        assert!(error.contains("d46405367612b4b7"), "{error}");
        assert!(refused(|answers| answers.ids.clear()).contains("of 1 is none"));
    }

    #[test]
    fn a_server_that_loses_what_it_has_committed_is_refused() {
        for (setting, value) in [
            ("innodb_flush_log_at_trx_commit", "2"),
            ("sync_binlog", "0"),
            ("sql_mode", "NO_ENGINE_SUBSTITUTION"),
            ("sql_mode", "NOT_STRICT_ALL_TABLES"),
            ("transaction_isolation", "REPEATABLE-READ"),
            ("time_zone", "SYSTEM"),
            ("autocommit", "0"),
            ("version", "10.11.6-MariaDB"),
            ("version", "8.0.40"),
            ("version", "10.1.0"),
            ("version", "of somebody"),
        ] {
            let changed = value.to_owned();
            let error = refused(|answers| drop(answers.servers[2].1.insert(setting.to_owned(), changed)));
            assert!(
                error.contains("shard 80-c0") && error.contains(setting) && error.contains(value),
                "{error}"
            );
        }
        assert!(refused(|answers| drop(answers.servers[0].1.remove("sync_binlog"))).contains("unknown"));
    }
}
