//! Holds the gate against the shards without changing either: the read-only side of the reconciler.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use coupon_core::{CouponId, ResultId, RoomId, Timestamp, UserId};
use deadpool_redis::redis::Pipeline;
use mysql_async::prelude::Queryable as _;

use super::catalogue::all_terms;
use super::cluster::Cluster;
use super::gate::{Link, META_FIELDS, PARKED, RESPONSE, RedisServer};
use super::names::Names;
use super::sql;
use crate::settings::ServersSettings;

/// The longest that a database may be silent while it is read.
const PATIENCE: Duration = Duration::from_secs(30);
/// The number of differences of a kind that are described; all are counted.
const SHOWN: usize = 10;
/// The fields of a coupon's hash beside its holders.
const META: [&str; META_FIELDS as usize] = ["t", "s", "e"];
/// The user under which a second result of one user is kept.
const SURPLUS: char = '+';

/// A kind of difference between gate and shards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Coupons that were looked at.
    pub coupons: usize,
    /// Results of theirs that are stored.
    pub stored: usize,
    /// Reservations on their way to a shard. They are no difference: services that run store them.
    pub pending: usize,
    /// Held in the gate, and stored nowhere.
    pub not_stored: Vec<String>,
    /// Stored, and not held in the gate.
    pub not_held: Vec<String>,
    /// Held in the gate as another result than the one that is stored.
    pub otherwise: Vec<String>,
    /// Coupons on offer that the gate lacks.
    pub unknown: Vec<String>,
}

