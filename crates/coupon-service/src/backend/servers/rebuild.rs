//! Main's books made anew from the shards' rows, once main has been put back to an earlier state.
//!
//! Outboxes have been emptied of what main was told and has forgotten, so that its books stand still where entries are
//! missing. What is missing is found by counting rows, and posted by the same law as ever.
//!
//! Services may run meanwhile. Whoever tells main of a shard waits until this is done: all of it is one transaction of main's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use anyhow::{Context as _, Result, bail};
use coupon_core::books::{Held, Told, Word, forgotten};
use coupon_core::{CouponId, ShardId, TableId, Timestamp};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Transaction, TxOpts};

use super::books::{FORGET, apply, lock_logs, lock_position};
use super::cluster::Cluster;
use super::mysql::Database;

/// What a table of results is called while an archive retires it, and, in `shard_meta`, the note that main is to be told of
/// its rows.
pub const RETIRED: &str = "retired_";
/// How often a shard is held still anew whose tables changed meanwhile.
const TRIES: u32 = 10;
/// How many coupons are described; all are counted.
const SHOWN: usize = 10;

/// Rows by coupon.
type Rows = BTreeMap<CouponId, i64>;

/// What main had forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Whether the books were made anew, or only looked at.
    pub mended: bool,
    /// The shards that main had forgotten entries of.
    pub shards: Vec<Lost>,
    /// Coupons whose stock and log contradict each other, or that have no room for what was forgotten, and why.
    pub set_aside: Vec<String>,
}

/// What main had forgotten of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// The shard.
    pub shard: ShardId,
    /// The last entry of its outbox that main knew.
    pub position: i64,
    /// The last that there was.
    pub last: i64,
    /// Coupons that the entries in between spoke of.
    pub coupons: usize,
    /// Rows that came by them, less those that went.
    pub rows: i64,
}

/// Makes main's books anew where it has forgotten what it was told, or, unless they are to be mended, only says what that is.
///
/// # Errors
/// When a database cannot be used, a shard has less than main was told of, or tables are being made or removed.
pub async fn rebuild(cluster: &Cluster, dataset: &str, mend: bool, now: Timestamp) -> Result<Rebuilt> {
    let main = &cluster.main;
    let mut conn = main.connect_alone().await?;
    let mut transaction = conn.start_transaction(TxOpts::default()).await?;
    // In this order, as whoever tells main of a shard.
    let mut positions = Vec::new();
    for (shard, _) in cluster.numbered() {
        positions.push(lock_position(&mut transaction, shard).await?);
    }
    lock_logs(&mut transaction).await?;
    let mut counted = Vec::new();
    for ((shard, database), position) in cluster.numbered().zip(positions) {
        let read = Counted::read(database, dataset, shard, position).await;
        counted.push(read.with_context(|| database.to_string())?);
    }
    let known = Known::read(&mut transaction).await?;
    let told = told(&counted, &known);
    let mut rebuilt =
        Rebuilt { mended: mend, shards: lost(&counted, &told), set_aside: known.contradictions() };
    if !mend || rebuilt.shards.is_empty() {
        transaction.rollback().await?;
        return Ok(rebuilt);
    }
    let reached = told.positions.clone();
    let found = apply(&mut transaction, told, now).await?;
    transaction.commit().await?;
    rebuilt.set_aside.extend(found.into_iter().map(|(coupon, why)| format!("coupon {coupon}: {why}")));
    for ((shard, database), _) in cluster.numbered().zip(&counted) {
        if let Some(last) = reached.get(&shard) {
            let mut at_shard = database.connect().await?;
            at_shard.exec_drop(FORGET, (last,)).await.map_err(|error| database.error(&error))?;
        }
    }
    Ok(rebuilt)
}

/// A shard at one moment.
struct Counted {
    shard: ShardId,
    position: i64,
    /// The last entry that there ever was in its outbox.
    last: i64,
    /// Rows that its outbox still has to tell of; `None` when entries are missing there.
    untold: Option<Rows>,
    rows: Rows,
}

