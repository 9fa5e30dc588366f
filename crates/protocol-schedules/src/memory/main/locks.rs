//! Locks of main's, which go with their connection.

use std::sync::Arc;

use async_trait::async_trait;
use coupon_core::GateId;
use coupon_servers::seam::{BatchLock, DatabaseError, GateLock, GatePlace, GateState, MainLock, Opening};

use super::{Main, MainMemory};
use crate::check::half_full;
use crate::world::{NoAnswer, World};

/// A thing that can be locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::memory) enum Lock {
    Gate(GateId),
    Layout,
    Mover,
    Reconciler(GateId),
}

impl Main {
    pub(in crate::memory) async fn lock(&self, lock: Lock) -> Result<Option<Locked>, DatabaseError> {
        let (main, cuts) = (self.clone(), self.cuts());
        // Made where the lock is taken: a caller that does not wait for the answer lets go of it.
        self.ask(move |memory| {
            if memory.locks.contains_key(&lock) {
                return None;
            }
            memory.owners += 1;
            memory.locks.insert(lock, memory.owners);
            Some(Locked { main, lock, owner: memory.owners, cuts })
        })
        .await
    }
}

/// A lock, which goes with its connection.
pub(in crate::memory) struct Locked {
    pub(in crate::memory) main: Main,
    lock: Lock,
    owner: u64,
    cuts: u64,
}

impl Locked {
    /// The gate that it is about.
    const fn gate(&self) -> GateId {
        match self.lock {
            Lock::Gate(gate) | Lock::Reconciler(gate) => gate,
            Lock::Layout | Lock::Mover => GateId::FIRST,
        }
    }

    fn has(&self, memory: &MainMemory) -> bool {
        memory.locks.get(&self.lock) == Some(&self.owner)
    }

    /// Does something over the lock's connection, unless that was cut.
    pub(in crate::memory) async fn order<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Arc<World>, &mut MainMemory) -> T + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let (cuts, server) = (self.cuts, self.main.line.server);
        let acted =
            self.main.order(move |world, memory| (world.cuts(server) == cuts).then(|| act(world, memory)));
        acted.await?.ok_or_else(|| self.main.failed(NoAnswer::Refused))
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let mut state = self.main.line.world.state();
        if self.has(&state.main) {
            state.main.locks.remove(&self.lock);
        }
    }
}

#[async_trait]
impl MainLock for Locked {
    async fn end(self: Box<Self>) {}
}

/// The locks of all gates, which go together with their connection.
pub(super) struct LockedGates(pub(super) Vec<Locked>);

#[async_trait]
impl MainLock for LockedGates {
    async fn end(self: Box<Self>) {}
}

#[async_trait]
impl BatchLock for LockedGates {
    async fn are_open(&mut self) -> anyhow::Result<bool> {
        let are_open = |memory: &MainMemory| memory.gates.iter().all(|gate| gate.open().is_some());
        match self.0.first() {
            Some(first) => Ok(first.order(move |_, memory| are_open(memory)).await?),
            None => Ok(false),
        }
    }
}

#[async_trait]
impl GateLock for Locked {
    async fn state(&mut self) -> anyhow::Result<GateState> {
        let gate = self.gate();
        Ok(self.order(move |_, memory| *memory.gates.get(gate)).await?)
    }

    async fn place(&mut self) -> anyhow::Result<Option<GatePlace>> {
        let (now, gate) = (self.main.now(), self.gate());
        let place = self.order(move |_, memory| {
            let (address, seen) = memory.places.get(gate).as_ref()?;
            Some(GatePlace { address: address.clone(), age_ms: now.millis() - seen.millis() })
        });
        Ok(place.await?)
    }

    async fn take_epoch(&mut self, epoch: u64, last: u64) -> anyhow::Result<bool> {
        let (process, gate) = (self.main.line.process, self.gate());
        let taken = self.order(move |world, memory| {
            let state = memory.gates.get_mut(gate);
            let taken = state.epoch == last;
            if taken {
                state.epoch = epoch;
                world.tell(|| format!("main: {process} takes epoch {epoch}"));
            }
            taken
        });
        Ok(taken.await?)
    }

    async fn filled_at(&mut self, address: &str) -> anyhow::Result<()> {
        let (address, gate) = (address.to_owned(), self.gate());
        let filled = move |world: &Arc<World>, memory: &mut MainMemory| {
            *memory.places.get_mut(gate) = Some((address, world.clock.now()));
        };
        Ok(self.order(filled).await?)
    }

    async fn open(&mut self, epoch: u64, version: u64) -> anyhow::Result<Opening> {
        let (process, cuts, server) = (self.main.line.process, self.cuts, self.main.line.server);
        let gate = self.gate();
        let opened = self.main.line.order(move |world| {
            let mut state = world.state();
            if world.cuts(server) != cuts || state.main.gates.get(gate).epoch != epoch {
                return Opening::Taken;
            }
            // Who changes the layout has what is asked for here until the change is in.
            let changes = state.main.locks.contains_key(&Lock::Layout);
            if changes || state.main.catalogue.version != version {
                return Opening::Changed;
            }
            state.main.gates.get_mut(gate).open_epoch = epoch;
            world.tell(|| format!("main: {process} opens epoch {epoch}"));
            let broken = half_full(&state, process, epoch);
            state.broken.extend(broken);
            Opening::Open
        });
        opened.await.map_err(|lost| self.main.failed(lost).into())
    }
}
