//! A data set's own word on where its grabs are decided: main has the gate's place, and a shard that keeps stock says so.

use anyhow::ensure;
use coupon_core::ShardId;
use coupon_store::settings::{DecidedBy, ServersSettings};
use coupon_store::stock::{HAD_A_GATE, KEPT};
use mysql_async::prelude::Queryable as _;

use super::{ADDRESS, read_epoch};
use crate::mysql::{Database, DatabaseError, ShardDatabase, code, has_code};
use crate::seam::ShardServer as _;

/// The place where grabs of a data set were decided, as main has it, and the last epoch of each gate that was opened; `None`
/// before the first.
pub(crate) async fn opened_by(main: &Database) -> Result<Option<(DecidedBy, Vec<u64>)>, DatabaseError> {
    // Without choosing a database: there may be none yet.
    let (mut conn, name) = (main.connect_server().await?, main.name());
    let none =
        |error: &mysql_async::Error| has_code(error, code::NO_TABLE) || has_code(error, code::NO_DATABASE);
    let sql = format!("SELECT COALESCE(MAX(open_epoch), 0) FROM {name}.gate_state");
    let epoch = match conn.query_first::<u64, _>(sql).await {
        Err(error) if none(&error) => None,
        read => read.map_err(|error| main.error(&error))?,
    };
    let several = conn.query(format!("SELECT open_epoch FROM {name}.gates ORDER BY gate")).await;
    let several: Vec<u64> = match several {
        // An earlier version has made it.
        Err(error) if none(&error) => Vec::new(),
        read => read.map_err(|error| main.error(&error))?,
    };
    if several.iter().any(|epoch| *epoch > 0) {
        return Ok(Some((DecidedBy::Gate, several)));
    }
    let Some(epoch @ 1..) = epoch else { return Ok(None) };
    let sql = format!("SELECT address FROM {name}.gate_record WHERE id = 1");
    let address = match conn.query_first::<String, _>(sql).await {
        // An earlier version has filled it, which knew gates only.
        Err(error) if none(&error) => None,
        read => read.map_err(|error| main.error(&error))?,
    };
    let is_stock = address.as_deref() == Some(ADDRESS);
    Ok(Some((if is_stock { DecidedBy::Database } else { DecidedBy::Gate }, vec![epoch])))
}

/// True if Redis and RabbitMQ may have something of a data set: not where its database decides grabs and, before the first
/// epoch, not where no setting names either.
pub(crate) async fn may_have_gate(
    main: &Database,
    settings: &ServersSettings,
) -> Result<bool, DatabaseError> {
    Ok(match opened_by(main).await? {
        Some((decided_by, _)) => decided_by == DecidedBy::Gate,
        None => !settings.redis.is_empty() || !settings.rabbitmq.is_empty(),
    })
}

/// Refuses a data set whose grabs were decided otherwise, as main has it. Says whether main knows.
pub(crate) async fn ensure_main_agrees(main: &Database, decided_by: DecidedBy) -> anyhow::Result<bool> {
    let Some((before, _)) = opened_by(main).await? else { return Ok(false) };
    ensure!(before == decided_by, "{main}: {}", refusal(before));
    Ok(true)
}

/// The same by what shard 0 says: main knows nothing before the first epoch is open, nor once it was put back to then.
pub(crate) async fn ensure_shard_agrees(
    database: &Database,
    dataset: &str,
    decided_by: DecidedBy,
) -> anyhow::Result<()> {
    let mut conn = database.connect().await?;
    let kept = read_epoch(&mut conn).await.map_err(|error| database.error(&error))?.is_some();
    let state = ShardDatabase::new(database, ShardId::new(0), dataset).state().await?;
    let before = match (kept, state.last_epochs.last()) {
        (true, _) => DecidedBy::Database,
        (false, 1..) => DecidedBy::Gate,
        (false, 0) => return Ok(()),
    };
    ensure!(before == decided_by, "{database}: {}", refusal(before));
    Ok(())
}

const fn refusal(before: DecidedBy) -> &'static str {
    match before {
        DecidedBy::Gate => HAD_A_GATE,
        DecidedBy::Database => KEPT,
    }
}
