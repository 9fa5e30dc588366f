//! The places of a data set's shards: each stays on the server where it was made, also when `servers.shards` grows.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use anyhow::{Context as _, ensure};
use coupon_core::ShardId;
use coupon_store::settings::ServersSettings;
use mysql_async::prelude::Queryable;

use super::mysql::{Database, DatabaseError, code, has_code};
use super::names::Namespace;

/// The addresses of shards' servers, and the place of each shard among them.
#[derive(Debug, Clone)]
pub(super) struct Places {
    settings: ServersSettings,
    namespace: Namespace,
    /// The place of each shard that main has recorded. Others go by the rule.
    recorded: BTreeMap<u16, u16>,
}

impl Places {
    /// The places of a data set that is not there yet.
    ///
    /// # Errors
    /// When there are no servers; the error names the setting.
    pub(super) fn new(settings: &ServersSettings, namespace: &Namespace) -> anyhow::Result<Self> {
        ensure!(
            !settings.shards.is_empty(),
            "setting `servers.shards` is missing: give a list of addresses such as mysql://user:password@host:3306"
        );
        Ok(Self { settings: settings.clone(), namespace: namespace.clone(), recorded: BTreeMap::new() })
    }

    /// The places of a data set that has none, since an engine has its shards.
    pub(super) fn of_none(settings: &ServersSettings, namespace: &Namespace) -> Self {
        Self { settings: settings.clone(), namespace: namespace.clone(), recorded: BTreeMap::new() }
    }

    /// The same, with what main has recorded.
    pub(super) async fn recorded(&self, main: &Database) -> Result<Self, DatabaseError> {
        Ok(Self { recorded: read(main).await?, ..self.clone() })
    }

    /// The place of a shard's server: where it was made or, where that is not recorded, by the rule for new ones.
    pub(super) fn server(&self, shard: u16) -> u16 {
        let servers = u16::try_from(self.settings.shards.len()).unwrap_or(u16::MAX).max(1);
        self.recorded.get(&shard).copied().unwrap_or(shard % servers)
    }

    /// A shard's database.
    pub(super) fn database(&self, shard: ShardId) -> anyhow::Result<Database> {
        let at = usize::from(self.server(shard.number()));
        let servers = &self.settings.shards;
        let url = servers.get(at).with_context(|| {
            format!(
                "setting `servers.shards` names {} servers, and shard {shard} is on the one in place {} of that list: \
                 servers are added at its end, and none is left out",
                servers.len(),
                at + 1
            )
        })?;
        let name = self.namespace.shard_database(shard);
        Database::new(&format!("servers.shards[{at}]"), url, &name, self.settings.pool.get())
    }

    /// The databases of so many shards.
    pub(super) fn databases(&self, shards: NonZeroU16) -> anyhow::Result<Vec<Database>> {
        (0..shards.get()).map(|shard| self.database(ShardId::new(shard))).collect()
    }
}

/// The place of each shard that main has recorded; none where there is no data set, or one of before.
async fn read(main: &Database) -> Result<BTreeMap<u16, u16>, DatabaseError> {
    let mut conn = main.connect_server().await?;
    let rows: Result<Vec<(u16, u16)>, _> =
        conn.query(format!("SELECT shard, server FROM {}.shard_places", main.name())).await;
    match rows {
        Ok(rows) => Ok(rows.into_iter().collect()),
        Err(error) if has_code(&error, code::NO_TABLE) || has_code(&error, code::NO_DATABASE) => {
            Ok(BTreeMap::new())
        }
        Err(error) => Err(main.error(&error)),
    }
}

/// Records the places of the first so many shards. One that is recorded stays.
pub(super) async fn record(
    conn: &mut impl Queryable,
    places: &Places,
    shards: u16,
) -> mysql_async::Result<()> {
    let row = |shard| (shard, places.server(shard));
    conn.exec_batch("INSERT IGNORE INTO shard_places (shard, server) VALUES (?, ?)", (0..shards).map(row))
        .await
}

#[cfg(test)]
mod tests {
    use coupon_store::settings::{NoSettings, Sources};

    use super::*;

    fn places(servers: &str) -> Places {
        let flags = vec![format!("servers.shards={servers}")];
        let service_defaults = "listen = \"127.0.0.1:0\"".to_owned();
        let sources = Sources { flags, service_defaults, ..Sources::default() };
        let (settings, NoSettings {}) = sources.read("own").unwrap();
        Places::new(&settings.servers, &Namespace::new("n", "own").unwrap()).unwrap()
    }

    #[test]
    fn a_shard_stays_where_it_was_made_when_servers_are_added() {
        let (one, three) = ("mysql://a:1@one:1", "mysql://a:1@one:1,mysql://a:1@two:2,mysql://a:1@three:3");
        let before = places(one);
        let recorded = (0..4).map(|shard| (shard, before.server(shard))).collect();
        let after = Places { recorded, ..places(three) };
        let hosts: Vec<String> = after
            .databases(NonZeroU16::new(6).unwrap())
            .unwrap()
            .iter()
            .map(|db| db.host().to_owned())
            .collect();
        assert_eq!(hosts, ["one:1", "one:1", "one:1", "one:1", "two:2", "three:3"]);
    }

    #[test]
    fn a_server_that_was_left_out_is_named() {
        let lacking = Places { recorded: [(0, 2)].into(), ..places("mysql://a:1@one:1") };
        let error = lacking.database(ShardId::new(0)).unwrap_err().to_string();
        assert!(
            error.contains("servers.shards") && error.contains("shard 0") && error.contains("place 3"),
            "{error}"
        );
    }
}
