//! Executes plans over the shards: in parallel, with the limit pushed down, merged in order, never silently short.

mod change;
mod page;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coupon_core::{
    CouponId, CouponResult, Placement, Plan, ResultId, ResultQuery, RoomId, ShardId, ShardingStrategy as _,
    TableId, Timestamp, UserId, Versioned,
};
use coupon_store::ids::PATIENCE_MS as CLOCK_PATIENCE_MS;
use coupon_store::outage::Outage;
use coupon_store::{Backend, LocalFuture, Summary, Totals, Unavailable, Visit, Visited};
use futures_util::future::join_all;

use crate::telemetry::traces::traced;

pub use change::Outcome;
pub use page::Page;

/// A shard that is down is missed by every read.
static LOG: Outage = Outage::of_requests();

/// The shards and tables that answered a query.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The shards asked, whether or not they answered.
    pub shards: Vec<ShardId>,
    /// Number of tables read on them.
    pub tables: u64,
    /// Shards that did not answer; what they hold is missing.
    pub missing: Vec<ShardId>,
    /// The time of each shard that answered, its queue and the simulated network included.
    pub timings: Vec<(ShardId, Duration)>,
    /// Every grab acknowledged before this moment is included, but for the missing shards'.
    pub as_of: Timestamp,
}

impl Answered {
    /// The shards that answered.
    fn up(&self) -> impl Iterator<Item = ShardId> {
        self.shards.iter().filter(|shard| !self.missing.contains(shard)).copied()
    }
}

/// Executes the plans of the backend's layout.
#[derive(Debug, Clone)]
pub struct Queries {
    backend: Arc<Backend>,
    timeout: Duration,
}

impl Queries {
    /// Waits at most `timeout` for a shard.
    #[must_use]
    pub const fn new(backend: Arc<Backend>, timeout: Duration) -> Self {
        Self { backend, timeout }
    }

    /// The number of results of a room, and the latest.
    ///
    /// # Errors
    /// [`Unavailable`] when no shard answers.
    pub async fn room_summary(
        &self,
        room: RoomId,
        now: Timestamp,
    ) -> Result<(Summary, Answered), Unavailable> {
        let query = ResultQuery::of_room(room);
        let shards = &self.backend.shards;
        let visits = self.visits(&query);
        let (parts, answered) =
            self.visit(visits, now, |shard, visit| shards.summary(shard, visit, query)).await?;
        let sum = parts.into_iter().fold(Summary::default(), |sum, part| Summary {
            results: sum.results + part.results,
            last_grab: sum.last_grab.max(part.last_grab),
        });
        Ok((sum, answered))
    }

