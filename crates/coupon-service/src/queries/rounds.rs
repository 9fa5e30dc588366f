//! The visits that answer a query, in the order in which they must be made.

use coupon_core::{Plan, ResultQuery, ShardId, TableId, Versioned, VisitRound};
use coupon_store::Visit;

/// Visits that are made at once, each to another shard.
pub(super) type Visits = Vec<(ShardId, Visit)>;

/// The order of visits where rows may be moved between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VisitOrder {
    /// One round after the other, each of places that rows may come to from those of the one before: no row is missed, and some
    /// are found twice.
    InRounds,
    /// All at once, each table once: for sums, which may be off by rows that are under way.
    AtOnce,
}

impl VisitOrder {
    /// The rounds of a query.
    pub(super) fn rounds(self, versions: &Versioned, query: &ResultQuery) -> Vec<Visits> {
        match self {
            Self::InRounds => versions.rounds(query).iter().map(visits).collect(),
            Self::AtOnce => versions.at_once(query).iter().map(visits).collect(),
        }
    }
}

/// The visits to each shard of a round.
fn visits(round: &VisitRound) -> Visits {
    let shards = round.plan.shards(round.shards.get()).into_iter();
    match &round.plan {
        Plan::All => shards.map(|shard| (shard, Visit::All)).collect(),
        Plan::One(placement) => vec![(placement.shard, Visit::Tables(vec![placement.table]))],
        Plan::Some(placements) => {
            let tables = |shard| -> Vec<TableId> {
                let of_shard = placements.iter().filter(|placement| placement.shard == shard);
                of_shard.map(|placement| placement.table).collect()
            };
            shards.map(|shard| (shard, Visit::Tables(tables(shard)))).collect()
        }
    }
}
