//! Routing that was switched while rows stay where they are: to the heirs of a lost machine, or to a new numbering of what is left.

use std::num::NonZeroU16;
use std::sync::Arc;

use coupon_core::{ShardId, ShardingStrategy};
use serde::Serialize;

use super::super::measure::{self, Question};
use super::Machines;
use super::counts::Drawn;

/// Queries of a kind, asked by a routing that was switched while rows stay where they are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Switched {
    /// The kind of query.
    pub query: String,
    /// The part that misses rows when the slots or tables of the lost machine are its heirs'.
    pub dealt: f64,
    /// The same when the shards that are left are numbered anew; none where the strategy knows no such way.
    pub renumbered: Option<f64>,
}

impl Machines {
    /// What queries miss by a routing that was switched. A list misses rows where one of the places is not looked at that may hold
    /// some; one row is missed where it lies on the machine that is lost, or is not looked for where it lies.
    pub(super) fn switched(
        &self,
        lost: usize,
        strategy: &dyn ShardingStrategy,
        drawn: Drawn<'_>,
    ) -> anyhow::Result<Vec<Switched>> {
        let parts = |misses: &dyn Fn(&Question) -> anyhow::Result<bool>| {
            measure::part_of_queries(drawn.keys, drawn.windows, drawn.seed, misses)
        };
        let lies = |asked: &Question| -> anyhow::Result<Vec<ShardId>> {
            if asked.of_one {
                return Ok(vec![strategy.place(&asked.row)?.shard]);
            }
            Ok(strategy.plan(&asked.query).shards(strategy.shard_count().get()))
        };
        let dealt = parts(&|asked| Ok(lies(asked)?.iter().any(|shard| self.of(*shard) == Some(lost))))?;
        let renumbered = self.numbered_anew(lost, strategy).map(|(by, left)| {
            parts(&|asked| {
                let looked = by.plan(&asked.query).shards(by.shard_count().get());
                let looked: Vec<ShardId> =
                    looked.iter().filter_map(|shard| left.get(shard.index()).copied()).collect();
                Ok(!lies(asked)?.iter().all(|shard| looked.contains(shard)))
            })
        });
        let renumbered = renumbered.transpose()?;
        let of = |(at, (query, dealt)): (usize, (String, f64))| {
            let renumbered = renumbered.as_ref().and_then(|parts| Some(parts.get(at)?.1));
            Switched { query, dealt, renumbered }
        };
        Ok(dealt.into_iter().enumerate().map(of).collect())
    }

    /// The strategy over the shards that are left, in a numbering of theirs, and these shards.
    pub(super) fn numbered_anew(
        &self,
        lost: usize,
        strategy: &dyn ShardingStrategy,
    ) -> Option<(Arc<dyn ShardingStrategy>, Vec<ShardId>)> {
        let shards = (0..strategy.shard_count().get()).map(ShardId::new);
        let left: Vec<ShardId> = shards.filter(|shard| self.of(*shard) != Some(lost)).collect();
        let count = u16::try_from(left.len()).ok().and_then(NonZeroU16::new)?;
        // The gentle way comes first, the one that numbers anew after it.
        let growth = strategy.growths(count).into_iter().nth(1)?;
        Some((growth.after, left))
    }
}
