//! The gate's server in memory, and the effects of its scripts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use coupon_core::{CouponId, RequestKey, ResultId, Timestamp, UserId, VersionNumber};
use coupon_servers::seam::{Fence, Held, Hold, Mark, Release, Remembers, Terms, Unchecked, Versions};
use coupon_store::{Attempt, Decision, Grant, Reservation};

/// The time for which a request is remembered after its result gave its stock back.
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// The memory of the gate's server.
#[derive(Debug, Clone, Default)]
pub struct GateMemory {
    /// The epochs whose scripts are loaded. No copy of the memory has them.
    pub scripts: BTreeSet<u64>,
    /// Its memory of each epoch.
    pub epochs: BTreeMap<u64, EpochMemory>,
}

/// A slot of a user, among those of a coupon.
pub type Slot = (u64, u8);

/// The memory of one epoch.
#[derive(Debug, Clone, Default)]
pub struct EpochMemory {
    /// The coupons on offer, and their holders.
    pub coupons: BTreeMap<CouponId, CouponMemory>,
    /// The version of the catalogue by which each coupon was put on offer.
    offered: BTreeMap<CouponId, u64>,
    /// The first version that was offered, and the latest.
    offered_by: Option<(u64, u64)>,
    /// The pending marks.
    pending: BTreeSet<Mark>,
    /// The sentinel among them.
    pub sentinel: bool,
    /// The versions of the layout after the first, and from when on each is to be known.
    fences: BTreeMap<VersionNumber, Timestamp>,
    /// The version of the catalogue that they are of.
    fenced_at: u64,
    /// Requests whose results gave their stock back: what they got, and until when that is remembered.
    answers: BTreeMap<(CouponId, UserId, RequestKey), (Grant, Timestamp)>,
    /// The rows that are to be looked at again.
    pub unchecked: Vec<Unchecked>,
}

/// The memory of one coupon.
#[derive(Debug, Clone, Default)]
pub struct CouponMemory {
    /// Total, start and end.
    pub terms: Option<(u32, Timestamp, Timestamp)>,
    /// The holders, by slot.
    pub holders: BTreeMap<Slot, HolderMemory>,
    /// Further results in slots that are taken.
    pub others: BTreeSet<i64>,
}

/// A holder of a coupon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HolderMemory {
    /// The reservation.
    pub reserved: Reservation,
    /// It is parked.
    pub parked: bool,
}

impl HolderMemory {
    /// The holder as the gate shows it.
    #[must_use]
    pub fn shown(&self) -> Held {
        if self.parked { Held::Parked(self.reserved.id.number()) } else { Held::Result(self.reserved) }
    }
}

impl CouponMemory {
    pub(super) fn sold(&self) -> usize {
        self.holders.len() + self.others.len()
    }

    /// Makes the user of a hold a holder, if their slot is free. Says whether it was.
    pub(super) fn hold(&mut self, hold: &Hold, parked: bool) -> bool {
        let slot = (hold.user, hold.slot);
        let free = !self.holders.contains_key(&slot);
        if free && let Some(reserved) = reservation(hold) {
            self.holders.insert(slot, HolderMemory { reserved, parked });
        }
        free
    }

    /// Makes the user of a hold a holder, whatever is in their slot.
    pub(super) fn hold_instead(&mut self, hold: &Hold) {
        self.holders.remove(&(hold.user, hold.slot));
        self.hold(hold, false);
    }
}

/// The reservation that the gate has of a row.
fn reservation(hold: &Hold) -> Option<Reservation> {
    let Hold { id, slot, hold_until, request, .. } = *hold;
    Some(Reservation { id: ResultId::from_number(id).ok()?, slot, hold_until, request })
}

impl GateMemory {
    /// Forgets everything.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    pub(super) fn epoch(&mut self, epoch: u64) -> &mut EpochMemory {
        self.epochs.entry(epoch).or_default()
    }

    pub(super) fn remembers(&self, epoch: u64) -> Remembers {
        let sentinel = self.epochs.get(&epoch).is_some_and(|memory| memory.sentinel);
        Remembers { script: self.scripts.contains(&epoch), sentinel }
    }
}

