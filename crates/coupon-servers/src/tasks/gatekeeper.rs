//! Watches over a gate: follows the epoch that main names, and fills the gate anew when it has lost its memory.
//!
//! Only the process that fills a gate loads its script, and it loads it first: when the script is still there at the
//! end, nothing that was filled in between has been lost.
//!
//! Each of several gates has a task and a lock of its own: while one is filled, or does not answer, the others are looked after.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use coupon_core::GateId;
use coupon_store::failpoints::{self, Mechanism};
use coupon_store::outage::TaskOutage;
use tokio::time::timeout;

use super::background::Background;
use super::fill::Filling;
use super::handles::GateHandle;
use crate::gate::{Epoch, is_intact};
use crate::seam::{GateLock, GateState, Opening, Route};

/// The time between two questions to main for the open epoch.
const EVERY: Duration = Duration::from_millis(500);
/// The least time between two looks, however many grabs find that something does not fit.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest that main may take to say which epoch is open.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest that filling a gate may take: as long as the server keeps the lock of a connection that is silent.
const FILLING: Duration = Duration::from_secs(3_600);
/// The time between two questions for the script of a gate that is not suspected.
const CHECK: u32 = 10;
/// The most times that coupons are offered again to a gate about to open, since the catalogue has changed meanwhile.
const ROUNDS: usize = 100;
/// The longest that messages routed before an unbinding may take into their queue.
const ROUTED: Duration = Duration::from_millis(200);

/// The task that watches over a gate.
pub(super) struct Gatekeeper {
    background: Arc<Background>,
    gate: GateId,
    looks: u32,
    outage: TaskOutage,
}

impl Gatekeeper {
    pub(super) const fn new(background: Arc<Background>, gate: GateId) -> Self {
        let outage = TaskOutage::new("the gate cannot be looked after", "the gate is looked after again");
        Self { background, gate, looks: 0, outage }
    }

    fn gate(&self) -> &GateHandle {
        self.background.gates.get(self.gate)
    }

    pub(super) async fn run(mut self) {
        while !self.background.signals.stopping() {
            self.look_and_tell().await;
            tokio::time::sleep(PAUSE).await;
            let _ = timeout(EVERY, self.gate().epoch.suspicion()).await;
        }
    }

    /// Looks once; the gate is open afterwards, or the log says why not.
    pub(super) async fn look_and_tell(&mut self) {
        let looked = self.look().await;
        self.outage.tried(&looked);
    }

    async fn look(&mut self) -> anyhow::Result<()> {
        let background = Arc::clone(&self.background);
        let gate = background.gates.get(self.gate);
        self.looks = self.looks.wrapping_add(1);
        // Shards work on without main, and so does a gate that is open.
        let state = timeout(PATIENCE, self.read()).await.context("main does not answer")??;
        let current = gate.epoch.open();
        let suspected = gate.epoch.take_suspicion();
        let Some(open) = state.open() else {
            gate.epoch.set(None);
            return self.rebuild(state).await;
        };
        let is_new = current.is_none_or(|epoch| epoch.number != open);
        if is_new {
            let last = background.last_epoch_known(self.gate).await?;
            if last > open {
                tracing::warn!(
                    open,
                    last,
                    "main knows fewer epochs of the gate than a shard: it was put back to an earlier state"
                );
                gate.epoch.set(None);
                return self.rebuild(state).await;
            }
        } else if !suspected && !self.looks.is_multiple_of(CHECK) {
            return Ok(());
        }
        let epoch = Arc::new(Epoch::new(&background.dataset, open));
        let remembers = self.remembers(&epoch, suspected || is_new).await;
        gate.epoch.answered(remembers.is_ok());
        match remembers {
            Ok(true) => {
                self.tell_where_it_is().await?;
                if suspected {
                    self.mend_queues(state).await.context("the queues")?;
                }
                gate.epoch.set(Some(epoch));
            }
            Ok(false) => {
                gate.epoch.set(None);
                return self.rebuild(state).await;
            }
            Err(error) => {
                // It has not answered: that is no reason to doubt it, but a reason to ask again.
                if suspected {
                    gate.epoch.suspect();
                }
                return Err(error).with_context(|| format!("the gate at {}", gate.server.address()));
            }
        }
        Ok(())
    }

