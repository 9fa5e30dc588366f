//! Makes the room index of a data set on servers, takes it away, and takes out of it what an archive retires.

use anyhow::Context as _;
use coupon_core::schema::Dialect;
use coupon_core::{CouponResult, Placement, ShardId, TableId, Timestamp};
use coupon_store::room_index::{self, MAKING, META, MakingProgress, RoomPlaces};
use coupon_store::settings::ServersSettings;
use coupon_store::statements;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Row, TxOpts};

use super::{RoomDatabases, drop_tables, make_tables, put};
use crate::cluster::Cluster;
use crate::copied::Resting;
use crate::mysql::Database;
use crate::names::Namespace;
use crate::{sql, values};

/// The rows that are read from a table at a time.
const CHUNK: usize = 5_000;

/// Makes the index of a data set that no service is at work on, over all its shards. Where it is cut short there is none, and the
/// next run goes on, unless rows have changed in between. `told` is called with the number of rows that the index has, and with
/// the number of all rows.
///
/// # Errors
/// When a service is at work on it, or a database cannot be used.
pub fn build(
    settings: &ServersSettings,
    namespace: Namespace,
    told: &mut dyn FnMut(u64, u64),
) -> anyhow::Result<()> {
    at_rest(settings, namespace, async |cluster| build_in(cluster, told).await)
}

/// Takes the index away, if there is one.
///
/// # Errors
/// As for [`build`].
pub fn drop_index(settings: &ServersSettings, namespace: Namespace) -> anyhow::Result<()> {
    at_rest(settings, namespace, async |cluster| {
        forget(cluster, &[META, MAKING]).await?;
        for (_, database) in cluster.numbered() {
            let mut conn = database.connect().await?;
            drop_tables(&mut conn).await.map_err(|error| database.error(&error))?;
        }
        Ok(())
    })
}

fn at_rest(
    settings: &ServersSettings,
    namespace: Namespace,
    work: impl AsyncFnOnce(&Cluster) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut resting = Resting::hold(settings, namespace).await?;
        resting.lock.keep_for_days().await?;
        work(&resting.cluster).await
    })
}

/// Makes the index of a data set that no other process has in hand.
///
/// # Errors
/// When a database cannot be used.
pub async fn build_in(cluster: &Cluster, told: &mut dyn FnMut(u64, u64)) -> anyhow::Result<()> {
    let shards = u16::try_from(cluster.shards.len()).ok().and_then(std::num::NonZeroU16::new);
    let places = RoomPlaces::over(shards.context("there are no shards")?);
    let (mut all, mut changes) = (0, 0);
    for (_, database) in cluster.numbered() {
        let mut conn = database.connect().await?;
        // The shards count themselves.
        // What stores or changes rows commits, and what retires them writes an entry.
        let counted = conn.query_first("SELECT results, commits + outbox_id FROM shard_state").await;
        let (results, changed): (u64, u64) =
            counted.map_err(|error| database.error(&error))?.unwrap_or_default();
        (all, changes) = (all + results, changes + changed);
    }
    let noted = cluster.notes(META).await?;
    let goes_on = MakingProgress::go_on(noted.get(MAKING).map(String::as_str), places, changes);
    let mut making = match goes_on.filter(|_| !noted.contains_key(META)) {
        Some(making) => making,
        None => {
            begin(cluster).await?;
            MakingProgress::begin(places, changes)
        }
    };
    for (shard, database) in cluster.numbered() {
        let mut conn = database.connect_alone().await?;
        let failed = |error| database.error(&error);
        for (table, mut after) in making.left(shard, sql::tables(&mut conn).await.map_err(failed)?) {
            loop {
                let rows = behind(&mut conn, table, after).await.map_err(failed)?;
                let Some(last) = rows.last() else { break };
                after = last.result_id.number();
                take_in(cluster, places, &rows).await?;
                let taken = making.took(Placement::new(shard, table), &rows);
                cluster.note(MAKING, &making.to_string()).await?;
                told(taken, all.max(taken));
            }
        }
        let rows = leaving(&mut conn).await.map_err(failed)?;
        take_in(cluster, places, &rows).await?;
    }
    cluster.note(META, &places.shards().to_string()).await?;
    forget(cluster, &[MAKING]).await
}

