//! The databases' record of the gate: main has the open epoch and the gate's place; each shard has the epochs there
//! were.
//!
//! A main that was put back to an earlier state would give an epoch out a second time, and messages of its first life
//! would pass for those of the second. So every epoch is announced to every shard before it opens, and the next one is
//! greater than any that main or a shard has heard of.
//!
//! A process that is set to another Redis finds no gate there. It must not fill one while others are well served by
//! theirs: main has the address of the gate, and when a process last found it there.

use anyhow::{Context as _, ensure};
use coupon_core::ShardId;
use tokio::time::timeout;

use super::Background;
use crate::failpoints::{self, Mechanism};
use crate::servers::mysql::PATIENCE;
use crate::servers::seam::ShardState;

impl Background {
    /// The last epoch that this shard has heard of: it was announced there, or closed. An error if the shard has less
    /// than this process has seen.
    async fn last_epoch_of(&self, shard: ShardId) -> anyhow::Result<u64> {
        Ok(self.state_of(shard).await?.last_epoch)
    }

    async fn state_of(&self, shard: ShardId) -> anyhow::Result<ShardState> {
        let server = self.shard(shard)?;
        let state = server.state().await?;
        self.floors.of(shard).check(state.outbox_id, state.commits).with_context(|| server.name())?;
        Ok(state)
    }

    /// The last epoch that any shard has heard of, of those that answer at once.
    pub(super) async fn last_epoch_known(&self) -> u64 {
        let asked = self.shards().map(|shard| timeout(PATIENCE, self.last_epoch_of(shard)));
        let answers = futures_util::future::join_all(asked).await;
        answers.into_iter().filter_map(|answer| answer.ok()?.ok()).max().unwrap_or(0)
    }

    /// Makes sure that every shard is there, belongs to the data set, has what main has applied, and was told of no version of
    /// the layout that this process does not know. Returns the last epoch that any of them has heard of.
    pub(super) async fn check_shards(&self) -> anyhow::Result<u64> {
        let mut last = 0;
        for (shard, server) in self.shard_servers() {
            let checked = async {
                let positions = self.main.positions().await?;
                server.check(positions.get(&shard).copied().unwrap_or(0)).await
            };
            let checked = timeout(PATIENCE, checked).await;
            checked.with_context(|| format!("{}: it does not answer", server.name()))??;
            let ShardState { last_epoch, layout, .. } = self.state_of(shard).await?;
            let known = self.layouts.look(|versions| versions.latest().number);
            ensure!(
                layout <= known,
                "{}: it was told of version {layout} of the layout, and this process goes by version {known}",
                server.name()
            );
            last = last.max(last_epoch);
        }
        Ok(last)
    }

    /// Has every shard remember that there is this epoch. Only then may it open.
    pub(super) async fn announce(&self, epoch: u64) -> anyhow::Result<()> {
        if failpoints::is_off(Mechanism::RecordedEpochs) {
            return Ok(());
        }
        for (_, server) in self.shard_servers() {
            server.announce(epoch).await?;
        }
        Ok(())
    }
}
