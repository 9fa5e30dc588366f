//! A change of the layout: announced ahead of the time from which it is in force, to the gate before main has it.
//!
//! Rows are placed by the time of their grab, so every process has to know a version before the first grab that it places. The
//! gate sees to it: from shortly before on, it refuses processes that do not know the version, which then look for it. It has the
//! version before main commits, so that no moment lies between in which main has a version that no gate knows of. A version that
//! the gate knows of and main never came to have is taken back by the process that is refused for it.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail, ensure};
use coupon_core::catalogue_change::Operator;
use coupon_core::{Placement, ShardingStrategy, VersionNumber, Versioned};
use coupon_store::failpoints::{self, Mechanism, Point};
use coupon_store::{Announced, GrowthError, NextLayout, Unavailable, VersionRecord};
use futures_util::future::{join_all, select_ok};
use tokio::time::{Instant, sleep, timeout};

use super::background::Background;
use super::catalogue::deadline;
use super::consume::ahead;
use crate::gate::{Epoch, is_intact};
use crate::layouts::{forgotten, of_layout, versioned};
use crate::mysql::PATIENCE;
use crate::seam::{Fence, GateState, LayoutState};

/// The time between two looks whether the gate is to be asked for the layout, and half the silence of main after which it is.
const HEARS: Duration = Duration::from_millis(500);

/// The operator of what processes mend themselves.
pub(super) const MENDED: &str = "by itself";

/// The reason why a layout cannot be the next version, if there is one.
fn in_the_way(state: &LayoutState, next: &NextLayout, prepared: NonZeroU16) -> Option<String> {
    let LayoutState { versions, now, behind, narrow, .. } = state;
    let VersionRecord { number, from, layout, .. } = versions.last()?;
    let shards = next.strategy.shard_count();
    let why = next.in_the_way((*number, *from, layout), *now, state.moves());
    if why.is_some() {
        why
    } else if shards > prepared || !narrow.is_empty() {
        let who = if shards > prepared { "this process".to_owned() } else { narrow.join(", ") };
        Some(format!(
            "it uses {shards} shards, and {who} has opened fewer: start the services again, one after the other, with \
             setting `shards_prepared` = {shards} or more"
        ))
    } else if !behind.is_empty() {
        Some(format!("not every process goes by the last change yet: {}", behind.join(", ")))
    } else {
        None
    }
}

impl Background {
    /// Announces the next version of the layout, and sees to it that gate and processes know.
    pub(crate) async fn announce_layout(
        self: Arc<Self>,
        next: NextLayout,
        operator: Operator,
    ) -> Result<Announced, GrowthError> {
        if let Some(why) = self.unreadable(&next) {
            return Err(GrowthError::Refused(why));
        }
        self.make_tables_of(&*next.strategy).await?;
        self.lead_to_new_shards()
            .await
            .map_err(|error| Unavailable::new("the queues", format!("{error:#}")))?;
        let (version, catalogue, gate) = self.write_next(next, &operator).await?;
        failpoints::hit(Point::Changed);
        let deadline = deadline();
        let gate = gate && self.enforced(catalogue, None, deadline).await;
        let unconfirmed = self.confirmed(catalogue, deadline).await?;
        tracing::info!(
            version = version.number,
            layout = version.layout,
            from = %version.from,
            operator = operator.as_str(),
            "a version of the layout is announced"
        );
        Ok(Announced { version, unconfirmed, gate })
    }

    /// The reason why a version would be refused now, if there is one.
    pub(crate) async fn refuses_layout(
        self: Arc<Self>,
        next: NextLayout,
    ) -> Result<Option<String>, GrowthError> {
        if let Some(why) = self.unreadable(&next) {
            return Ok(Some(why));
        }
        let shards = next.strategy.shard_count();
        let changing = self.main.change_layout(shards).await.map_err(Unavailable::from)?;
        Ok(in_the_way(changing.state(), &next, self.layouts.prepared()))
    }

