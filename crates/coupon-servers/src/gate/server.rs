//! Redis as the gate's server: a hash for each coupon, a sorted set of pending marks, a script for each epoch.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use coupon_core::{CouponId, CouponResult, Timestamp, VersionNumber};
use coupon_store::terms::Terms;
use coupon_store::{Attempt, Decision, GateStock};
use deadpool_redis::redis::{FromRedisValue, Pipeline, RedisError};

use super::link::is_no_script;
use super::offers::Where;
use super::question::{Answers, question};
use super::replication::{self, Replication};
use super::{Epoch, LAST_SLOT, Link, META_FIELDS, PARKED, RedisServer, SENTINEL, text};
use crate::names::Names;
use crate::seam::{
    CouponHolders, Fence, GateError, GateServer, Held, Hold, Mark, Release, Remembers, Unchecked, Versions,
};

/// The number of holders that are read at a time.
const SCAN: usize = 2_000;
/// The number of marks, holders or keys that are asked for, written or removed at a time.
pub(super) const CHUNK: usize = 5_000;
/// The number of marks that one call of a script takes away: Lua has no room for many more on its stack.
const UNMARKED: usize = 2_000;
/// The number of results that one call of a script lets go of: grabs wait for it.
const RELEASED: usize = 100;
/// The lifetime of the key that shows whether Redis can be written, in milliseconds.
const PROBE_MS: u64 = 1_000;

/// Makes the user of a parked result its holder, unless they hold another one in its slot, or the gate does not hold the
/// coupon.
const PARK: &str = "\
local held = redis.call('HMGET', KEYS[1], 't', ARGV[1])
if held[1] and (not held[2] or held[2] == ARGV[2]) then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3] .. ARGV[2])
end";

/// Notes a slot as the last that any user ever had of a coupon, unless a later one is.
const NOTE_SLOT: &str = "\
if tonumber(ARGV[1]) > tonumber(redis.call('HGET', KEYS[1], 'm') or 0) then
  redis.call('HSET', KEYS[1], 'm', ARGV[1])
end";

/// One connection to Redis, for the gate of one data set.
pub(crate) struct GateLink {
    pub(super) link: Link,
    pub(super) names: Names,
}

impl GateLink {
    pub(crate) fn new(redis: RedisServer, names: Names, patience: Duration) -> Self {
        Self { link: Link::new(redis, patience), names }
    }

    /// Asks about an epoch, and no Redis that has been a replica since it was filled.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        epoch: &Epoch,
        pipeline: &Pipeline,
    ) -> Result<T, GateError> {
        let asked = self.link.within(async {
            let line = self.link.line().await?;
            let mut connection = line.connection();
            if !line.leads_to(epoch.number) {
                let mut place = Pipeline::with_capacity(2);
                replication::ask(&mut place, &self.names, epoch);
                let (filled, info): (Option<String>, String) = place.query_async(&mut connection).await?;
                if !Replication::read(&info).goes_on_from(filled.as_deref()) {
                    return Ok(None);
                }
                line.found(epoch.number);
            }
            pipeline.query_async(&mut connection).await.map(Some)
        });
        asked.await?.ok_or(GateError::Forgot)
    }

    pub(super) fn holders_key(&self, epoch: &Epoch, coupon: u64) -> Result<String, GateError> {
        let coupon = CouponId::new(coupon).map_err(|_| strange(&coupon))?;
        Ok(self.names.holders(epoch.number, coupon))
    }

    /// Has the last slot noted of each coupon, before these are held.
    pub(super) fn note_slots<'a>(
        &self,
        pipeline: &mut Pipeline,
        epoch: &Epoch,
        holds: impl IntoIterator<Item = &'a Hold>,
    ) -> Result<(), GateError> {
        let mut last: BTreeMap<u64, u8> = BTreeMap::new();
        for Hold { coupon, slot, .. } in holds {
            let last = last.entry(*coupon).or_default();
            *last = (*last).max(*slot);
        }
        for (coupon, slot) in last.into_iter().filter(|(_, slot)| *slot > 0) {
            let key = self.holders_key(epoch, coupon)?;
            pipeline.cmd("EVAL").arg(NOTE_SLOT).arg(1).arg(key).arg(slot).ignore();
        }
        Ok(())
    }

    async fn set(&self, epoch: &Epoch, coupon: u64, field: String, value: String) -> Result<(), GateError> {
        let mut set = Pipeline::with_capacity(1);
        set.cmd("HSET").arg(self.holders_key(epoch, coupon)?).arg(field).arg(value).ignore();
        self.ask(epoch, &set).await
    }
}

