//! The gates that decide grabs: how coupons and epochs are divided among several of them.
//!
//! A coupon's grabs are decided by one gate, which a hash of its id chooses, and an epoch is of one gate, by the remainder of
//! its number. So no two gates ever have the same epoch, and the number of gates alone says whose each is.

use std::fmt;

use crate::{CouponId, Mix};

/// A gate, as its place in the list of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GateId(u8);

impl GateId {
    /// The first, which most data sets have alone.
    pub const FIRST: Self = Self(0);

    /// Its number, counted from 0.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Its place among things of which each gate has one.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for GateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of gates of a data set, one at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateCount(u8);

/// A number of gates that no data set has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are 1 to {most} gates, not {0}", most = GateCount::MOST)]
pub struct GateCountError(usize);

impl GateCount {
    /// One gate.
    pub const ONE: Self = Self(1);
    /// The most gates of a data set.
    pub const MOST: usize = 16;

    /// So many gates.
    ///
    /// # Errors
    /// [`GateCountError`] for none, and for more than [`Self::MOST`].
    pub fn new(gates: usize) -> Result<Self, GateCountError> {
        let count = u8::try_from(gates).ok().filter(|_| (1..=Self::MOST).contains(&gates));
        count.map(Self).ok_or(GateCountError(gates))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// True if there are several.
    #[must_use]
    pub const fn is_several(self) -> bool {
        self.0 > 1
    }

    /// Every gate.
    pub fn all(self) -> impl Iterator<Item = GateId> {
        (0..self.0).map(GateId)
    }

    /// The gate that decides a coupon's grabs.
    ///
    /// Changing it gives coupons to gates that do not know who holds them: golden vectors freeze it.
    #[must_use]
    pub fn of(self, coupon: CouponId) -> GateId {
        if self.is_several() { self.of_number(Mix::Xxh3.hash(coupon.get())) } else { GateId::FIRST }
    }

    /// The gate that an epoch is of.
    #[must_use]
    pub fn of_epoch(self, epoch: u64) -> GateId {
        self.of_number(epoch)
    }

    /// The first epoch of a gate after that number.
    #[must_use]
    pub fn epoch_after(self, gate: GateId, number: u64) -> u64 {
        let (gates, next) = (u64::from(self.0), number + 1);
        next + (u64::from(gate.0) + gates - next % gates) % gates
    }

    /// A thing for each gate.
    pub fn each<T>(self, mut make: impl FnMut(GateId) -> T) -> PerGate<T> {
        let first = make(GateId::FIRST);
        PerGate { first, others: self.all().skip(1).map(make).collect() }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below a u8")]
    fn of_number(self, number: u64) -> GateId {
        GateId((number % u64::from(self.0)) as u8)
    }
}

/// A thing for each gate, in their order.
#[derive(Debug, Clone, Default)]
pub struct PerGate<T> {
    first: T,
    others: Vec<T>,
}

impl<T> PerGate<T> {
    /// The thing of the only gate.
    #[must_use]
    pub const fn one(thing: T) -> Self {
        Self { first: thing, others: Vec::new() }
    }

    /// The things of the gates in a list.
    ///
    /// # Errors
    /// [`GateCountError`] for a list of none, or of more gates than a data set has.
    pub fn list(things: Vec<T>) -> Result<Self, GateCountError> {
        let count = GateCount::new(things.len());
        let mut things = things.into_iter();
        let first = things.next().ok_or(GateCountError(0))?;
        count.map(|_| Self { first, others: things.collect() })
    }

    /// Others, each made of the one of its gate.
    pub fn map<U>(self, mut make: impl FnMut(GateId, T) -> U) -> PerGate<U> {
        let first = make(GateId::FIRST, self.first);
        let others = (1..).map(GateId).zip(self.others).map(|(gate, other)| make(gate, other));
        PerGate { first, others: others.collect() }
    }

    /// The number of gates.
    #[must_use]
    pub fn count(&self) -> GateCount {
        GateCount(u8::try_from(self.others.len() + 1).unwrap_or(u8::MAX))
    }

    /// The one of a gate.
    #[must_use]
    pub fn get(&self, gate: GateId) -> &T {
        // There are as many as there are gates.
        gate.index().checked_sub(1).and_then(|other| self.others.get(other)).unwrap_or(&self.first)
    }

    /// The one of the gate that decides a coupon's grabs.
    #[must_use]
    pub fn of(&self, coupon: CouponId) -> &T {
        self.get(self.count().of(coupon))
    }

    /// The one of the gate that an epoch is of.
    #[must_use]
    pub fn of_epoch(&self, epoch: u64) -> &T {
        self.get(self.count().of_epoch(epoch))
    }

    /// The one of a gate, to be changed.
    pub fn get_mut(&mut self, gate: GateId) -> &mut T {
        let Self { first, others } = self;
        gate.index().checked_sub(1).and_then(|other| others.get_mut(other)).unwrap_or(first)
    }

    /// The one of the gate that an epoch is of, to be changed.
    pub fn of_epoch_mut(&mut self, epoch: u64) -> &mut T {
        self.get_mut(self.count().of_epoch(epoch))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Each of them, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        std::iter::once(&mut self.first).chain(&mut self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gates(count: u64) -> GateCount {
        GateCount::new(usize::try_from(count).unwrap()).unwrap()
    }

    /// The auditor has its own law, and is held to the same file.
    #[test]
    fn coupons_belong_to_the_gates_of_the_golden_file() {
        let golden: Vec<serde_json::Value> =
            serde_json::from_str(include_str!("../golden/gates.json")).unwrap();
        for of_count in &golden {
            let count = gates(of_count["gates"].as_u64().unwrap());
            for pair in of_count["coupons"].as_array().unwrap() {
                let coupon = CouponId::new(pair[0].as_u64().unwrap()).unwrap();
                assert_eq!(u64::from(count.of(coupon).number()), pair[1].as_u64().unwrap(), "{pair}");
            }
        }
    }

    #[test]
    fn each_epoch_is_of_one_gate_and_later_than_the_one_before() {
        for count in 1..=16 {
            let count = gates(count);
            for gate in count.all() {
                for before in 0..100 {
                    let next = count.epoch_after(gate, before);
                    assert_eq!(count.of_epoch(next), gate, "{count:?}");
                    assert!((before + 1..=before + u64::from(count.get())).contains(&next), "{next}");
                }
            }
        }
        assert_eq!(GateCount::ONE.epoch_after(GateId::FIRST, 7), 8);
    }

    #[test]
    fn a_data_set_has_one_to_sixteen_gates() {
        assert!([0, 17, 300].into_iter().all(|gates| GateCount::new(gates).is_err()));
        assert_eq!(GateCount::new(1), Ok(GateCount::ONE));
        let of_each =
            gates(16).each(|gate| gate).map(|gate, same| if gate == same { gate } else { GateId(99) });
        assert!(PerGate::list(vec![0; 17]).is_err() && PerGate::<u8>::list(Vec::new()).is_err());
        assert_eq!(PerGate::list(vec![5, 6]).unwrap().get(GateId(1)), &6);
        assert_eq!(of_each.count(), gates(16));
        assert!(of_each.iter().zip(gates(16).all()).all(|(one, gate)| *one == gate));
        assert!(gates(16).all().all(|gate| *of_each.get(gate) == gate));
    }
}
