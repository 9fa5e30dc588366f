//! The databases' record of the gate: main has the open epoch and the gate's place; each shard has the epochs there
//! were.
//!
//! A main that was put back to an earlier state would give an epoch out a second time, and messages of its first life would pass
//! for those of the second. So every epoch is announced to every shard before it opens, and the next one is greater than any that
//! main or a shard has heard of. Such a main has forgotten coupons that people hold, too, and changes that the gate goes by: that
//! shows in shards whose outboxes it has emptied, and in a gate that has lived on.
//!
//! A process that is set to another Redis finds no gate there. It must not fill one while others are well served by
//! theirs: main has the address of the gate, and when a process last found it there.

use anyhow::{Context as _, ensure};
use coupon_core::{GateId, ShardId, VersionNumber};
use coupon_store::failpoints::{self, Mechanism};
use futures_util::future::select_ok;
use tokio::time::timeout;

use super::background::Background;
use crate::gate::Epoch;
use crate::mysql::PATIENCE;
use crate::seam::{GateError, ShardState, Versions};

impl Background {
    /// A shard's state. An error if the shard has less than this process has seen.
    async fn state_of(&self, shard: ShardId) -> anyhow::Result<ShardState> {
        let server = self.shard(shard)?;
        let state = server.state().await?;
        self.floors.of(shard).check(state.outbox_id, state.commits).with_context(|| server.name())?;
        Ok(state)
    }

    /// The last epoch of a gate that any shard has heard of, of those that answer at once: it was announced there, or closed.
    pub(super) async fn last_epoch_known(&self, gate: GateId) -> anyhow::Result<u64> {
        let asked = self.shards().map(|shard| async move {
            let state = timeout(PATIENCE, self.state_of(shard)).await;
            Some((shard, state.ok()?.ok()?))
        });
        let states: Vec<_> = futures_util::future::join_all(asked).await.into_iter().flatten().collect();
        self.hold_main_against(&states).await?;
        Ok(last_epoch(&states, gate))
    }

    /// Says whether no later epoch of its gate has opened than this one: each shard hears of an epoch before it opens, so that
    /// the first which answers is believed.
    pub(crate) async fn is_the_latest(&self, epoch: u64) -> anyhow::Result<bool> {
        let asked = self.shards().map(|shard| Box::pin(self.state_of(shard)));
        let (state, _) = timeout(PATIENCE, select_ok(asked)).await.context("no shard answers in time")??;
        Ok(state.last_epochs.of(self.gates.count().of_epoch(epoch)) <= epoch)
    }

    /// The latest version of the layout that any shard has heard of, of those that answer at once; an error where none does.
    pub(super) async fn latest_layout_at_shards(&self) -> anyhow::Result<VersionNumber> {
        let asked = self
            .shards()
            .map(|shard| async move { timeout(PATIENCE, self.state_of(shard)).await.ok()?.ok() });
        let states = futures_util::future::join_all(asked).await.into_iter().flatten();
        states.map(|state| state.layout).max().context("no shard answers")
    }

    /// Takes note in main that it was put back, where a shard has let go of entries as applied that main has not applied.
    async fn hold_main_against(&self, states: &[(ShardId, ShardState)]) -> anyhow::Result<()> {
        let positions = self.main.positions().await?;
        let told = |shard: &ShardId| positions.get(shard).copied().unwrap_or(0);
        let forgotten = states.iter().find(|(shard, state)| !state.is_known_to(told(shard)));
        let Some((shard, state)) = forgotten else { return Ok(()) };
        tracing::warn!(
            %shard,
            applied = told(shard),
            told_before = state.untold_from,
            "main has not applied what it told a shard that it had: it was put back to an earlier state"
        );
        Ok(self.main.note_put_back().await?)
    }

    /// Makes sure that every shard is there, belongs to the data set, has what main has applied, and had no version of the layout
    /// announced to it that this process does not know; a main that has forgotten what it applied takes note of it. Returns the
    /// last epoch of a gate that any of them has heard of.
    pub(super) async fn check_shards(&self, gate: GateId) -> anyhow::Result<u64> {
        let mut states = Vec::new();
        for (shard, server) in self.shard_servers() {
            let checked = async {
                let positions = self.main.positions().await?;
                server.check(positions.get(&shard).copied().unwrap_or(0)).await
            };
            let checked = timeout(PATIENCE, checked).await;
            checked.with_context(|| format!("{}: it does not answer", server.name()))??;
            let state = self.state_of(shard).await?;
            let ShardState { layout, .. } = state;
            let known = self.layouts.look(|versions| versions.latest().number);
            ensure!(
                layout <= known,
                "{}: it was told of version {layout} of the layout, and this process goes by version {known}",
                server.name()
            );
            states.push((shard, state));
        }
        self.hold_main_against(&states).await?;
        Ok(last_epoch(&states, gate))
    }

    /// Says whether the gate has anything by a version of the catalogue that main has not reached, where it has it by a later one
    /// than is known of main. Main was put back then, and takes note of it.
    pub(super) async fn main_is_behind(&self, epoch: &Epoch, known: u64) -> anyhow::Result<bool> {
        let gate = self.gate_of(epoch);
        let versions = gate.heard(gate.quick().versions(epoch).await)?;
        let Some(of_gate) = versions.map(Versions::of_main).filter(|of_gate| *of_gate > known) else {
            return Ok(false);
        };
        // Asked after the gate, which may have been brought to a later one meanwhile.
        let of_main = self.main.version().await?;
        if of_gate <= of_main {
            return Ok(false);
        }
        tracing::warn!(
            of_main,
            of_gate,
            "main's catalogue is of an earlier version than the gate's: it was put back to an earlier state"
        );
        self.main.note_put_back().await?;
        Ok(true)
    }

    /// Makes sure that what was just written to the gate counts there, in this epoch and by a version of main's catalogue. If
    /// main was put back, the gate may have later terms, which main has forgotten and which do not give way: then the gate is
    /// filled anew.
    pub(super) async fn counts_at_the_gate(&self, epoch: &Epoch, version: u64) -> anyhow::Result<()> {
        if self.main_is_behind(epoch, version).await? {
            self.gate_of(epoch).epoch.suspect();
            return Err(GateError::Forgot.into());
        }
        Ok(())
    }

    /// Has every shard remember that there is this epoch. Only then may it open.
    pub(super) async fn announce(&self, epoch: u64) -> anyhow::Result<()> {
        let gates = self.gates.count();
        if failpoints::is_off(Mechanism::RecordedEpochs) {
            return Ok(());
        }
        for (_, server) in self.shard_servers() {
            server.announce(gates, epoch).await?;
        }
        Ok(())
    }
}

fn last_epoch(states: &[(ShardId, ShardState)], gate: GateId) -> u64 {
    states.iter().map(|(_, state)| state.last_epochs.of(gate)).max().unwrap_or(0)
}
