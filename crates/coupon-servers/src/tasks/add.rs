//! Brings an open gate to the catalogue as it is now: terms change, and coupons are added to it with their holders.
//!
//! A coupon that the gate does not have may have been grabbed all the same, before it was over for long, and its end was
//! moved since. So its holders come first, from every shard, and its terms last: only then is it granted. No grab of it is
//! on its way, since none was granted in this epoch, and those of earlier ones are stored.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use coupon_core::{CouponId, Placement, ShardId, TableId, Timestamp};
use coupon_store::terms::Terms;

use super::background::Background;
use super::fill::remembered;
use super::reconcile_rows::to_be_checked;
use crate::gate::{Epoch, REMEMBERED};
use crate::seam::{GateError, Hold, ReadsHolds};

impl Background {
    /// Brings the gate to these terms, of that version of the catalogue. Returns those of coupons that it lacks, and that have
    /// to come with their holders: [`Self::add`].
    pub(super) async fn bring(
        &self,
        epoch: &Epoch,
        version: u64,
        terms: &[&Terms],
    ) -> anyhow::Result<Vec<Terms>> {
        self.heard(epoch, self.bring_or_hear(epoch, version, terms).await)
    }

    /// Takes note where the gate has forgotten what it should hold.
    fn heard<T>(&self, epoch: &Epoch, outcome: anyhow::Result<T>) -> anyhow::Result<T> {
        let forgot = |error: &anyhow::Error| error.downcast_ref::<GateError>() == Some(&GateError::Forgot);
        if outcome.as_ref().is_err_and(forgot) {
            self.gate_of(epoch).epoch.suspect();
        }
        outcome
    }

    async fn bring_or_hear(
        &self,
        epoch: &Epoch,
        version: u64,
        terms: &[&Terms],
    ) -> anyhow::Result<Vec<Terms>> {
        let missing = self.change_terms(epoch, version, terms).await?;
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<CouponId> = missing.iter().map(|terms| terms.coupon).collect();
        let gate = self.gate_of(epoch).quick();
        let first = gate.versions(epoch).await?.map_or(u64::MAX, |versions| versions.first);
        // No user can have grabbed a coupon that was made after the gate was filled.
        let made = self.main.made_since(first, &ids).await?;
        let (new, others): (Vec<&Terms>, Vec<&Terms>) =
            missing.into_iter().partition(|terms| made.contains(&terms.coupon));
        gate.offer(epoch, version, &new).await?;
        Ok(others.into_iter().copied().collect())
    }

    /// Changes the terms of coupons that the gate has. Returns those that it lacks, and should have.
    async fn change_terms<'a>(
        &self,
        epoch: &Epoch,
        version: u64,
        terms: &[&'a Terms],
    ) -> anyhow::Result<Vec<&'a Terms>> {
        let gate = self.gate_of(epoch);
        let lacking = gate.heard(gate.quick().change_terms(epoch, version, terms).await)?;
        self.counts_at_the_gate(epoch, version).await?;
        let (lacking, now): (BTreeSet<CouponId>, _) = (lacking.into_iter().collect(), self.time.mains());
        // Also coupons that cannot be grabbed for now: a user who was granted one asks again.
        let missing = |terms: &&&Terms| lacking.contains(&terms.coupon) && terms.forgotten_from() > now;
        Ok(terms.iter().filter(missing).copied().collect())
    }

    /// Adds coupons and their holders, unless another process is at it, or fills the gate.
    pub(super) async fn add(&self, epoch: &Epoch, version: u64, terms: &[Terms]) -> anyhow::Result<()> {
        let terms: Vec<&Terms> = terms.iter().collect();
        let Some(lock) = self.main.lock_gate(self.gate_of(epoch).id).await? else {
            bail!("another process adds coupons to the gate, or fills it");
        };
        let added = self.add_locked(epoch, version, &terms).await;
        lock.end().await;
        self.heard(epoch, added)
    }

    async fn add_locked(&self, epoch: &Epoch, version: u64, terms: &[&Terms]) -> anyhow::Result<()> {
        // Another process may just have done it.
        let missing = self.change_terms(epoch, version, terms).await?;
        let coupons: BTreeSet<CouponId> = missing.iter().map(|terms| terms.coupon).collect();
        let (Some(first), Some(last)) = (coupons.first().copied(), coupons.last().copied()) else {
            return Ok(());
        };
        let up = |shard: ShardId| self.status.get(shard.index()).is_some_and(|status| status.is_up());
        if let Some(down) = self.shards().find(|shard| !up(*shard)) {
            bail!("coupons are added to the gate once shard {down} says who holds them");
        }
        // Holders on shards that this process has not opened would be missing.
        self.gone_by(&self.main.layouts().await?)?;
        // By main's own word, as a filling takes it.
        let now = self.main.time().await?;
        let since = now.plus_millis(-i64::try_from(REMEMBERED.as_millis()).unwrap_or(i64::MAX));
        for (Placement { shard, table }, holds) in self.deliver_what_leaves().await? {
            Adding { background: self, epoch, coupons: &coupons, shard, table, now }.take(holds).await?;
        }
        for (shard, server) in self.shard_servers() {
            for table in server.tables().await? {
                let mut adding = Adding { background: self, epoch, coupons: &coupons, shard, table, now };
                let floor = self.floors.of(shard);
                let reached = server.read_holds(table, first..=last, since, &mut adding).await?;
                floor.check(reached.outbox_id, reached.commits)?;
            }
            let mut parked = server.parked().await?;
            parked.retain(|hold| is_one_of(&coupons, hold));
            self.gate_of(epoch).server.hold_parked(epoch, &parked).await?;
        }
        self.gate_of(epoch).server.offer(epoch, version, &missing).await.context("Redis")?;
        tracing::info!(coupons = missing.len(), "coupons were added to the gate, with their holders");
        Ok(())
    }
}

fn is_one_of(coupons: &BTreeSet<CouponId>, hold: &Hold) -> bool {
    CouponId::new(hold.coupon).is_ok_and(|coupon| coupons.contains(&coupon))
}

/// Reads the holders of coupons that are added, from one table.
struct Adding<'a> {
    background: &'a Background,
    epoch: &'a Epoch,
    coupons: &'a BTreeSet<CouponId>,
    shard: ShardId,
    table: TableId,
    now: Timestamp,
}

#[async_trait]
impl ReadsHolds for Adding<'_> {
    /// Each row is looked at again later: one that gives its stock back meanwhile is perhaps let go of before the gate knows
    /// of it.
    async fn take(&mut self, holds: Vec<Hold>) -> anyhow::Result<()> {
        let Self { background, epoch, coupons, shard, table, now } = self;
        let of_these = holds.into_iter().filter(|hold| is_one_of(coupons, hold));
        let (held, given_back): (Vec<Hold>, Vec<Hold>) = of_these.partition(|hold| hold.given_back.is_none());
        let answered: Vec<(Hold, Duration)> = given_back
            .into_iter()
            .filter_map(|hold| Some((hold, remembered(hold.given_back?, *now)?)))
            .collect();
        let gate = background.gate_of(epoch);
        gate.server.remember(epoch, &answered).await?;
        gate.server.restore(epoch, &to_be_checked(*shard, *table, &held)).await?;
        Ok(())
    }
}
