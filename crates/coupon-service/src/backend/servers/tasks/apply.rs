//! Tells main what the shards have stored: each outbox entry exactly once, many in one transaction.
//!
//! Any number of processes may do so at once: main's row for a shard makes them take turns.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use coupon_core::{CouponId, ShardId, StockOperation};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Transaction, TxOpts};
use tokio::time::timeout;

use super::Background;
use crate::ids::IdGenerator;
use crate::throttle::Throttle;

/// How long entries gather before they are applied, unless somebody waits for them: main need not be told of every commit
/// by itself.
const GATHER: Duration = Duration::from_secs(1);
/// How often to look for entries that nobody of this process has written.
const LOOK: Duration = Duration::from_secs(2);
/// A database that takes longer is as good as down.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most entries that one transaction applies.
const ENTRIES: usize = 2_000;

static LOG: Throttle = Throttle::new();

/// The task that applies the outboxes.
pub(in super::super) struct Applier {
    background: Arc<Background>,
    log_ids: IdGenerator,
}

impl Applier {
    pub(in super::super) fn new(background: Arc<Background>, log_ids: IdGenerator) -> Self {
        Self { background, log_ids }
    }

    pub(in super::super) async fn run(mut self) {
        while !self.background.consumed.load(Ordering::Acquire) {
            let _ = timeout(LOOK, self.background.to_apply.notified()).await;
            let _ = timeout(GATHER, self.background.apply_now.notified()).await;
            self.apply_all().await;
        }
        self.apply_all().await;
    }

    async fn apply_all(&mut self) {
        for shard in self.background.shards() {
            loop {
                let applied = timeout(PATIENCE, self.apply(shard)).await;
                match applied.unwrap_or_else(|_| Err(anyhow::anyhow!("it did not answer in time"))) {
                    Ok(applied) if applied == ENTRIES => {}
                    Ok(_) => break,
                    Err(error) => {
                        if let Some(unsaid) = LOG.admit() {
                            tracing::warn!(%shard, error = format!("{error:#}"), unsaid, "main is told of stock changes later");
                        }
                        break;
                    }
                }
            }
        }
        self.background.applied.notify_waiters();
    }

    /// Applies what a shard's outbox holds beyond main's position. Says how many entries it were.
    async fn apply(&mut self, shard: ShardId) -> anyhow::Result<usize> {
        let database = self.background.database(shard)?;
        let mut at_shard = database.connect().await?;
        let main = &self.background.cluster.main;
        let mut conn = main.connect().await?;
        let mut transaction = conn.start_transaction(TxOpts::default()).await?;
        transaction
            .exec_drop(
                "INSERT INTO outbox_positions (shard, outbox_id) VALUES (?, 0) ON DUPLICATE KEY UPDATE outbox_id = outbox_id",
                (shard.number(),),
            )
            .await?;
        let position: Option<i64> = transaction
            .exec_first(
                "SELECT outbox_id FROM outbox_positions WHERE shard = ? FOR UPDATE",
                (shard.number(),),
            )
            .await?;
        let position = position.unwrap_or(0);
        let sql = format!(
            "SELECT o.outbox_id, o.deltas FROM outbox o JOIN shard_state s ON s.id = 1 AND s.dataset = ? \
             WHERE o.outbox_id > ? ORDER BY o.outbox_id LIMIT {ENTRIES}"
        );
        let entries: Vec<(i64, String)> = at_shard.exec(sql, (&self.background.dataset, position)).await?;
        let Some(last) = entries.last().map(|(id, _)| *id) else {
            transaction.rollback().await?;
            return Ok(0);
        };
        if let Some((first, _)) = entries.first() {
            // Entries have no gaps: whatever is missing between was told to a main that has been put back since.
            anyhow::ensure!(
                *first == position + 1,
                "main has lost data: it knows change {position} of shard {shard}, and the next one there is {first}"
            );
        }
        let (began, count) = (Instant::now(), entries.len());
        self.change(&mut transaction, shard, &sums(&entries)?).await?;
        transaction
            .exec_drop("UPDATE outbox_positions SET outbox_id = ? WHERE shard = ?", (last, shard.number()))
            .await?;
        transaction.commit().await?;
        self.background.counts.applied.told(count, began.elapsed());
        // Main has them for good; if this fails, the next time does it.
        at_shard.exec_drop("DELETE FROM outbox WHERE outbox_id <= ?", (last,)).await?;
        Ok(count)
    }

