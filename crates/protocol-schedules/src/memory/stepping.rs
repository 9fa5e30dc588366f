//! Transactions in memory in which results take a step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use coupon_core::after_grab::{Action, Transition};
use coupon_core::{CouponResult, ShardId, TableId, Timestamp, UseStatus};
use coupon_servers::seam::{
    Begun, Expired, OutboxEntry, Stepped, Stepping, StepsNote, StoringError, Waiting,
};
use coupon_store::{Change, Totals};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::session::Session;
use super::shard::{Shard, ShardMemory, waits_at};
use crate::world::{NoAnswer, World};

/// A transaction.
///
/// In MySQL it locks the rows that it changes; here it locks all of the shard's that any step changes, which lasts as
/// long.
pub(super) struct Steps {
    session: Session,
    state: Option<OwnedMutexGuard<()>>,
    rows: Option<OwnedMutexGuard<()>>,
    staged: Staged,
}

/// The uncommitted changes.
#[derive(Debug, Default)]
struct Staged {
    rows: Vec<(TableId, CouponResult)>,
    off: Vec<(Timestamp, i64)>,
}

impl Staged {
    fn take(&mut self, table: TableId, change: &Change, before: &CouponResult) -> CouponResult {
        let after = stepped(change, before);
        self.rows.push((table, after));
        after
    }

    fn write(self, memory: &mut ShardMemory) {
        for (table, row) in self.rows {
            memory.tables.entry(table).or_default().insert(row.result_id.number(), row);
        }
        for held in &self.off {
            memory.holds.remove(held);
        }
    }
}

/// True if a row allows a step.
fn allows(change: &Change, row: &CouponResult) -> bool {
    let Transition { from, deadline, .. } = change.action.transition();
    row.state == from && deadline.is_met(row.hold_until, change.time)
}

/// A row after a step.
fn stepped(change: &Change, row: &CouponResult) -> CouponResult {
    let Transition { to, gives_back, .. } = change.action.transition();
    let slot = if gives_back.is_some() { None } else { row.slot };
    let after = CouponResult { state: to, slot, state_time: Some(change.time), ..*row };
    match change.action {
        Action::Use(amount) => CouponResult {
            use_status: UseStatus::Used,
            use_time: Some(change.time),
            order_amount: Some(amount),
            ..after
        },
        _ => after,
    }
}

impl Steps {
    pub(super) fn new(shard: &Shard) -> Self {
        Self { session: Session::open(shard), state: None, rows: None, staged: Staged::default() }
    }

    async fn ask<T>(&mut self, ask: impl FnOnce(&ShardMemory, &mut Staged) -> T) -> Result<T, StoringError> {
        let Self { session, staged, .. } = self;
        session.ask(|memory| ask(memory, staged)).await
    }

    /// Takes the rows until the transaction ends.
    async fn lock_rows(&mut self) -> Result<(), StoringError> {
        if self.rows.is_none() {
            let (rows, waiting) =
                self.ask(|memory, _| (Arc::clone(&memory.stepping), Arc::clone(&memory.waiting))).await?;
            let crosswise = self.state.is_some().then_some((&waiting.for_rows, &waiting.for_state));
            self.rows = Some(self.lock(rows, crosswise).await?);
        }
        Ok(())
    }

    /// Takes the row of state until the transaction ends.
    async fn lock_state(&mut self) -> Result<(), StoringError> {
        let (state, waiting) =
            self.ask(|memory, _| (Arc::clone(&memory.row), Arc::clone(&memory.waiting))).await?;
        let crosswise = self.rows.is_some().then_some((&waiting.for_state, &waiting.for_rows));
        self.state = Some(self.lock(state, crosswise).await?);
        Ok(())
    }