impl Differences {
    fn kinds(&self) -> [(&'static str, &[String]); 4] {
        [
            ("held in the gate, and stored nowhere", &self.not_stored),
            ("stored, and not held in the gate", &self.not_held),
            ("held in the gate under another id than stored", &self.otherwise),
            ("coupons on offer that the gate does not know", &self.unknown),
        ]
    }

    /// Their number.
    #[must_use]
    pub fn count(&self) -> usize {
        self.kinds().iter().map(|(_, found)| found.len()).sum()
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { coupons, stored, pending, .. } = self;
        write!(f, "{coupons} coupons, {stored} results stored, {pending} reservations on their way")?;
        for (kind, found) in self.kinds() {
            write!(f, "\n  {kind}: {}", found.len())?;
            for one in found.iter().take(SHOWN) {
                write!(f, "\n    {one}")?;
            }
            if found.len() > SHOWN {
                write!(f, "\n    … {} more", found.len() - SHOWN)?;
            }
        }
        Ok(())
    }
}

/// A coupon's holders in the gate: by user, the id held.
type Holders = HashMap<u64, String>;
/// Users and coupons with a reservation that no shard is known to have stored.
type Pending = HashSet<(UserId, CouponId)>;
/// The results of a coupon that are stored or parked: by user, the id. Parked results hold their stock as well.
type Stored = HashMap<(u64, u64), (i64, bool)>;

/// Holds the gate against the shards, for every coupon that is on offer. Services may be running meanwhile. Takes
/// memory for every result of those coupons.
///
/// # Errors
/// When the gate is shut, or a server cannot be read.
pub async fn verify(cluster: &Cluster, settings: &ServersSettings, now: Timestamp) -> Result<Differences> {
    let label = cluster.label().await?.with_context(|| format!("{}: it holds no data set", cluster.main))?;
    ensure!(label.complete, "{}: its data set is incomplete: seed it again, with --reset", cluster.main);
    let (names, gate) = (cluster.names(&label.dataset), open_epoch(cluster).await?);
    let redis = Link::new(RedisServer::new(&settings.redis)?, RESPONSE);
    let rooms = on_offer(cluster, now).await?;
    let mut coupons: Vec<CouponId> = rooms.keys().copied().collect();
    coupons.sort_unstable();
    // Holders, then marks, then shards: a holder without a mark was stored before the marks were read.
    let mut held = HashMap::new();
    for coupon in &coupons {
        held.insert(*coupon, holders(&redis, &names, gate, *coupon).await?);
    }
    let pending = pending(&redis, &names, gate).await?;
    let stored = stored(cluster, &label.dataset, &coupons).await?;
    let mut found = Differences { coupons: coupons.len(), stored: stored.len(), ..Differences::default() };
    for (coupon, holders) in &held {
        match holders {
            None => found.unknown.push(format!("coupon {coupon}")),
            Some(holders) => {
                let room = rooms.get(coupon).copied();
                compare((*coupon, room), holders, &pending, &stored, &mut found);
            }
        }
    }
    not_held(&redis, &names, gate, &stored, &held, &mut found).await?;
    ensure!(open_epoch(cluster).await? == gate, "the gate was filled anew meanwhile: ask again");
    for kind in [&mut found.not_stored, &mut found.not_held, &mut found.otherwise, &mut found.unknown] {
        kind.sort_unstable();
    }
    Ok(found)
}

async fn open_epoch(cluster: &Cluster) -> Result<u64> {
    let main = &cluster.main;
    let mut conn = main.connect().await?;
    let asked = conn.query_first("SELECT epoch, open_epoch FROM gate_state WHERE id = 1");
    let state: Option<(u64, u64)> = main.patiently(PATIENCE, asked).await?;
    let (epoch, open) = state.unwrap_or((0, 0));
    ensure!(
        open > 0 && open == epoch,
        "the gate is shut: no service has filled it yet, or one is filling it"
    );
    Ok(open)
}

async fn on_offer(cluster: &Cluster, now: Timestamp) -> Result<HashMap<CouponId, RoomId>> {
    let mut conn = cluster.main.connect().await?;
    let all = cluster.main.patiently(PATIENCE, all_terms(&mut conn, None)).await?;
    let on_offer = all.terms.into_iter().filter(|terms| terms.over_from() > now);
    Ok(on_offer.map(|terms| (terms.coupon, terms.room)).collect())
}

/// The users whom the gate holds for a coupon; `None` when it lacks the coupon.
async fn holders(redis: &Link, names: &Names, epoch: u64, coupon: CouponId) -> Result<Option<Holders>> {
    let mut ask = Pipeline::new();
    ask.cmd("HGETALL").arg(names.holders(epoch, coupon));
    let (fields,): (HashMap<String, String>,) = redis.ask(&ask).await?;
    if !fields.contains_key("t") {
        return Ok(None);
    }
    let mut holders = Holders::new();
    for (field, id) in fields {
        if META.contains(&&*field) || field.starts_with(SURPLUS) {
            continue;
        }
        let user: u64 =
            field.parse().with_context(|| format!("Redis: coupon {coupon} has a holder {field:?}"))?;
        holders.insert(user, id);
    }
    Ok(Some(holders))
}

/// All marks, at one moment.
async fn pending(redis: &Link, names: &Names, epoch: u64) -> Result<Pending> {
    let mut ask = Pipeline::new();
    ask.cmd("ZRANGE").arg(names.pending(epoch)).arg(0).arg(-1);
    let (marks,): (Vec<String>,) = redis.ask(&ask).await?;
    Ok(marks.iter().filter_map(|mark| Names::parse_reservation(mark)).collect())
}

/// Every result of those coupons, and whether it is parked.
async fn stored(cluster: &Cluster, dataset: &str, coupons: &[CouponId]) -> Result<Stored> {
    let mut stored = Stored::new();
    let (Some(first), Some(last)) = (coupons.first(), coupons.last()) else { return Ok(stored) };
    for (shard, database) in cluster.numbered() {
        cluster.check_shard(shard, dataset).await?;
        let mut conn = database.connect().await?;
        let tables = database.patiently(PATIENCE, sql::tables(&mut conn)).await?;
        let parked = [("parked_results".to_owned(), true)];
        let tables = tables.iter().map(|table| (table.to_string(), false));
        for (table, is_parked) in parked.into_iter().chain(tables) {
            let sql = format!(
                "SELECT coupon_id, user_id, result_id FROM {table} WHERE coupon_id BETWEEN {first} AND {last}"
            );
            let rows: Vec<(u64, u64, i64)> = database.patiently(PATIENCE, conn.query(sql)).await?;
            let of_these = |coupon| CouponId::new(coupon).is_ok_and(|id| coupons.binary_search(&id).is_ok());
            for (coupon, user, id) in rows.into_iter().filter(|(coupon, ..)| of_these(*coupon)) {
                let known = stored.get(&(coupon, user)).is_some_and(|(_, parked)| !parked);
                // One that is stored counts, whatever is parked beside it.
                if !(is_parked && known) {
                    stored.insert((coupon, user), (id, is_parked));
                }
            }
        }
    }
    Ok(stored)
}

fn compare(
    (coupon, room): (CouponId, Option<RoomId>),
    holders: &Holders,
    pending: &Pending,
    stored: &Stored,
    found: &mut Differences,
) {
    let is_pending = |user: u64| UserId::new(user).is_ok_and(|user| pending.contains(&(user, coupon)));
    for (user, held) in holders {
        let id = held.strip_prefix(PARKED).unwrap_or(held);
        match stored.get(&(coupon.get(), *user)) {
            None if is_pending(*user) => found.pending += 1,
            None => {
                let put_back = put_back(coupon, room, *user, held);
                found.not_stored.push(format!("coupon {coupon}, user {user}, result {held}{put_back}"));
            }
            Some((other, false)) if other.to_string() != id => found
                .otherwise
                .push(format!("coupon {coupon}, user {user}: held as {held}, stored as {other}")),
            Some(_) => {}
        }
    }
}

/// The statement that puts a deleted row back: its grab was acknowledged, and main counts it. The table is the
/// strategy's.
fn put_back(coupon: CouponId, room: Option<RoomId>, user: u64, held: &str) -> String {
    let id = held.parse::<ResultId>().ok();
    id.zip(room).map_or_else(String::new, |(id, room)| {
        format!(
            "; if its row was deleted:\n      INSERT INTO <table> (result_id, user_id, coupon_id, room_id, grab_status, \
             grab_time) VALUES ({id}, {user}, {coupon}, {room}, 1, {})",
            id.time().millis()
        )
    })
}

/// Results that were stored while the gate was read may be newer than it: the gate is asked again before anything is
/// said.
async fn not_held(
    redis: &Link,
    names: &Names,
    epoch: u64,
    stored: &Stored,
    held: &HashMap<CouponId, Option<Holders>>,
    found: &mut Differences,
) -> Result<()> {
    for ((coupon, user), (id, _)) in stored {
        let coupon = CouponId::new(*coupon)?;
        let Some(Some(holders)) = held.get(&coupon) else { continue };
        if holders.contains_key(user) {
            continue;
        }
        let mut ask = Pipeline::new();
        ask.cmd("HEXISTS").arg(names.holders(epoch, coupon)).arg(user);
        let (known,): (bool,) = redis.ask(&ask).await?;
        if !known {
            found.not_held.push(format!("coupon {coupon}, user {user}, result {id}"));
        }
    }
    Ok(())
}