impl Counted {
    async fn read(database: &Database, dataset: &str, shard: ShardId, position: i64) -> Result<Self> {
        let mut conn = database.connect_alone().await?;
        let tables = hold_still(&mut conn).await?;
        let sql = "SELECT outbox_id FROM shard_state WHERE id = 1 AND dataset = ?";
        let last: Option<i64> = conn.exec_first(sql, (dataset,)).await?;
        let last = last.with_context(|| format!("it does not hold data set {dataset}"))?;
        if last < position {
            bail!("it has lost data: main was told of its change {position}, and it knows {last}");
        }
        let untold = untold(&mut conn, shard, position, last).await?;
        let mut rows = Rows::new();
        for table in tables {
            let sql = format!("SELECT coupon_id, COUNT(*) FROM {table} GROUP BY coupon_id");
            for (coupon, count) in conn.query::<(u64, i64), _>(sql).await? {
                *rows.entry(CouponId::new(coupon)?).or_default() += count;
            }
        }
        conn.query_drop("COMMIT").await?;
        let _ = conn.disconnect().await;
        Ok(Self { shard, position, last, untold, rows })
    }

    fn of(&self, coupon: CouponId, known: &Known) -> Held {
        let count = |rows: &Rows| rows.get(&coupon).copied().unwrap_or(0);
        Held {
            shard: self.shard,
            last: self.last,
            rows: count(&self.rows),
            known: known.by_shard.get(&(self.shard, coupon)).copied().unwrap_or(0),
            untold: self.untold.as_ref().map(count),
        }
    }
}

/// From now on the connection sees one moment. Says which tables hold results that main is to know of.
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

/// Tables of results, and those that are being retired and main is not to be told of yet.
async fn tables(conn: &mut Conn) -> mysql_async::Result<Vec<String>> {
    let told: Vec<String> = conn.query("SELECT name FROM shard_meta").await?;
    let names: Vec<String> = conn.query("SHOW TABLES").await?;
    let of_results = |name: &String| {
        let retired = name.strip_prefix(RETIRED);
        TableId::parse(retired.unwrap_or(name)).is_some() && !(retired.is_some() && told.contains(name))
    };
    Ok(names.into_iter().filter(of_results).collect())
}

/// What an outbox tells beyond a position, if nothing of it up to the last entry is missing.
async fn untold(conn: &mut Conn, shard: ShardId, position: i64, last: i64) -> Result<Option<Rows>> {
    let sql = "SELECT outbox_id, deltas FROM outbox WHERE outbox_id > ? ORDER BY outbox_id";
    let texts: Vec<(i64, String)> = conn.exec(sql, (position,)).await?;
    let mut entries: Vec<(i64, Vec<(CouponId, i64)>)> = Vec::with_capacity(texts.len());
    for (id, deltas) in &texts {
        let damaged = || format!("outbox entry {id} of shard {shard} is damaged");
        entries.push((*id, serde_json::from_str(deltas).with_context(damaged)?));
    }
    let mut told = Told::default();
    let whole = told.take(shard, position, entries.iter().map(|(id, deltas)| (*id, &**deltas))).is_ok();
    if !whole || told.positions.get(&shard).copied().unwrap_or(position) != last {
        return Ok(None);
    }
    let sum = |deltas: Vec<coupon_core::books::Delta>| deltas.iter().map(|delta| delta.rows).sum();
    Ok(Some(told.coupons.into_iter().map(|(coupon, deltas)| (coupon, sum(deltas))).collect()))
}

/// What main knows, by its log and by what it has parked.
#[derive(Default)]
struct Known {
    by_shard: HashMap<(ShardId, CouponId), i64>,
    /// Rows from before there was any outbox.
    before: Rows,
    /// What was sold by the log, and what was by the coupon's row.
    logged: BTreeMap<CouponId, i64>,
    sold: Rows,
}

