//! The holders of one coupon, each with what they hold in which slot.

use std::collections::{BTreeMap, HashMap};

use coupon_core::{RequestKey, ResultId, UserId};

use crate::{Decision, Reservation};

/// A user's hold in one slot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder {
    pub(crate) reserved: Reservation,
    /// True until the result is known to be stored.
    pub(crate) pending: bool,
}

impl Holder {
    /// The answer to the same request, asked for again.
    pub(crate) const fn repeated(&self) -> Decision {
        if self.pending {
            Decision::Pending(self.reserved)
        } else {
            Decision::Repeated(self.reserved.grant())
        }
    }

    /// The answer to a user who has no slot left; this is the result in the lowest of their slots.
    pub(crate) const fn refused(&self) -> Decision {
        if self.pending { Decision::Pending(self.reserved) } else { Decision::Duplicate(self.reserved.id) }
    }
}

/// All holders of a coupon. Nearly all hold one, in the first slot.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    first: HashMap<UserId, Holder>,
    /// Beyond the first slot.
    more: BTreeMap<(UserId, u8), Holder>,
}

impl Holders {
    /// The number of slots that are taken.
    pub(crate) fn len(&self) -> usize {
        self.first.len() + self.more.len()
    }

    /// All users who hold something, some of them more than once.
    pub(crate) fn users(&self) -> impl Iterator<Item = UserId> {
        self.first.keys().copied().chain(self.more.keys().map(|(user, _)| *user))
    }

    /// The lowest slot that is free or, where the user holds as many as the limit allows, what they hold in the lowest. The
    /// limit may have been another when they got what they hold: that counts in whatever slots it is.
    pub(crate) fn free_slot(&self, user: UserId, limit: u8) -> Result<u8, Holder> {
        let mut held = self.of_user(user);
        let Some(lowest) = held.next() else { return Ok(0) };
        if 1 + held.count() >= usize::from(limit) {
            return Err(*lowest);
        }
        (0..limit).find(|slot| self.in_slot(user, *slot).is_none()).ok_or(*lowest)
    }

    /// A user's hold in a slot.
    pub(crate) fn in_slot(&self, user: UserId, slot: u8) -> Option<&Holder> {
        if slot == 0 { self.first.get(&user) } else { self.more.get(&(user, slot)) }
    }

    /// A user's hold by a request.
    pub(crate) fn by_request(&self, user: UserId, request: RequestKey) -> Option<&Holder> {
        self.of_user(user).find(|held| held.reserved.request == Some(request))
    }

    /// A user's hold in a slot, to be changed.
    pub(crate) fn in_slot_mut(&mut self, user: UserId, slot: u8) -> Option<&mut Holder> {
        if slot == 0 { self.first.get_mut(&user) } else { self.more.get_mut(&(user, slot)) }
    }

    /// Makes a user hold something in its slot; returns what was there before.
    pub(crate) fn take(&mut self, user: UserId, reserved: Reservation, pending: bool) -> Option<Holder> {
        let holder = Holder { reserved, pending };
        match reserved.slot {
            0 => self.first.insert(user, holder),
            slot => self.more.insert((user, slot), holder),
        }
    }

    /// Takes away what a user holds under exactly this id.
    pub(crate) fn remove(&mut self, user: UserId, id: ResultId) -> Option<Reservation> {
        let slot = self.slot_of(user, id)?;
        let held = if slot == 0 { self.first.remove(&user) } else { self.more.remove(&(user, slot)) };
        held.map(|held| held.reserved)
    }

    /// A user's holds, by slot.
    fn of_user(&self, user: UserId) -> impl Iterator<Item = &Holder> {
        self.first.get(&user).into_iter().chain(self.beyond_first(user).map(|(_, held)| held))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn reserved(number: i64, slot: u8) -> Reservation {
        let request = Some(RequestKey::of(&number.to_string()));
        Reservation { slot, request, ..Reservation::plain(ResultId::from_number(number).unwrap()) }
    }

    #[test]
    fn what_a_user_holds_counts_in_whatever_slot_it_is_when_the_limit_changes() {
        let (user, mut holders) = (UserId::new(1).unwrap(), Holders::default());
        let free = |holders: &Holders, limit| {
            holders.free_slot(user, limit).map_err(|lowest| lowest.reserved.id.number())
        };
        for slot in 0..3_u8 {
            assert_eq!(free(&holders, 3), Ok(slot));
            holders.take(user, reserved(10 + i64::from(slot), slot), false);
        }
        assert_eq!(free(&holders, 3), Err(10));
        for gone in [10, 11] {
            holders.remove(user, ResultId::from_number(gone).unwrap());
        }
        // One is left, in the last slot: too many for a limit of one, and one short of two.
        assert_eq!((free(&holders, 1), free(&holders, 2)), (Err(12), Ok(0)));
        assert_eq!(holders.by_request(user, RequestKey::of("12")).unwrap().reserved.slot, 2);
        holders.take(user, reserved(13, 0), false);
        assert_eq!([1, 2].map(|limit| free(&holders, limit)), [Err(13); 2]);
        assert_eq!(free(&holders, 3), Ok(1), "the limit is raised again");
        assert_eq!(holders.free_slot(UserId::new(2).unwrap(), 1).ok(), Some(0), "nobody else's matter");
    }
}