impl From<RedisError> for GateError {
    fn from(error: RedisError) -> Self {
        if is_no_script(&error) { Self::Forgot } else { Self::Away { why: error.to_string() } }
    }
}

pub(super) fn strange(answer: &dyn std::fmt::Debug) -> GateError {
    GateError::Strange { answer: format!("{answer:?}") }
}

/// Asks whether Redis has its memory of an epoch.
fn whole(names: &Names, epoch: &Epoch) -> Pipeline {
    let mut pipeline = Pipeline::new();
    pipeline.cmd("SCRIPT").arg("EXISTS").arg(epoch.script.sha()).arg(epoch.releases.sha());
    pipeline.cmd("ZSCORE").arg(names.pending(epoch.number)).arg(SENTINEL);
    replication::ask(&mut pipeline, names, epoch);
    pipeline
}

/// The answers to it: both scripts, the sentinel, the id of the Redis that was filled, the place of this one.
type Whole = ((bool, bool), Option<String>, Option<String>, String);

fn read_whole(((grabs, releases), sentinel, filled, info): Whole) -> Remembers {
    let goes_on = Replication::read(&info).goes_on_from(filled.as_deref());
    Remembers { script: grabs && releases && goes_on, sentinel: sentinel.is_some() }
}

/// Marks, as the members that they are.
fn members(marks: &[Mark]) -> Vec<String> {
    marks.iter().map(text::member).collect()
}

/// The marks among members; the sentinel is none.
fn read_marks(members: &[String]) -> Vec<Mark> {
    members.iter().filter_map(|member| text::read_mark(member)).collect()
}

#[async_trait]
impl GateServer for GateLink {
    fn address(&self) -> String {
        self.link.place()
    }

    async fn decide(
        &self,
        epoch: &Epoch,
        knows: VersionNumber,
        attempts: &[&Attempt],
    ) -> Result<Vec<Decision>, GateError> {
        let answer: (Vec<String>,) = self.ask(epoch, &question(&self.names, epoch, knows, attempts)).await?;
        Answers::of(&answer.0, attempts.len())?.collect()
    }

    async fn fence(&self, epoch: &Epoch, catalogue: u64, fences: &[Fence]) -> Result<(), GateError> {
        self.write_fences(epoch, catalogue, fences).await
    }

    async fn latest_layout(&self, epoch: &Epoch) -> Result<VersionNumber, GateError> {
        self.read_latest(epoch).await
    }

    async fn stock(&self, epoch: &Epoch, coupon: CouponId) -> Result<Option<GateStock>, GateError> {
        let key = self.names.holders(epoch.number, coupon);
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("HMGET").arg(&key).arg("t").arg(LAST_SLOT).cmd("HLEN").arg(&key);
        let ((total, last), fields): ((Option<u32>, Option<u8>), i64) = self.ask(epoch, &pipeline).await?;
        let sold = u32::try_from(fields - META_FIELDS - i64::from(last.is_some())).unwrap_or(0);
        Ok(total.map(|total| GateStock { total, sold }))
    }

    async fn holders(&self, epoch: &Epoch, coupon: CouponId) -> Result<CouponHolders, GateError> {
        let key = self.names.holders(epoch.number, coupon);
        let (mut users, mut fields) = (HashSet::new(), HashSet::new());
        let mut cursor = 0_u64;
        loop {
            let mut scan = Pipeline::with_capacity(1);
            scan.cmd("HSCAN").arg(&key).arg(cursor).arg("COUNT").arg(SCAN);
            let ((next, found),): ((u64, Vec<String>),) = self.ask(epoch, &scan).await?;
            for field in found.into_iter().step_by(2) {
                users.extend(text::field_user(&field));
                fields.insert(field);
            }
            if next == 0 {
                break;
            }
            cursor = next;
        }
        users.extend(self.users_with_answers(epoch, coupon).await?);
        fields.remove(LAST_SLOT);
        let holds = fields.len().saturating_sub(META_FIELDS as usize);
        Ok(CouponHolders { users: users.into_iter().collect(), holds })
    }

    async fn remembers(&self, epoch: &Epoch) -> Result<Remembers, GateError> {
        self.link.find().await?;
        let answer: Whole = self.link.ask(&whole(&self.names, epoch)).await?;
        Ok(read_whole(answer))
    }