impl Known {
    async fn read(transaction: &mut Transaction<'_>) -> Result<Self> {
        let mut known = Self::default();
        let sql = "SELECT coupon_id, shard, CAST(SUM(stock_before - stock_after) AS SIGNED) FROM stock_logs \
                   WHERE operation_type <> 1 GROUP BY coupon_id, shard";
        for (coupon, shard, rows) in transaction.query::<(u64, Option<u16>, i64), _>(sql).await? {
            let coupon = CouponId::new(coupon)?;
            *known.logged.entry(coupon).or_default() += rows;
            match shard {
                Some(shard) => *known.by_shard.entry((ShardId::new(shard), coupon)).or_default() += rows,
                None => *known.before.entry(coupon).or_default() += rows,
            }
        }
        let sql = "SELECT coupon_id, shard, CAST(SUM(delta) AS SIGNED) FROM parked_deltas GROUP BY coupon_id, shard";
        for (coupon, shard, rows) in transaction.query::<(u64, u16, i64), _>(sql).await? {
            *known.by_shard.entry((ShardId::new(shard), CouponId::new(coupon)?)).or_default() += rows;
        }
        let sql = "SELECT coupon_id, total_stock - remaining_stock FROM coupons";
        for (coupon, sold) in transaction.query::<(u64, i64), _>(sql).await? {
            known.sold.insert(CouponId::new(coupon)?, sold);
        }
        Ok(known)
    }

    /// Coupons of which main's own row and log say different things: what people did to either is theirs to put right.
    fn contradictions(&self) -> Vec<String> {
        let differing = self.sold.iter().filter_map(|(coupon, sold)| {
            let logged = self.logged.get(coupon).copied().unwrap_or(0);
            let told =
                || format!("coupon {coupon}: {sold} are sold by its row in main, and {logged} by its log");
            (logged != *sold).then(told)
        });
        differing.collect()
    }
}

/// What main is to be told on the word of the rows.
fn told(counted: &[Counted], known: &Known) -> Told {
    let mut told = Told { word: Word::Rows, ..Told::default() };
    let logged = known.by_shard.keys().map(|(_, coupon)| coupon);
    let coupons: BTreeSet<CouponId> = counted
        .iter()
        .flat_map(|shard| shard.rows.keys())
        .chain(logged)
        .chain(known.before.keys())
        .copied()
        .collect();
    for coupon in coupons {
        let held: Vec<Held> = counted.iter().map(|shard| shard.of(coupon, known)).collect();
        let deltas = forgotten(known.before.get(&coupon).copied().unwrap_or(0), &held);
        if !deltas.is_empty() {
            told.coupons.insert(coupon, deltas);
        }
    }
    let lacking = counted.iter().filter(|shard| shard.untold.is_none());
    told.positions = lacking.map(|shard| (shard.shard, shard.last)).collect();
    told
}

fn lost(counted: &[Counted], told: &Told) -> Vec<Lost> {
    let of_shard = |counted: &Counted| {
        let deltas = told.coupons.values().flatten().filter(|delta| delta.shard == counted.shard);
        let rows: Vec<i64> = deltas.map(|delta| delta.rows).collect();
        let Counted { shard, position, last, .. } = *counted;
        Lost { shard, position, last, coupons: rows.len(), rows: rows.iter().sum() }
    };
    counted.iter().filter(|shard| shard.untold.is_none()).map(of_shard).collect()
}

impl fmt::Display for Rebuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Lost { shard, position, last, coupons, rows } in &self.shards {
            writeln!(
                f,
                "shard {shard}: main knew its changes up to {position} of {last}, and so {rows} results of {coupons} coupons \
                 too few"
            )?;
        }
        for why in self.set_aside.iter().take(SHOWN) {
            writeln!(f, "set aside: {why}")?;
        }
        if let Some(more @ 1..) = self.set_aside.len().checked_sub(SHOWN) {
            writeln!(f, "… {more} more")?;
        }
        f.write_str(match (self.shards.is_empty(), self.mended) {
            (true, _) => "main has forgotten nothing that it was told",
            (false, true) => "its books were made anew from the shards' rows",
            (false, false) => {
                "its books stand still for these shards; --rebuild makes them anew from the shards' rows"
            }
        })
    }
}
