//! Waits until everything handed over so far is stored, and main has applied it.

use std::sync::Arc;
use std::time::Duration;

use coupon_core::ShardId;
use coupon_store::Unavailable;
use futures_util::future::join_all;
use tokio::time::Instant;

use super::background::Background;
use super::handles::GateHandle;
use super::watch::look;
use crate::gate::Epoch;
use crate::markers::MARKER;
use crate::seam::Mark;

/// The time between two looks whether they are gone.
const LOOK: Duration = Duration::from_millis(50);
/// The longest to wait for word that main has applied more.
const WORD: Duration = Duration::from_millis(100);

/// Any error stands for all.
fn all<T>(answers: Vec<Result<T, Unavailable>>) -> Result<Vec<T>, Unavailable> {
    answers.into_iter().collect()
}

impl Background {
    /// Waits until everything handed over so far is stored, main has applied it, and the room index has it, if there is one.
    ///
    /// A marker proves it of what is in the queues. What a queue has lost, or was never given, is pending at the gate:
    /// it is handed over again, and waited for.
    pub(crate) async fn drain(self: Arc<Self>) -> Result<(), Unavailable> {
        let pending = all(join_all(self.gates.iter().map(|gate| self.pending_now(gate))).await)?;
        let shards: Vec<ShardId> = self.shards().collect();
        all(join_all(shards.iter().map(|shard| self.marker(*shard, 0))).await)?;
        all(join_all(pending.into_iter().map(|pending| self.settled(pending))).await)?;
        let mut wanted = Vec::new();
        for shard in shards {
            let server = self.shard(shard).map_err(|error| Unavailable::new("a shard", error))?;
            wanted.push((shard, server.state().await?.outbox_id));
        }
        self.applied_up_to(&wanted).await?;
        // The next read's `as_of` is as new as what was waited for.
        for (shard, _) in wanted {
            look(&self, shard).await;
        }
        self.tell_rooms().await
    }

    /// The epoch of a gate that is open, and the marks of all its reservations that are not known to be stored. Unavailable
    /// while the gate is being filled.
    async fn pending_now(&self, gate: &GateHandle) -> Result<(Arc<Epoch>, Vec<Mark>), Unavailable> {
        let deadline = Instant::now() + MARKER;
        let epoch = loop {
            match gate.epoch.open() {
                Some(epoch) => break epoch,
                None if Instant::now() >= deadline => return Err(Unavailable::new("the gate", "it is shut")),
                None => tokio::time::sleep(LOOK).await,
            }
        };
        let asked = gate.server.pending(&epoch).await;
        let marks = asked.map_err(|error| Unavailable::new("the gate", error))?;
        Ok((epoch, marks))
    }

    /// Waits until none of these marks is left. Once another epoch has opened, what they stood for is stored, or was
    /// never granted.
    async fn settled(&self, (epoch, mut marks): (Arc<Epoch>, Vec<Mark>)) -> Result<(), Unavailable> {
        let deadline = Instant::now() + MARKER;
        loop {
            marks = self.still_pending(&epoch, marks).await?;
            let open = self.gate_of(&epoch).epoch.number();
            if marks.is_empty() || open.is_some_and(|open| open != epoch.number) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let why = format!(
                    "{} reservations are neither stored nor in a queue, and are handed over again",
                    marks.len()
                );
                return Err(Unavailable::new("the queue", why));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn still_pending(&self, epoch: &Epoch, marks: Vec<Mark>) -> Result<Vec<Mark>, Unavailable> {
        let asked = self.gate_of(epoch).server.are_pending(epoch, &marks).await;
        let pending = asked.map_err(|error| Unavailable::new("the gate", error))?;
        Ok(marks.into_iter().zip(pending).filter(|(_, pending)| *pending).map(|(mark, _)| mark).collect())
    }

    async fn applied_up_to(&self, wanted: &[(ShardId, i64)]) -> Result<(), Unavailable> {
        let deadline = Instant::now() + MARKER;
        loop {
            let positions = self.main.positions().await?;
            let position = |shard: ShardId| positions.get(&shard).copied().unwrap_or(0);
            if wanted.iter().all(|(shard, id)| position(*shard) >= *id) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Unavailable::new(
                    "the main database",
                    "it has not been told of everything in time",
                ));
            }
            self.signals.hurry();
            self.signals.more_applied(WORD).await;
        }
    }
}
