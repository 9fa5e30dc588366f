//! A shard's consumer: takes what waits in the shard's queue, stores it in one transaction, and only then lets the queue
//! forget it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use coupon_core::schema;
use coupon_core::{CouponId, CouponResult, ShardId, TableId, TimeRange, Timestamp};
use deadpool_redis::redis::{Pipeline, RedisError};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::super::broker::{Consuming, Delivery, Message};
use super::super::gate::{Epoch, PARKED};
use super::super::mysql::{code, has_code};
use super::super::sql;
use super::Background;
use super::store::{Arrived, Done, StoreError, Work, store};
use crate::failpoints::{self, Point};
use crate::throttle::Throttle;

/// The most results that one transaction takes, give or take a message.
const TRANSACTION_MAX: usize = 8_192;
/// How long a transaction may take: a server that hangs is as good as one that is down.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait before something that failed is tried again.
const RETRY: Duration = Duration::from_millis(300);
/// How often a task that waits looks whether it should end.
const IDLE: Duration = Duration::from_millis(200);

static LOG: Throttle = Throttle::new();

/// One shard's consumer.
pub(in super::super) struct Consumer {
    background: Arc<Background>,
    shard: ShardId,
    conn: Option<Conn>,
    tables: HashSet<TableId>,
}

impl Consumer {
    pub(in super::super) fn new(background: Arc<Background>, shard: ShardId) -> Self {
        Self { background, shard, conn: None, tables: HashSet::new() }
    }

    /// Consumes until the process stops.
    pub(in super::super) async fn run(mut self) {
        let queue = self.background.names.queue(self.shard);
        while !self.background.stopping() {
            match Consuming::start(&self.background.broker, &queue).await {
                Ok(mut consuming) => {
                    self.consume(&mut consuming).await;
                    // Whoever consumes next has it to do.
                    self.background.works_on(self.shard, 0, 0);
                    consuming.close().await;
                }
                Err(error) => self.complain(&error),
            }
            tokio::time::sleep(RETRY).await;
        }
        if let Some(conn) = self.conn.take() {
            let _ = conn.disconnect().await;
        }
    }

    async fn consume(&mut self, consuming: &mut Consuming) {
        self.make_tables_ahead().await;
        while !self.background.stopping() {
            let first = match tokio::time::timeout(IDLE, consuming.next()).await {
                Ok(Some(first)) => first,
                Ok(None) => return,
                Err(_) => continue,
            };
            let (work, last) = self.gather(first, consuming).await;
            let Some(work) = work else { return };
            self.background.works_on(self.shard, work.results.len(), consuming.buffered());
            // Until it is stored, nothing else can be: the queue keeps what it has not been told to forget.
            let done = loop {
                match self.try_to_store(&work).await {
                    Ok(done) => break done,
                    Err(error) => self.complain(&error),
                }
                if self.background.stopping() {
                    return;
                }
                tokio::time::sleep(RETRY).await;
            };
            failpoints::hit(Point::Committed);
            if let Err(error) = consuming.done(last).await {
                self.complain(&error);
                return;
            }
            self.settle(&work, &done).await;
            self.background.stored(self.shard, &work, &done);
        }
    }

    /// Whatever has arrived by now; `None` when it cannot be parked what must be.
    async fn gather(&self, first: Delivery, consuming: &mut Consuming) -> (Option<Work>, u64) {
        let mut work = Work::default();
        let mut next = Some(first);
        let mut last = 0;
        while let Some(Delivery { tag, body }) = next {
            last = tag;
            work.messages += 1;
            match Message::decode(&body, &self.background.dataset, self.shard) {
                Ok((message, results)) => {
                    work.sent = work.sent.max(message.sent);
                    work.results.extend(results.into_iter().map(|row| Arrived { row, epoch: message.epoch }));
                    work.markers.extend(message.marker);
                }
                Err(error) => {
                    tracing::error!(shard = %self.shard, %error, "a message can never be stored; it is parked");
                    if let Err(error) = self.background.park_message(body).await {
                        self.complain(&error);
                        return (None, last);
                    }
                }
            }
            next = if work.results.len() < TRANSACTION_MAX { consuming.next_now() } else { None };
        }
        (Some(work), last)
    }

    async fn try_to_store(&mut self, work: &Work) -> anyhow::Result<Done> {
        let stored = tokio::time::timeout(PATIENCE, self.store(work)).await;
        let stored = stored.unwrap_or_else(|_| Err(anyhow::anyhow!("it did not answer in time")));
        if stored.is_err() {
            // Whatever state the connection is in, another one starts clean.
            self.conn = None;
        }
        stored
    }

