//! The cure for a hot range: its rows go to several shards by user, and its readers visit them all.

use std::num::NonZeroU16;
use std::sync::Arc;

use coupon_core::{Growth, LayoutChangeError, Mix, ShardId, ShardingStrategy, UserId};

/// The spread of one range's rows over several shards, by user. A width of one means not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    width: NonZeroU16,
    shards: NonZeroU16,
}

impl Spread {
    /// Spreads each range over `width` of the shards; `None` when there are not that many.
    #[must_use]
    pub fn new(width: NonZeroU16, shards: NonZeroU16) -> Option<Self> {
        (width <= shards).then_some(Self { width, shards })
    }

    /// The number of shards.
    #[must_use]
    pub const fn shard_count(self) -> NonZeroU16 {
        self.shards
    }

    /// The number of shards that hold rows of one range.
    #[must_use]
    pub const fn width(self) -> NonZeroU16 {
        self.width
    }

    /// The index, from 0, of a user's shard among those of a range.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below a u16")]
    pub fn lane(self, user: UserId) -> u16 {
        if self.width == NonZeroU16::MIN {
            0
        } else {
            (Mix::Xxh3.hash(user.get()) % u64::from(self.width.get())) as u16
        }
    }

    /// The shard of one lane of the range with that number.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below a u16")]
    pub fn shard(self, range: u64, lane: u16) -> ShardId {
        ShardId::new(
            ((range % u64::from(self.shards.get()) + u64::from(lane)) % u64::from(self.shards.get())) as u16,
        )
    }

    /// The same over another number of shards.
    pub(crate) fn over(self, shards: NonZeroU16) -> Result<Self, LayoutChangeError> {
        let too_wide = LayoutChangeError::SpreadTooWide { spread: self.width, shards };
        Self::new(self.width, shards).ok_or(too_wide)
    }

    /// The same with ranges on so many shards.
    pub(crate) fn of_width(self, width: NonZeroU16) -> Result<Self, LayoutChangeError> {
        let too_wide = LayoutChangeError::SpreadTooWide { spread: width, shards: self.shards };
        Self::new(width, self.shards).ok_or(too_wide)
    }

    /// The ways in which a strategy by ranges goes on over so many shards; `with` makes it with another spread.
    pub(crate) fn growths<S: ShardingStrategy>(
        self,
        shards: NonZeroU16,
        with: impl Fn(Self) -> S,
    ) -> Vec<Growth> {
        // Every range of today began before there were more shards, and such ranges stay.
        let stay = Growth { how: "new ranges only", after: Arc::new(with(self)) };
        let renumbered = Self::new(self.width, shards)
            .map(|spread| Growth { how: "range % (n + 1)", after: Arc::new(with(spread)) });
        std::iter::once(stay).chain(renumbered).collect()
    }

    /// The lanes a query must visit: its user's, or all.
    pub fn lanes(self, user: Option<UserId>) -> std::ops::Range<u16> {
        match user.map(|user| self.lane(user)) {
            Some(lane) => lane..lane + 1,
            None => 0..self.width.get(),
        }
    }
}
