//! Fills a gate from what is stored. Everything is read, or the gate stays shut.

use std::collections::HashMap;
use std::time::Duration;

use coupon_core::CouponId;
use deadpool_redis::redis::{Pipeline, RedisError};
use futures_util::TryStreamExt as _;
use mysql_async::prelude::Queryable as _;

use super::Background;
use crate::failpoints::{self, Mechanism, Point};
use crate::servers::catalogue::all_terms;
use crate::servers::gate::{Epoch, Link, PARKED};
use crate::servers::mysql::Database;
use crate::servers::sql;
use crate::terms::Terms;

const DAY_MS: i64 = 86_400_000;
/// The longest that a database may be silent while it is read.
const PATIENCE: Duration = Duration::from_secs(30);
/// The number of holders that are written, or keys that are removed, at a time.
const CHUNK: usize = 5_000;

/// The contents of a gate that was filled.
#[derive(Debug, Default)]
pub(in crate::servers) struct Filled {
    pub(in crate::servers) coupons: usize,
    pub(in crate::servers) holders: u64,
}

/// A user's hold of a coupon, as a shard's rows show it.
type Hold = (u64, u64, i64);

/// Fills the keys of an epoch that is not in use yet.
pub(in crate::servers) async fn fill(background: &Background, epoch: &Epoch) -> anyhow::Result<Filled> {
    let coupons = to_fill(background).await?;
    let mut filling =
        Filling { background, epoch, coupons: &coupons, holds: Vec::new(), filled: Filled::default() };
    filling.coupons().await?;
    failpoints::hit(Point::Filling);
    for (_, database) in background.cluster.numbered() {
        match filling.shard(database).await {
            Err(error) if failpoints::is_off(Mechanism::WholeFill) => {
                tracing::warn!(%database, error = format!("{error:#}"), "the gate is filled without this shard");
            }
            read => read?,
        }
    }
    filling.filled.coupons = coupons.len();
    Ok(filling.filled)
}

/// The coupons that a gate must have, by main's present terms: those that can be grabbed, and those that some process
/// may still take for such, since they were withdrawn or cut short while it ran.
pub(super) async fn to_fill(background: &Background) -> anyhow::Result<HashMap<CouponId, Terms>> {
    let main = &background.cluster.main;
    let mut conn = main.connect().await?;
    let lately = background.time.clock.now().plus_millis(-DAY_MS);
    let all = main.patiently(PATIENCE, all_terms(&mut conn, None)).await?;
    // A coupon that was over for longer is not in the gate, and so is not granted. Should its end be moved, it is
    // found missing, and the gate is filled anew.
    let matters = all.terms.into_iter().filter(|terms| terms.end > lately);
    Ok(matters.map(|terms| (terms.coupon, terms)).collect())
}

struct Filling<'a> {
    background: &'a Background,
    epoch: &'a Epoch,
    coupons: &'a HashMap<CouponId, Terms>,
    holds: Vec<Hold>,
    filled: Filled,
}

impl Filling<'_> {
    /// Totals and windows. One that is withdrawn is over.
    async fn coupons(&mut self) -> anyhow::Result<()> {
        let names = &self.background.names;
        let all: Vec<&Terms> = self.coupons.values().collect();
        for chunk in all.chunks(CHUNK) {
            let mut pipeline = Pipeline::with_capacity(chunk.len());
            for terms in chunk {
                let key = names.holders(self.epoch.number, terms.coupon);
                let (start, end) = (terms.start.millis(), terms.over_from().millis());
                let meta = pipeline.cmd("HSET").arg(key).arg("t").arg(terms.total);
                meta.arg("s").arg(start).arg("e").arg(end).ignore();
            }
            self.background.gate.redis.ask::<()>(&pipeline).await?;
        }
        Ok(())
    }

    /// Reads every table: which of them hold a coupon's results does not depend on what main says of the coupon now.
    async fn shard(&mut self, database: &Database) -> anyhow::Result<()> {
        let mut conn = database.connect().await?;
        let tables = database.patiently(PATIENCE, sql::tables(&mut conn)).await?;
        let (first, last) = (self.coupons.keys().min(), self.coupons.keys().max());
        let (Some(first), Some(last)) = (first, last) else { return Ok(()) };
        for table in tables {
            let sql = format!(
                "SELECT coupon_id, user_id, result_id FROM {table} WHERE coupon_id BETWEEN {first} AND {last}"
            );
            let mut rows = database.patiently(PATIENCE, conn.query_stream::<Hold, _>(sql)).await?;
            while let Some(hold) = database.patiently(PATIENCE, rows.try_next()).await? {
                self.take(hold).await?;
            }
        }
        self.flush().await?;
        // They hold their stock until a person decides.
        let asked = conn.query("SELECT coupon_id, user_id, result_id FROM parked_results");
        let parked: Vec<Hold> = database.patiently(PATIENCE, asked).await?;
        for hold in parked {
            self.park(hold).await?;
        }
        Ok(())
    }

    async fn take(&mut self, hold: Hold) -> anyhow::Result<()> {
        let on_offer = CouponId::new(hold.0).is_ok_and(|coupon| self.coupons.contains_key(&coupon));
        if on_offer {
            self.holds.push(hold);
        }
        if self.holds.len() >= CHUNK { self.flush().await } else { Ok(()) }
    }

    /// Writes the holders gathered. A second result of one user takes stock as well, though it should not be there.
    async fn flush(&mut self) -> anyhow::Result<()> {
        if self.holds.is_empty() {
            return Ok(());
        }
        let mut pipeline = Pipeline::with_capacity(self.holds.len());
        for (coupon, user, id) in &self.holds {
            pipeline.cmd("HSETNX").arg(self.key(*coupon)?).arg(user).arg(id);
        }
        let fresh: Vec<bool> = self.background.gate.redis.ask(&pipeline).await?;
        for ((coupon, user, id), _) in self.holds.iter().zip(fresh).filter(|(_, fresh)| !fresh) {
            let mut held = Pipeline::new();
            held.cmd("HGET").arg(self.key(*coupon)?).arg(user);
            let (other,): (Option<String>,) = self.background.gate.redis.ask(&held).await?;
            let other = other.unwrap_or_default();
            if other == id.to_string() {
                continue;
            }
            let mut mend = Pipeline::new();
            if other.starts_with(PARKED) {
                // One that is stored counts, whatever is parked beside it.
                mend.cmd("HSET").arg(self.key(*coupon)?).arg(user).arg(id).ignore();
            } else {
                tracing::error!(coupon, user, "this user holds this coupon more than once");
                mend.cmd("HSET").arg(self.key(*coupon)?).arg(format!("+{id}")).arg(user).ignore();
            }
            self.background.gate.redis.ask::<()>(&mend).await?;
        }
        self.filled.holders += self.holds.len() as u64;
        self.holds.clear();
        Ok(())
    }

    async fn park(&self, (coupon, user, id): Hold) -> anyhow::Result<()> {
        let Ok(coupon_id) = CouponId::new(coupon) else { return Ok(()) };
        if !self.coupons.contains_key(&coupon_id) {
            return Ok(());
        }
        let mut pipeline = Pipeline::new();
        pipeline.cmd("HSETNX").arg(self.key(coupon)?).arg(user).arg(format!("{PARKED}{id}")).ignore();
        Ok(self.background.gate.redis.ask(&pipeline).await?)
    }

    fn key(&self, coupon: u64) -> anyhow::Result<String> {
        Ok(self.background.names.holders(self.epoch.number, CouponId::new(coupon)?))
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