    /// The reason for which no process could read a layout back, if there is one.
    fn unreadable(&self, next: &NextLayout) -> Option<String> {
        let line = next.strategy.layout();
        // Looked at, and not kept: readers by an earlier list are waited for.
        self.layouts.look(|known| {
            let is_known = of_layout(known, &line).is_some();
            (!is_known).then(|| format!("\"{line}\" is no layout that {} reads back", known.name()))
        })
    }

    async fn write_next(
        &self,
        next: NextLayout,
        operator: &Operator,
    ) -> Result<(VersionRecord, u64, bool), GrowthError> {
        let changing =
            self.main.change_layout(next.strategy.shard_count()).await.map_err(Unavailable::from)?;
        let state = changing.state();
        if let Some(why) = in_the_way(state, &next, self.layouts.prepared()) {
            return Err(GrowthError::Refused(why));
        }
        let at_once = failpoints::is_off(Mechanism::LayoutLead);
        let lead = if at_once { 0 } else { i64::try_from(self.lead.as_millis()).unwrap_or(i64::MAX) };
        let version = next.version(state.now, state.now.plus_millis(lead), operator);
        failpoints::hit(Point::Announcing);
        let (catalogue, open) = (state.catalogue + 1, !state.open_epochs.is_empty());
        let mut versions = state.versions.clone();
        versions.push(version.clone());
        // Every gate that is open: one that opens later has the versions that main has by then.
        let told = state.open_epochs.iter().map(|number| Epoch::new(&self.dataset, *number));
        let told = told.map(|epoch| self.fence_in_time(epoch, catalogue, &versions));
        for told in join_all(told).await {
            told?;
        }
        changing
            .commit(std::slice::from_ref(&version), None, operator.as_str(), &next.what)
            .await
            .map_err(Unavailable::from)?;
        Ok((version, catalogue, open))
    }

    /// Has an epoch of the gate know of these versions, before any grab can be of the last one's time. Whatever holds this up
    /// for longer, nothing is announced: grabs of that time may be placed otherwise already.
    async fn fence_in_time(
        &self,
        epoch: Epoch,
        catalogue: u64,
        versions: &[VersionRecord],
    ) -> Result<(), GrowthError> {
        let epoch = &epoch;
        let unknown = |error| Unavailable::new("the gate", error);
        self.fence(epoch, catalogue, versions).await.map_err(unknown)?;
        let now = self.main.time().await.map_err(Unavailable::from)?;
        let in_time = |fence: &Fence| now <= fence.from || failpoints::is_off(Mechanism::LayoutLead);
        if Fence::of(versions).last().is_none_or(in_time) {
            return Ok(());
        }
        let before = versions.get(..versions.len() - 1).unwrap_or_default();
        self.fence(epoch, catalogue, before).await.map_err(unknown)?;
        Err(Unavailable::new("the gate", "it was told too late; nothing is changed, ask again").into())
    }

    /// Has an epoch of the gate know of these versions.
    pub(super) async fn fence(
        &self,
        epoch: &Epoch,
        catalogue: u64,
        versions: &[VersionRecord],
    ) -> anyhow::Result<()> {
        let gate = self.gate_of(epoch);
        gate.heard(gate.quick().fence(epoch, catalogue, &Fence::of(versions)).await)?;
        self.counts_at_the_gate(epoch, catalogue).await
    }

    /// Makes the tables of a layout that is about to be in force, on every shard: a grab then finds its own.
    async fn make_tables_of(&self, strategy: &dyn ShardingStrategy) -> Result<(), GrowthError> {
        for Placement { shard, table } in strategy.tables(ahead(self.time.mains())) {
            let Ok(server) = self.shard(shard) else { continue };
            let made = timeout(PATIENCE, server.make_table(table)).await;
            let late = |_| Err(Unavailable::new(format!("shard {shard}"), "it did not answer in time"));
            made.map_or_else(late, |made| made.map_err(Unavailable::from))?;
        }
        Ok(())
    }

