//! Finds reservations that never reached their queue, and hands them over again, exactly as they were.
//!
//! A reservation that is still pending after a marker, sent later, has come through its shard's queue was never handed over, or
//! is stored and still marked as pending at the gate. Handing it over again is right either way: what is stored already is found
//! to be. What is stored and not held is found by [`ShardPasses`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use coupon_core::{CouponId, GateId, ShardId, ShardingStrategy as _, UserId};
use coupon_store::failpoints::{self, Mechanism};
use coupon_store::outage::TaskOutage;
use coupon_store::{PlacedResult, Reservation};

use super::background::Background;
use super::reconcile_rows::ShardPasses;
use crate::broker::Message;
use crate::gate::Epoch;
use crate::seam::{Held, Mark, Publish as _, Route};

/// The most results that one message hands over.
const MESSAGE: usize = 1_000;

/// The task that looks for them at a gate.
pub(super) struct Reconciler {
    background: Arc<Background>,
    gate: GateId,
    rows: ShardPasses,
    every: Duration,
    /// Reservations that are younger may be on their way.
    grace: Duration,
}

impl Reconciler {
    pub(super) fn new(background: Arc<Background>, gate: GateId, every: Duration, grace: Duration) -> Self {
        Self { rows: ShardPasses::new(Arc::clone(&background)), background, gate, every, grace }
    }

    pub(super) async fn run(mut self) {
        let outage = TaskOutage::new(
            "pending reservations are looked through later",
            "pending reservations are looked through again",
        );
        while !self.background.signals.stopping() {
            let done = self.round().await;
            let counts = &self.background.counts;
            let count = if done.is_ok() { &counts.rounds } else { &counts.failed_rounds };
            count.fetch_add(1, Ordering::Relaxed);
            outage.tried(&done);
            tokio::time::sleep(self.every).await;
        }
    }

    async fn round(&mut self) -> anyhow::Result<()> {
        if failpoints::is_off(Mechanism::Reconciler) || failpoints::is_off(Mechanism::Pending) {
            return Ok(());
        }
        let Some(epoch) = self.background.gates.get(self.gate).epoch.open() else { return Ok(()) };
        let pending = self.pending(&epoch).await?;
        if !pending.is_empty() && !self.background.knows_the_latest(&epoch).await? {
            // What a version places that this process does not know would go to another place than it belongs to. One that main
            // never had is taken back.
            self.background.look_for_the_latest().await?;
            return Ok(());
        }
        self.background.counts.of_gate(self.gate).pending.store(pending.len() as u64, Ordering::Relaxed);
        // One process at a time: more would only repeat each other's work.
        let Some(lock) = self.background.main.lock_reconciler(self.gate).await? else { return Ok(()) };
        let done = self.round_locked(&epoch, pending).await;
        lock.end().await;
        done
    }

    async fn round_locked(
        &mut self,
        epoch: &Epoch,
        pending: Vec<(CouponId, UserId, Reservation)>,
    ) -> anyhow::Result<()> {
        // At once: a shard that is slow to answer must not keep the others waiting.
        let shards = self.by_shard(pending).into_iter();
        let again = shards.map(|(shard, results)| self.hand_over_again(epoch, shard, results));
        for done in futures_util::future::join_all(again).await {
            done?;
        }
        self.rows.round(epoch).await
    }

    /// Reservations that have been pending for long.
    async fn pending(&self, epoch: &Epoch) -> anyhow::Result<Vec<(CouponId, UserId, Reservation)>> {
        let gate = &self.background.gate_of(epoch).server;
        let grace = i64::try_from(self.grace.as_millis()).unwrap_or(i64::MAX);
        let marks = gate.pending_until(epoch, self.background.time.mains().plus_millis(-grace)).await?;
        let held = gate.held(epoch, &marks).await?;
        let (mut found, mut of_nothing) = (Vec::new(), Vec::new());
        for (mark, held) in marks.into_iter().zip(held) {
            match held {
                Some(Held::Result(reserved)) if reserved.id == mark.id => {
                    found.push((mark.coupon, mark.user, reserved));
                }
                _ => of_nothing.push(mark),
            }
        }
        // The script that makes a mark makes its reservation: one without is parked, was never made, or was let go of just
        // now, and another made in its slot.
        gate.unmark(epoch, &of_nothing).await?;
        Ok(found)
    }

    fn by_shard(
        &self,
        pending: Vec<(CouponId, UserId, Reservation)>,
    ) -> BTreeMap<ShardId, Vec<PlacedResult>> {
        let mut by_shard: BTreeMap<ShardId, Vec<PlacedResult>> = BTreeMap::new();
        for (coupon, user, reserved) in pending {
            let room = self.background.offered.known().room_of(coupon);
            let result = room.map(|room| reserved.result(user, coupon, room));
            let placed = result.map(|result| {
                (self.background.layouts.look(|versions| versions.place(&result.key())), result)
            });
            match placed {
                Some((Ok(placement), result)) => {
                    by_shard.entry(placement.shard).or_default().push(PlacedResult { placement, result });
                }
                // A coupon that came after this process started, or a strategy that has changed its mind.
                _ => {
                    tracing::warn!(%coupon, %user, result_id = %reserved.id, "a pending reservation has no place known here");
                }
            }
        }
        by_shard
    }

    async fn hand_over_again(
        &self,
        epoch: &Epoch,
        shard: ShardId,
        results: Vec<PlacedResult>,
    ) -> anyhow::Result<()> {
        let background = &self.background;
        // While the shard is down its marker does not come through, and nothing is concluded.
        if let Err(error) = background.marker(shard, 0).await {
            tracing::info!(%shard, %error, "pending reservations of this shard wait");
            return Ok(());
        }
        let marks: Vec<Mark> = results.iter().map(|row| Mark::of(&row.result)).collect();
        let still = background.gate_of(epoch).server.are_pending(epoch, &marks).await?;
        let left = results.into_iter().zip(still).filter(|(_, pending)| *pending);
        let left: Vec<PlacedResult> = left.map(|(row, _)| row).collect();
        if left.is_empty() {
            return Ok(());
        }
        let route = Route::results(epoch.number, shard);
        for some in left.chunks(MESSAGE) {
            let message = Message::results(&background.dataset, epoch.number, background.time.mains(), some);
            background.queues.publisher.publish(route, message.encode()).await?;
        }
        background.counts.reconciled.fetch_add(left.len() as u64, Ordering::Relaxed);
        tracing::warn!(
            %shard,
            results = left.len(),
            "reservations that were neither stored nor in the queue were handed over again: a process died before it handed \
             them over, or the queue has lost them (deleted, purged, or cut by a policy of RabbitMQ such as max-length or \
             message-ttl)"
        );
        Ok(())
    }
}