impl EpochMemory {
    /// Forgets the pending marks, and the sentinel among them.
    pub fn forget_marks(&mut self) {
        self.pending.clear();
        self.fences.clear();
        self.sentinel = false;
    }

    /// Takes note of the versions of the layout, unless those of a later version of the catalogue are there.
    pub(super) fn fence(&mut self, catalogue: u64, fences: &[Fence]) {
        if catalogue < self.fenced_at {
            return;
        }
        self.fenced_at = catalogue;
        let last = fences.last().map_or(1, |fence| fence.version);
        self.fences.remove(&(last + 1));
        self.fences.extend(fences.iter().map(|fence| (fence.version, fence.from)));
    }

    /// The latest version of the layout that it knows of.
    pub(super) fn latest_layout(&self) -> VersionNumber {
        self.fences.last_key_value().map_or(1, |(version, _)| *version)
    }

    /// Says whether a version of the layout places a grab that is later than the one which is known.
    fn is_placed_later(&self, attempt: &Attempt, knows: VersionNumber) -> bool {
        self.fences.get(&(knows + 1)).is_some_and(|from| attempt.id.time() >= *from)
    }

    /// Writes coupons' terms, of those alone that are on offer where that is wanted, and returns the others; `None` where
    /// one was lost.
    pub(super) fn offer(&mut self, version: u64, coupons: &[Terms], changes: bool) -> Option<Vec<CouponId>> {
        let mut lacking = Vec::new();
        for terms in coupons {
            let known = self.offered.get(&terms.coupon).copied();
            let there = self.has_terms(terms.coupon);
            if known.is_some() && !there {
                return None;
            }
            if changes && !there {
                lacking.push(terms.coupon);
            } else if known.is_none_or(|known| known <= version) {
                self.coupons.entry(terms.coupon).or_default().terms =
                    Some((terms.total, terms.start, terms.over_from()));
                self.offered.insert(terms.coupon, version);
            }
        }
        let (first, last) = self.offered_by.unwrap_or((version, version));
        self.offered_by = Some((first, last.max(version)));
        Some(lacking)
    }

    /// The versions of the catalogue by which it has what it has.
    pub(super) fn versions(&self) -> Option<Versions> {
        self.offered_by.map(|(first, last)| Versions { first, last, layouts: self.fenced_at })
    }

    /// Says whether it has the terms of every coupon that was put on offer.
    pub(super) fn offers_all(&self) -> bool {
        self.offered.keys().all(|coupon| self.has_terms(*coupon))
    }

    fn has_terms(&self, coupon: CouponId) -> bool {
        self.coupons.get(&coupon).is_some_and(|memory| memory.terms.is_some())
    }