    /// Leads results of the open epochs to shards that were made since they were opened. A process that fills a gate just now
    /// does so itself.
    async fn lead_to_new_shards(&self) -> anyhow::Result<()> {
        for gate in self.gates.iter() {
            let Some(mut lock) = self.main.lock_gate(gate.id).await? else { continue };
            let led = match lock.state().await.map(GateState::open) {
                Ok(Some(epoch)) => self.lead_results(epoch).await,
                state => state.map(drop),
            };
            lock.end().await;
            led?;
        }
        Ok(())
    }

    /// The earliest version that this process goes by and main has no more.
    pub(super) fn forgotten(&self, layouts: &[VersionRecord]) -> Option<VersionNumber> {
        self.layouts.look(|known| forgotten(known, layouts))
    }

    /// The versions of the layout as this process could go by them.
    pub(super) fn gone_by(&self, layouts: &[VersionRecord]) -> anyhow::Result<Versioned> {
        if let Some(number) = self.forgotten(layouts) {
            bail!(
                "main does not know version {number} of the layout, by which this process goes: main was put back to an \
                 earlier time, and rows are where it does not say"
            );
        }
        let versions = self.layouts.look(|known| versioned(known, layouts))?;
        let (used, open) = (versions.shard_count(), self.layouts.prepared());
        ensure!(
            used <= open,
            "the layout uses {used} shards by now, and this process has opened {open}: start it again, with setting \
             `shards_prepared` = {used} or more"
        );
        Ok(versions)
    }

    /// Goes by what main has now, since a gate knows of a later version than this process. One that main does not have is
    /// taken back there.
    pub(crate) async fn catch_up(self: Arc<Self>) -> Result<(), Unavailable> {
        let caught_up = timeout(self.lead.max(PATIENCE), self.look_for_the_latest()).await;
        let caught_up = caught_up.unwrap_or_else(|_| Err(anyhow!("it takes too long")));
        caught_up.map_err(|error| Unavailable::new("the layout", format!("{error:#}")))
    }

    pub(super) async fn look_for_the_latest(&self) -> anyhow::Result<()> {
        let epochs = self.open_epochs();
        ensure!(!epochs.is_empty(), "the gate is shut");
        self.follow_now(&epochs).await?;
        let later = join_all(epochs.iter().map(|epoch| self.knows_the_latest(epoch))).await;
        let mut not_known = Vec::new();
        for (epoch, knows) in epochs.iter().zip(later) {
            if !knows? {
                not_known.push(Arc::clone(epoch));
            }
        }
        if not_known.is_empty() {
            return Ok(());
        }
        // A process that announces a version holds this lock until main has the version, or never will.
        let changing = self.main.change_layout(NonZeroU16::MIN).await?;
        let LayoutState { versions, catalogue, .. } = changing.state().clone();
        let latest = versions.last().map_or(1, |version| version.number);
        let mut ahead = Vec::new();
        for epoch in &not_known {
            if self.gate_of(epoch).quick().latest_layout(epoch).await? > latest {
                self.counts_at_the_gate(epoch, catalogue).await?;
                ahead.push(epoch);
            }
        }
        if !ahead.is_empty() {
            let what = format!(
                "version {} of the layout, which was not announced to the end, is taken back",
                latest + 1
            );
            tracing::warn!(
                version = latest + 1,
                "the gate knows of a version of the layout that main never had"
            );
            changing.commit(&[], None, MENDED, &what).await?;
            for epoch in ahead {
                self.fence(epoch, catalogue + 1, &versions).await?;
            }
        }
        self.follow_now(&epochs).await
    }

    /// Asks the gate whether there is a later version of the layout, while main is silent: the gate has each before main.
    pub(super) async fn hear_the_gate(&self) {
        while !self.signals.stopping() {
            sleep(HEARS).await;
            // That rows begin to be moved to a version is for main alone to say.
            if self.layouts.unheard() > 2 * HEARS && self.layouts.changes_by_announcement_alone() {
                let heard = timeout(PATIENCE, self.hear_of_no_later()).await;
                if let Err(error) = heard.unwrap_or_else(|_| Err(anyhow!("the gate did not answer in time")))
                {
                    tracing::debug!(
                        error = format!("{error:#}"),
                        "neither main nor the gate says which layout there is"
                    );
                }
            }
        }
    }

