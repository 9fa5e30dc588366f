//! The gate in memory: rebuilt from the files at start, so it never holds more or less than they do.

mod coupon;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use coupon_core::{CouponId, CouponResult, Timestamp, UserId, VersionNumber};

use self::coupon::CouponGate;
use crate::terms::Terms;
use crate::{Attempt, Decided, Decision, Gate, GateStock, LocalFuture, Reservation, Unavailable};

/// Its memory is this process's: a gate that has lost it is gone itself.
const EPOCH: u64 = 0;

/// Stock and one-per-user of every coupon that can still be grabbed, or that was over lately.
#[derive(Debug, Default)]
pub(super) struct MemoryGate {
    /// Locked whole only while one comes to be on offer.
    coupons: RwLock<Coupons>,
}

#[derive(Debug, Default)]
struct Coupons {
    open: HashMap<CouponId, Mutex<CouponGate>>,
    /// The coupons that were over for long when they were put here: their holders need not be remembered.
    ended: HashSet<CouponId>,
}

impl Coupons {
    fn lock(&self, coupon: CouponId) -> Option<MutexGuard<'_, CouponGate>> {
        Some(self.open.get(&coupon)?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn decide(&self, attempt: &Attempt) -> Decision {
        match self.lock(attempt.coupon) {
            Some(mut gate) => gate.decide(attempt),
            None if self.ended.contains(&attempt.coupon) => Decision::InvalidTime,
            None => Decision::NotLoaded,
        }
    }
}

/// The part that stored results have in a coupon that comes to be on offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Past {
    /// It is new: there are no results of it.
    None,
    /// It was there before, and may be held.
    Stored,
}

impl MemoryGate {
    /// A gate for these coupons, nothing sold yet; those that are over for long by `now` stay shut.
    pub(super) fn new<'a>(coupons: impl IntoIterator<Item = &'a Terms>, now: Timestamp) -> Self {
        let gate = Self::default();
        coupons.into_iter().for_each(|terms| gate.put(terms, now, true));
        gate
    }

    fn put(&self, terms: &Terms, now: Timestamp, holders_known: bool) {
        let mut coupons = self.write();
        if terms.forgotten_from() <= now {
            coupons.ended.insert(terms.coupon);
            return;
        }
        coupons.ended.remove(&terms.coupon);
        coupons.open.insert(terms.coupon, Mutex::new(CouponGate::new(terms, holders_known)));
    }

    /// Decides by a coupon's terms as they are now. True: its holders have to be read before anything of it is decided.
    pub(super) fn offer(&self, terms: &Terms, past: Past, now: Timestamp) -> bool {
        let changed = self.with(terms.coupon, |gate| {
            gate.offer(terms);
            gate.is_reading()
        });
        changed.unwrap_or_else(|| {
            self.put(terms, now, past == Past::None);
            self.with(terms.coupon, |gate| gate.is_reading()).unwrap_or(false)
        })
    }

    /// A coupon's holders have all been taken up: it is decided from now on.
    pub(super) fn all_read(&self, coupon: CouponId) {
        self.with(coupon, CouponGate::all_read);
    }

    /// Takes up a result that is stored; says whether it is the only one in its slot so far.
    pub(super) fn restore(&self, coupon: CouponId, user: UserId, reserved: Reservation) -> bool {
        let alone = self.with(coupon, |gate| {
            if !gate.takes_up(reserved.id) {
                return true;
            }
            let before = gate.holders.take(user, reserved, false);
            // One that is pending here is parked, not stored.
            let other = before.filter(|before| before.reserved.id != reserved.id && !before.pending);
            gate.surplus.extend(other.map(|other| other.reserved.id));
            other.is_none()
        });
        alone.unwrap_or(true)
    }

    /// Takes up a result that was parked: it holds its stock, unless its user holds another one in its slot that is stored.
    pub(super) fn restore_parked(&self, coupon: CouponId, user: UserId, parked: Reservation) {
        self.with(coupon, |gate| {
            if gate.holders.in_slot(user, parked.slot).is_none() {
                gate.holders.take(user, parked, true);
            }
        });
    }

    /// Takes up a result that gave its stock back at that time, so that its request gets the same answer again.
    pub(super) fn restore_recent(
        &self,
        coupon: CouponId,
        user: UserId,
        reserved: Reservation,
        time: Timestamp,
    ) {
        self.with(coupon, |gate| gate.recent.note(user, &reserved, time));
    }

    /// Forgets a result that gave its stock back, once that is committed.
    pub(super) fn let_go(&self, result: &CouponResult, now: Timestamp) {
        self.with(result.coupon_id, |gate| gate.let_go(result, now));
    }

    /// Results known to be stored: a user who asks again gets "duplicate".
    pub(super) fn settle<'a>(&self, results: impl IntoIterator<Item = &'a CouponResult>) {
        self.mark(results, false);
    }

    /// Results thought to be stored that turned out to be parked: a user who asks again does not get "duplicate".
    pub(super) fn unsettle<'a>(&self, results: impl IntoIterator<Item = &'a CouponResult>) {
        self.mark(results, true);
    }

    fn mark<'a>(&self, results: impl IntoIterator<Item = &'a CouponResult>, pending: bool) {
        let coupons = self.read();
        for result in results {
            if let Some(mut gate) = coupons.lock(result.coupon_id)
                && let Some(holder) = gate.holders.in_slot_mut(result.user_id, result.slot.unwrap_or(0))
                && holder.reserved.id == result.result_id
            {
                holder.pending = pending;
            }
        }
    }

    /// Coupons of which more are stored than there ever were.
    pub(super) fn oversold(&self) -> Vec<CouponId> {
        let coupons = self.read();
        let over = |coupon: &&CouponId| coupons.lock(**coupon).is_some_and(|gate| gate.is_oversold());
        coupons.open.keys().filter(over).copied().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Coupons> {
        self.coupons.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Coupons> {
        self.coupons.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with a coupon whose holders are remembered.
    fn with<T>(&self, coupon: CouponId, ask: impl FnOnce(&mut CouponGate) -> T) -> Option<T> {
        self.read().lock(coupon).map(|mut gate| ask(&mut gate))
    }
}

impl Gate for Arc<MemoryGate> {
    /// The versions of the layout are those of this process, which is the only one.
    fn reserve<'a>(
        &'a self,
        _: VersionNumber,
        attempts: &'a [Attempt],
    ) -> LocalFuture<'a, Result<Decided, Unavailable>> {
        let coupons = self.read();
        let decisions = attempts.iter().map(|attempt| coupons.decide(attempt)).collect();
        Box::pin(std::future::ready(Ok(Decided { decisions, epoch: EPOCH })))
    }

    fn ready(&self) -> Result<(), Unavailable> {
        Ok(())
    }

    fn epoch(&self, _: CouponId) -> Option<u64> {
        Some(EPOCH)
    }

    fn holders(&self, coupon: CouponId) -> LocalFuture<'_, Option<(u64, Vec<UserId>)>> {
        let holders = self.with(coupon, |gate| gate.holders_if_sold_out()).flatten();
        Box::pin(std::future::ready(holders.map(|users| (EPOCH, users))))
    }

    fn stock(&self, coupon: CouponId) -> LocalFuture<'_, Result<Option<GateStock>, Unavailable>> {
        let stock = self.with(coupon, |gate| gate.stock()).flatten();
        Box::pin(std::future::ready(Ok(stock)))
    }
}

#[cfg(test)]
mod tests;
