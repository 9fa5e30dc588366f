//! The gate: one hash a coupon in Redis, and one script that decides a whole batch.
//!
//! The script's text names the data set and the epoch, so that each epoch has its own script. Only the process that
//! has filled the gate loads it: where it is missing, Redis has lost its memory, and nothing it says of holders is
//! trusted.

mod epoch;
mod redis;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use coupon_core::{CouponId, ResultId, UserId};
use deadpool_redis::redis::Pipeline;

pub(super) use epoch::{Epoch, EpochCell};
pub(super) use redis::{Link, RESPONSE, is_no_script};
pub use redis::{RedisError, RedisServer};

use super::catalogue::ServersCatalogue;
use super::names::Names;
use super::per_thread::PerThread;
use crate::failpoints::{self, Mechanism};
use crate::{Attempt, Decided, Decision, Gate, LocalFuture, Stock, Unavailable};

/// The first character of a holder's id that is parked.
pub(super) const PARKED: &str = "x";
/// The fields of a coupon's hash that are no holders: total, start and end.
pub(super) const META_FIELDS: i64 = 3;
/// A member of the pending reservations that is none, and later than all of them: where it is missing, the others are
/// lost.
pub(super) const SENTINEL: &str = "@";
/// The number of holders that are read at a time.
const SCAN: usize = 2_000;

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
        let order = self.order(attempts);
        if !order.is_empty() {
            let answer: (Vec<String>,) = self.ask(&self.question(&epoch, attempts, &order)).await?;
            let answers = Answers::of(&answer.0, order.len())?;
            for (at, decision) in order.iter().zip(answers) {
                let decision = decision?;
                if decision == Decision::NotLoaded {
                    // The coupon is on offer: a gate that does not hold it has lost it.
                    self.epoch.suspect();
                }
                if let Some(place) = decisions.get_mut(*at) {
                    *place = decision;
                }
            }
        }
        Ok(Decided { decisions, epoch: epoch.number })
    }

    /// The attempts that need the gate, each coupon's together, in the order in which they came. Those for coupons that
    /// are over need none.
    fn order(&self, attempts: &[Attempt]) -> Vec<usize> {
        let known = &self.catalogue.known;
        let open = |(at, attempt): (usize, &Attempt)| {
            (!known.is_over(attempt.coupon, attempt.id.time())).then_some((attempt.coupon, at))
        };
        let mut order: Vec<(CouponId, usize)> = attempts.iter().enumerate().filter_map(open).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, at)| at).collect()
    }

    /// One call of the script for the whole batch.
    fn question(&self, epoch: &Epoch, attempts: &[Attempt], order: &[usize]) -> Pipeline {
        let in_order: Vec<&Attempt> = order.iter().filter_map(|at| attempts.get(*at)).collect();
        let by_coupon = || in_order.chunk_by(|one, next| one.coupon == next.coupon);
        let mut pipeline = Pipeline::with_capacity(1);
        let call = pipeline.cmd("EVALSHA").arg(epoch.script.sha()).arg(1 + by_coupon().count());
        call.arg(self.names.pending(epoch.number));
        for coupon in by_coupon().filter_map(<[_]>::first).map(|attempt| attempt.coupon) {
            call.arg(self.names.holders(epoch.number, coupon));
        }
        for of_coupon in by_coupon() {
            for (number, Attempt { user, coupon, id }) in of_coupon.iter().enumerate() {
                if number == 0 {
                    call.arg(coupon.get()).arg(of_coupon.len());
                }
                call.arg(user.get()).arg(id.number()).arg(id.time().millis());
            }
        }
        pipeline
    }

    async fn read_holders(&self, coupon: CouponId) -> Option<(u64, Vec<UserId>)> {
        let epoch = self.open_epoch().ok()?;
        let key = self.names.holders(epoch.number, coupon);
        let (mut users, mut others) = (HashSet::new(), HashSet::new());
        let mut cursor = 0_u64;
        loop {
            let mut scan = Pipeline::with_capacity(1);
            scan.cmd("HSCAN").arg(&key).arg(cursor).arg("COUNT").arg(SCAN);
            let ((next, fields),): ((u64, Vec<String>),) = self.ask(&scan).await.ok()?;
            for field in fields.into_iter().step_by(2) {
                match field.parse().map(UserId::new) {
                    Ok(Ok(user)) => users.insert(user),
                    _ => others.insert(field),
                };
            }
            if next == 0 {
                break;
            }
            cursor = next;
        }
        let Stock { total, sold } = self.read_stock(coupon).await.ok()??;
        // Fewer of them than there are fields: Redis has lost some since.
        let complete = users.len() + others.len() == sold as usize + META_FIELDS as usize;
        (sold >= total && complete).then(|| (epoch.number, users.into_iter().collect()))
    }

    /// Looks for the reservation among those that are pending, by the time of its id.
    async fn is_pending(&self, id: ResultId) -> Result<bool, Unavailable> {
        let epoch = self.open_epoch()?;
        let (key, time) = (self.names.pending(epoch.number), id.time().millis());
        let mut pipeline = whole(&self.names, &epoch);
        pipeline.cmd("ZRANGEBYSCORE").arg(&key).arg(time).arg(time);
        let (script, sentinel, marks): ((bool,), Option<String>, Vec<String>) = self.ask(&pipeline).await?;
        if !is_intact(script, sentinel.as_deref()) {
            self.epoch.suspect();
            return Err(Unavailable::new("the gate", "Redis has lost its memory, and is being filled again"));
        }
        let whose: Vec<_> = marks.iter().filter_map(|mark| Names::parse_reservation(mark)).collect();
        if whose.is_empty() {
            return Ok(false);
        }
        let mut pipeline = Pipeline::with_capacity(whose.len());
        for (user, coupon) in whose {
            pipeline.cmd("HGET").arg(self.names.holders(epoch.number, coupon)).arg(user.get());
        }
        let held: Vec<Option<String>> = self.ask(&pipeline).await?;
        let id = id.to_string();
        Ok(held.into_iter().flatten().any(|held| held == id))
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

/// Asks whether Redis has its memory of an epoch: the script that is loaded before anything is filled, and the sentinel
/// among the pending reservations.
pub(super) fn whole(names: &Names, epoch: &Epoch) -> Pipeline {
    let mut pipeline = Pipeline::new();
    pipeline.cmd("SCRIPT").arg("EXISTS").arg(epoch.script.sha());
    pipeline.cmd("ZSCORE").arg(names.pending(epoch.number)).arg(SENTINEL);
    pipeline
}

/// Judges Redis' answers to [`whole`].
pub(super) fn is_intact((script,): (bool,), sentinel: Option<&str>) -> bool {
    script && (sentinel.is_some() || failpoints::is_off(Mechanism::Sentinel))
}

/// The script's answer to each grab: a letter, and for some of them the id held.
struct Answers<'a> {
    letters: std::str::Chars<'a>,
    held: std::slice::Iter<'a, String>,
}