    async fn pending_at(&self, epoch: &Epoch, time: Timestamp) -> Result<(Remembers, Vec<Mark>), GateError> {
        let mut pipeline = whole(&self.names, epoch);
        let (key, time) = (self.names.pending(epoch.number), time.millis());
        pipeline.cmd("ZRANGEBYSCORE").arg(key).arg(time).arg(time);
        let (scripts, sentinel, filled, info, marks): ((bool, bool), _, _, _, Vec<String>) =
            self.link.ask(&pipeline).await?;
        Ok((read_whole((scripts, sentinel, filled, info)), read_marks(&marks)))
    }

    async fn pending_until(&self, epoch: &Epoch, time: Timestamp) -> Result<Vec<Mark>, GateError> {
        let key = self.names.pending(epoch.number);
        let (mut found, mut offset) = (Vec::new(), 0);
        loop {
            let mut page = Pipeline::with_capacity(1);
            let range = page.cmd("ZRANGEBYSCORE").arg(&key).arg(0).arg(time.millis());
            range.arg("LIMIT").arg(offset).arg(CHUNK);
            let (marks,): (Vec<String>,) = self.ask(epoch, &page).await?;
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
        let (marks,): (Vec<String>,) = self.ask(epoch, &all).await?;
        Ok(read_marks(&marks))
    }

    async fn are_pending(&self, epoch: &Epoch, marks: &[Mark]) -> Result<Vec<bool>, GateError> {
        let key = self.names.pending(epoch.number);
        let mut pending = Vec::with_capacity(marks.len());
        for some in marks.chunks(CHUNK) {
            let mut ask = Pipeline::with_capacity(1);
            ask.cmd("ZMSCORE").arg(&key).arg(members(some));
            let (scores,): (Vec<Option<f64>>,) = self.ask(epoch, &ask).await?;
            pending.extend(scores.iter().map(Option::is_some));
        }
        Ok(pending)
    }

    async fn unmark(&self, epoch: &Epoch, marks: &[Mark]) -> Result<(), GateError> {
        let key = self.names.pending(epoch.number);
        for some in marks.chunks(UNMARKED) {
            let mut forget = Pipeline::with_capacity(1);
            forget.cmd("ZREM").arg(&key).arg(members(some)).ignore();
            self.ask::<()>(epoch, &forget).await?;
        }
        Ok(())
    }

    async fn held(&self, epoch: &Epoch, marks: &[Mark]) -> Result<Vec<Option<Held>>, GateError> {
        let mut held = Vec::with_capacity(marks.len());
        for some in marks.chunks(CHUNK) {
            let mut ask = Pipeline::with_capacity(some.len());
            for Mark { user, coupon, slot, .. } in some {
                let key = self.names.holders(epoch.number, *coupon);
                ask.cmd("HGET").arg(key).arg(text::field(user.get(), *slot));
            }
            let values: Vec<Option<String>> = self.ask(epoch, &ask).await?;
            let read =
                some.iter().zip(values).map(|(mark, value)| text::read_held(value.as_deref()?, mark.slot));
            held.extend(read);
        }
        Ok(held)
    }

    async fn park(&self, epoch: &Epoch, results: &[CouponResult]) -> Result<(), GateError> {
        if results.is_empty() {
            return Ok(());
        }
        let mut hold = Pipeline::with_capacity(results.len());
        for CouponResult { result_id, coupon_id, user_id, slot, hold_until, request, .. } in results {
            let key = self.names.holders(epoch.number, *coupon_id);
            let call = hold.cmd("EVAL").arg(PARK).arg(1).arg(key);
            call.arg(text::field(user_id.get(), slot.unwrap_or(0)));
            call.arg(text::value(result_id.number(), *hold_until, *request)).arg(PARKED).ignore();
        }
        self.ask(epoch, &hold).await
    }

    async fn probe(&self) -> Result<(), GateError> {
        self.link.find().await?;
        let mut probe = Pipeline::with_capacity(1);
        probe.cmd("SET").arg(self.names.probe()).arg(1).arg("PX").arg(PROBE_MS).ignore();
        Ok(self.link.ask(&probe).await?)
    }

    async fn begin(&self, epoch: &Epoch) -> Result<(), GateError> {
        let mut ask = Pipeline::with_capacity(1);
        replication::ask_here(&mut ask);
        let (info,): (String,) = self.link.ask(&ask).await?;
        let mut load = Pipeline::with_capacity(4);
        replication::record(&mut load, &self.names, epoch, Replication::read(&info));
        for script in [&epoch.releases, &epoch.script] {
            load.cmd("SCRIPT").arg("LOAD").arg(script.text()).ignore();
        }
        load.cmd("ZADD").arg(self.names.pending(epoch.number)).arg("+inf").arg(SENTINEL).ignore();
        Ok(self.link.ask(&load).await?)
    }

    async fn offer(&self, epoch: &Epoch, version: u64, coupons: &[&Terms]) -> Result<(), GateError> {
        self.write_terms(epoch, version, coupons, Where::Everywhere).await.map(drop)
    }

    async fn change_terms(
        &self,
        epoch: &Epoch,
        version: u64,
        coupons: &[&Terms],
    ) -> Result<Vec<CouponId>, GateError> {
        self.write_terms(epoch, version, coupons, Where::There).await
    }

    async fn versions(&self, epoch: &Epoch) -> Result<Option<Versions>, GateError> {
        self.read_versions(epoch).await
    }

    async fn offers_all(&self, epoch: &Epoch) -> Result<bool, GateError> {
        self.has_all_terms(epoch).await
    }

    async fn hold(&self, epoch: &Epoch, holds: &[Hold]) -> Result<Vec<bool>, GateError> {
        if holds.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = Pipeline::with_capacity(holds.len());
        self.note_slots(&mut pipeline, epoch, holds)?;
        for hold in holds {
            let key = self.holders_key(epoch, hold.coupon)?;
            pipeline.cmd("HSETNX").arg(key).arg(text::field(hold.user, hold.slot)).arg(text::value_of(hold));
        }
        self.ask(epoch, &pipeline).await
    }

    async fn hold_instead(&self, epoch: &Epoch, hold: Hold) -> Result<(), GateError> {
        self.set(epoch, hold.coupon, text::field(hold.user, hold.slot), text::value_of(&hold)).await
    }

    async fn hold_beside(&self, epoch: &Epoch, hold: Hold) -> Result<(), GateError> {
        self.set(epoch, hold.coupon, format!("+{}", hold.id), hold.user.to_string()).await
    }

    async fn hold_parked(&self, epoch: &Epoch, holds: &[Hold]) -> Result<(), GateError> {
        for some in holds.chunks(CHUNK) {
            let mut pipeline = Pipeline::with_capacity(some.len());
            self.note_slots(&mut pipeline, epoch, some)?;
            for hold in some {
                let key = self.holders_key(epoch, hold.coupon)?;
                let (field, value) = (text::field(hold.user, hold.slot), text::value_of(hold));
                pipeline.cmd("HSETNX").arg(key).arg(field).arg(format!("{PARKED}{value}")).ignore();
            }
            self.ask::<()>(epoch, &pipeline).await?;
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
            for Hold { user, slot, .. } in holds {
                pipeline.arg(text::field(*user, *slot));
            }
        }
        let answers: Vec<Vec<Option<String>>> = self.ask(epoch, &pipeline).await?;
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

    async fn remember(&self, epoch: &Epoch, answered: &[(Hold, Duration)]) -> Result<(), GateError> {
        self.remember_answers(epoch, answered).await
    }

    async fn let_go(&self, epoch: &Epoch, releases: &[Release]) -> Result<(), GateError> {
        // Those of one coupon together: the script takes them away at once.
        let mut releases = releases.to_vec();
        releases.sort_unstable_by_key(|release| release.coupon);
        for some in releases.chunks(RELEASED) {
            self.let_go_of(epoch, some).await?;
        }
        Ok(())
    }

    async fn restore(&self, epoch: &Epoch, rows: &[(Unchecked, Hold)]) -> Result<Vec<bool>, GateError> {
        self.restore_to_be_checked(epoch, rows).await
    }

    async fn unchecked(&self, epoch: &Epoch) -> Result<Vec<Unchecked>, GateError> {
        let mut all = Pipeline::with_capacity(1);
        all.cmd("SMEMBERS").arg(self.names.unchecked(epoch.number));
        let (rows,): (Vec<String>,) = self.ask(epoch, &all).await?;
        Ok(rows.iter().filter_map(|row| text::read_unchecked(row)).collect())
    }

    async fn checked(&self, epoch: &Epoch, rows: &[Unchecked]) -> Result<(), GateError> {
        for some in rows.chunks(CHUNK) {
            let members: Vec<String> = some.iter().map(text::unchecked).collect();
            let mut take = Pipeline::with_capacity(1);
            take.cmd("SREM").arg(self.names.unchecked(epoch.number)).arg(members).ignore();
            self.ask::<()>(epoch, &take).await?;
        }
        Ok(())
    }

    async fn forget_before(&self, epoch: u64) -> Result<(), GateError> {
        let earlier = |key: &str| self.names.epoch_of(key).is_some_and(|of| of < epoch);
        Ok(remove_keys(&self.link, &self.names.every_key(), earlier).await?)
    }
}

/// Removes the keys that fit a pattern and are to go.
pub(crate) async fn remove_keys(
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
