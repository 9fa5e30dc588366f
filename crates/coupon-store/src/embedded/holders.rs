//! The holders of one coupon, each with what they hold in which slot.

use std::collections::{BTreeMap, HashMap};

use coupon_core::{RequestKey, ResultId, UserId};

use crate::{Decision, Reservation};

/// What a user holds in one slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holder {
    pub(super) reserved: Reservation,
    /// True until the result is known to be stored.
    pub(super) pending: bool,
}

impl Holder {
    /// The answer to the same request, asked for again.
    pub(super) const fn repeated(&self) -> Decision {
        if self.pending { Decision::Pending(self.reserved) } else { Decision::Repeated(self.reserved) }
    }

    /// The answer to one who has no slot left, of whose slots this is the lowest.
    pub(super) const fn refused(&self) -> Decision {
        if self.pending { Decision::Pending(self.reserved) } else { Decision::Duplicate(self.reserved.id) }
    }
}

/// All holders of a coupon. Nearly all hold one, in the first slot.
#[derive(Debug, Default)]
pub(super) struct Holders {
    first: HashMap<UserId, Holder>,
    /// Beyond the first slot.
    more: BTreeMap<(UserId, u8), Holder>,
}

impl Holders {
    /// The number of slots that are taken.
    pub(super) fn len(&self) -> usize {
        self.first.len() + self.more.len()
    }

    /// Everybody who holds something, some of them more than once.
    pub(super) fn users(&self) -> impl Iterator<Item = UserId> {
        self.first.keys().copied().chain(self.more.keys().map(|(user, _)| *user))
    }

    /// The lowest slot below the limit that is free or, where there is none, what the user holds in the lowest.
    pub(super) fn free_slot(&self, user: UserId, limit: u8) -> Result<u8, Holder> {
        let lowest = match self.first.get(&user) {
            None => return Ok(0),
            Some(lowest) => *lowest,
        };
        (1..limit).find(|slot| !self.more.contains_key(&(user, *slot))).ok_or(lowest)
    }

    /// What a user holds in a slot.
    pub(super) fn in_slot(&self, user: UserId, slot: u8) -> Option<&Holder> {
        if slot == 0 { self.first.get(&user) } else { self.more.get(&(user, slot)) }
    }

    /// What a user holds by a request.
    pub(super) fn by_request(&self, user: UserId, request: RequestKey) -> Option<&Holder> {
        let mut held = self.first.get(&user).into_iter().chain(self.beyond_first(user).map(|(_, held)| held));
        held.find(|held| held.reserved.request == Some(request))
    }

    /// What a user holds in a slot, to be changed.
    pub(super) fn in_slot_mut(&mut self, user: UserId, slot: u8) -> Option<&mut Holder> {
        if slot == 0 { self.first.get_mut(&user) } else { self.more.get_mut(&(user, slot)) }
    }

    /// Makes a user hold something in its slot; returns what was there before.
    pub(super) fn take(&mut self, user: UserId, reserved: Reservation, pending: bool) -> Option<Holder> {
        let holder = Holder { reserved, pending };
        match reserved.slot {
            0 => self.first.insert(user, holder),
            slot => self.more.insert((user, slot), holder),
        }
    }

    /// Takes away what a user holds under exactly this id.
    pub(super) fn remove(&mut self, user: UserId, id: ResultId) -> Option<Reservation> {
        let slot = self.slot_of(user, id)?;
        let held = if slot == 0 { self.first.remove(&user) } else { self.more.remove(&(user, slot)) };
        held.map(|held| held.reserved)
    }

    fn slot_of(&self, user: UserId, id: ResultId) -> Option<u8> {
        if self.first.get(&user).is_some_and(|held| held.reserved.id == id) {
            return Some(0);
        }
        self.beyond_first(user).find(|(_, held)| held.reserved.id == id).map(|(slot, _)| slot)
    }

    fn beyond_first(&self, user: UserId) -> impl Iterator<Item = (u8, &Holder)> {
        self.more.range((user, 1)..=(user, u8::MAX)).map(|((_, slot), held)| (*slot, held))
    }
}