impl<'a> Answers<'a> {
    fn of(answer: &'a [String], grabs: usize) -> Result<Self, Unavailable> {
        match answer.split_first() {
            Some((letters, held)) if letters.len() == grabs => {
                Ok(Self { letters: letters.chars(), held: held.iter() })
            }
            _ => Err(strange(&answer)),
        }
    }

    fn held(&mut self) -> Result<ResultId, Unavailable> {
        let id = self.held.next();
        id.and_then(|id| id.parse().ok()).ok_or_else(|| strange(&id))
    }
}

impl Iterator for Answers<'_> {
    type Item = Result<Decision, Unavailable>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.letters.next()? {
            'g' => Ok(Decision::Granted),
            's' => Ok(Decision::OutOfStock),
            't' => Ok(Decision::InvalidTime),
            'x' => Ok(Decision::Parked),
            'n' => Ok(Decision::NotLoaded),
            // Under another id than they hold.
            'p' | 'd' if failpoints::is_off(Mechanism::OnePerUser) => self.held().map(|_| Decision::Granted),
            'p' if failpoints::is_off(Mechanism::Pending) => self.held().map(Decision::Duplicate),
            'p' => self.held().map(Decision::Pending),
            'd' => self.held().map(Decision::Duplicate),
            other => Err(strange(&other)),
        })
    }
}

fn strange(answer: &dyn std::fmt::Debug) -> Unavailable {
    Unavailable::new("the gate", format!("its answer {answer:?} is not one of ours"))
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

    fn epoch(&self) -> Option<u64> {
        self.epoch.number()
    }

    fn holders(&self, coupon: CouponId) -> LocalFuture<'_, Option<(u64, Vec<UserId>)>> {
        Box::pin(self.read_holders(coupon))
    }

    fn stock(&self, coupon: CouponId) -> LocalFuture<'_, Result<Option<Stock>, Unavailable>> {
        Box::pin(self.read_stock(coupon))
    }

    fn pending(&self, id: ResultId) -> Option<LocalFuture<'_, Result<bool, Unavailable>>> {
        let looks = !failpoints::is_off(Mechanism::PendingReads);
        looks.then(|| -> LocalFuture<'_, _> { Box::pin(self.is_pending(id)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &[&str], grabs: usize) -> Result<Vec<Decision>, Unavailable> {
        let answer: Vec<String> = answer.iter().map(|&text| text.to_owned()).collect();
        Answers::of(&answer, grabs)?.collect()
    }

    #[test]
    fn each_letter_that_speaks_of_an_id_takes_the_next() {
        let id = |number| ResultId::from_number(number).unwrap();
        let decisions = read(&["gdsptxn", "12", "13"], 7).unwrap();
        assert_eq!(
            decisions,
            [
                Decision::Granted,
                Decision::Duplicate(id(12)),
                Decision::OutOfStock,
                Decision::Pending(id(13)),
                Decision::InvalidTime,
                Decision::Parked,
                Decision::NotLoaded,
            ]
        );
    }

    #[test]
    fn an_answer_that_is_not_the_scripts_is_no_decision() {
        for (strange, grabs) in [
            (&[][..], 1),
            (&["g"][..], 2),
            (&["y"][..], 1),
            (&["d"][..], 1),
            (&["p", "-1"][..], 1),
            (&["gé"][..], 3),
        ] {
            assert!(read(strange, grabs).is_err(), "{strange:?}");
        }
    }
}