    /// Reads which epoch of the gate main has open, for this data set.
    async fn read(&self) -> anyhow::Result<GateState> {
        let background = &self.background;
        let (dataset, record) = background.main.record().await?;
        if dataset.as_deref() != Some(&background.dataset) {
            self.gate().epoch.set(None);
            bail!(
                "{} holds data set {} now: this service was started on {}, and takes no grabs until it is started again",
                background.main.name(),
                dataset.unwrap_or_else(|| "none".to_owned()),
                background.dataset
            );
        }
        if record.list != background.list || record.gates.is_empty() {
            self.gate().epoch.set(None);
            bail!(
                "the gates of {} are others by now: this service goes by those of before, and takes no grabs until it is started \
                 again, with setting `servers.redis` as it is now",
                background.main.name()
            );
        }
        let positions = background.main.positions().await?;
        let mut lag = 0;
        for shard in background.shards() {
            let position = positions.get(&shard).copied().unwrap_or(0);
            background.floors.main_was_told(shard, position);
            let written = background.status.get(shard.index()).map_or(0, |status| status.look().outbox_id);
            lag += u64::try_from(written - position).unwrap_or(0);
        }
        background.offered.lag.store(lag, Ordering::Relaxed);
        Ok(record.of(self.gate))
    }

    /// Says whether the gate remembers the epoch and, where that is not taken for granted, every coupon that was put on offer, by
    /// versions of the catalogue that main knows.
    async fn remembers(&self, epoch: &Epoch, thoroughly: bool) -> anyhow::Result<bool> {
        if !is_whole(self.gate(), epoch).await? {
            return Ok(false);
        }
        if !thoroughly {
            return Ok(true);
        }
        if self.background.main_is_behind(epoch, 0).await? {
            return Ok(false);
        }
        Ok(self.gate().server.offers_all(epoch).await?)
    }

    /// Records in main that the gate is well where this process reaches it.
    async fn tell_where_it_is(&self) -> anyhow::Result<()> {
        Ok(self.background.main.gate_seen(self.gate, &self.gate().server.address()).await?)
    }

    /// Makes sure that a gate may be filled here before any process is cut off from the one there is: that none is
    /// well served elsewhere, and that this one can be written.
    async fn may_fill(&self, lock: &mut dyn GateLock) -> anyhow::Result<()> {
        let server = &self.gate().server;
        // It finds out where the gate is now.
        server
            .probe()
            .await
            .with_context(|| format!("the gate at {} cannot be written", server.address()))?;
        let here = server.address();
        if let Some(place) = lock.place().await? {
            ensure!(
                place.allows(&here),
                "the gate is at {}, where another process finds it; this process is set to {here} (settings \
                 `servers.redis`, `grab.decided_by`), which knows nothing of it",
                place.address
            );
            if !place.is_at(&here) {
                tracing::warn!(from = place.address, to = here, "the gate moves");
            }
        }
        Ok(())
    }

    /// Fills the gate anew, unless another process is at it.
    async fn rebuild(&self, seen: GateState) -> anyhow::Result<()> {
        let Some(mut lock) = self.background.main.lock_gate(self.gate).await? else {
            tracing::info!("another process is filling the gate");
            return Ok(());
        };
        let rebuilt = timeout(FILLING, self.rebuild_locked(&mut *lock, seen)).await;
        let rebuilt = rebuilt.unwrap_or_else(|_| Err(anyhow::anyhow!("it took too long")));
        lock.end().await;
        rebuilt.context("the gate is shut until it can be filled")
    }