/// Begins an index over all shards anew.
async fn begin(cluster: &Cluster) -> anyhow::Result<()> {
    forget(cluster, &[META, MAKING]).await?;
    for (_, database) in cluster.numbered() {
        let mut conn = database.connect().await?;
        let anew = async {
            drop_tables(&mut conn).await?;
            make_tables(&mut conn).await
        };
        anew.await.map_err(|error| database.error(&error))?;
    }
    Ok(())
}

/// Has main forget what it has noted of an index: that there is one, or how far one has come that is being made.
async fn forget(cluster: &Cluster, names: &[&str]) -> anyhow::Result<()> {
    let mut conn = cluster.main.connect().await?;
    for name in names {
        let forgotten = conn.exec_drop("DELETE FROM meta WHERE name = ?", (name,)).await;
        forgotten.map_err(|error| cluster.main.error(&error))?;
    }
    Ok(())
}

async fn behind(conn: &mut Conn, table: TableId, after: i64) -> mysql_async::Result<Vec<CouponResult>> {
    let rows: Vec<Row> = conn.exec(statements::behind(Dialect::MySql, table), (after, CHUNK as u64)).await?;
    rows.iter().map(values::result).collect()
}

/// The rows that are on their way to another place.
async fn leaving(conn: &mut Conn) -> mysql_async::Result<Vec<CouponResult>> {
    let sql = format!("SELECT {} FROM leaving", statements::columns(Dialect::MySql));
    let rows: Vec<Row> = conn.query(sql).await?;
    rows.iter().map(values::result).collect()
}

async fn take_in(cluster: &Cluster, places: RoomPlaces, rows: &[CouponResult]) -> anyhow::Result<()> {
    for (to, rows) in places.parted(rows) {
        let database: &Database =
            cluster.shards.get(to.index()).context("a shard of the index is not there")?;
        let mut conn = database.connect().await?;
        let store = async {
            let mut transaction = conn.start_transaction(TxOpts::default()).await?;
            put(&mut transaction, &rows).await?;
            transaction.commit().await
        };
        store.await.map_err(|error| database.error(&error))?;
    }
    Ok(())
}

/// Takes rows out of the index of a data set, if there is one, that are older than an id and may go by now: those of an archive,
/// once they have gone. The shards' entries about them are carried first, lest they come afterwards.
///
/// # Errors
/// When a database cannot be used, the index has lost entries that it had taken, or a shard has lost entries that the index has.
pub async fn retire(cluster: &Cluster, dataset: &str, before: i64, now: Timestamp) -> anyhow::Result<()> {
    let Some(places) = cluster.label().await?.and_then(|label| label.rooms) else { return Ok(()) };
    let rooms = RoomDatabases::new(places, dataset, &cluster.shards);
    // Nothing is known here of when a grab was acknowledged: the moment stays as it is.
    for carried in rooms.carry(&|_: ShardId| Some(Timestamp::default())).await {
        carried?;
    }
    for shard in places.all() {
        let database = cluster.shards.get(shard.index()).context("a shard of the index is not there")?;
        let mut conn = database.connect_alone().await?;
        let failed = |error| database.error(&error);
        let rooms: Vec<u64> = conn
            .query(format!("SELECT DISTINCT room_id FROM {}", room_index::TABLE))
            .await
            .map_err(failed)?;
        for room in rooms {
            // A room's oldest come first in the key. Some at a time: what the index takes in meanwhile does not wait for long.
            let sql = format!(
                "{} AND room_id = {room} ORDER BY grab_time LIMIT {CHUNK}",
                room_index::retire(&before.to_string(), now)
            );
            loop {
                conn.query_drop(&sql).await.map_err(failed)?;
                if conn.affected_rows() < CHUNK as u64 {
                    break;
                }
            }
        }
    }
    Ok(())
}
