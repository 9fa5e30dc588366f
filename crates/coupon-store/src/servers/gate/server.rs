//! Redis as the gate's server: a hash for each coupon, a sorted set of pending marks, a script for each epoch.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use coupon_core::{CouponId, CouponResult, ResultId, Timestamp, UserId};
use deadpool_redis::redis::{FromRedisValue, Pipeline, RedisError};

use super::redis::is_no_script;
use super::{Epoch, Link, META_FIELDS, PARKED, RedisServer, SENTINEL};
use crate::servers::names::Names;
use crate::servers::seam::{GateError, GateServer, Held, Hold, Holders, Mark, Remembers};
use crate::terms::Terms;
use crate::{Attempt, Decision, Reservation, Stock};

/// The number of holders that are read at a time.
const SCAN: usize = 2_000;
/// The number of marks, holders or keys that are asked for, written or removed at a time.
const CHUNK: usize = 5_000;
/// The lifetime of the key that shows whether Redis can be written, in milliseconds.
const PROBE_MS: u64 = 1_000;

/// Makes the user of a parked result its holder, unless they hold another one, or the gate does not hold the coupon.
const PARK: &str = "\
local held = redis.call('HMGET', KEYS[1], 't', ARGV[1])
if held[1] and (not held[2] or held[2] == ARGV[2]) then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3] .. ARGV[2])
end";

/// One connection to Redis, for the gate of one data set.
pub(in crate::servers) struct GateLink {
    link: Link,
    names: Names,
}

impl GateLink {
    pub(in crate::servers) fn new(redis: RedisServer, names: Names, patience: Duration) -> Self {
        Self { link: Link::new(redis, patience), names }
    }

    async fn ask<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, GateError> {
        self.link.ask(pipeline).await.map_err(GateError::from)
    }

    fn holders_key(&self, epoch: &Epoch, coupon: u64) -> Result<String, GateError> {
        let coupon = CouponId::new(coupon).map_err(|_| strange(&coupon))?;
        Ok(self.names.holders(epoch.number, coupon))
    }

    async fn set(&self, epoch: &Epoch, coupon: u64, field: String, value: String) -> Result<(), GateError> {
        let mut set = Pipeline::with_capacity(1);
        set.cmd("HSET").arg(self.holders_key(epoch, coupon)?).arg(field).arg(value).ignore();
        self.ask(&set).await
    }
}

impl From<RedisError> for GateError {
    fn from(error: RedisError) -> Self {
        if is_no_script(&error) { Self::Forgot } else { Self::Away { why: error.to_string() } }
    }
}

fn strange(answer: &dyn std::fmt::Debug) -> GateError {
    GateError::Strange { answer: format!("{answer:?}") }
}

/// Asks whether Redis has its memory of an epoch.
fn whole(names: &Names, epoch: &Epoch) -> Pipeline {
    let mut pipeline = Pipeline::new();
    pipeline.cmd("SCRIPT").arg("EXISTS").arg(epoch.script.sha());
    pipeline.cmd("ZSCORE").arg(names.pending(epoch.number)).arg(SENTINEL);
    pipeline
}

/// One call of the script for the whole batch.
fn question(names: &Names, epoch: &Epoch, attempts: &[&Attempt]) -> Pipeline {
    let by_coupon = || attempts.chunk_by(|one, next| one.coupon == next.coupon);
    let mut pipeline = Pipeline::with_capacity(1);
    let call = pipeline.cmd("EVALSHA").arg(epoch.script.sha()).arg(1 + by_coupon().count());
    call.arg(names.pending(epoch.number));
    for coupon in by_coupon().filter_map(<[_]>::first).map(|attempt| attempt.coupon) {
        call.arg(names.holders(epoch.number, coupon));
    }
    for of_coupon in by_coupon() {
        for (number, Attempt { user, coupon, id, .. }) in of_coupon.iter().enumerate() {
            if number == 0 {
                call.arg(coupon.get()).arg(of_coupon.len());
            }
            call.arg(user.get()).arg(id.number()).arg(id.time().millis());
        }
    }
    pipeline
}

/// The script's answer to each grab: a letter, and for some of them the id held.
struct Answers<'a> {
    letters: std::str::Chars<'a>,
    held: std::slice::Iter<'a, String>,
}

impl<'a> Answers<'a> {
    fn of(answer: &'a [String], grabs: usize) -> Result<Self, GateError> {
        match answer.split_first() {
            Some((letters, held)) if letters.len() == grabs => {
                Ok(Self { letters: letters.chars(), held: held.iter() })
            }
            _ => Err(strange(&answer)),
        }
    }

