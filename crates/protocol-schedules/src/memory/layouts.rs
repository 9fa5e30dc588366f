//! Main's layout in memory, and a change of it.

use std::num::NonZeroU16;

use async_trait::async_trait;
use coupon_store::VersionRecord;
use coupon_store::servers::seam::{ChangingLayout, DatabaseError, LayoutServer, LayoutState};

use super::main::{Lock, Locked, Main};

#[async_trait]
impl LayoutServer for Main {
    async fn layouts(&self) -> Result<Vec<VersionRecord>, DatabaseError> {
        self.ask(|memory| memory.catalogue.layouts.clone()).await
    }

    async fn change_layout(&self, shards: NonZeroU16) -> Result<Box<dyn ChangingLayout>, DatabaseError> {
        // Where MySQL waits for whoever has it, this gives up.
        let lock = self.lock(Lock::Layout).await?.ok_or_else(|| self.busy())?;
        let now = self.line.world.clock.now();
        let state = self.ask(|memory| LayoutState {
            versions: memory.catalogue.layouts.clone(),
            now,
            catalogue: memory.catalogue.version,
            open_epoch: memory.gate.open(),
            behind: memory.catalogue.living(now, |_, version| version < memory.catalogue.version),
            narrow: memory.catalogue.living(now, |opened, _| opened < shards.get()),
            moves: false,
        });
        Ok(Box::new(Changing { state: state.await?, lock }))
    }
}

/// The lock goes with its connection.
struct Changing {
    state: LayoutState,
    lock: Locked,
}

#[async_trait]
impl ChangingLayout for Changing {
    fn state(&self) -> &LayoutState {
        &self.state
    }

    async fn commit(
        self: Box<Self>,
        versions: &[VersionRecord],
        operator: &str,
        what: &str,
    ) -> Result<(), DatabaseError> {
        let Self { state, lock } = *self;
        let (versions, operator, what) = (versions.to_vec(), operator.to_owned(), what.to_owned());
        let (busy, process) = (lock.main.busy(), lock.main.line.process);
        let committed = lock.order(move |world, memory| {
            if memory.catalogue.version != state.catalogue {
                return Err(busy);
            }
            world.tell(|| format!("main: {process} changes the layout: {what}"));
            memory.catalogue.lay_out(&versions, operator, what, world.clock.now());
            Ok(())
        });
        committed.await?
    }
}
