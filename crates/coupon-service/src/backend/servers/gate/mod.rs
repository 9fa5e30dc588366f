//! The gate: one hash a coupon in Redis, and one script that decides.
//!
//! The script's text names the data set and the epoch, so that each epoch has a script of its own. Only whoever has
//! filled the gate loads it: where it is missing, Redis has lost its memory, and nothing it says of holders is trusted.

mod epoch;
mod redis;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use coupon_core::{CouponId, ResultId};
use deadpool_redis::redis::Pipeline;

pub(super) use epoch::{Epoch, EpochCell};
pub(super) use redis::{Link, RESPONSE, is_no_script};
pub use redis::{RedisError, RedisServer};

use super::catalogue::ServersCatalogue;
use super::names::Names;
use super::per_thread::PerThread;
use crate::backend::{Attempt, Decided, Decision, Gate, LocalFuture, Stock, Unavailable};
use crate::failpoints::{self, Mechanism};

/// What a holder's id begins with once it is parked.
pub(super) const PARKED: &str = "x";
/// The fields of a coupon's hash that hold nobody: total, start and end.
pub(super) const META_FIELDS: i64 = 3;

/// Stock and one-per-user, in Redis.
pub(super) struct RedisGate {
    redis: RedisServer,
    links: PerThread<Link>,
    names: Names,
    epoch: Arc<EpochCell>,
    catalogue: Arc<ServersCatalogue>,
    timeout: Duration,
}

impl RedisGate {
    pub(super) fn new(
        redis: RedisServer,
        names: Names,
        epoch: Arc<EpochCell>,
        catalogue: Arc<ServersCatalogue>,
        timeout: Duration,
    ) -> Self {
        Self { redis, links: PerThread::default(), names, epoch, catalogue, timeout }
    }

    fn link(&self) -> Arc<Link> {
        self.links.get(|| Link::new(self.redis.clone(), self.timeout))
    }

    fn open_epoch(&self) -> Result<Arc<Epoch>, Unavailable> {
        self.epoch
            .open()
            .ok_or_else(|| Unavailable::new("the gate", "it is being filled; ask again in a moment"))
    }

    async fn ask<T: deadpool_redis::redis::FromRedisValue>(
        &self,
        pipeline: &Pipeline,
    ) -> Result<T, Unavailable> {
        let answer = self.link().ask(pipeline).await;
        self.epoch.answered(answer.is_ok());
        let error = match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if is_no_script(&error) {
            self.epoch.suspect();
            return Err(Unavailable::new("the gate", "Redis has lost its memory, and is being filled again"));
        }
        Err(Unavailable::new("the gate", error))
    }

    async fn decide(&self, attempts: &[Attempt]) -> Result<Decided, Unavailable> {
        let epoch = self.open_epoch()?;
        let mut decisions = vec![Decision::InvalidTime; attempts.len()];
        let by_coupon = self.by_coupon(attempts);
        if by_coupon.is_empty() {
            return Ok(Decided { decisions, epoch: epoch.number });
        }
        let mut pipeline = Pipeline::with_capacity(by_coupon.len());
        for (coupon, members) in &by_coupon {
            let call = pipeline.cmd("EVALSHA").arg(epoch.script.sha()).arg(2);
            call.arg(self.names.holders(epoch.number, *coupon))
                .arg(self.names.pending(epoch.number, *coupon));
            for attempt in members.iter().filter_map(|at| attempts.get(*at)) {
                let Attempt { user, id, .. } = attempt;
                call.arg(user.get()).arg(id.number()).arg(id.time().millis());
            }
        }
        let answers: Vec<Vec<String>> = self.ask(&pipeline).await?;
        for ((_, members), answers) in by_coupon.iter().zip(answers) {
            if answers.is_empty() {
                // The coupon is on offer: a gate that does not hold it has lost it.
                self.epoch.suspect();
            }
            let mut answers = answers.iter();
            for at in members {
                let decision = answers.next().map_or(Ok(Decision::NotLoaded), |answer| decision(answer))?;
                if let Some(place) = decisions.get_mut(*at) {
                    *place = decision;
                }
            }
        }
        Ok(Decided { decisions, epoch: epoch.number })
    }

    /// Where each coupon's attempts are in the batch. Those for coupons that are over need no gate.
    fn by_coupon(&self, attempts: &[Attempt]) -> Vec<(CouponId, Vec<usize>)> {
        let mut places: HashMap<CouponId, usize> = HashMap::with_capacity(attempts.len());
        let mut by_coupon: Vec<(CouponId, Vec<usize>)> = Vec::with_capacity(attempts.len());
        for (at, attempt) in attempts.iter().enumerate() {
            if self.catalogue.known.is_over(attempt.coupon, attempt.id.time()) {
                continue;
            }
            let place = *places.entry(attempt.coupon).or_insert_with(|| {
                by_coupon.push((attempt.coupon, Vec::new()));
                by_coupon.len() - 1
            });
            if let Some((_, members)) = by_coupon.get_mut(place) {
                members.push(at);
            }
        }
        by_coupon
    }

    async fn read_stock(&self, coupon: CouponId) -> Result<Option<Stock>, Unavailable> {
        let epoch = self.open_epoch()?;
        let key = self.names.holders(epoch.number, coupon);
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("HGET").arg(&key).arg("t").cmd("HLEN").arg(&key);
        let (total, fields): (Option<u32>, i64) = self.ask(&pipeline).await?;
        let sold = u32::try_from(fields - META_FIELDS).unwrap_or(0);
        Ok(total.map(|total| Stock { total, sold }))
    }
}

/// What an answer of the script's means.
fn decision(answer: &str) -> Result<Decision, Unavailable> {
    let strange = || Unavailable::new("the gate", format!("its answer {answer:?} is not one of ours"));
    let held = |id: &str| id.parse::<ResultId>().map_err(|_| strange());
    match answer.split_at_checked(1) {
        Some(("g", "")) => Ok(Decision::Granted),
        Some(("s", "")) => Ok(Decision::OutOfStock),
        Some(("t", "")) => Ok(Decision::InvalidTime),
        Some(("x", "")) => Ok(Decision::Parked),
        Some(("p", id)) if failpoints::is_off(Mechanism::Pending) => Ok(Decision::Duplicate(held(id)?)),
        Some(("p", id)) => Ok(Decision::Pending(held(id)?)),
        Some(("d", id)) => Ok(Decision::Duplicate(held(id)?)),
        _ => Err(strange()),
    }
}

impl Gate for RedisGate {
    fn reserve<'a>(&'a self, attempts: &'a [Attempt]) -> LocalFuture<'a, Result<Decided, Unavailable>> {
        Box::pin(self.decide(attempts))
    }

    fn ready(&self) -> Result<(), Unavailable> {
        if self.epoch.is_away() {
            return Err(Unavailable::new("the gate", "Redis does not answer"));
        }
        self.open_epoch().map(drop)
    }

    fn stock(&self, coupon: CouponId) -> LocalFuture<'_, Result<Option<Stock>, Unavailable>> {
        Box::pin(self.read_stock(coupon))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_not_the_scripts_is_no_decision() {
        assert_eq!(decision("d12"), Ok(Decision::Duplicate(ResultId::from_number(12).unwrap())));
        assert_eq!(decision("x"), Ok(Decision::Parked));
        for strange in ["", "y", "d", "p-1", "g1", "x1"] {
            assert!(decision(strange).is_err(), "{strange}");
        }
    }
}
