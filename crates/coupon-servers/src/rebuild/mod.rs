//! Main's books made anew from the shards' rows, once main has been put back to an earlier state.
//!
//! Outboxes have been emptied of changes that main applied and has forgotten, so that its books stand still where
//! entries are missing. What is missing is found by counting rows, and posted by the same law as ever.
//!
//! Services may run meanwhile. Their appliers wait until the books are made anew: all of that is one transaction of
//! main's. A look at the books makes no process wait.

mod shards;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Result, bail};
use coupon_core::books::{Changes, Delta, LiveCount, WORDS, Word, forgotten};
use coupon_core::{CouponId, ShardId, Timestamp};
use mysql_async::prelude::Queryable;
use mysql_async::{IsolationLevel, Transaction, TxOpts};
use tokio::time::timeout;

use self::shards::{Counted, Still, count_all, hold_all_still};
use super::books::apply;
use super::cluster::Cluster;
use super::mysql::{Database, DatabaseError, FORGET, NOTE_PUT_BACK, PATIENCE};
use super::seam::Books as _;

/// The name of a table of results that an archive retires, and, in `shard_meta`, the note that its rows are still to
/// be applied to main.
pub const RETIRED: &str = "retired_";
/// The number of times that a shard is held still anew whose tables changed meanwhile.
const TRIES: u32 = 10;
/// The time between two questions to main while it waits for the shards: well before a server gives up a silent
/// connection.
const ASK: Duration = Duration::from_secs(5);
/// The number of coupons that are described; all are counted.
const SHOWN: usize = 10;

/// Rows by coupon.
type Rows = BTreeMap<CouponId, i64>;

/// The changes that main had forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// True if the books were made anew, and not only looked at.
    pub mended: bool,
    /// The shards that main had forgotten entries of.
    pub shards: Vec<Lost>,
    /// Coupons whose stock and log contradict each other, or that have no room for what was forgotten, and why.
    pub set_aside: Vec<String>,
    /// Shards whose outboxes still have what main has again, and why. It goes with their next entries.
    pub left: Vec<String>,
}

impl Rebuilt {
    /// True if main's books are what the shards' rows are: there was nothing to mend, or all of it was mended.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.set_aside.is_empty() && (self.mended || self.shards.is_empty())
    }
}

/// The changes that main had forgotten of a shard.
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

/// Makes main's books anew where it has forgotten changes or, unless they are to be mended, only says which. A look makes no
/// process wait. The caller has the lock by which archives, rebuilds and movers of rows exclude each other: no row moves.
///
/// # Errors
/// When a database cannot be used, a shard has less than main has applied, or other rows than it counted itself, main has
/// forgotten a version of the layout, or tables are being made or removed. Then nothing is changed.
pub async fn rebuild(cluster: &Cluster, dataset: &str, mend: bool, now: Timestamp) -> Result<Rebuilt> {
    let moved = cluster.has_moved().await?;
    if mend { make_anew(cluster, dataset, moved, now).await } else { look(cluster, dataset, moved).await }
}

/// Main is seen at one moment, and each shard a moment later: what main applies in between, it has not forgotten.
async fn look(cluster: &Cluster, dataset: &str, moved: bool) -> Result<Rebuilt> {
    let mut conn = cluster.main.connect_alone().await?;
    let mut moment = TxOpts::default();
    moment
        .with_isolation_level(IsolationLevel::RepeatableRead)
        .with_consistent_snapshot(true)
        .with_readonly(true);
    for _ in 0..TRIES {
        let mut transaction = conn.start_transaction(moment.clone()).await?;
        let positions = positions(&mut transaction).await?;
        let still = hold_all_still(cluster, dataset, |shard| at(&positions, shard)).await?;
        let known = Known::read(&mut transaction).await?;
        transaction.rollback().await?;
        let since = self::positions(&mut conn).await?;
        let told_since =
            |still: &Still<'_>| still.untold.is_none() && at(&since, still.shard) != still.position;
        if still.iter().any(told_since) {
            continue;
        }
        let counted = count_all(still).await?;
        let changes = changes(&counted, &known, moved);
        return Ok(Rebuilt {
            shards: lost(&counted, &changes),
            set_aside: known.contradictions(),
            ..Rebuilt::default()
        });
    }
    bail!("main is told of changes too fast to be held against the shards: try again")
}

