//! Executes plans over the shards: in parallel, with the limit pushed down, merged in order, never silently short.

mod by_room;
mod change;
mod page;
mod rounds;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coupon_core::{
    CouponId, CouponResult, Place, Placement, ResultId, ResultQuery, RoomId, ShardId, ShardingStrategy as _,
    TableId, Timestamp, UserId,
};
use coupon_store::ids::PATIENCE_MS as CLOCK_PATIENCE_MS;
use coupon_store::outage::Outage;
use coupon_store::{Backend, LocalFuture, ResultSummary, Totals, Unavailable, Visit, Visited};
use futures_util::future::join_all;

use crate::telemetry::traces::traced;

pub use change::StepResult;
pub use page::Page;

use rounds::{VisitOrder, Visits};

/// The layouts by which one question is answered at most. An operator's change takes seconds.
const MOST_LAYOUTS: usize = 4;

/// A shard that is down is missed by every read.
static LOG: Outage = Outage::of_requests();

/// The shards and tables that answered a query.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The shards asked, whether or not they answered; of an engine, the lanes.
    pub shards: Vec<ShardId>,
    /// Number of tables read on them.
    pub tables: u64,
    /// Shards that did not answer; what they hold is missing.
    pub missing: Vec<ShardId>,
    /// The time of each place that answered, its queue and the simulated network included.
    pub timings: Vec<(Place, Duration)>,
    /// Every grab acknowledged before this moment is included, but for the missing shards'.
    pub as_of: Timestamp,
    /// True while rows are moved from where an earlier version of the layout put them: counts may be off by those under way.
    pub moving: bool,
    /// True if the layout may be another by now than the one that was gone by: rows may be in places that were not visited.
    pub outdated: bool,
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
    ) -> Result<(ResultSummary, Answered), Unavailable> {
        self.summary(ResultQuery::of_room(room), now).await
    }

    /// The number of results that a query covers, and the latest.
    ///
    /// # Errors
    /// [`Unavailable`] when no shard answers.
    pub async fn summary(
        &self,
        query: ResultQuery,
        now: Timestamp,
    ) -> Result<(ResultSummary, Answered), Unavailable> {
        let by_room = self.ask_index(&query, now, |index, room| index.summary(room, query)).await;
        if let Some(summary) = by_room {
            return Ok(summary);
        }
        let shards = &self.backend.shards;
        let ask = |place, visit| shards.summary(place, visit, query);
        let (parts, answered) = self.ask(&query, VisitOrder::AtOnce, now, ask).await?;
        let sum = parts.into_iter().fold(ResultSummary::default(), |sum, (_, part)| ResultSummary {
            results: sum.results + part.results,
            last_grab: sum.last_grab.max(part.last_grab),
        });
        Ok((sum, answered))
    }

    /// Sums over everything, by place: counted now if `exact`, else of each shard as its writer keeps them.
    ///
    /// # Errors
    /// [`Unavailable`] when no shard answers.
    pub async fn totals(
        &self,
        exact: bool,
        now: Timestamp,
    ) -> Result<(Vec<(Place, Totals)>, Answered), Unavailable> {
        let (shards, everything) = (&self.backend.shards, ResultQuery::everything());
        if exact {
            return self
                .ask(&everything, VisitOrder::AtOnce, now, |place, visit| shards.totals(place, visit))
                .await;
        }
        self.ask_by_lane(now, |shard| shards.kept_totals(shard)).await
    }

    /// The number of results that are held, of each coupon that has any.
    ///
    /// # Errors
    /// [`Unavailable`] when no shard answers.
    pub async fn held(&self, now: Timestamp) -> Result<(HashMap<CouponId, u64>, Answered), Unavailable> {
        let shards = &self.backend.shards;
        let (parts, answered) = self.ask_by_lane(now, |shard| shards.held(shard)).await?;
        let mut held = HashMap::new();
        for (coupon, count) in parts.into_iter().flat_map(|(_, part)| part) {
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
        let ask = |place, visit| {
            let found = shards.find(place, visit, id);
            Box::pin(async move {
                let placed =
                    |(table, result)| self.placed(place, table, &result).map(|placement| (placement, result));
                found.await?.try_map(|found| found.map(placed).transpose())
            }) as LocalFuture<'_, Result<Visited<Option<(Placement, CouponResult)>>, Unavailable>>
        };
        let (found, answered) = self.ask(&query, VisitOrder::InRounds, now, ask).await?;
        // Of a row that is being moved the copy that is found last is the one that steps are taken of.
        let found = found.into_iter().rev().find_map(|(_, found)| {
            found.filter(|(_, result)| user.is_none_or(|user| user == result.user_id))
        });
        // What a shard has acknowledged but not sorted in yet must not be called absent; when the clock has stepped
        // back, its id may be ahead of it.
        let just_now = answered.as_of <= id.time() && id.time() <= now.plus_millis(CLOCK_PATIENCE_MS);
        // A copy is the last one where the row is in the end; from elsewhere it may have gone on to the shard that is missing.
        let last = |(placement, result): &(Placement, CouponResult)| {
            let home = self.backend.layouts.look(|versions| versions.home(&result.key()));
            !answered.moving || home == Ok(*placement)
        };
        match (found.as_ref().filter(|found| last(found)), answered.missing.first()) {
            (None, None) if found.is_none() && answered.outdated => Err(Unavailable::new(
                "this result",
                "the layout may have changed: the main database is not heard of",
            )),
            (None, Some(shard)) => Err(Unavailable::new(format!("shard {shard}"), "it may hold this result")),
            (None, None) if found.is_none() && just_now => {
                Err(Unavailable::new("this result", "it may be on its way to its table"))
            }
            _ => Ok((found, answered)),
        }
    }

    /// The placement of a row that was found in a place.
    fn placed(&self, place: Place, table: TableId, result: &CouponResult) -> Result<Placement, Unavailable> {
        match place {
            Place::Lane(lane) => Ok(Placement::new(lane, table)),
            // Where an engine has the shards, no layout ever changes: a row is in the lane that is its home.
            Place::Whole => {
                let home = self.backend.layouts.look(|versions| versions.home(&result.key()));
                home.map_err(|error| Unavailable::new("this result", error))
            }
        }
    }

    /// The lanes of a place.
    fn lanes(&self, place: Place) -> Vec<ShardId> {
        match place {
            Place::Lane(lane) => vec![lane],
            Place::Whole => {
                let lanes = self.backend.layouts.look(|versions| versions.whole().lanes());
                (0..lanes.get()).map(ShardId::new).collect()
            }
        }
    }

    /// Asks each shard about something that it keeps.
    async fn ask_by_lane<'a, T>(
        &'a self,
        now: Timestamp,
        ask: impl Fn(ShardId) -> LocalFuture<'a, Result<Visited<T>, Unavailable>>,
    ) -> Result<(Vec<(Place, T)>, Answered), Unavailable> {
        let of_lane = |place: Place, _| match place.lane() {
            Some(lane) => ask(lane),
            None => {
                Box::pin(std::future::ready(Err(Unavailable::new(place.to_string(), "it is kept by shard"))))
            }
        };
        self.ask(&ResultQuery::everything(), VisitOrder::ByLane, now, of_lane).await
    }

    /// Asks the places that may hold rows which a query covers, and again where the layout changed meanwhile: rows may have been
    /// moved then to a place that was not visited. The values are those of the places that answered, in the order of the visits.
    async fn ask<'a, T>(
        &'a self,
        query: &ResultQuery,
        order: VisitOrder,
        now: Timestamp,
        ask: impl Fn(Place, Visit) -> LocalFuture<'a, Result<Visited<T>, Unavailable>>,
    ) -> Result<(Vec<(Place, T)>, Answered), Unavailable> {
        self.ask_of(query, order, |_| true, now, ask).await
    }

    /// The same, but only of the places that are wanted.
    async fn ask_of<'a, T>(
        &'a self,
        query: &ResultQuery,
        order: VisitOrder,
        wanted: impl Fn(Place) -> bool,
        now: Timestamp,
        ask: impl Fn(Place, Visit) -> LocalFuture<'a, Result<Visited<T>, Unavailable>>,
    ) -> Result<(Vec<(Place, T)>, Answered), Unavailable> {
        for _ in 0..MOST_LAYOUTS {
            let versions = self.backend.layouts.now();
            let rounds = order.rounds(&versions, query);
            let mut answered = Answered::nobody_asked(now, versions.is_moving());
            let (mut values, mut error) = (Vec::new(), None);
            for round in &rounds {
                let of_wanted = round.iter().filter(|(place, _)| wanted(*place)).cloned().collect();
                let visits = self.visit(of_wanted, now, &ask).await;
                answered.take_in(&visits.answered);
                values.extend(visits.values);
                error = visits.error.or(error);
            }
            // At the end: while it answered, rows may have been moved that were to be found by a list which is relied on no more.
            answered.outdated = !self.backend.layouts.is_current();
            let since = self.backend.layouts.now();
            if Arc::ptr_eq(&versions, &since) || order.rounds(&since, query) == rounds {
                return match error {
                    Some(error) if values.is_empty() => Err(error),
                    _ => Ok((values, answered)),
                };
            }
        }
        Err(Unavailable::new("this question", "the layout of the shards changed while it was answered"))
    }

    /// Makes the visits of one round at once, and waits for all of them.
    async fn visit<'a, T>(
        &'a self,
        round: Visits,
        now: Timestamp,
        ask: &impl Fn(Place, Visit) -> LocalFuture<'a, Result<Visited<T>, Unavailable>>,
    ) -> Round<T> {
        let mut answered = Answered::nobody_asked(now, false);
        answered.shards = round.iter().flat_map(|(place, _)| self.lanes(*place)).collect();
        let traced = &traced();
        let calls = round.into_iter().map(|(place, visit)| async move {
            let late =
                |_| Err(Unavailable::new(place.to_string(), format!("no answer in {:?}", self.timeout)));
            let asked = Instant::now();
            let answer = tokio::time::timeout(self.timeout, ask(place, visit)).await.unwrap_or_else(late);
            if let Some(traced) = traced {
                let tables = ("tables", answer.as_ref().map_or(0, |visited| visited.tables));
                match place {
                    Place::Lane(lane) => {
                        traced.stage("shard", asked, &[("shard", u64::from(lane.number())), tables]);
                    }
                    Place::Whole => traced.stage("all shards", asked, &[tables]),
                }
            }
            (place, answer)
        });
        let (mut values, mut error) = (Vec::new(), None);
        for (place, answer) in join_all(calls).await {
            match answer {
                Ok(visited) => {
                    answered.tables += visited.tables;
                    answered.timings.push((place, visited.took));
                    answered.as_of = answered.as_of.min(visited.as_of);
                    if !visited.missing.is_empty() {
                        answered.miss(&visited.missing, &"the engine's shard of these lanes did not answer");
                    }
                    values.push((place, visited.value));
                }
                Err(why) => {
                    answered.miss(&self.lanes(place), &why);
                    error = Some(why);
                }
            }
        }
        Round { values, answered, error }
    }
}

