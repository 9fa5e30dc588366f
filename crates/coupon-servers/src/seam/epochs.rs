//! An epoch for each gate, as a shard notes them.

use coupon_core::{GateCount, GateId};

/// The last epoch of each gate that was closed, or that was heard of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GateEpochs {
    /// That of the only gate; where there are several, the last from before there were these.
    all: u64,
    /// Those of several gates.
    each: [u64; GateCount::MOST],
}

impl GateEpochs {
    /// That epoch, for every gate.
    #[must_use]
    pub const fn all(epoch: u64) -> Self {
        Self { all: epoch, each: [0; GateCount::MOST] }
    }

    /// Reads what [`Self::of_several`] wrote, beside the epoch for every gate.
    #[must_use]
    pub fn read(all: u64, several: &str) -> Self {
        let mut epochs = Self::all(all);
        for (gate, epoch) in several.split(',').filter_map(|one| one.split_once('=')) {
            let place = gate.parse::<usize>().ok().and_then(|gate| epochs.each.get_mut(gate));
            if let (Some(place), Ok(epoch)) = (place, epoch.parse()) {
                *place = epoch;
            }
        }
        epochs
    }

    /// The epoch for every gate.
    #[must_use]
    pub const fn of_all(&self) -> u64 {
        self.all
    }

    /// Those of several gates, as text: empty where there is one gate.
    #[must_use]
    pub fn of_several(&self) -> String {
        let several = self.each.iter().enumerate().filter(|(_, epoch)| **epoch > 0);
        several.map(|(gate, epoch)| format!("{gate}={epoch}")).collect::<Vec<_>>().join(",")
    }

    /// That of a gate; 0 before any.
    #[must_use]
    pub fn of(&self, gate: GateId) -> u64 {
        self.all.max(self.each.get(gate.index()).copied().unwrap_or(0))
    }

    /// The last of all.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.each.into_iter().fold(self.all, u64::max)
    }

    /// Takes note of an epoch, unless a later one of its gate is noted.
    pub fn note(&mut self, gates: GateCount, epoch: u64) {
        let of_gate = self.each.get_mut(gates.of_epoch(epoch).index()).filter(|_| gates.is_several());
        let noted = of_gate.unwrap_or(&mut self.all);
        *noted = epoch.max(*noted);
    }

    /// Of each gate the later of both.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        let mut each = self.each;
        each.iter_mut().zip(other.each).for_each(|(mine, other)| *mine = other.max(*mine));
        Self { all: self.all.max(other.all), each }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_gate_has_one_number_and_each_of_several_its_own() {
        let mut one = GateEpochs::all(3);
        [5, 4].into_iter().for_each(|epoch| one.note(GateCount::ONE, epoch));
        assert_eq!((one, one.of(GateId::FIRST), &*one.of_several()), (GateEpochs::all(5), 5, ""));
        let (gates, mut several) = (GateCount::new(3).unwrap(), GateEpochs::all(41));
        [43, 45, 42].into_iter().for_each(|epoch| several.note(gates, epoch));
        let of_each: Vec<u64> = gates.all().map(|gate| several.of(gate)).collect();
        assert_eq!((of_each, several.last()), (vec![45, 43, 41], 45));
        assert_eq!(several.of_several(), "0=45,1=43");
        assert_eq!(GateEpochs::read(41, &several.of_several()), several);
        assert_eq!(several.max(GateEpochs::all(44)).of(GateId::FIRST), 45);
    }
}