    async fn store(&mut self, work: &Work) -> anyhow::Result<Done> {
        let wanted: HashSet<TableId> =
            work.results.iter().map(|arrived| arrived.row.placement.table).collect();
        self.make_tables(wanted).await?;
        let now = self.background.clock.now();
        let dataset = Arc::clone(&self.background);
        let told = dataset.position(self.shard);
        let conn = self.connection().await?;
        match store(conn, &dataset.dataset, told, work, now).await {
            Ok(done) => Ok(done),
            Err(error) => {
                // A table that went, because its day was retired, is made again.
                if matches!(&error, StoreError::Sql(error) if has_code(error, code::NO_TABLE)) {
                    self.tables.clear();
                }
                Err(error.into())
            }
        }
    }

    async fn connection(&mut self) -> anyhow::Result<&mut Conn> {
        if self.conn.is_none() {
            let database = self.background.database(self.shard)?;
            self.conn = Some(database.connect_to_lock().await?);
            self.tables.clear();
        }
        self.conn.as_mut().ok_or_else(|| anyhow::anyhow!("there is no connection"))
    }

    /// Makes the tables that are missing, outside of any transaction.
    async fn make_tables(&mut self, wanted: impl IntoIterator<Item = TableId>) -> anyhow::Result<()> {
        let mut missing: Vec<TableId> =
            wanted.into_iter().filter(|table| !self.tables.contains(table)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let conn = self.connection().await?;
        let there: HashSet<TableId> = sql::tables(conn).await?.into_iter().collect();
        missing.retain(|table| !there.contains(table));
        for table in &missing {
            conn.query_drop(schema::results_table(*table)).await?;
        }
        self.tables = there;
        self.tables.extend(missing);
        Ok(())
    }

    /// The tables of yesterday, for grabs fixed before midnight, to tomorrow. One that is missing all the same is made
    /// when a result needs it.
    async fn make_tables_ahead(&mut self) {
        let wanted = self.background.strategy.tables(ahead(self.background.clock.now()));
        let here = wanted.into_iter().filter(|placement| placement.shard == self.shard);
        let made = self.make_tables(here.map(|placement| placement.table).collect::<Vec<_>>());
        let made = tokio::time::timeout(PATIENCE, made).await;
        if let Err(error) = made.unwrap_or_else(|_| Err(anyhow::anyhow!("it did not answer in time"))) {
            self.conn = None;
            self.complain(&error);
        }
    }

    /// Tells the gate that these are stored: whoever asks again is answered at once. If it cannot be told, they stay
    /// pending, and are found again.
    async fn settle(&self, work: &Work, done: &Done) {
        let Some(epoch) = self.background.epoch.open() else { return };
        let names = &self.background.names;
        let mut by_coupon: HashMap<CouponId, Vec<u64>> = HashMap::new();
        let mut parked = Vec::new();
        for Arrived { row, epoch: of } in &work.results {
            if done.parked.contains(&row.result.result_id) {
                parked.push(row.result);
            }
            // Keys of an epoch that is over are gone, and must not come back.
            if *of == epoch.number {
                by_coupon.entry(row.result.coupon_id).or_default().push(row.result.user_id.get());
            }
        }
        let told = async {
            self.hold_parked(&epoch, &parked).await?;
            let mut pipeline = Pipeline::with_capacity(by_coupon.len());
            for (coupon, users) in by_coupon {
                pipeline.cmd("ZREM").arg(names.pending(epoch.number, coupon)).arg(users).ignore();
            }
            if pipeline.is_empty() { Ok(()) } else { self.background.redis.ask::<()>(&pipeline).await }
        };
        if let Err(error) = told.await {
            self.complain(&error);
        }
    }

    /// Those that are parked take stock, of whatever epoch they are, and their users are not told that they hold one.
    async fn hold_parked(&self, epoch: &Epoch, parked: &[CouponResult]) -> Result<(), RedisError> {
        for CouponResult { result_id, coupon_id, user_id, .. } in parked {
            let key = self.background.names.holders(epoch.number, *coupon_id);
            let mut ask = Pipeline::new();
            ask.cmd("HMGET").arg(&key).arg("t").arg(user_id.get());
            let ((total, held),): ((Option<u32>, Option<String>),) = self.background.redis.ask(&ask).await?;
            // A coupon that the gate does not hold must not come to be by this.
            if total.is_none() || held.is_some_and(|held| held != result_id.to_string()) {
                continue;
            }
            let mut hold = Pipeline::new();
            hold.cmd("HSET").arg(key).arg(user_id.get()).arg(format!("{PARKED}{result_id}")).ignore();
            self.background.redis.ask::<()>(&hold).await?;
        }
        Ok(())
    }

    fn complain(&self, error: &dyn std::fmt::Display) {
        if let Some(unsaid) = LOG.admit() {
            tracing::warn!(shard = %self.shard, %error, unsaid, "storing is held up; nothing is lost, and it is tried again");
        }
    }
}

/// The window for which tables should exist.
pub(in super::super) fn ahead(now: Timestamp) -> TimeRange {
    let today = now.day();
    TimeRange::new(today.start().plus_millis(-1), today.next().next().start())
}
