//! The transactions in which results take a step after their grab: one that a user asks for, and those that are due.
//!
//! Stock comes back in the order row, gate, main. The transaction that changes a row notes beside it what the gate is to let go
//! of, and main takes the outbox's entry once nothing of it waits any more. The process that has committed has the gate let go at
//! once; should that fail, the task that looks after what waits does it.
//!
//! A step that a user asks for takes its result's row first, and the shard's row of state last: consumers wait for that
//! one. Those that are due are read from a list, so tasks that let them expire take turns by the row of state, and take
//! it first, as does the mover of rows. They meet a user's step only over a result that is due just now, or is just leaving
//! the shard; the database then refuses one, which tries again.

use coupon_core::after_grab::Action;
use coupon_core::{CouponResult, TableId, Timestamp};
use coupon_store::{Change, Changed, Totals};

use super::store::{Of, StoreError};
use crate::outbox::{self, Moves};
use crate::seam::{
    Begun, Expired, Release, ShardServer, Stepped, Stepping, StepsNote, StoringError, Waiting,
};

/// The number of times that a transaction is tried which meets another.
const TRIES: u32 = 3;

/// A shard's server, and what this process has seen of the shard.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) server: &'a dyn ShardServer,
    pub(super) of: Of<'a>,
}

/// Takes a step of a result, if its row allows it; returns what the gate is to let go of by it.
pub(super) async fn change(
    at: At<'_>,
    table: TableId,
    change: &Change,
) -> Result<(Changed, Vec<Release>), StoreError> {
    let mut tries = Tries::default();
    loop {
        let done = try_change(at, table, change).await;
        if !tries.again(&done) {
            return done;
        }
    }
}

async fn try_change(
    at: At<'_>,
    table: TableId,
    change: &Change,
) -> Result<(Changed, Vec<Release>), StoreError> {
    let mut stepping = at.server.stepping().await?;
    let found = stepping.change(table, change).await?;
    // Whatever was found is believed of a shard alone that has everything.
    let begun = at.of.check(stepping.begin().await?)?;
    let Some(Stepped { before, after }) = found else { return Ok((Changed::NotFound, Vec::new())) };
    let Some(after) = after else { return Ok((Changed::Stands(before), Vec::new())) };
    let mut taken = Taken::default();
    taken.add(change.action, &before);
    let releases = taken.commit(stepping, at.of, begun, change.time).await?;
    at.of.committed(begun);
    Ok((Changed::Now(after), releases))
}

/// Lets results expire that are due, at most so many; says how many were due, and what the gate is to let go of.
pub(super) async fn expire(
    at: At<'_>,
    now: Timestamp,
    most: usize,
) -> Result<(usize, Vec<Release>), StoreError> {
    let mut tries = Tries::default();
    loop {
        let done = try_to_expire(at, now, most).await;
        if !tries.again(&done) {
            return done;
        }
    }
}

async fn try_to_expire(at: At<'_>, now: Timestamp, most: usize) -> Result<(usize, Vec<Release>), StoreError> {
    let mut stepping = at.server.stepping().await?;
    let begun = at.of.check(stepping.begin().await?)?;
    let Expired { due, rows } = stepping.expire(now, most).await?;
    if due == 0 {
        return Ok((0, Vec::new()));
    }
    let mut taken = Taken::default();
    for row in &rows {
        taken.add(Action::Expire, row);
    }
    let releases = taken.commit(stepping, at.of, begun, now).await?;
    at.of.committed(begun);
    Ok((due, releases))
}

/// The tries of a transaction so far.
#[derive(Debug, Default)]
pub(super) struct Tries(u32);

impl Tries {
    /// Judges whether to try once more.
    fn again<T>(&mut self, tried: &Result<T, StoreError>) -> bool {
        tried.as_ref().is_err_and(|error| self.again_after(error))
    }

    /// Judges whether to try once more after it failed so.
    pub(super) fn again_after(&mut self, error: &StoreError) -> bool {
        self.0 += 1;
        self.0 < TRIES && matches!(error, StoreError::Storing(StoringError::Conflict(_)))
    }
}

