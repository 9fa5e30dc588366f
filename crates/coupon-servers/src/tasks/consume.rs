//! A shard's consumer: takes what waits in the shard's queue, stores it in one transaction, and only then lets the
//! queue forget it.
//!
//! While a transaction is under way the next one is gathered, and the one before is settled at the gate: a consumer
//! that has much to do waits for its database alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use coupon_core::{ShardId, ShardingStrategy as _, TableId, TimeRange, Timestamp};
use coupon_store::failpoints::{self, Mechanism, Point};
use coupon_store::outage::TaskOutage;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::background::Background;
use super::gather::GatheredBatch;
use super::settle::settle;
use super::store::{StoreError, StoredBatch, TakenMessages, store};
use crate::seam::{Delivery, QueueConsumer, Storing, StoringError};

/// A transaction that is not full begins no sooner after the last one began: under load a few large ones cost every row
/// less than many small ones. After a pause nothing waits.
const PACE: Duration = Duration::from_millis(100);
/// The longest that a transaction may take: a server that hangs is as good as one that is down.
const PATIENCE: Duration = Duration::from_secs(30);
/// The wait before something that failed is tried again.
const RETRY: Duration = Duration::from_millis(300);
/// The time between two looks of a waiting task whether it should end.
const IDLE: Duration = Duration::from_millis(200);
/// A shard whose queue has nothing else to do is sent something every second or so. If nothing at all arrives for so
/// long, the broker may think that we were given it: RabbitMQ 3.10 does when a queue is deleted and made again at once.
const STUCK: Duration = Duration::from_secs(5);

/// A place where a process can be stopped with results: what only moves the queue is nothing to be lost.
fn passes(work: &TakenMessages) {
    if !work.results.is_empty() {
        failpoints::hit(Point::Committed);
    }
}

/// One shard's consumer.
pub(super) struct Consumer {
    background: Arc<Background>,
    shard: ShardId,
    connection: Option<Box<dyn Storing>>,
    tables: BTreeSet<TableId>,
    storing: Arc<TaskOutage>,
    settling: Arc<TaskOutage>,
}

impl Consumer {
    pub(super) fn new(background: Arc<Background>, shard: ShardId) -> Self {
        let storing = TaskOutage::of_shard(
            shard,
            "storing is held up; nothing is lost, and it is tried again",
            "storing goes on",
        );
        let settling = TaskOutage::of_shard(
            shard,
            "the gate is not told of what is stored; it stays pending there, and is found again",
            "the gate is told again of what is stored",
        );
        let (storing, settling) = (Arc::new(storing), Arc::new(settling));
        Self { background, shard, connection: None, tables: BTreeSet::new(), storing, settling }
    }

    /// Consumes until the process stops.
    pub(super) async fn run(mut self) {
        while !self.background.signals.stopping() {
            match self.background.queues.server.consume(self.shard).await {
                Ok(mut consuming) => {
                    self.consume(&mut *consuming).await;
                    // The next consumer has it to do.
                    self.background.queues.works_on(self.shard, 0, 0);
                    consuming.close().await;
                }
                Err(error) => self.storing.failed(&error),
            }
            tokio::time::sleep(RETRY).await;
        }
        if self.background.shard(self.shard).is_ok_and(|server| server.keeps_stock()) {
            // No grab comes any more: an outbox entry counts the last ones.
            let told = self.try_to_store(&TakenMessages::default()).await;
            self.storing.tried(&told);
        }
        if let Some(connection) = self.connection.take() {
            connection.close().await;
        }
    }