    fn held(&mut self) -> Result<ResultId, GateError> {
        let id = self.held.next();
        id.and_then(|id| id.parse().ok()).ok_or_else(|| strange(&id))
    }
}

impl Iterator for Answers<'_> {
    type Item = Result<Decision, GateError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.letters.next()? {
            'g' => Ok(Decision::Granted(0)),
            's' => Ok(Decision::OutOfStock),
            't' => Ok(Decision::InvalidTime),
            'x' => Ok(Decision::Parked),
            'n' => Ok(Decision::NotLoaded),
            'p' => self.held().map(|id| Decision::Pending(Reservation::plain(id))),
            'd' => self.held().map(Decision::Duplicate),
            other => Err(strange(&other)),
        })
    }
}

fn read_held(text: &str) -> Option<Held> {
    match text.strip_prefix(PARKED) {
        Some(id) => id.parse().ok().map(Held::Parked),
        None => text.parse().ok().map(Held::Result),
    }
}

/// Marks, as the members that they are.
fn members(marks: &[Mark]) -> Vec<String> {
    marks.iter().map(|mark| Names::reservation(mark.user, mark.coupon)).collect()
}

fn read_marks(members: &[String]) -> Vec<Mark> {
    let read = |member: &String| Names::parse_reservation(member).map(|(user, coupon)| Mark { user, coupon });
    members.iter().filter_map(read).collect()
}

#[async_trait]
impl GateServer for GateLink {
    fn address(&self) -> &str {
        self.link.host()
    }

    async fn decide(&self, epoch: &Epoch, attempts: &[&Attempt]) -> Result<Vec<Decision>, GateError> {
        let answer: (Vec<String>,) = self.ask(&question(&self.names, epoch, attempts)).await?;
        Answers::of(&answer.0, attempts.len())?.collect()
    }

    async fn stock(&self, epoch: &Epoch, coupon: CouponId) -> Result<Option<Stock>, GateError> {
        let key = self.names.holders(epoch.number, coupon);
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("HGET").arg(&key).arg("t").cmd("HLEN").arg(&key);
        let (total, fields): (Option<u32>, i64) = self.ask(&pipeline).await?;
        let sold = u32::try_from(fields - META_FIELDS).unwrap_or(0);
        Ok(total.map(|total| Stock { total, sold }))
    }