/// The steps of one transaction.
#[derive(Debug, Default)]
struct Taken {
    moves: Moves,
    sums: Totals,
    releases: Vec<Release>,
}

impl Taken {
    /// A row has taken a step; `before` as it was.
    fn add(&mut self, action: Action, before: &CouponResult) {
        debug_assert_eq!(before.state, action.transition().from, "a step leads from one state alone");
        if let Action::Use(order_amount) = action {
            self.sums += Totals { used: 1, order_amount, ..Totals::default() };
        }
        if let Some(movement) = action.transition().gives_back {
            self.sums.given_back += 1;
            *self.moves.entry((before.coupon_id, movement)).or_default() += 1;
            self.releases.push(Release::of(before));
        }
    }

    /// Commits them, with what is to be noted of them; returns what the gate is to let go of. An entry of the outbox counts what
    /// was stored no later than that it gave its stock back.
    async fn commit(
        mut self,
        mut stepping: Box<dyn Stepping>,
        Of { gates, .. }: Of<'_>,
        Begun { outbox_id, closed, .. }: Begun,
        now: Timestamp,
    ) -> Result<Vec<Release>, StoringError> {
        self.sums.results += outbox::add_stored(&mut self.moves, stepping.untold().await?);
        let entries = outbox::entries(&self.moves, outbox_id);
        // With the first of them: while a release waits, main takes neither that entry nor any after it.
        let first = entries.first().map_or(outbox_id, |entry| entry.id);
        let waiting = |release: &Release| Waiting {
            outbox_id: first,
            release: *release,
            closed: closed.of(gates.of(release.coupon)),
        };
        let releases: Vec<Waiting> = self.releases.iter().map(waiting).collect();
        let note = StepsNote {
            now,
            outbox_id: outbox::last_of(&entries, outbox_id),
            entries: &entries,
            releases: &releases,
            sums: self.sums,
        };
        stepping.commit(&note).await?;
        Ok(self.releases)
    }
}

#[cfg(test)]
mod tests {
    use coupon_core::{CouponId, Money, ResultId, ResultState, RoomId, UserId};

    use super::*;

    fn row(number: i64, coupon: u64) -> CouponResult {
        let (user, room) = (UserId::new(1).unwrap(), RoomId::new(1).unwrap());
        let id = ResultId::from_number(number).unwrap();
        let granted = CouponResult::granted(id, user, CouponId::new(coupon).unwrap(), room);
        CouponResult { state: ResultState::Held, slot: Some(2), ..granted }
    }

    #[test]
    fn what_gives_stock_back_is_told_to_the_gate_and_to_main_and_counted() {
        let mut taken = Taken::default();
        for (number, coupon) in [(5, 1), (6, 1), (7, 2)] {
            taken.add(Action::Expire, &row(number, coupon));
        }
        assert_eq!(taken.sums, Totals { given_back: 3, ..Totals::default() });
        let entries = outbox::entries(&taken.moves, 9);
        assert_eq!(entries[0].deltas, r#"[[1,2,"expire"],[2,1,"expire"]]"#);
        assert_eq!(taken.releases.iter().map(|release| release.id.number()).collect::<Vec<_>>(), [5, 6, 7]);
        assert!(taken.releases.iter().all(|release| release.slot == 2));
    }

    #[test]
    fn what_is_confirmed_or_used_takes_its_stock_on() {
        let mut taken = Taken::default();
        taken.add(Action::Confirm, &row(5, 1));
        assert_eq!(taken.sums, Totals::default());
        let order_amount = Money::from_cents(500);
        taken.add(Action::Use(order_amount), &CouponResult { state: ResultState::Owned, ..row(6, 1) });
        assert_eq!(taken.sums, Totals { used: 1, order_amount, ..Totals::default() });
        assert!(taken.moves.is_empty() && taken.releases.is_empty());
    }
}