    /// Rows that came take stock; rows that were retired give theirs back, and the total falls by as much. Three statements
    /// for all coupons: a flash sale's entries speak of hundreds.
    async fn change(
        &mut self,
        transaction: &mut Transaction<'_>,
        shard: ShardId,
        sums: &Sums,
    ) -> anyhow::Result<()> {
        let coupons: BTreeSet<CouponId> = sums.keys().map(|(coupon, _)| *coupon).collect();
        let coupons: Vec<String> = coupons.iter().map(ToString::to_string).collect();
        let remaining: Vec<(u64, i64)> = transaction
            .query(format!(
                "SELECT coupon_id, remaining_stock FROM coupons WHERE coupon_id IN ({}) ORDER BY coupon_id FOR UPDATE",
                coupons.join(",")
            ))
            .await?;
        let mut remaining: HashMap<u64, i64> = remaining.into_iter().collect();
        let now = self.background.clock.now().millis();
        let (mut changes, mut logs) = (BTreeMap::<CouponId, (i64, i64)>::new(), Vec::new());
        for ((coupon, _), (rows, entry)) in sums {
            let before = remaining
                .get_mut(&coupon.get())
                .ok_or_else(|| anyhow::anyhow!("there is no coupon {coupon} in the main database"))?;
            let change = changes.entry(*coupon).or_default();
            let mut log = |operation: StockOperation, by: &str, before: i64, after: i64| {
                let (id, operation) = (self.log_ids.make()?.number(), operation.code());
                logs.push(format!(
                    "({id},{coupon},{operation},{before},{after},'{by}',{shard},{entry},{now})"
                ));
                anyhow::Ok(())
            };
            if *rows < 0 {
                change.0 += rows;
                log(StockOperation::RollBack, "archive", *before, *before - rows)?;
                log(StockOperation::Initialise, "archive", *before - rows, *before)?;
            } else {
                change.1 -= rows;
                log(StockOperation::Deduct, "grab", *before, *before - rows)?;
                *before -= rows;
            }
        }
        let changes: Vec<String> = changes
            .iter()
            .map(|(coupon, (total, remaining))| {
                format!("SELECT {coupon} AS coupon_id, {total} AS total, {remaining} AS remaining")
            })
            .collect();
        transaction
            .query_drop(format!(
                "UPDATE coupons c JOIN ({}) d ON d.coupon_id = c.coupon_id \
                 SET c.total_stock = c.total_stock + d.total, c.remaining_stock = c.remaining_stock + d.remaining, \
                 c.update_time = {now}",
                changes.join(" UNION ALL ")
            ))
            .await?;
        transaction
            .query_drop(format!(
                "INSERT INTO stock_logs (log_id, coupon_id, operation_type, stock_before, stock_after, operator, \
                 shard, outbox_id, create_time) VALUES {}",
                logs.join(",")
            ))
            .await?;
        Ok(())
    }
}

/// Of each coupon, rows that came and rows that went, and the last entry that speaks of them.
type Sums = BTreeMap<(CouponId, bool), (i64, i64)>;

/// Each coupon's rows, and the last entry that speaks of it. Rows that came and rows that went are different stories: they
/// do not cancel out.
fn sums(entries: &[(i64, String)]) -> anyhow::Result<Sums> {
    let mut sums = Sums::new();
    for (id, deltas) in entries {
        let deltas: Vec<(CouponId, i64)> = serde_json::from_str(deltas)?;
        for (coupon, rows) in deltas {
            let sum = sums.entry((coupon, rows < 0)).or_default();
            *sum = (sum.0 + rows, *id);
        }
    }
    Ok(sums)
}