    /// Takes a lock. A transaction that has the other one says so while it waits (`mine`); should the one that has this wait
    /// for that already (`theirs`), they meet a conflict.
    async fn lock(
        &self,
        lock: Arc<Mutex<()>>,
        crosswise: Option<(&AtomicBool, &AtomicBool)>,
    ) -> Result<OwnedMutexGuard<()>, StoringError> {
        let Some((mine, theirs)) = crosswise else { return Ok(lock.lock_owned().await) };
        if let Ok(free) = Arc::clone(&lock).try_lock_owned() {
            return Ok(free);
        }
        if theirs.load(Ordering::Relaxed) {
            return Err(StoringError::Conflict(self.session.shard.failed(NoAnswer::Refused)));
        }
        let _waits = Waits::new(mine);
        Ok(lock.lock_owned().await)
    }
}

/// Says that a transaction waits, until it does so no more.
struct Waits<'a>(&'a AtomicBool);

impl<'a> Waits<'a> {
    fn new(waits: &'a AtomicBool) -> Self {
        waits.store(true, Ordering::Relaxed);
        Self(waits)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[async_trait]
impl Stepping for Steps {
    async fn begin(&mut self) -> Result<Option<Begun>, StoringError> {
        self.lock_state().await?;
        self.ask(|memory, _| memory.begun()).await.map(Some)
    }

    async fn change(&mut self, table: TableId, change: &Change) -> Result<Option<Stepped>, StoringError> {
        self.lock_rows().await?;
        let change = *change;
        self.ask(move |memory, staged| {
            let found = memory.tables.get(&table)?.get(&change.id.number());
            let before = *found.filter(|row| row.user_id == change.user)?;
            if !allows(&change, &before) {
                return Some(Stepped { before, after: None });
            }
            staged.off.extend(before.hold_until.map(|until| (until, change.id.number())));
            Some(Stepped { before, after: Some(staged.take(table, &change, &before)) })
        })
        .await
    }

    async fn expire(&mut self, now: Timestamp, most: usize) -> Result<Expired, StoringError> {
        self.lock_rows().await?;
        self.ask(move |memory, staged| {
            let due = memory.holds.iter().take_while(|((until, _), _)| *until <= now).take(most);
            let mut expired = Expired::default();
            for (held, table) in due {
                expired.due += 1;
                staged.off.push(*held);
                let Some(row) = memory.tables.get(table).and_then(|rows| rows.get(&held.1)) else { continue };
                let change =
                    Change { user: row.user_id, id: row.result_id, action: Action::Expire, time: now };
                if allows(&change, row) {
                    staged.take(*table, &change, row);
                    expired.rows.push(*row);
                }
            }
            expired
        })
        .await
    }

    async fn commit(self: Box<Self>, note: &StepsNote<'_>) -> Result<(), StoringError> {
        let noted = Noted::of(note);
        let Self { session, state, rows, staged } = *self;
        let shard = session.shard.shard;
        let written = move |world: &World| {
            tell(world, shard, &staged);
            if let Some(memory) = world.state().shards.get_mut(shard.index()) {
                staged.write(memory);
                noted.write(memory);
            }
        };
        session.commit((state, rows), written).await
    }
}

fn tell(world: &World, shard: ShardId, staged: &Staged) {
    for (_, CouponResult { result_id, coupon_id, user_id, state, .. }) in &staged.rows {
        world
            .tell(|| format!("shard {shard}: {result_id}, coupon {coupon_id} of user {user_id}, is {state}"));
    }
}

/// A note, on its way.
struct Noted {
    entries: Vec<OutboxEntry>,
    outbox_id: i64,
    releases: Vec<Waiting>,
    sums: Totals,
}

impl Noted {
    fn of(note: &StepsNote<'_>) -> Self {
        Self {
            entries: note.entries.to_vec(),
            outbox_id: note.outbox_id,
            releases: note.releases.to_vec(),
            sums: note.sums,
        }
    }

    fn write(self, memory: &mut ShardMemory) {
        memory.outbox.extend(self.entries.into_iter().map(|entry| (entry.id, entry.deltas)));
        memory.outbox_id = memory.outbox_id.max(self.outbox_id);
        memory.releases.extend(self.releases.iter().map(|waiting| (waits_at(waiting), *waiting)));
        memory.sums += self.sums;
        memory.commits += 1;
    }
}