    /// The pending marks.
    pub fn marks(&self) -> impl Iterator<Item = Mark> + '_ {
        self.pending.iter().copied()
    }

    /// Says whether a mark is there.
    pub(super) fn has(&self, mark: &Mark) -> bool {
        self.pending.contains(mark)
    }

    /// Takes a mark away.
    pub(super) fn unmark(&mut self, mark: &Mark) {
        self.pending.remove(mark);
    }

    /// The users whose requests about a coupon are remembered.
    pub(super) fn answered(&self, coupon: CouponId, now: Timestamp) -> impl Iterator<Item = UserId> + '_ {
        let of = move |((of, ..), (_, until)): &(&(CouponId, UserId, _), &(_, Timestamp))| {
            *of == coupon && *until > now
        };
        self.answers.iter().filter(of).map(|((_, user, _), _)| *user)
    }

    /// Remembers a request whose result gave its stock back.
    pub(super) fn remember(&mut self, hold: &Hold, left: Duration, now: Timestamp) {
        let (Ok(coupon), Ok(user)) = (CouponId::new(hold.coupon), UserId::new(hold.user)) else { return };
        let (Some(request), Some(reserved)) = (hold.request, reservation(hold)) else { return };
        self.answers.insert((coupon, user, request), (reserved.grant(), after(now, left)));
    }

    /// Lets go of a result, where exactly it is held.
    pub(super) fn let_go(&mut self, release: &Release, now: Timestamp) {
        let Release { coupon, user, id, slot, request } = *release;
        let Some(memory) = self.coupons.get_mut(&coupon) else { return };
        let held = memory.holders.get(&(user.get(), slot)).copied();
        let Some(held) = held.filter(|held| !held.parked && held.reserved.id == id) else {
            memory.others.remove(&id.number());
            return;
        };
        memory.holders.remove(&(user.get(), slot));
        self.pending.remove(&Mark { user, coupon, slot, id });
        if let Some(request) = request {
            self.answers.insert((coupon, user, request), (held.reserved.grant(), after(now, REMEMBERED)));
        }
    }

    /// Makes the user of a row its holder, unless the slot is taken; the row is to be looked at again.
    pub(super) fn restore(&mut self, row: &Unchecked, hold: &Hold) -> bool {
        let Ok(coupon) = CouponId::new(hold.coupon) else { return false };
        let restored = self.coupons.entry(coupon).or_default().hold(hold, false);
        if restored && !self.unchecked.contains(row) {
            self.unchecked.push(*row);
        }
        restored
    }

    /// Says whether an attempt was granted before.
    pub(super) fn holds(&self, attempt: &Attempt) -> bool {
        let coupon = self.coupons.get(&attempt.coupon);
        coupon.is_some_and(|coupon| coupon.holders.values().any(|held| held.reserved.id == attempt.id))
    }

    /// One step of the script, for one attempt.
    pub(super) fn decide(
        &mut self,
        attempt: &Attempt,
        knows: VersionNumber,
        looks: bool,
        now: Timestamp,
    ) -> Decision {
        if self.is_placed_later(attempt, knows) {
            return Decision::OtherLayout;
        }
        let whole = self.sentinel || !looks;
        let Attempt { user, coupon: of, id, limit, request, .. } = *attempt;
        let Some(coupon) = self.coupons.get_mut(&of) else { return Decision::NotLoaded };
        let Some((total, start, end)) = coupon.terms.filter(|_| whole) else { return Decision::NotLoaded };
        let (pending, fence) = (&self.pending, self.fences.get(&(knows + 1)).copied());
        let held_as = |held: &HolderMemory, stored: fn(Reservation) -> Decision| match held.shown() {
            Held::Parked(_) => Decision::Parked,
            Held::Result(held)
                if pending.contains(&Mark { user, coupon: of, slot: held.slot, id: held.id }) =>
            {
                // What is handed over again goes to where its own time says.
                let later = fence.is_some_and(|from| held.id.time() >= from);
                if later { Decision::OtherLayout } else { Decision::Pending(held) }
            }
            Held::Result(held) => stored(held),
        };
        let slots = (user.get(), 0)..=(user.get(), u8::MAX);
        for ((_, slot), held) in coupon.holders.range(slots.clone()) {
            if held.shown() == Held::Result(attempt.reservation(*slot)) {
                return Decision::Granted(*slot);
            }
            if request.is_some() && held.reserved.request == request {
                return held_as(held, |held| Decision::Repeated(held.grant()));
            }
        }
        let before = request.and_then(|request| self.answers.get(&(of, user, request)));
        if let Some((before, _)) = before.filter(|(_, until)| *until > now) {
            return Decision::Repeated(*before);
        }
        let time = id.time();
        // What is held counts in whatever slots it is: the limit may have been another before.
        let has = coupon.holders.range(slots.clone()).count();
        match coupon.holders.range(slots).next() {
            Some((_, lowest)) if has >= usize::from(limit) => {
                held_as(lowest, |held| Decision::Duplicate(held.id))
            }
            _ if time < start || time >= end => Decision::InvalidTime,
            _ if coupon.sold() >= total as usize => Decision::OutOfStock,
            _ => {
                let free = |slot: &u8| !coupon.holders.contains_key(&(user.get(), *slot));
                let slot = (0..limit).find(free).unwrap_or(0);
                let holder = HolderMemory { reserved: attempt.reservation(slot), parked: false };
                coupon.holders.insert((user.get(), slot), holder);
                self.pending.insert(Mark { user, coupon: of, slot, id });
                Decision::Granted(slot)
            }
        }
    }
}

fn after(now: Timestamp, time: Duration) -> Timestamp {
    now.plus_millis(i64::try_from(time.as_millis().max(1)).unwrap_or(i64::MAX))
}
