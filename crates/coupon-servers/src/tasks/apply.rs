//! Applies to main what the shards have stored: each outbox entry exactly once, many in one transaction.
//!
//! Any number of processes may do so at once: main's row for a shard makes them take turns.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coupon_core::ShardId;
use coupon_core::books::Gap;
use coupon_store::outage::TaskOutage;
use coupon_store::set_aside::Place;
use tokio::time::timeout;

use super::background::Background;
use crate::books::{ENTRIES, tell, tell_parked};

/// The time for which entries gather before they are applied, unless a caller waits: not every commit needs a
/// transaction in main.
const GATHER: Duration = Duration::from_secs(1);
/// The time between two looks for entries of other processes.
const LOOK: Duration = Duration::from_secs(2);
/// A database that takes longer is as good as down.
const PATIENCE: Duration = Duration::from_secs(30);

/// The task that applies the outboxes.
pub(super) struct Applier {
    background: Arc<Background>,
    /// The outage of each shard's outbox.
    outages: Vec<TaskOutage>,
    /// Of the parked changes.
    parked: TaskOutage,
    /// The entries of each shard that main had applied and has forgotten.
    gaps: BTreeMap<ShardId, Gap>,
}

impl Applier {
    pub(super) fn new(background: Arc<Background>) -> Self {
        let outage = |shard| {
            TaskOutage::of_shard(
                shard,
                "main is told of stock changes later",
                "main is told of stock changes again",
            )
        };
        let outages = background.shards().map(outage).collect();
        let parked = TaskOutage::new(
            "parked stock changes are looked through later",
            "parked stock changes are looked through again",
        );
        Self { background, outages, parked, gaps: BTreeMap::new() }
    }

    pub(super) async fn run(mut self) {
        while self.background.signals.may_store_more() {
            self.background.signals.to_apply(LOOK, GATHER).await;
            self.apply_all().await;
        }
        self.apply_all().await;
    }

    async fn apply_all(&mut self) {
        for shard in self.background.shards() {
            loop {
                let applied = timeout(PATIENCE, self.apply(shard)).await;
                let applied = applied.unwrap_or_else(|_| Err(anyhow::anyhow!("it did not answer in time")));
                if let Some(outage) = self.outages.get(shard.index()) {
                    outage.tried(&applied);
                }
                if !matches!(applied, Ok(ENTRIES)) {
                    break;
                }
            }
        }
        let parked = timeout(PATIENCE, self.apply_parked()).await;
        let parked = parked.unwrap_or_else(|_| Err(anyhow::anyhow!("it did not answer in time")));
        self.parked.tried(&parked);
        self.background.signals.applied();
    }

    /// Applies what a shard's outbox holds beyond main's position. Says how many entries it were.
    async fn apply(&mut self, shard: ShardId) -> anyhow::Result<usize> {
        let background = &self.background;
        let (began, now) = (Instant::now(), background.time.clock.now());
        let told = tell(background.main.books().await?, background.shard(shard)?, shard, now).await;
        if let Some(gap) = told.as_ref().err().and_then(|error| error.downcast_ref::<Gap>()) {
            // Entries that are missing were taken off the outbox when main had them.
            background.main.note_put_back().await?;
            // What the gate has may be of the forgotten time as well. It is looked at once, however long the gap stays.
            if self.gaps.insert(shard, gap.clone()).as_ref() != Some(gap) {
                background.gates.iter().for_each(|gate| gate.epoch.suspect());
            }
        }
        let settled = told?;
        if settled.entries > 0 {
            background.counts.applied.record(settled.entries, began.elapsed());
            background.offered.set_aside.tell(Place::Books, settled.found);
        }
        Ok(settled.entries)
    }

    /// Applies what was parked, of coupons whose row makes sense by now.
    async fn apply_parked(&self) -> anyhow::Result<()> {
        let background = &self.background;
        let found = tell_parked(background.main.books().await?, background.time.clock.now()).await?;
        background.offered.set_aside.tell(Place::Books, found);
        Ok(())
    }
}
