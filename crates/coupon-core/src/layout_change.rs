//! Changes of a layout that operators ask for while rows are stored.

use std::fmt;
use std::num::NonZeroU16;
use std::sync::Arc;

use crate::{RoomId, ShardingStrategy};

/// The rooms that a change names in words.
const NAMED: usize = 20;

/// A change of a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayoutChange {
    /// Go on over so many shards.
    Shards(NonZeroU16),
    /// Give each of these rooms, the hottest first, a range of its own, away from where it is.
    Split(Vec<RoomId>),
    /// Spread each range over so many shards, by user.
    Spread(NonZeroU16),
}

/// A change that a layout cannot make.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutChangeError {
    /// The strategy has nothing of that kind to change.
    #[error("the strategy {strategy} cannot {change}")]
    NotOf {
        /// The strategy's name.
        strategy: String,
        /// The change, in words.
        change: String,
    },
    /// The shards are an engine's, which another command changes.
    #[error(
        "an engine has the shards of the strategy {strategy}, and changes them: coupon-stack engine reshard --shards {shards}"
    )]
    OfEngine {
        /// The strategy's name.
        strategy: String,
        /// The number asked for.
        shards: NonZeroU16,
    },
    /// Nothing would change.
    #[error("there is nothing to change: the layout is \"{0}\" already")]
    AlreadySo(String),
    /// No room is named.
    #[error("no room is named that is to have a range of its own")]
    NoRoom,
    /// A range on more shards than there are.
    #[error("a range cannot be spread over {spread} shards: there are {shards}")]
    SpreadTooWide {
        /// The number asked for, or had.
        spread: NonZeroU16,
        /// The shards there are, or would be.
        shards: NonZeroU16,
    },
    /// A layout that would list too many ranges.
    #[error(
        "the layout would list {ranges} ranges of rooms, and may list {most}: all up to the highest room that is named are listed, so \
         name rooms that there are"
    )]
    TooManyRanges {
        /// The ranges it would list.
        ranges: u64,
        /// The most it may list.
        most: u64,
    },
    /// A layout that could not be found again.
    #[error("nobody could read the strategy back from its layout \"{0}\"")]
    NotReadBack(String),
}

impl LayoutChange {
    /// The strategy after the change. The strategy of before reads it back from its layout line.
    ///
    /// # Errors
    /// [`LayoutChangeError`] when the strategy cannot change so, or not at all.
    pub fn of(&self, before: &dyn ShardingStrategy) -> Result<Arc<dyn ShardingStrategy>, LayoutChangeError> {
        let after = before.changed(self)?;
        let line = after.layout();
        if line == before.layout() {
            return Err(LayoutChangeError::AlreadySo(line));
        }
        match before.of_layout(&line) {
            Some(read) if read.layout() == line => Ok(after),
            _ => Err(LayoutChangeError::NotReadBack(line)),
        }
    }

    /// The error of a strategy of that name, which has nothing of the kind to change.
    #[must_use]
    pub fn is_not_of(&self, strategy: &str) -> LayoutChangeError {
        LayoutChangeError::NotOf { strategy: strategy.to_owned(), change: self.to_string() }
    }
}

impl fmt::Display for LayoutChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shards(shards) => write!(f, "go on over {shards} shards"),
            Self::Spread(width) => write!(f, "spread each range over {width} shards"),
            Self::Split(rooms) => {
                let named: Vec<String> = rooms.iter().take(NAMED).map(ToString::to_string).collect();
                write!(f, "give ranges of their own to rooms {}", named.join(", "))?;
                match rooms.len().saturating_sub(NAMED) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
        }
    }
}
