//! The shards as each is at one moment: what their outboxes hold, and their rows, counted.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use coupon_core::books::{Behind, Changes, Delta, Moved};
use coupon_core::{CouponId, ShardId, TableId};
use coupon_store::statements::LIVE;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use tokio::time::timeout;

use super::{RETIRED, Rows, TRIES};
use crate::cluster::Cluster;
use crate::mysql::Database;
use crate::stock;

/// The longest that a shard may take to be counted.
const COUNTING: Duration = Duration::from_secs(600);

pub(super) async fn hold_all_still<'a>(
    cluster: &'a Cluster,
    dataset: &str,
    position: impl Fn(ShardId) -> i64,
) -> Result<Vec<Still<'a>>> {
    let mut all = Vec::new();
    for (shard, database) in cluster.numbered() {
        all.push(within_limit(database, Still::begin(database, dataset, shard, position(shard))).await?);
    }
    Ok(all)
}

pub(super) async fn count_all(shards: Vec<Still<'_>>) -> Result<Vec<Counted>> {
    let mut counted = Vec::with_capacity(shards.len());
    for shard in shards {
        counted.push(within_limit(shard.database, shard.count()).await?);
    }
    Ok(counted)
}

/// Waits for a shard's answer, but not too long: others wait for main meanwhile.
async fn within_limit<T>(database: &Database, asked: impl Future<Output = Result<T>>) -> Result<T> {
    match timeout(COUNTING, asked).await {
        Ok(answer) => answer.with_context(|| database.to_string()),
        Err(_) => bail!("{database}: it was not counted within {} s", COUNTING.as_secs()),
    }
}

/// A shard as it is seen at one moment, before its rows are counted.
pub(super) struct Still<'a> {
    database: &'a Database,
    /// It holds no locks, and may be silent while other shards are counted.
    conn: Conn,
    tables: Vec<String>,
    pub(super) shard: ShardId,
    pub(super) position: i64,
    last: i64,
    /// The number of results that the shard counted itself.
    results: i64,
    pub(super) untold: Option<Rows>,
    /// Rows that no entry of its outbox counts yet, where its database decides grabs; it has not counted them either.
    unnoted: Rows,
}

impl<'a> Still<'a> {
    async fn begin(database: &'a Database, dataset: &str, shard: ShardId, position: i64) -> Result<Self> {
        let mut conn = database.connect_alone().await?;
        let tables = hold_still(&mut conn).await?;
        let sql = "SELECT outbox_id, results FROM shard_state WHERE dataset = ?";
        let state: Option<(i64, i64)> = conn.exec_first(sql, (dataset,)).await?;
        let (last, results) = state.with_context(|| format!("it does not hold data set {dataset}"))?;
        Behind::refuse(position, last)?;
        let untold = untold(&mut conn, shard, position, last).await?;
        let unnoted = stock::untold(&mut conn).await?;
        Ok(Self { database, conn, tables, shard, position, last, results, untold, unnoted })
    }

    /// Counts its rows that take stock. All rows together are to be as many as it counted itself: rows that were deleted by
    /// hand must not be posted as gone. A table that is being retired is counted by both, or by neither.
    async fn count(self) -> Result<Counted> {
        let Self { mut conn, tables, shard, position, last, results, untold, unnoted, .. } = self;
        // What an outbox entry is still to count, main has not forgotten.
        let mut rows: Rows = unnoted.into_iter().map(|(coupon, rows)| (coupon, -rows)).collect();
        let mut there: i64 = rows.values().sum();
        for table in tables {
            let sql = format!(
                "SELECT coupon_id, COUNT(*), CAST(SUM({LIVE}) AS SIGNED) FROM {table} GROUP BY coupon_id"
            );
            for (coupon, count, live) in conn.query::<(u64, i64, i64), _>(sql).await? {
                there += count;
                *rows.entry(CouponId::new(coupon)?).or_default() += live;
            }
        }
        ensure!(
            there == results,
            "it counts {results} results itself and has {there} rows: rows were deleted or added by hand; put that right \
             first (`seeder verify` names what is missing)"
        );
        conn.query_drop("COMMIT").await?;
        let _ = conn.disconnect().await;
        Ok(Counted { shard, position, last, untold, rows })
    }
}

/// A shard at one moment.
pub(super) struct Counted {
    pub(super) shard: ShardId,
    pub(super) position: i64,
    /// The last entry that there ever was in its outbox.
    pub(super) last: i64,
    /// Rows of the entries in its outbox that main has not applied; `None` when entries are missing there.
    pub(super) untold: Option<Rows>,
    /// Those that take stock.
    pub(super) rows: Rows,
}

/// Has the connection see one moment from now on. Returns the tables whose results count for main.
async fn hold_still(conn: &mut Conn) -> Result<Vec<String>> {
    conn.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
    for _ in 0..TRIES {
        // A snapshot does not see rows of tables made after it began, though their names are seen.
        let before = tables(conn).await?;
        conn.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await?;
        if tables(conn).await? == before {
            return Ok(before);
        }
        conn.query_drop("COMMIT").await?;
    }
    bail!("its tables change too often to be counted: try again")
}

/// Tables of results, and those that are being retired and not to be applied to main yet.
async fn tables(conn: &mut Conn) -> mysql_async::Result<Vec<String>> {
    let told: Vec<String> = conn.query("SELECT name FROM shard_meta").await?;
    let names: Vec<String> = conn.query("SHOW TABLES").await?;
    let of_results = |name: &String| {
        let retired = name.strip_prefix(RETIRED);
        TableId::parse(retired.unwrap_or(name)).is_some() && !(retired.is_some() && told.contains(name))
    };
    Ok(names.into_iter().filter(of_results).collect())
}

/// The entries of an outbox beyond a position, if none up to the last is missing.
async fn untold(conn: &mut Conn, shard: ShardId, position: i64, last: i64) -> Result<Option<Rows>> {
    let sql = "SELECT outbox_id, deltas FROM outbox WHERE outbox_id > ? ORDER BY outbox_id";
    let texts: Vec<(i64, String)> = conn.exec(sql, (position,)).await?;
    let mut entries: Vec<(i64, Vec<Moved>)> = Vec::with_capacity(texts.len());
    for (id, deltas) in &texts {
        let damaged = || format!("outbox entry {id} of shard {shard} is damaged");
        entries.push((*id, serde_json::from_str(deltas).with_context(damaged)?));
    }
    let mut changes = Changes::default();
    let whole = changes.take(shard, position, entries.iter().map(|(id, deltas)| (*id, &**deltas))).is_ok();
    if !whole || changes.positions.get(&shard).copied().unwrap_or(position) != last {
        return Ok(None);
    }
    let sum = |deltas: Vec<Delta>| deltas.iter().map(Delta::live).sum();
    Ok(Some(changes.coupons.into_iter().map(|(coupon, deltas)| (coupon, sum(deltas))).collect()))
}
