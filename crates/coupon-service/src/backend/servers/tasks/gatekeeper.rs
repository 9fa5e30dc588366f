//! Watches over the gate: follows the epoch that main names, and fills the gate anew when it has lost its memory.
//!
//! Only whoever fills a gate loads its script, and it loads it first: when the script is still there at the end, nothing
//! that was filled in between has been lost.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use coupon_core::CouponId;
use deadpool_redis::redis::Pipeline;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use tokio::time::timeout;

use super::super::gate::Epoch;
use super::Background;
use super::fill::fill;
use crate::throttle::Throttle;

/// How often main is asked which epoch is open.
const EVERY: Duration = Duration::from_millis(500);
/// How often a gate that nobody suspects is asked for its script all the same.
const CHECK: u32 = 10;
/// How long messages that were routed before an unbinding may take into their queue.
const ROUTED: Duration = Duration::from_millis(200);

static LOG: Throttle = Throttle::new();

/// What main says of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct GateState {
    epoch: u64,
    open_epoch: u64,
}

/// The task that watches over the gate.
pub(in super::super) struct Gatekeeper {
    background: Arc<Background>,
    looks: u32,
}

impl Gatekeeper {
    pub(in super::super) const fn new(background: Arc<Background>) -> Self {
        Self { background, looks: 0 }
    }

    pub(in super::super) async fn run(mut self) {
        while !self.background.stopping() {
            self.look_and_tell().await;
            let _ = timeout(EVERY, self.background.epoch.suspicion()).await;
        }
    }

    /// Looks once; the gate is open afterwards, or the log says why not.
    pub(in super::super) async fn look_and_tell(&mut self) {
        if let Err(error) = self.look().await
            && let Some(unsaid) = LOG.admit()
        {
            tracing::warn!(error = format!("{error:#}"), unsaid, "the gate cannot be looked after");
        }
    }

    async fn look(&mut self) -> anyhow::Result<()> {
        let background = Arc::clone(&self.background);
        self.looks = self.looks.wrapping_add(1);
        // Shards work on without main, and so does a gate that is open.
        let state = self.read().await?;
        let current = background.epoch.open();
        let suspected = background.epoch.take_suspicion();
        if state.open_epoch == 0 || state.epoch != state.open_epoch {
            background.epoch.set(None);
            return self.rebuild(state).await;
        }
        if current.as_ref().is_some_and(|epoch| epoch.number == state.open_epoch)
            && !suspected
            && !self.looks.is_multiple_of(CHECK)
        {
            return Ok(());
        }
        let epoch = Arc::new(Epoch::new(&background.dataset, state.open_epoch));
        let remembers = self.remembers(&epoch, suspected).await;
        match remembers {
            Ok(true) => background.epoch.set(Some(epoch)),
            Ok(false) => {
                background.epoch.set(None);
                return self.rebuild(state).await;
            }
            Err(error) => {
                // It has not answered: that is no reason to doubt it, but a reason to ask again.
                if suspected {
                    background.epoch.suspect();
                }
                return Err(error).context("Redis");
            }
        }
        Ok(())
    }

    /// Which epoch main says is open, for this data set.
    async fn read(&self) -> anyhow::Result<GateState> {
        let main = &self.background.cluster.main;
        let mut conn = main.connect().await?;
        let failed = |error| main.error(&error);
        let dataset: Option<String> =
            conn.query_first("SELECT value FROM meta WHERE name = 'dataset'").await.map_err(failed)?;
        if dataset.as_deref() != Some(&self.background.dataset) {
            self.background.epoch.set(None);
            bail!(
                "{main} holds data set {} now: this service was started on {}, and takes no grabs until it is started again",
                dataset.unwrap_or_else(|| "none".to_owned()),
                self.background.dataset
            );
        }
        let state = gate_state(&mut conn).await.map_err(failed)?;
        let positions = super::watch::positions(main).await?;
        let mut lag = 0;
        for (shard, known) in self.background.shards().zip(&self.background.positions) {
            let position = positions.get(&shard.number()).copied().unwrap_or(0);
            known.store(position, Ordering::Relaxed);
            let written =
                self.background.status.get(shard.index()).map_or(0, |status| status.look().outbox_id);
            lag += u64::try_from(written - position).unwrap_or(0);
        }
        self.background.catalogue.lag.store(lag, Ordering::Relaxed);
        Ok(state)
    }

    /// Whether Redis knows the epoch's script and, if that was doubted, every coupon on offer.
    async fn remembers(&self, epoch: &Epoch, thoroughly: bool) -> anyhow::Result<bool> {
        if !knows_script(&self.background, epoch).await? {
            return Ok(false);
        }
        if !thoroughly {
            return Ok(true);
        }
        let coupons: Vec<CouponId> =
            self.background.catalogue.known.on_offer(self.background.clock.now()).collect();
        let mut pipeline = Pipeline::with_capacity(coupons.len());
        for coupon in &coupons {
            pipeline.cmd("HEXISTS").arg(self.background.names.holders(epoch.number, *coupon)).arg("t");
        }
        if coupons.is_empty() {
            return Ok(true);
        }
        let there: Vec<bool> = self.background.redis.ask(&pipeline).await?;
        Ok(there.into_iter().all(|there| there))
    }