/// The answers of one round.
struct Round<T> {
    /// The values of the places that answered, in their order.
    values: Vec<(Place, T)>,
    answered: Answered,
    /// The reason why a shard did not answer.
    error: Option<Unavailable>,
}

impl Answered {
    /// True if rows may be missing: of shards that did not answer, or in places that were not visited.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.outdated || !self.missing.is_empty()
    }

    const fn nobody_asked(now: Timestamp, moving: bool) -> Self {
        Self {
            shards: Vec::new(),
            tables: 0,
            missing: Vec::new(),
            timings: Vec::new(),
            as_of: now,
            moving,
            outdated: false,
        }
    }

    /// These shards did not answer, for that reason.
    fn miss(&mut self, shards: &[ShardId], why: &dyn Display) {
        if let Some(told) = LOG.failed() {
            let shard = shards.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            tracing::warn!(shard, error = %why, failures = told.failures, lasted_s = told.lasted_s, "a shard did not answer");
        }
        self.missing.extend(shards);
    }

    /// One more round was made, of which shards may have been asked before.
    fn take_in(&mut self, round: &Self) {
        united(&mut self.shards, &round.shards);
        united(&mut self.missing, &round.missing);
        self.tables += round.tables;
        self.as_of = self.as_of.min(round.as_of);
        for (place, took) in &round.timings {
            match self.timings.iter_mut().find(|(other, _)| other == place) {
                Some((_, before)) => *before += *took,
                None => self.timings.push((*place, *took)),
            }
        }
    }
}

/// The first list, with what of the second it lacks, in order.
fn united(shards: &mut Vec<ShardId>, more: &[ShardId]) {
    shards.extend(more);
    shards.sort_unstable();
    shards.dedup();
}
