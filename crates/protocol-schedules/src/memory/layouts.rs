//! Main's layout in memory, and a change of it.

use std::num::NonZeroU16;

use async_trait::async_trait;
use coupon_servers::seam::{ChangingLayout, DatabaseError, LayoutServer, LayoutState, MoveOrder, MoverLock};
use coupon_store::{Moving, VersionRecord};

use super::main::{Lock, Locked, Main};

#[async_trait]
impl LayoutServer for Main {
    async fn layouts(&self) -> Result<Vec<VersionRecord>, DatabaseError> {
        self.ask(|memory| memory.catalogue.layouts.clone()).await
    }

    async fn change_layout(&self, shards: NonZeroU16) -> Result<Box<dyn ChangingLayout>, DatabaseError> {
        // Where MySQL waits for the one that has it, this gives up.
        let lock = self.lock(Lock::Layout).await?.ok_or_else(|| self.busy())?;
        let now = self.line.world.clock.now();
        let state = self.ask(|memory| LayoutState {
            versions: memory.catalogue.layouts.clone(),
            now,
            catalogue: memory.catalogue.version,
            open_epochs: memory.gates.iter().filter_map(|gate| gate.open()).collect(),
            behind: memory.catalogue.living(now, |_, version| version < memory.catalogue.version),
            narrow: memory.catalogue.living(now, |opened, _| opened < shards.get()),
            movement: memory.movement.clone(),
        });
        Ok(Box::new(Changing { state: state.await?, lock }))
    }

    async fn movement(&self) -> Result<Option<Moving>, DatabaseError> {
        self.ask(|memory| memory.movement.clone()).await
    }

    async fn order_movement(&self, order: MoveOrder) -> Result<Option<Moving>, DatabaseError> {
        self.order(move |world, memory| {
            let moving = memory.movement.as_mut().filter(|moving| moving.runs)?;
            match order {
                MoveOrder::Rate(rate) => moving.rate = rate,
                MoveOrder::Stop => moving.runs = false,
            }
            world.tell(|| format!("main: rows that move are ordered: {order:?}"));
            Some(moving.clone())
        })
        .await
    }

    async fn lock_mover(&self) -> Result<Option<Box<dyn MoverLock>>, DatabaseError> {
        Ok(self.lock(Lock::Mover).await?.map(|locked| Box::new(locked) as Box<dyn MoverLock>))
    }
}

#[async_trait]
impl MoverLock for Locked {
    async fn note(&mut self, moving: &Moving) -> Result<Option<Moving>, DatabaseError> {
        let noted = moving.clone();
        self.order(move |_, memory| {
            if let Some(moving) = memory.movement.as_mut().filter(|moving| moving.began == noted.began) {
                (moving.rows, moving.looked_at, moving.moved) = (noted.rows, noted.looked_at, noted.moved);
                moving.trouble = noted.trouble;
            }
            memory.movement.clone()
        })
        .await
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
        moving: Option<&Moving>,
        operator: &str,
        what: &str,
    ) -> Result<(), DatabaseError> {
        let Self { state, lock } = *self;
        let (versions, moving) = (versions.to_vec(), moving.cloned());
        let (operator, what) = (operator.to_owned(), what.to_owned());
        let (busy, process) = (lock.main.busy(), lock.main.line.process);
        let committed = lock.order(move |world, memory| {
            if memory.catalogue.version != state.catalogue {
                return Err(busy);
            }
            world.tell(|| format!("main: {process} changes the layout: {what}"));
            if moving.is_some() {
                memory.movement = moving;
            }
            memory.catalogue.lay_out(&versions, operator, what, world.clock.now());
            Ok(())
        });
        committed.await?
    }
}
