//! Has the gate let go of what gave its stock back, a task for each shard.
//!
//! A release is done once a gate has let go of it that was filled without it, or will not be filled any more: the one of
//! an open epoch later than the last that its shard had closed when the row changed. A filling reads a shard after it has
//! closed the epoch before there. So what was committed before that is not in the new gate, and what was committed after
//! it waits until the new gate is open, and has let go of it.
//!
//! Of several gates each lets go of its own: while one does not answer, what it has to do waits, and nothing else does.

use std::sync::Arc;
use std::time::Duration;

use coupon_core::ShardId;
use coupon_store::outage::TaskOutage;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::background::Background;
use super::handles::{GateHandle, GateLines};
use crate::gate::Epoch;
use crate::seam::{GateError, GateServer, Release, Waiting};

/// The most releases that are looked at together.
const MOST: usize = 1_000;
/// The time between two looks for releases of other processes.
const LOOK: Duration = Duration::from_millis(500);
/// A server that takes longer is as good as down.
const PATIENCE: Duration = Duration::from_secs(30);

/// The task of one shard.
pub(super) struct LetGo {
    background: Arc<Background>,
    shard: ShardId,
    outage: TaskOutage,
}

impl LetGo {
    pub(super) fn new(background: Arc<Background>, shard: ShardId) -> Self {
        let outage = TaskOutage::of_shard(
            shard,
            "stock that was given back is free later",
            "stock that was given back is free again",
        );
        Self { background, shard, outage }
    }

    pub(super) async fn run(self) {
        while !self.background.signals.stopping() {
            self.background.signals.given_back(self.shard, LOOK).await;
            self.let_go_of_all().await;
        }
        self.let_go_of_all().await;
    }

    async fn let_go_of_all(&self) {
        loop {
            let round = timeout(PATIENCE, self.round()).await;
            let round = round.unwrap_or_else(|_| Err(anyhow::anyhow!("it did not answer in time")));
            self.outage.tried(&round);
            if !matches!(round, Ok(true)) {
                return;
            }
        }
    }

    /// Has the gate let go of some of what waits. Says whether there may be more to be done at once.
    async fn round(&self) -> anyhow::Result<bool> {
        let background = &self.background;
        let server = background.shard(self.shard)?;
        let mut waiting = server.releases(None, MOST).await?;
        background.counts.releases_wait(self.shard, waiting.len());
        if waiting.is_empty() || background.open_epochs().is_empty() {
            return Ok(false);
        }
        let mut failed = None;
        loop {
            let (done, error) = self.let_go_of(&waiting).await;
            failed = error.or(failed);
            server.forget_releases(&done).await?;
            background.counts.let_go(done.len());
            background.counts.releases_wait(self.shard, waiting.len() - done.len());
            background.signals.stored();
            let last = waiting.last().copied().filter(|_| waiting.len() == MOST);
            // Those of a gate that is shut, or refuses, may stand before those of others.
            let Some(last) = last.filter(|_| done.is_empty() && background.gates.count().is_several()) else {
                return failed.map_or(Ok(last.is_some() && !done.is_empty()), |error| Err(error.into()));
            };
            waiting = server.releases(Some(last), MOST).await?;
        }
    }

    /// Has each gate that is open let go of those of its own. Returns those of which nothing is left to do, and why a gate has
    /// not let go of any, if one has not.
    async fn let_go_of(&self, waiting: &[Waiting]) -> (Vec<Waiting>, Option<GateError>) {
        let gates = self.background.gates.iter().map(|gate| self.let_go_at(gate, waiting));
        let (mut done, mut failed) = (Vec::new(), None);
        for answer in join_all(gates).await {
            match answer {
                Ok(mut of_gate) => done.append(&mut of_gate),
                Err(error) => failed = Some(error),
            }
        }
        (done, failed)
    }

    async fn let_go_at(&self, gate: &GateHandle, waiting: &[Waiting]) -> Result<Vec<Waiting>, GateError> {
        let background = &self.background;
        let of_gate = background.of_gate(gate, waiting, |one| one.release.coupon);
        let Some(epoch) = gate.open().filter(|_| !of_gate.is_empty()) else { return Ok(Vec::new()) };
        let releases: Vec<Release> = of_gate.iter().map(|waiting| waiting.release).collect();
        gate.heard(background.let_go(gate, gate.quick(), &epoch, &releases).await)?;
        Ok(of_gate.into_iter().filter(|one| is_done(one, epoch.number)).collect())
    }
}

/// Judges whether nothing is left to do of a release that the gate of an open epoch has let go of.
const fn is_done(waiting: &Waiting, epoch: u64) -> bool {
    epoch > waiting.closed
}

impl Background {
    /// Has the gate let go of what gave its stock back just now, if it can be reached; it waits in its shard in any case,
    /// and what is left to do of it is done from there.
    pub(crate) async fn let_go_now(&self, lines: Option<&GateLines>, shard: ShardId, releases: &[Release]) {
        if releases.is_empty() {
            return;
        }
        // A step is of one result, and so at one gate.
        for gate in self.gates.iter() {
            let of_gate = self.of_gate(gate, releases, |release| release.coupon);
            let line = lines.map_or_else(|| gate.quick(), |lines| &**lines.get(gate.id));
            if let Some(epoch) = gate.open().filter(|_| !of_gate.is_empty())
                && let Err(error) = self.let_go(gate, line, &epoch, &of_gate).await
            {
                tracing::debug!(%error, "the gate lets go of what was given back later");
            }
        }
        self.signals.gave_back(shard);
    }

    async fn let_go(
        &self,
        gate: &GateHandle,
        line: &dyn GateServer,
        epoch: &Epoch,
        releases: &[Release],
    ) -> Result<(), GateError> {
        let let_go = line.let_go(epoch, releases).await;
        if let_go == Err(GateError::Forgot) {
            gate.epoch.suspect();
        }
        let_go
    }
}

#[cfg(test)]
mod tests {
    use coupon_core::{CouponId, ResultId, UserId};

    use super::*;

    #[test]
    fn a_release_is_done_in_an_epoch_that_its_shard_had_not_closed() {
        let id = ResultId::from_number(5).unwrap();
        let (coupon, user) = (CouponId::new(1).unwrap(), UserId::new(2).unwrap());
        let release = Release { coupon, user, id, slot: 0, request: None };
        let waiting = Waiting { outbox_id: 9, release, closed: 4 };
        assert_eq!([3, 4, 5, 6].map(|epoch| is_done(&waiting, epoch)), [false, false, true, true]);
    }
}
