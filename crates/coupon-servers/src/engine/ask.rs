//! What an engine says of itself, as it is asked over its one address.

use std::collections::BTreeMap;

use coupon_core::{KeyspaceId, TableId};
use coupon_store::settings::ServerUrl;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::address::{keyspace_in, shard_database};
use super::start::EngineAnswers;
use super::vschema::Sharded;
use crate::mysql::{Database, PATIENCE};

/// A table that every keyspace has, and that is none.
const DUAL: &str = "dual";

/// Asks an engine, and the server of each of its shards, for what is to be known before anything is stored. `whole` leads to the
/// keyspace.
pub(super) async fn ask(url: &ServerUrl, whole: &Database) -> anyhow::Result<EngineAnswers> {
    let keyspace = keyspace_in(url)?;
    let mut conn = whole.connect().await?;
    let asked = async {
        let shards = shards(&mut conn, keyspace).await?;
        let sharded = sharded(&mut conn, keyspace).await?;
        let ids = ids(&mut conn, &sharded).await?;
        Ok(EngineAnswers { shards, sharded, ids, servers: Vec::new() })
    };
    let mut answers = whole.patiently(PATIENCE, asked).await?;
    for shard in &answers.shards {
        let server = Database::of_engine(url, &shard_database(keyspace, shard), 1)?;
        let asked = async {
            let mut conn = server.connect().await?;
            server.patiently(PATIENCE, variables(&mut conn)).await
        };
        match asked.await {
            Ok(variables) => answers.servers.push((shard.clone(), variables)),
            // Its lanes are down as well, which is for the caller to judge.
            Err(error) if error.down => {
                tracing::warn!(shard, %error, "the settings of a shard that is down are not known");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(answers)
}

/// The names of the keyspace's shards.
pub(super) async fn shards(conn: &mut Conn, keyspace: &str) -> mysql_async::Result<Vec<String>> {
    let all: Vec<String> = conn.query("SHOW VITESS_SHARDS").await?;
    let named = all.iter().filter_map(|name| name.split_once('/'));
    Ok(named.filter(|(of, _)| *of == keyspace).map(|(_, shard)| shard.to_owned()).collect())
}

/// Of a table's vindex the columns, the name, the function, its parameters, and the owner.
type VindexRow = (String, String, String, Option<String>, Option<String>);

/// What each table is sharded by.
pub(super) async fn sharded(
    conn: &mut Conn,
    keyspace: &str,
) -> mysql_async::Result<BTreeMap<String, Vec<Sharded>>> {
    let tables: Vec<String> = conn.query("SHOW VSCHEMA TABLES").await?;
    let mut sharded = BTreeMap::new();
    for table in tables.into_iter().filter(|table| table != DUAL) {
        // Of a name that is none of this system's, it is enough that it is there.
        let plain = table.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let rows: Vec<VindexRow> = match plain {
            true => conn.query(format!("SHOW VSCHEMA VINDEXES ON {keyspace}.{table}")).await?,
            false => Vec::new(),
        };
        let by = rows.into_iter().map(|(column, vindex, function, ..)| Sharded { column, vindex, function });
        sharded.insert(table, by.collect());
    }
    Ok(sharded)
}

/// The keyspace ids of [`KeyspaceId::ASKED`], by the function that results are sharded by.
async fn ids(
    conn: &mut Conn,
    sharded: &BTreeMap<String, Vec<Sharded>>,
) -> mysql_async::Result<BTreeMap<u64, String>> {
    let results = sharded.get(&TableId::Single.to_string()).and_then(|by| by.first());
    let Some(Sharded { vindex, .. }) = results else { return Ok(BTreeMap::new()) };
    let keys = KeyspaceId::ASKED.map(|key| key.to_string()).join(", ");
    let sql = format!("SELECT id, hex_keyspace_id FROM {vindex} WHERE id IN ({keys})");
    let rows: Vec<(String, String)> = conn.query(sql).await?;
    let known = rows.into_iter().filter_map(|(key, id)| Some((key.parse().ok()?, id.to_ascii_lowercase())));
    Ok(known.collect())
}

/// The variables of a shard's server. What the engine answers for itself is none of them.
async fn variables(conn: &mut Conn) -> mysql_async::Result<BTreeMap<String, String>> {
    let names = super::start::SETTINGS.map(|(name, ..)| format!("'{name}'")).join(", ");
    let sql = format!(
        "SELECT variable_name, variable_value FROM performance_schema.global_variables WHERE variable_name IN ({names})"
    );
    let rows: Vec<(String, String)> = conn.query(sql).await?;
    Ok(rows.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect())
}