    /// Sums over everything, shard by shard: counted now if `exact`, else as the writers keep them.
    ///
    /// # Errors
    /// [`Unavailable`] when no shard answers.
    pub async fn totals(
        &self,
        exact: bool,
        now: Timestamp,
    ) -> Result<(Vec<(ShardId, Totals)>, Answered), Unavailable> {
        let shards = &self.backend.shards;
        let visits = self.visits(&ResultQuery::everything());
        let ask = |shard, visit| -> LocalFuture<'_, _> {
            if exact { shards.totals(shard, visit) } else { shards.kept_totals(shard) }
        };
        let (parts, answered) = self.visit(visits, now, ask).await?;
        Ok((answered.up().zip(parts).collect(), answered))
    }

    /// The number of results that are held, of each coupon that has any.
    ///
    /// # Errors
    /// [`Unavailable`] when no shard answers.
    pub async fn held(&self, now: Timestamp) -> Result<(HashMap<CouponId, u64>, Answered), Unavailable> {
        let shards = &self.backend.shards;
        let visits = self.visits(&ResultQuery::everything());
        let (parts, answered) = self.visit(visits, now, |shard, _| shards.held(shard)).await?;
        let mut held = HashMap::new();
        for (coupon, count) in parts.into_iter().flatten() {
            *held.entry(coupon).or_default() += count;
        }
        Ok((held, answered))
    }

    /// The result with that id, wherever the strategy says it may be. Knowing its user may save visits.
    ///
    /// # Errors
    /// [`Unavailable`] when a shard that may hold it does not answer and no other has it, and when it is granted and
    /// not stored yet: absent is not unknown.
    pub async fn find(
        &self,
        id: ResultId,
        user: Option<UserId>,
        now: Timestamp,
    ) -> Result<(Option<(Placement, CouponResult)>, Answered), Unavailable> {
        let looked = self.look_for(id, user, now).await?;
        if looked.0.is_some() {
            return Ok(looked);
        }
        let Some(pending) = self.backend.gate.pending(id) else { return Ok(looked) };
        if pending.await? {
            return Err(Unavailable::new("this result", "it is granted, and on its way to its shard"));
        }
        // What ceased to be pending after the first look is stored: a second one finds it.
        self.look_for(id, user, now).await
    }

    async fn look_for(
        &self,
        id: ResultId,
        user: Option<UserId>,
        now: Timestamp,
    ) -> Result<(Option<(Placement, CouponResult)>, Answered), Unavailable> {
        let query = ResultQuery { user, ..ResultQuery::everything() }.at(id.time());
        let shards = &self.backend.shards;
        let visits = self.visits(&query);
        let (found, answered) = self
            .visit(visits, now, |shard, visit| {
                let found = shards.find(shard, visit, id);
                Box::pin(async move {
                    let visited = found.await?;
                    let placed = |(table, result)| (Placement::new(shard, table), result);
                    Ok(Visited {
                        value: visited.value.map(placed),
                        tables: visited.tables,
                        took: visited.took,
                        as_of: visited.as_of,
                    })
                })
                    as LocalFuture<'_, Result<Visited<Option<(Placement, CouponResult)>>, Unavailable>>
            })
            .await?;
        let found =
            found.into_iter().flatten().find(|(_, result)| user.is_none_or(|user| user == result.user_id));
        // What a shard has acknowledged but not sorted in yet must not be called absent; when the clock has stepped
        // back, its id may be ahead of it.
        let just_now = answered.as_of <= id.time() && id.time() <= now.plus_millis(CLOCK_PATIENCE_MS);
        match (&found, answered.missing.first()) {
            (None, Some(shard)) => Err(Unavailable::new(format!("shard {shard}"), "it may hold this result")),
            (None, None) if just_now => {
                Err(Unavailable::new("this result", "it may be on its way to its table"))
            }
            _ => Ok((found, answered)),
        }
    }

    /// The visits that answer a query.
    fn visits(&self, query: &ResultQuery) -> Vec<(ShardId, Visit)> {
        let plan = |versions: &Versioned| visits(&versions.plan(query), versions.shard_count().get());
        self.backend.layouts.look(plan)
    }

    /// Makes all visits at once, and waits for all of them. The values are those of the shards that answered, in
    /// their order.
    async fn visit<'a, T>(
        &'a self,
        visits: Vec<(ShardId, Visit)>,
        now: Timestamp,
        ask: impl Fn(ShardId, Visit) -> LocalFuture<'a, Result<Visited<T>, Unavailable>>,
    ) -> Result<(Vec<T>, Answered), Unavailable> {
        let shards: Vec<ShardId> = visits.iter().map(|(shard, _)| *shard).collect();
        let (ask, traced) = (&ask, &traced());
        let ask = &ask;
        let calls = visits.into_iter().map(|(shard, visit)| async move {
            let late = |_| {
                Err(Unavailable::new(format!("shard {shard}"), format!("no answer in {:?}", self.timeout)))
            };
            let asked = Instant::now();
            let answer = tokio::time::timeout(self.timeout, ask(shard, visit)).await.unwrap_or_else(late);
            if let Some(traced) = traced {
                let tables = answer.as_ref().map_or(0, |visited| visited.tables);
                traced.stage("shard", asked, &[("shard", u64::from(shard.number())), ("tables", tables)]);
            }
            (shard, answer)
        });
        let mut answered =
            Answered { shards, tables: 0, missing: Vec::new(), timings: Vec::new(), as_of: now };
        let (mut values, mut error) = (Vec::new(), None);
        for (shard, answer) in join_all(calls).await {
            match answer {
                Ok(visited) => {
                    answered.tables += visited.tables;
                    answered.timings.push((shard, visited.took));
                    answered.as_of = answered.as_of.min(visited.as_of);
                    values.push(visited.value);
                }
                Err(why) => {
                    if let Some(told) = LOG.failed() {
                        tracing::warn!(%shard, error = %why, failures = told.failures, lasted_s = told.lasted_s, "a shard did not answer");
                    }
                    answered.missing.push(shard);
                    error = Some(why);
                }
            }
        }
        match error {
            Some(error) if values.is_empty() => Err(error),
            _ => Ok((values, answered)),
        }
    }
}

/// The visits to each shard of a plan.
fn visits(plan: &Plan, shard_count: u16) -> Vec<(ShardId, Visit)> {
    match plan {
        Plan::All => plan.shards(shard_count).into_iter().map(|shard| (shard, Visit::All)).collect(),
        Plan::One(placement) => vec![(placement.shard, Visit::Tables(vec![placement.table]))],
        Plan::Some(placements) => {
            let tables = |shard| -> Vec<TableId> {
                placements
                    .iter()
                    .filter(|placement| placement.shard == shard)
                    .map(|placement| placement.table)
                    .collect()
            };
            plan.shards(shard_count).into_iter().map(|shard| (shard, Visit::Tables(tables(shard)))).collect()
        }
    }
}