    async fn holders(&self, epoch: &Epoch, coupon: CouponId) -> Result<Holders, GateError> {
        let key = self.names.holders(epoch.number, coupon);
        let (mut users, mut others) = (HashSet::new(), HashSet::new());
        let mut cursor = 0_u64;
        loop {
            let mut scan = Pipeline::with_capacity(1);
            scan.cmd("HSCAN").arg(&key).arg(cursor).arg("COUNT").arg(SCAN);
            let ((next, fields),): ((u64, Vec<String>),) = self.ask(&scan).await?;
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
        let others = others.len().saturating_sub(META_FIELDS as usize);
        Ok(Holders { users: users.into_iter().collect(), others })
    }

    async fn remembers(&self, epoch: &Epoch) -> Result<Remembers, GateError> {
        let ((script,), sentinel): ((bool,), Option<String>) = self.ask(&whole(&self.names, epoch)).await?;
        Ok(Remembers { script, sentinel: sentinel.is_some() })
    }

    async fn pending_at(&self, epoch: &Epoch, time: Timestamp) -> Result<(Remembers, Vec<Mark>), GateError> {
        let mut pipeline = whole(&self.names, epoch);
        let (key, time) = (self.names.pending(epoch.number), time.millis());
        pipeline.cmd("ZRANGEBYSCORE").arg(key).arg(time).arg(time);
        let ((script,), sentinel, marks): ((bool,), Option<String>, Vec<String>) =
            self.ask(&pipeline).await?;
        Ok((Remembers { script, sentinel: sentinel.is_some() }, read_marks(&marks)))
    }

    async fn pending_until(&self, epoch: &Epoch, time: Timestamp) -> Result<Vec<Mark>, GateError> {
        let key = self.names.pending(epoch.number);
        let (mut found, mut offset) = (Vec::new(), 0);
        loop {
            let mut page = Pipeline::with_capacity(1);
            let range = page.cmd("ZRANGEBYSCORE").arg(&key).arg("-inf").arg(time.millis());
            range.arg("LIMIT").arg(offset).arg(CHUNK);
            let (marks,): (Vec<String>,) = self.ask(&page).await?;
            found.extend(read_marks(&marks));
            if marks.len() < CHUNK {
                return Ok(found);
            }
            offset += CHUNK;
        }
    }

    async fn pending(&self, epoch: &Epoch) -> Result<Vec<Mark>, GateError> {
        let mut all = Pipeline::with_capacity(1);
        all.cmd("ZRANGE").arg(self.names.pending(epoch.number)).arg(0).arg(-1);
        let (marks,): (Vec<String>,) = self.ask(&all).await?;
        Ok(read_marks(&marks))
    }

    async fn are_pending(&self, epoch: &Epoch, marks: &[Mark]) -> Result<Vec<bool>, GateError> {
        let key = self.names.pending(epoch.number);
        let mut pending = Vec::with_capacity(marks.len());
        for some in marks.chunks(CHUNK) {
            let mut ask = Pipeline::with_capacity(1);
            ask.cmd("ZMSCORE").arg(&key).arg(members(some));
            let (scores,): (Vec<Option<String>>,) = self.ask(&ask).await?;
            pending.extend(scores.into_iter().map(|score| score.is_some()));
        }
        Ok(pending)
    }

    async fn unmark(&self, epoch: &Epoch, marks: &[Mark]) -> Result<(), GateError> {
        if marks.is_empty() {
            return Ok(());
        }
        let mut forget = Pipeline::with_capacity(1);
        forget.cmd("ZREM").arg(self.names.pending(epoch.number)).arg(members(marks)).ignore();
        self.ask(&forget).await
    }

    async fn held(&self, epoch: &Epoch, marks: &[Mark]) -> Result<Vec<Option<Held>>, GateError> {
        let mut held = Vec::with_capacity(marks.len());
        for some in marks.chunks(CHUNK) {
            let mut ask = Pipeline::with_capacity(some.len());
            for Mark { user, coupon } in some {
                ask.cmd("HGET").arg(self.names.holders(epoch.number, *coupon)).arg(user.get());
            }
            let texts: Vec<Option<String>> = self.ask(&ask).await?;
            held.extend(texts.into_iter().map(|text| text.as_deref().and_then(read_held)));
        }
        Ok(held)
    }

    async fn park(&self, epoch: &Epoch, results: &[CouponResult]) -> Result<(), GateError> {
        if results.is_empty() {
            return Ok(());
        }
        let mut hold = Pipeline::with_capacity(results.len());
        for CouponResult { result_id, coupon_id, user_id, .. } in results {
            let key = self.names.holders(epoch.number, *coupon_id);
            let call = hold.cmd("EVAL").arg(PARK).arg(1).arg(key);
            call.arg(user_id.get()).arg(result_id.number()).arg(PARKED).ignore();
        }
        self.ask(&hold).await
    }

    async fn probe(&self) -> Result<(), GateError> {
        let mut probe = Pipeline::with_capacity(1);
        probe.cmd("SET").arg(self.names.probe()).arg(1).arg("PX").arg(PROBE_MS).ignore();
        self.ask(&probe).await
    }

    async fn begin(&self, epoch: &Epoch) -> Result<(), GateError> {
        let mut load = Pipeline::with_capacity(2);
        load.cmd("SCRIPT").arg("LOAD").arg(epoch.script.text()).ignore();
        load.cmd("ZADD").arg(self.names.pending(epoch.number)).arg("+inf").arg(SENTINEL).ignore();
        self.ask(&load).await
    }

    async fn offer(&self, epoch: &Epoch, coupons: &[&Terms]) -> Result<(), GateError> {
        for some in coupons.chunks(CHUNK) {
            let mut pipeline = Pipeline::with_capacity(some.len());
            for terms in some {
                let key = self.names.holders(epoch.number, terms.coupon);
                let (start, end) = (terms.start.millis(), terms.over_from().millis());
                let meta = pipeline.cmd("HSET").arg(key).arg("t").arg(terms.total);
                meta.arg("s").arg(start).arg("e").arg(end).ignore();
            }
            self.ask::<()>(&pipeline).await?;
        }
        Ok(())
    }

    async fn offers_all(&self, epoch: &Epoch, coupons: &[CouponId]) -> Result<bool, GateError> {
        if coupons.is_empty() {
            return Ok(true);
        }
        let mut pipeline = Pipeline::with_capacity(coupons.len());
        for coupon in coupons {
            let fields = pipeline.cmd("HMGET").arg(self.names.holders(epoch.number, *coupon));
            fields.arg("t").arg("s").arg("e");
        }
        let fields: Vec<Vec<Option<String>>> = self.ask(&pipeline).await?;
        Ok(fields.into_iter().flatten().all(|field| field.is_some()))
    }

    async fn hold(&self, epoch: &Epoch, holds: &[Hold]) -> Result<Vec<bool>, GateError> {
        if holds.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = Pipeline::with_capacity(holds.len());
        for Hold { coupon, user, id } in holds {
            pipeline.cmd("HSETNX").arg(self.holders_key(epoch, *coupon)?).arg(user).arg(id);
        }
        self.ask(&pipeline).await
    }

    async fn hold_instead(&self, epoch: &Epoch, Hold { coupon, user, id }: Hold) -> Result<(), GateError> {
        self.set(epoch, coupon, user.to_string(), id.to_string()).await
    }

    async fn hold_beside(&self, epoch: &Epoch, Hold { coupon, user, id }: Hold) -> Result<(), GateError> {
        self.set(epoch, coupon, format!("+{id}"), user.to_string()).await
    }

    async fn hold_parked(&self, epoch: &Epoch, holds: &[Hold]) -> Result<(), GateError> {
        for some in holds.chunks(CHUNK) {
            let mut pipeline = Pipeline::with_capacity(some.len());
            for Hold { coupon, user, id } in some {
                let key = self.holders_key(epoch, *coupon)?;
                pipeline.cmd("HSETNX").arg(key).arg(user).arg(format!("{PARKED}{id}")).ignore();
            }
            self.ask::<()>(&pipeline).await?;
        }
        Ok(())
    }

    async fn lacking(&self, epoch: &Epoch, holds: &[Hold]) -> Result<Vec<Hold>, GateError> {
        let mut by_coupon: BTreeMap<u64, Vec<Hold>> = BTreeMap::new();
        for hold in holds {
            by_coupon.entry(hold.coupon).or_default().push(*hold);
        }
        if by_coupon.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = Pipeline::with_capacity(by_coupon.len());
        for (coupon, holds) in &by_coupon {
            pipeline.cmd("HMGET").arg(self.holders_key(epoch, *coupon)?).arg("t");
            for Hold { user, .. } in holds {
                pipeline.arg(user);
            }
        }
        let answers: Vec<Vec<Option<String>>> = self.ask(&pipeline).await?;
        let mut lacking = Vec::new();
        for (holds, answer) in by_coupon.into_values().zip(answers) {
            let mut held = answer.into_iter();
            if held.next().flatten().is_none() {
                continue;
            }
            lacking
                .extend(holds.into_iter().zip(held).filter(|(_, held)| held.is_none()).map(|(hold, _)| hold));
        }
        Ok(lacking)
    }

    async fn forget_before(&self, epoch: u64) -> Result<(), GateError> {
        let earlier = |key: &str| self.names.epoch_of(key).is_some_and(|of| of < epoch);
        Ok(remove_keys(&self.link, &self.names.every_key(), earlier).await?)
    }
}

/// Removes the keys that fit a pattern and are to go.
pub(in crate::servers) async fn remove_keys(
    redis: &Link,
    pattern: &str,
    to_go: impl Fn(&str) -> bool,
) -> Result<(), RedisError> {
    let mut cursor = 0_u64;
    loop {
        let mut scan = Pipeline::new();
        scan.cmd("SCAN").arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(CHUNK);
        let ((next, keys),): ((u64, Vec<String>),) = redis.ask(&scan).await?;
        let keys: Vec<String> = keys.into_iter().filter(|key| to_go(key)).collect();
        if !keys.is_empty() {
            redis.ask::<()>(Pipeline::new().cmd("UNLINK").arg(keys).ignore()).await?;
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &[&str], grabs: usize) -> Result<Vec<Decision>, GateError> {
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
                Decision::Granted(0),
                Decision::Duplicate(id(12)),
                Decision::OutOfStock,
                Decision::Pending(Reservation::plain(id(13))),
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

    #[test]
    fn a_holders_record_is_read_for_what_it_is() {
        let read = ["12", "x12", "", "x", "y"].map(read_held);
        assert_eq!(read, [Some(Held::Result(12)), Some(Held::Parked(12)), None, None, None]);
    }
}