    async fn hear_of_no_later(&self) -> anyhow::Result<()> {
        let asked = Instant::now();
        // Each gate is told of a version before main has it, so that the word of any one is enough.
        let epochs = self.open_epochs();
        ensure!(!epochs.is_empty(), "the gate is shut");
        let words = epochs.iter().map(|epoch| Box::pin(self.has_heard_of_no_later(epoch)));
        let (knows, _) = select_ok(words).await?;
        if knows && self.latest_layout_at_shards().await? <= self.layouts.look(|known| known.latest().number)
        {
            self.layouts.no_later_at_the_gate(asked.into_std());
        }
        Ok(())
    }

    /// Says whether a gate that has its memory knows of no later version than this process.
    async fn has_heard_of_no_later(&self, epoch: &Epoch) -> anyhow::Result<bool> {
        let knows = self.knows_the_latest(epoch).await?;
        // Asked after it: what a gate says that has lost its memory is no word. Nor is that of an epoch that is over, of a gate
        // that was left behind: a version that its successor was told of is known to every shard that answers.
        Ok(knows && is_intact(self.gate_of(epoch).quick().remembers(epoch).await?))
    }

    /// Says whether this process knows the latest version that the gate knows of.
    pub(super) async fn knows_the_latest(&self, epoch: &Epoch) -> anyhow::Result<bool> {
        let latest = self.layouts.look(|versions| versions.latest().number);
        let gate = self.gate_of(epoch);
        Ok(gate.heard(gate.quick().latest_layout(epoch).await)? <= latest)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Arc;

    use coupon_core::Timestamp;
    use coupon_store::Moving;

    use super::*;
    use crate::first_shard::FirstOf;
    use crate::layouts::first;

    fn state() -> LayoutState {
        LayoutState {
            versions: vec![first(&FirstOf(4).layout(), Timestamp::from_millis(0))],
            now: Timestamp::from_millis(1_795_348_800_000),
            catalogue: 7,
            open_epochs: vec![1],
            behind: Vec::new(),
            narrow: Vec::new(),
            movement: None,
        }
    }

    fn refused(state: &LayoutState, after: u32, shards: u16) -> Option<String> {
        let next = NextLayout { after, strategy: Arc::new(FirstOf(shards)), what: "more".to_owned() };
        in_the_way(state, &next, NonZeroU16::new(8).unwrap())
    }

    #[test]
    fn what_is_in_the_way_of_a_version_is_named() {
        assert_eq!(refused(&state(), 1, 8), None);
        let names = |refused: Option<String>, name: &str| {
            let why = refused.unwrap();
            assert!(why.contains(name), "{why}");
        };
        names(refused(&state(), 2, 8), "version 1 by now");
        names(refused(&state(), 1, 4), "so already");
        names(refused(&state(), 1, 9), "shards_prepared` = 9");
        let later = VersionRecord { from: state().now.plus_millis(1), ..state().versions[0].clone() };
        names(refused(&LayoutState { versions: vec![later], ..state() }, 1, 8), "wait until then");
        let (ann, now) = (Operator::new("Ann").unwrap(), state().now);
        let moving = Moving::begin(2, (1, now), now, 9, (NonZeroU32::MIN, &ann), None).unwrap();
        let stopped = Moving { runs: false, ..moving.clone() };
        names(refused(&LayoutState { movement: Some(moving), ..state() }, 1, 8), "being moved");
        assert_eq!(refused(&LayoutState { movement: Some(stopped), ..state() }, 1, 8), None);
        let ann = vec!["process 7 on ann".to_owned()];
        names(
            refused(&LayoutState { narrow: ann.clone(), ..state() }, 1, 8),
            "process 7 on ann has opened fewer",
        );
        names(refused(&LayoutState { behind: ann, ..state() }, 1, 8), "process 7 on ann");
    }
}