    /// Fills the gate anew, unless another process is at it.
    async fn rebuild(&self, seen: GateState) -> anyhow::Result<()> {
        let main = &self.background.cluster.main;
        let mut lock = main.connect_alone().await?;
        let name = format!("{}.gate", self.background.cluster.namespace.as_str());
        let mine: Option<Option<i64>> = lock.exec_first("SELECT GET_LOCK(?, 0)", (name,)).await?;
        if mine.flatten() != Some(1) {
            return Ok(());
        }
        let rebuilt = self.rebuild_locked(&mut lock, seen).await;
        // The lock goes with the connection.
        let _ = lock.disconnect().await;
        rebuilt.context("the gate is shut until it can be filled")
    }

    async fn rebuild_locked(&self, lock: &mut Conn, seen: GateState) -> anyhow::Result<()> {
        let background = &self.background;
        let state = gate_state(lock).await?;
        if state != seen {
            // Somebody has just done it; the next look finds it open.
            background.epoch.suspect();
            return Ok(());
        }
        let epoch = Arc::new(Epoch::new(&background.dataset, state.epoch + 1));
        lock.exec_drop(
            "UPDATE gate_state SET epoch = ? WHERE id = 1 AND epoch = ?",
            (epoch.number, state.epoch),
        )
        .await?;
        ensure!(lock.affected_rows() == 1, "another process has taken epoch {}", epoch.number);
        tracing::info!(epoch = epoch.number, "filling the gate from the shards");
        self.close_epochs(state).await?;
        background
            .redis
            .ask::<()>(Pipeline::new().cmd("SCRIPT").arg("LOAD").arg(epoch.script.text()).ignore())
            .await?;
        let filled = fill(background, &epoch).await?;
        ensure!(
            knows_script(background, &epoch).await?,
            "Redis has lost its memory again while it was being filled"
        );
        let admin = background.broker.admin().await?;
        for shard in background.shards() {
            admin.bind(&background.names, epoch.number, shard).await?;
        }
        admin.close().await;
        let open = "UPDATE gate_state SET open_epoch = ? WHERE id = 1 AND epoch = ?";
        lock.exec_drop(open, (epoch.number, epoch.number)).await?;
        ensure!(lock.affected_rows() == 1, "another process has begun to fill the gate");
        tracing::info!(
            epoch = epoch.number,
            coupons = filled.coupons,
            holders = filled.holders,
            "the gate is open"
        );
        background.epoch.set(Some(epoch));
        self.forget(state.open_epoch..=state.epoch).await;
        Ok(())
    }

    /// Makes sure that nothing of earlier epochs is on its way any more: late publishers find no queue, what they
    /// published before is stored, and what turns up all the same is parked.
    async fn close_epochs(&self, state: GateState) -> anyhow::Result<()> {
        let background = &self.background;
        let admin = background.broker.admin().await?;
        admin.declare(&background.names, background.strategy.shard_count().get()).await?;
        for epoch in state.open_epoch..=state.epoch {
            for shard in background.shards() {
                admin.unbind(&background.names, epoch, shard).await?;
            }
        }
        admin.close().await;
        tokio::time::sleep(ROUTED).await;
        let shards: Vec<_> = background.shards().collect();
        // Twice: what was on its way into a queue when the first was sent has long arrived when the second is.
        for closes in [0, state.epoch] {
            let markers = shards.iter().map(|shard| background.marker(*shard, closes));
            for reached in futures_util::future::join_all(markers).await {
                reached?;
            }
        }
        for shard in shards {
            background.cluster.check_shard(shard, &background.dataset).await?;
        }
        Ok(())
    }

    /// Removes the keys of earlier epochs. What is left behind by mistake takes room, and no part in anything.
    async fn forget(&self, epochs: std::ops::RangeInclusive<u64>) {
        for epoch in epochs.filter(|epoch| *epoch > 0) {
            let pattern = self.background.names.keys_of(epoch);
            if let Err(error) = super::fill::remove_keys(&self.background.redis, &pattern).await {
                tracing::warn!(epoch, %error, "keys of an earlier epoch are left in Redis");
            }
        }
    }
}

async fn knows_script(background: &Background, epoch: &Epoch) -> anyhow::Result<bool> {
    let known: ((bool,),) =
        background.redis.ask(Pipeline::new().cmd("SCRIPT").arg("EXISTS").arg(epoch.script.sha())).await?;
    Ok(known.0.0)
}

async fn gate_state(conn: &mut Conn) -> mysql_async::Result<GateState> {
    let state: Option<(u64, u64)> =
        conn.query_first("SELECT epoch, open_epoch FROM gate_state WHERE id = 1").await?;
    let (epoch, open_epoch) = state.unwrap_or((0, 0));
    Ok(GateState { epoch, open_epoch })
}
