//! Queries as strategies see them, and the plans that answer them.

use std::fmt;
use std::num::NonZeroU16;

use crate::{Placement, ResultState, RoomId, RowKey, ShardId, TimeRange, Timestamp, UserId};

/// The conditions of a query over results. The more conditions it has, the fewer places it visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResultQuery {
    /// Only rows of this user.
    pub user: Option<UserId>,
    /// Only rows of this room.
    pub room: Option<RoomId>,
    /// Only rows grabbed within these moments.
    pub time: Option<TimeRange>,
    /// Only rows in this state. It changes while a row lives, and so decides no place.
    pub state: Option<ResultState>,
}

impl ResultQuery {
    /// Every row there is.
    #[must_use]
    pub const fn everything() -> Self {
        Self { user: None, room: None, time: None, state: None }
    }

    /// The rows of one user.
    #[must_use]
    pub const fn of_user(user: UserId) -> Self {
        Self { user: Some(user), ..Self::everything() }
    }

    /// The rows of one room.
    #[must_use]
    pub const fn of_room(room: RoomId) -> Self {
        Self { room: Some(room), ..Self::everything() }
    }

    /// The rows grabbed within a window of time.
    #[must_use]
    pub const fn within(time: TimeRange) -> Self {
        Self { time: Some(time), ..Self::everything() }
    }

    /// The same query, for rows grabbed at exactly that moment: what a result id gives away.
    #[must_use]
    pub const fn at(self, moment: Timestamp) -> Self {
        Self { time: Some(TimeRange::at(moment)), ..self }
    }

    /// True when a row may be one of those wanted, by what decides its place.
    #[must_use]
    pub fn covers(&self, row: &RowKey) -> bool {
        self.user.is_none_or(|user| user == row.user)
            && self.room.is_none_or(|room| room == row.room)
            && self.time.is_none_or(|time| time.contains(row.time))
    }
}

/// What a reader visits: a lane, where rows are handed over, or everything there is at once. A shard that is run by hand is one
/// lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// One lane.
    Lane(ShardId),
    /// All lanes, by one visit that an engine plans.
    Whole,
}

impl From<ShardId> for Place {
    fn from(lane: ShardId) -> Self {
        Self::Lane(lane)
    }
}

impl Place {
    /// The lane, if it is one.
    #[must_use]
    pub const fn lane(self) -> Option<ShardId> {
        match self {
            Self::Lane(lane) => Some(lane),
            Self::Whole => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lane(lane) => write!(f, "shard {lane}"),
            Self::Whole => f.write_str("all shards"),
        }
    }
}

/// The visits that everything takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// One to each of so many shards, which are run by hand.
    Shards(NonZeroU16),
    /// One, which an engine plans over so many lanes by itself.
    Planned(NonZeroU16),
}

impl Whole {
    /// The number of lanes.
    #[must_use]
    pub const fn lanes(self) -> NonZeroU16 {
        match self {
            Self::Shards(lanes) | Self::Planned(lanes) => lanes,
        }
    }

    /// True where an engine has the shards.
    #[must_use]
    pub const fn is_planned(self) -> bool {
        matches!(self, Self::Planned(_))
    }

    /// The one of both that has more lanes: of two versions of a layout, which are on the same shards.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        if other.lanes() > self.lanes() { other } else { self }
    }
}

/// The placements a query must visit. A plan with more than one is a *scatter*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// One table on one shard.
    One(Placement),
    /// These tables, each once; none at all when no row could match.
    Some(Vec<Placement>),
    /// The whole: every table of results on every shard.
    All,
}

impl Plan {
    /// The plan for a list of placements: sorted, each once.
    #[must_use]
    pub fn of(mut placements: Vec<Placement>) -> Self {
        placements.sort_unstable();
        placements.dedup();
        match placements.as_slice() {
            [only] => Self::One(*only),
            _ => Self::Some(placements),
        }
    }

    /// The same plan, unless it names so many tables that asking each shard what it has is cheaper.
    ///
    /// A window of a million hours is a legal question; a list of a million tables is no answer.
    #[must_use]
    pub fn at_most(placements: impl Iterator<Item = Placement>, limit: usize) -> Self {
        let some: Vec<Placement> = placements.take(limit + 1).collect();
        if some.len() > limit { Self::All } else { Self::of(some) }
    }

    /// The plan that visits whatever one of these does.
    #[must_use]
    pub fn union(plans: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Vec::new();
        for plan in plans {
            match plan {
                Self::One(placement) => all.push(placement),
                Self::Some(placements) => all.extend(placements),
                Self::All => return Self::All,
            }
        }
        Self::of(all)
    }

    /// The places to visit, in order, each once.
    #[must_use]
    pub fn places(&self, whole: Whole) -> Vec<Place> {
        match (self, whole) {
            (Self::All, Whole::Planned(_)) => vec![Place::Whole],
            _ => self.shards(whole.lanes().get()).into_iter().map(Place::Lane).collect(),
        }
    }

    /// The shards it visits, in order, each once; of an engine, the lanes.
    #[must_use]
    pub fn shards(&self, shard_count: u16) -> Vec<ShardId> {
        match self {
            Self::One(placement) => vec![placement.shard],
            Self::Some(placements) => {
                let mut shards: Vec<ShardId> = placements.iter().map(|placement| placement.shard).collect();
                shards.sort_unstable();
                shards.dedup();
                shards
            }
            Self::All => (0..shard_count).map(ShardId::new).collect(),
        }
    }

    /// True when it visits that placement.
    #[must_use]
    pub fn visits(&self, placement: Placement) -> bool {
        match self {
            Self::One(only) => *only == placement,
            Self::Some(placements) => placements.contains(&placement),
            Self::All => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TableId;

    fn part(shard: u16, table: u32) -> Placement {
        Placement::new(ShardId::new(shard), TableId::Part(table))
    }

    #[test]
    fn a_plan_names_each_placement_once() {
        assert_eq!(
            Plan::of(vec![part(1, 0), part(0, 2), part(1, 0)]),
            Plan::Some(vec![part(0, 2), part(1, 0)])
        );
        assert_eq!(Plan::of(vec![part(1, 0), part(1, 0)]), Plan::One(part(1, 0)));
    }

    #[test]
    fn the_whole_is_every_shard_or_one_visit_that_an_engine_plans() {
        let lane = |number| Place::Lane(ShardId::new(number));
        let two = NonZeroU16::new(2).unwrap();
        assert_eq!(Plan::All.places(Whole::Shards(two)), [lane(0), lane(1)]);
        assert_eq!(Plan::All.places(Whole::Planned(two)), [Place::Whole]);
        for whole in [Whole::Shards(two), Whole::Planned(two)] {
            assert_eq!(Plan::One(part(1, 0)).places(whole), [lane(1)]);
            assert_eq!(
                Plan::Some(vec![part(0, 1), part(0, 2), part(1, 0)]).places(whole),
                [lane(0), lane(1)]
            );
        }
    }

    #[test]
    fn too_long_a_list_becomes_everything() {
        assert_eq!(Plan::at_most((0..3).map(|n| part(0, n)), 2), Plan::All);
        assert_eq!(Plan::at_most((0..2).map(|n| part(0, n)), 2).shards(4), vec![ShardId::new(0)]);
    }
}
