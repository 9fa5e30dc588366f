//! A fixed number of slots between hashes and shards, so that adding a shard moves slots, not every row.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use xxhash_rust::xxh3::xxh3_64;

use crate::ShardId;

/// The number of slots, for ever: a power of two, so that `hash % 4` is the case of 4 shards.
pub const SLOTS: u16 = 16_384;

/// The function that makes a hash of a key.
///
/// Changing it moves nearly every row: that is a data migration, and golden vectors in the tests guard it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mix {
    /// XXH3-64 (seed 0) of the key's eight little-endian bytes: even, whatever the keys look like.
    #[default]
    Xxh3,
    /// The key itself: perfectly even for sequential ids, as bad as the ids for any other.
    Modulo,
}

impl Mix {
    /// The hash of a key.
    #[must_use]
    pub fn hash(self, key: u64) -> u64 {
        match self {
            Self::Xxh3 => xxh3_64(&key.to_le_bytes()),
            Self::Modulo => key,
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xxh3 => "xxh3",
            Self::Modulo => "modulo",
        })
    }
}

/// A mix that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown mix {0:?}: it is `xxh3` or `modulo`")]
pub struct UnknownMix(String);

impl FromStr for Mix {
    type Err = UnknownMix;

    fn from_str(text: &str) -> Result<Self, UnknownMix> {
        match text {
            "xxh3" => Ok(Self::Xxh3),
            "modulo" => Ok(Self::Modulo),
            _ => Err(UnknownMix(text.to_owned())),
        }
    }
}

/// These owners, over so many shards: an even split that gives as little as possible another owner.
///
/// Each shard keeps what it has first, up to its fair share; the rest goes, in order, to the shards that have less, from the
/// first of them on. Rows lie where this says, so a change of it is a migration of data.
#[must_use]
pub fn evened(owners: &[ShardId], shards: NonZeroU16) -> Vec<ShardId> {
    let (count, over) = (usize::from(shards.get()), owners.len());
    let fair = |shard: usize| over / count + usize::from(shard < over % count);
    let mut room: Vec<usize> = (0..count).map(fair).collect();
    let mut keeps = |owner: &ShardId| match room.get_mut(owner.index()) {
        Some(free) if *free > 0 => {
            *free -= 1;
            Some(*owner)
        }
        _ => None,
    };
    let kept: Vec<Option<ShardId>> = owners.iter().map(&mut keeps).collect();
    let free = room.iter().zip(0..).flat_map(|(free, shard)| (0..*free).map(move |_| ShardId::new(shard)));
    let mut free = free.collect::<Vec<_>>().into_iter();
    kept.into_iter().zip(owners).map(|(kept, was)| kept.or_else(|| free.next()).unwrap_or(*was)).collect()
}

/// The owner of each of the [`SLOTS`] slots: a shard.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotTable {
    mix: Mix,
    shards: NonZeroU16,
    owners: Box<[ShardId]>,
}

impl SlotTable {
    /// Slot s belongs to shard s % `shards`.
    #[must_use]
    pub fn new(mix: Mix, shards: NonZeroU16) -> Self {
        let owners = (0..SLOTS).map(|slot| ShardId::new(slot % shards.get())).collect();
        Self { mix, shards, owners }
    }

    /// The slot of a key.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below 2^14")]
    pub fn slot(&self, key: u64) -> u16 {
        (self.mix.hash(key) % u64::from(SLOTS)) as u16
    }

    /// The shard that owns a slot; slots beyond the table wrap around.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "there are exactly SLOTS owners")]
    pub fn owner(&self, slot: u16) -> ShardId {
        self.owners[usize::from(slot % SLOTS)]
    }

    /// The shard that owns a key.
    #[must_use]
    pub fn shard(&self, key: u64) -> ShardId {
        self.owner(self.slot(key))
    }

    /// The function that makes hashes of keys.
    #[must_use]
    pub const fn mix(&self) -> Mix {
        self.mix
    }

    /// The number of shards that own slots.
    #[must_use]
    pub const fn shard_count(&self) -> NonZeroU16 {
        self.shards
    }

    /// The table for another number of shards that moves as few slots as an even split allows.
    #[must_use]
    pub fn resharded(&self, shards: NonZeroU16) -> Self {
        let owners = evened(&self.owners, shards).into();
        Self { mix: self.mix, shards, owners }
    }

    /// Counts the slots that another table gives to another shard.
    #[must_use]
    pub fn moved(&self, other: &Self) -> usize {
        self.owners.iter().zip(&other.owners).filter(|(mine, theirs)| mine != theirs).count()
    }
}

impl fmt::Debug for SlotTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlotTable({SLOTS} slots, mix {}, {} shards)", self.mix, self.shards)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(count: u16) -> NonZeroU16 {
        NonZeroU16::new(count).unwrap()
    }

    #[test]
    fn with_four_shards_a_slot_is_the_hash_modulo_four() {
        let table = SlotTable::new(Mix::Xxh3, shards(4));
        for key in 1..10_000_u64 {
            assert_eq!(u64::from(table.shard(key).number()), Mix::Xxh3.hash(key) % 4);
        }
    }

    #[test]
    fn adding_a_shard_moves_only_its_fair_share() {
        let four = SlotTable::new(Mix::Xxh3, shards(4));
        let five = four.resharded(shards(5));
        let fair = usize::from(SLOTS / 5);
        assert!((fair..=fair + 1).contains(&four.moved(&five)), "{}", four.moved(&five));
        for shard in 0..5 {
            let owned = five.owners.iter().filter(|owner| owner.number() == shard).count();
            assert!((fair..=fair + 1).contains(&owned), "shard {shard} owns {owned}");
        }
    }

    #[test]
    fn taking_shards_away_leaves_no_slot_behind() {
        let eight = SlotTable::new(Mix::Modulo, shards(8));
        let three = eight.resharded(shards(3));
        assert!(three.owners.iter().all(|owner| owner.number() < 3));
    }
}