    async fn consume(&mut self, consuming: &mut dyn QueueConsumer) {
        self.make_tables_ahead().await;
        let mut settling = JoinSet::new();
        let mut gathered = GatheredBatch::default();
        let mut began = None;
        let mut still = Still::new();
        while !self.background.signals.stopping() {
            let earliest = began.map(|began| began + PACE);
            if !self.gather(&mut gathered, earliest, consuming).await {
                break;
            }
            if gathered.is_empty() {
                if still.for_too_long(&self.background, self.shard) {
                    tracing::warn!(shard = %self.shard, "nothing comes from this shard's queue; asking for it anew");
                    break;
                }
                continue;
            }
            still = Still::new();
            began = Some(Instant::now());
            let batch = std::mem::take(&mut gathered);
            let too_early = failpoints::is_off(Mechanism::AckAfterCommit);
            if too_early {
                let _ = consuming.done(batch.last).await;
                // The queue has heard of it by then: the driver only takes note of an acknowledgement, and sends it
                // later.
                tokio::time::sleep(PACE).await;
                passes(&batch.work);
            }
            let (done, goes_on) = self.store_and_gather(&batch.work, &mut gathered, consuming).await;
            let Some(done) = done else { break };
            passes(&batch.work);
            if !too_early && let Err(error) = consuming.done(batch.last).await {
                self.storing.failed(&error);
                break;
            }
            self.background.stored(self.shard, &batch.work, &done);
            self.at_work_on(&gathered, consuming);
            self.settle(&mut settling, batch.work, done).await;
            if !goes_on {
                break;
            }
        }
        while settling.join_next().await.is_some() {}
    }