async fn make_anew(cluster: &Cluster, dataset: &str, moved: bool, now: Timestamp) -> Result<Rebuilt> {
    let main = &cluster.main;
    let mut conn = main.connect_to_lock().await?;
    let mut transaction = conn.start_transaction(TxOpts::default()).await?;
    // In this order, as every applier does.
    let mut positions = HashMap::new();
    for (shard, _) in cluster.numbered() {
        positions.insert(shard, transaction.lock_position(shard).await?);
    }
    transaction.lock_logs().await?;
    let counting =
        async { count_all(hold_all_still(cluster, dataset, |shard| at(&positions, shard)).await?).await };
    let counted = while_held(main, &mut transaction, counting).await?;
    let known = Known::read(&mut transaction).await?;
    let changes = changes(&counted, &known, moved);
    let mut rebuilt = Rebuilt {
        mended: true,
        shards: lost(&counted, &changes),
        set_aside: known.contradictions(),
        ..Rebuilt::default()
    };
    if rebuilt.shards.is_empty() {
        transaction.rollback().await?;
        return Ok(rebuilt);
    }
    transaction.query_drop(NOTE_PUT_BACK).await?;
    let reached = changes.positions.clone();
    let found = apply(&mut transaction, changes, now).await?;
    transaction.commit().await?;
    rebuilt.set_aside.extend(found.into_iter().map(|(coupon, why)| format!("coupon {coupon}: {why}")));
    for (shard, database) in cluster.numbered() {
        if let Some(last) = reached.get(&shard)
            && let Err(error) = forget(database, *last).await
        {
            rebuilt.left.push(error.to_string());
        }
    }
    Ok(rebuilt)
}

/// Takes off a shard's outbox what main has now. Main has it for good: where this fails, the shard's next applier
/// does it.
async fn forget(database: &Database, last: i64) -> Result<(), DatabaseError> {
    let mut conn = database.connect().await?;
    database.patiently(PATIENCE, conn.exec_drop(FORGET, (last,))).await
}

/// Does something else while a transaction holds locks that others wait for. Its connection is one that a server does
/// not keep when it is silent, so that the locks of a process that was stopped half-way end soon: main is asked
/// something now and then.
async fn while_held<T>(
    main: &Database,
    transaction: &mut Transaction<'_>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut work = pin!(work);
    loop {
        if let Ok(done) = timeout(ASK, &mut work).await {
            return done;
        }
        main.patiently(PATIENCE, transaction.query_drop("DO 1")).await?;
    }
}

/// Main's position in each shard's outbox.
async fn positions(main: &mut impl Queryable) -> mysql_async::Result<HashMap<ShardId, i64>> {
    let rows: Vec<(u16, i64)> = main.query("SELECT shard, outbox_id FROM outbox_positions").await?;
    Ok(rows.into_iter().map(|(shard, position)| (ShardId::new(shard), position)).collect())
}

fn at(positions: &HashMap<ShardId, i64>, shard: ShardId) -> i64 {
    positions.get(&shard).copied().unwrap_or(0)
}

impl Counted {
    fn of(&self, coupon: CouponId, known: &Known) -> LiveCount {
        let count = |rows: &Rows| rows.get(&coupon).copied().unwrap_or(0);
        LiveCount {
            shard: self.shard,
            last: self.last,
            rows: count(&self.rows),
            known: known.by_shard.get(&(self.shard, coupon)).copied().unwrap_or(0),
            untold: self.untold.as_ref().map(count),
        }
    }
}

/// Main's account of a coupon, by its log and by its parked changes.
#[derive(Default)]
struct Known {
    by_shard: HashMap<(ShardId, CouponId), i64>,
    /// Rows from before there was any outbox.
    before: Rows,
    /// The number sold by the log, and by the coupon's row.
    logged: BTreeMap<CouponId, i64>,
    sold: Rows,
}

impl Known {
    async fn read(transaction: &mut Transaction<'_>) -> Result<Self> {
        let mut known = Self::default();
        // An operator takes stock back by a line of the same kind, under a name that is none of the log's own words.
        let words = WORDS.map(|word| format!("'{word}'")).join(",");
        let sql = format!(
            "SELECT coupon_id, shard, CAST(SUM(stock_before - stock_after) AS SIGNED) FROM stock_logs \
             WHERE operation_type = 2 OR (operation_type = 3 AND operator IN ({words})) GROUP BY coupon_id, shard"
        );
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

/// The changes to post to main on the word of the rows.
fn changes(counted: &[Counted], known: &Known, moved: bool) -> Changes {
    let mut changes = Changes { word: Word::Rows, ..Changes::default() };
    let logged = known.by_shard.keys().map(|(_, coupon)| coupon);
    let coupons: BTreeSet<CouponId> = counted
        .iter()
        .flat_map(|shard| shard.rows.keys())
        .chain(logged)
        .chain(known.before.keys())
        .copied()
        .collect();
    for coupon in coupons {
        let held: Vec<LiveCount> = counted.iter().map(|shard| shard.of(coupon, known)).collect();
        let deltas = forgotten(known.before.get(&coupon).copied().unwrap_or(0), &held, moved);
        if !deltas.is_empty() {
            changes.coupons.insert(coupon, deltas);
        }
    }
    let lacking = counted.iter().filter(|shard| shard.untold.is_none());
    changes.positions = lacking.map(|shard| (shard.shard, shard.last)).collect();
    changes
}

fn lost(counted: &[Counted], changes: &Changes) -> Vec<Lost> {
    let of_shard = |counted: &Counted| {
        let deltas = changes.coupons.values().flatten().filter(|delta| delta.shard == counted.shard);
        let rows: Vec<i64> = deltas.map(Delta::live).collect();
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
        for why in &self.left {
            writeln!(
                f,
                "warning: what main knows again stays in an outbox until its next entry is told: {why}"
            )?;
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
