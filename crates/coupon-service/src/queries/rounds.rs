//! The visits that answer a query, in the order in which they must be made.

use coupon_core::{Place, Plan, ResultQuery, ShardId, TableId, Versioned, VisitRound, Whole};
use coupon_store::Visit;

/// Visits that are made at once, each to another place.
pub(super) type Visits = Vec<(Place, Visit)>;

/// The order of visits where rows may be moved between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VisitOrder {
    /// One round after the other, each of places that rows may come to from those of the one before: no row is missed, and some
    /// are found twice.
    InRounds,
    /// All at once, each table once: for sums, which may be off by rows that are under way.
    AtOnce,
    /// The same, and each lane for itself also where an engine could plan one visit to all: for what is kept by lane.
    ByLane,
}

impl VisitOrder {
    /// The rounds of a query.
    pub(super) fn rounds(self, versions: &Versioned, query: &ResultQuery) -> Vec<Visits> {
        let by_lane = |round: VisitRound| VisitRound { whole: Whole::Shards(round.whole.lanes()), ..round };
        match self {
            Self::InRounds => versions.rounds(query).iter().map(visits).collect(),
            Self::AtOnce => versions.at_once(query).iter().map(visits).collect(),
            Self::ByLane => versions.at_once(query).map(by_lane).iter().map(visits).collect(),
        }
    }
}

/// The visits to each place of a round.
fn visits(round: &VisitRound) -> Visits {
    let places = round.plan.places(round.whole).into_iter();
    match &round.plan {
        Plan::All => places.map(|place| (place, Visit::All)).collect(),
        Plan::One(placement) => vec![(placement.shard.into(), Visit::Tables(vec![placement.table]))],
        Plan::Some(placements) => {
            let tables = |lane: Option<ShardId>| -> Vec<TableId> {
                let there = placements.iter().filter(|placement| Some(placement.shard) == lane);
                there.map(|placement| placement.table).collect()
            };
            places.map(|place| (place, Visit::Tables(tables(place.lane())))).collect()
        }
    }
}