    async fn rebuild_locked(&self, lock: &mut dyn GateLock, seen: GateState) -> anyhow::Result<()> {
        let (background, gate) = (&self.background, self.gate());
        let state = lock.state().await?;
        if state != seen {
            // Another process has just done it; the next look finds it open.
            gate.epoch.suspect();
            return Ok(());
        }
        // Before an epoch is taken: while a shard is down there is no use in any. Shards that have heard of a later
        // epoch than main's have seen a main that was lost since.
        let heard_of = background.check_shards(self.gate).await?;
        if heard_of > state.epoch {
            background.main.note_put_back().await?;
        }
        let last = state.epoch.max(heard_of);
        self.may_fill(lock).await?;
        let next = background.gates.count().epoch_after(self.gate, last);
        let epoch = Arc::new(Epoch::new(&background.dataset, next));
        ensure!(
            lock.take_epoch(epoch.number, state.epoch).await?,
            "another process has taken epoch {}",
            epoch.number
        );
        tracing::info!(epoch = epoch.number, "filling the gate from the shards");
        background.announce(epoch.number).await?;
        self.close_epochs(state.open_epoch..=last).await?;
        let script_last = failpoints::is_off(Mechanism::ScriptFirst);
        if !script_last {
            gate.server.begin(&epoch).await?;
        }
        let mut filling = Filling::new(background, &epoch);
        filling.go_on().await?;
        if script_last {
            gate.server.begin(&epoch).await?;
        }
        self.open(lock, &mut filling, &epoch).await?;
        let (coupons, holders) = filling.contents();
        tracing::info!(epoch = epoch.number, coupons, holders, "the gate is open");
        let number = epoch.number;
        gate.epoch.set(Some(epoch));
        background.counts.of_gate(self.gate).fills.fetch_add(1, Ordering::Relaxed);
        // What is left behind by mistake takes room, and no part in anything.
        if let Err(error) = gate.server.forget_before(number).await {
            tracing::warn!(%error, "what the gate had of earlier epochs is left there");
        }
        Ok(())
    }

    /// Opens an epoch that is filled, once its coupons are as main has them.
    async fn open(
        &self,
        lock: &mut dyn GateLock,
        filling: &mut Filling<'_>,
        epoch: &Epoch,
    ) -> anyhow::Result<()> {
        let (background, gate) = (&self.background, self.gate());
        background.lead_results(epoch.number).await?;
        lock.filled_at(&gate.server.address()).await?;
        for _ in 0..ROUNDS {
            ensure!(
                is_whole(gate, epoch).await?,
                "the gate has lost its memory again while it was being filled"
            );
            match lock.open(epoch.number, filling.version()).await? {
                Opening::Open => return Ok(()),
                Opening::Taken => bail!("another process has begun to fill the gate"),
                Opening::Changed => filling.go_on().await?,
            }
        }
        bail!("the catalogue changes faster than the gate is filled")
    }

    /// Makes a deleted queue again, and leads results there. The gate stays as it is: it alone still has what went
    /// with the queue, as pending reservations, which are then found and handed over again.
    async fn mend_queues(&self, seen: GateState) -> anyhow::Result<()> {
        let background = &self.background;
        // The process that has it is filling the gate, or at the same.
        let Some(mut lock) = background.main.lock_gate(self.gate).await? else { return Ok(()) };
        if lock.state().await? == seen {
            background.lead_results(seen.open_epoch).await?;
        }
        lock.end().await;
        Ok(())
    }

    /// Makes sure that nothing of earlier epochs of the gate is on its way any more: late publishers find no queue, what they
    /// published before is stored, and what turns up all the same is parked.
    async fn close_epochs(&self, epochs: RangeInclusive<u64>) -> anyhow::Result<()> {
        let background = &self.background;
        let mut admin = background.queues.server.admin().await?;
        admin.declare().await?;
        let (gates, mut last) = (background.gates.count(), 0);
        for epoch in epochs.filter(|epoch| gates.of_epoch(*epoch) == self.gate) {
            last = epoch;
            for shard in background.shards() {
                admin.unbind(Route::results(epoch, shard)).await?;
            }
        }
        admin.close().await;
        if failpoints::is_off(Mechanism::Markers) {
            return Ok(());
        }
        tokio::time::sleep(ROUTED).await;
        let shards: Vec<_> = background.shards().collect();
        // Twice: what was on its way into a queue when the first was sent has long arrived when the second is.
        for closes in [0, last] {
            let markers = shards.iter().map(|shard| background.marker(*shard, closes));
            for reached in futures_util::future::join_all(markers).await {
                reached?;
            }
        }
        Ok(())
    }
}

impl Background {
    /// Leads results of an epoch to every shard's queue. The process that does so has the lock of the gate: an epoch
    /// that is closed leads nowhere.
    pub(super) async fn lead_results(&self, epoch: u64) -> anyhow::Result<()> {
        let mut admin = self.queues.server.admin().await?;
        admin.declare().await?;
        for shard in self.shards() {
            admin.bind(Route::results(epoch, shard)).await?;
        }
        admin.close().await;
        Ok(())
    }
}

async fn is_whole(gate: &GateHandle, epoch: &Epoch) -> anyhow::Result<bool> {
    Ok(is_intact(gate.server.remembers(epoch).await?))
}