    /// Waits for something to store, and, until `earliest`, for more. Says whether there can be more: not when the
    /// connection is gone, or what must be parked cannot be.
    async fn gather(
        &self,
        batch: &mut GatheredBatch,
        earliest: Option<Instant>,
        consuming: &mut dyn QueueConsumer,
    ) -> bool {
        if batch.is_empty() {
            match timeout(IDLE, consuming.next()).await {
                Ok(Some(first)) => {
                    if !self.take(batch, first, consuming).await {
                        return false;
                    }
                }
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
        while batch.has_room() {
            let next = match (consuming.next_now(), earliest) {
                (Some(next), _) => next,
                // A caller waits for a marker.
                (None, _) if !batch.work.markers.is_empty() => return true,
                (None, Some(earliest)) => match timeout_at(earliest, consuming.next()).await {
                    Ok(Some(next)) => next,
                    Ok(None) => return false,
                    Err(_) => return true,
                },
                (None, None) => return true,
            };
            if !self.take(batch, next, consuming).await {
                return false;
            }
        }
        true
    }

    async fn take(
        &self,
        batch: &mut GatheredBatch,
        delivery: Delivery,
        consuming: &dyn QueueConsumer,
    ) -> bool {
        let taken = batch.take(&self.background, self.shard, delivery).await;
        self.at_work_on(batch, consuming);
        if let Err(error) = &taken {
            self.storing.failed(error);
        }
        taken.is_ok()
    }

    fn at_work_on(&self, batch: &GatheredBatch, consuming: &dyn QueueConsumer) {
        self.background.queues.works_on(self.shard, batch.work.results.len(), consuming.buffered());
    }

    /// Stores some work, and gathers the next meanwhile. There is nothing to say of work that the process stops before;
    /// and there may be no more to gather.
    async fn store_and_gather(
        &mut self,
        work: &TakenMessages,
        next: &mut GatheredBatch,
        consuming: &mut dyn QueueConsumer,
    ) -> (Option<StoredBatch>, bool) {
        let (background, shard) = (Arc::clone(&self.background), self.shard);
        let outage = Arc::clone(&self.storing);
        let at_work = work.results.len();
        background.queues.works_on(shard, at_work, consuming.buffered());
        let mut goes_on = true;
        let storing = self.store_at_last(work);
        tokio::pin!(storing);
        loop {
            // Only waiting for a message is given up half-way: it stays where it is.
            let delivery = tokio::select! {
                biased;
                done = &mut storing => return (done, goes_on),
                delivery = consuming.next(), if goes_on && next.has_room() => delivery,
            };
            goes_on = match delivery {
                Some(delivery) => match next.take(&background, shard, delivery).await {
                    Ok(()) => true,
                    Err(error) => {
                        outage.failed(&error);
                        false
                    }
                },
                None => false,
            };
            background.queues.works_on(shard, at_work + next.work.results.len(), consuming.buffered());
        }
    }

    /// Until it is stored, nothing else can be: the queue keeps what it has no word to forget. `None` when the
    /// process stops first.
    async fn store_at_last(&mut self, work: &TakenMessages) -> Option<StoredBatch> {
        loop {
            match self.try_to_store(work).await {
                Ok(done) => {
                    self.storing.worked();
                    return Some(done);
                }
                Err(error) => self.storing.failed(&error),
            }
            if self.background.signals.stopping() {
                return None;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Settles results at the gate while the next transaction is under way.
    async fn settle(&self, settling: &mut JoinSet<()>, work: TakenMessages, done: StoredBatch) {
        while settling.join_next().await.is_some() {}
        let background = Arc::clone(&self.background);
        let outage = Arc::clone(&self.settling);
        settling.spawn(async move {
            outage.tried(&settle(&background, &work, &done).await);
        });
    }

    async fn try_to_store(&mut self, work: &TakenMessages) -> anyhow::Result<StoredBatch> {
        let began = Instant::now();
        let stored = timeout(PATIENCE, self.store(work)).await;
        let stored = stored.unwrap_or_else(|_| Err(anyhow::anyhow!("it did not answer in time")));
        let counts = &self.background.counts;
        if stored.is_ok() {
            counts.stored(self.shard, work.results.len(), began.elapsed());
        } else {
            counts.store_failures.fetch_add(1, Ordering::Relaxed);
            // Whatever state the connection is in, another one starts clean.
            self.connection = None;
        }
        stored
    }

    async fn store(&mut self, work: &TakenMessages) -> anyhow::Result<StoredBatch> {
        let wanted: BTreeSet<TableId> =
            work.results.iter().map(|arrived| arrived.row.placement.table).collect();
        self.make_tables(wanted).await?;
        let now = self.background.time.mains();
        let (background, shard) = (Arc::clone(&self.background), self.shard);
        let stored = store(self.connection().await?, &background, background.at(shard), work, now).await;
        // A table that went, because its day was retired, is made again.
        if matches!(stored, Err(StoreError::Storing(StoringError::NoTable(_)))) {
            self.tables.clear();
        }
        Ok(stored?)
    }

    async fn connection(&mut self) -> anyhow::Result<&mut dyn Storing> {
        if self.connection.is_none() {
            self.connection = Some(self.background.shard(self.shard)?.storing().await?);
            self.tables.clear();
        }
        match &mut self.connection {
            Some(connection) => Ok(&mut **connection),
            None => Err(anyhow::anyhow!("there is no connection")),
        }
    }

    /// Makes the tables that are missing, outside of any transaction.
    async fn make_tables(&mut self, wanted: impl IntoIterator<Item = TableId>) -> anyhow::Result<()> {
        let mut missing: Vec<TableId> =
            wanted.into_iter().filter(|table| !self.tables.contains(table)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let connection = self.connection().await?;
        let there: BTreeSet<TableId> = connection.tables().await?.into_iter().collect();
        missing.retain(|table| !there.contains(table));
        for table in &missing {
            connection.make_table(*table).await?;
        }
        self.tables = there;
        self.tables.extend(missing);
        Ok(())
    }

    /// The tables of yesterday, for grabs fixed before midnight, to tomorrow. One that is missing all the same is made
    /// when a result needs it.
    async fn make_tables_ahead(&mut self) {
        let wanted = self.background.layouts.now().tables(ahead(self.background.time.clock.now()));
        let here = wanted.into_iter().filter(|placement| placement.shard == self.shard);
        let made = self.make_tables(here.map(|placement| placement.table).collect::<Vec<_>>());
        let made = timeout(PATIENCE, made).await;
        if let Err(error) = made.unwrap_or_else(|_| Err(anyhow::anyhow!("it did not answer in time"))) {
            self.connection = None;
            self.storing.failed(&error);
        }
    }
}

/// The time since anything came from a queue, to this process or another.
struct Still {
    since: Instant,
    messages: Option<u64>,
}

impl Still {
    fn new() -> Self {
        Self { since: Instant::now(), messages: None }
    }

    fn for_too_long(&mut self, background: &Background, shard: ShardId) -> bool {
        let Some(status) = background.status.get(shard.index()) else { return false };
        let messages = status.is_up().then(|| status.look().messages);
        if messages.is_none() || messages != self.messages {
            *self = Self { messages, ..Self::new() };
        }
        self.since.elapsed() >= STUCK
    }
}

/// The window for which tables should exist.
pub(super) fn ahead(now: Timestamp) -> TimeRange {
    let today = now.day();
    TimeRange::new(today.start().plus_millis(-1), today.next().next().start())
}
