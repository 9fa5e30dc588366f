//! The gate, held against the rows: what it holds and no shard has is stock that nobody can ever get.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use coupon_core::CouponId;
use coupon_service::backend::servers::names::Names;
use coupon_service::settings::ServersSettings;
use deadpool_redis::redis::{self, Connection};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::Servers;
use crate::scan::Holders;
use crate::source::{Catalogue, Snapshot};
use crate::{AuditReport, Kind};

const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(10);
/// How many rounds of looking through the pending reservations settle them: one to find a marker, one to hand over what
/// is older, one to see it stored.
const ROUNDS: u32 = 3;
/// Even a quick round takes its time under load.
const SETTLE_AT_LEAST: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);
/// What is in a coupon's hash beside its holders: total, start and end, and surpluses.
const META: [&str; 3] = ["t", "s", "e"];
const SURPLUS: char = '+';

/// Which of the gate's keys count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gate {
    names: Names,
    epoch: u64,
    open_epoch: u64,
}

impl Gate {
    /// What main says of it.
    pub(super) async fn read(main: &mut Conn, names: &Names) -> Result<Self> {
        let sql = "SELECT epoch, open_epoch FROM gate_state WHERE id = 1";
        let state: Option<(u64, u64)> = main.query_first(sql).await?;
        let (epoch, open_epoch) = state.context("main does not tell the gate's epoch")?;
        Ok(Self { names: names.clone(), epoch, open_epoch })
    }

    pub(super) const fn names(&self) -> &Names {
        &self.names
    }

    /// Why there is no gate to look at, if there is none.
    fn closed(&self) -> Option<&'static str> {
        match (self.open_epoch, self.epoch) {
            (0, _) => Some("the gate was never opened"),
            (open, taken) if open < taken => Some("the gate was being rebuilt"),
            _ => None,
        }
    }

    /// Waits until no reservation is pending, at most for as long as a service may take to settle them all. What stays
    /// pending is for the checks to find.
    pub(super) fn settle(&self, settings: &ServersSettings) -> Result<()> {
        if settings.redis.is_empty() || self.closed().is_some() {
            return Ok(());
        }
        let mut redis = connect(settings)?;
        // Whoever fills the gate puts a sentinel behind them, later than any of them.
        let mut pending = redis::cmd("ZCOUNT");
        pending.arg(self.names.pending(self.open_epoch)).arg("-inf").arg("(+inf");
        let round = Duration::from_millis(settings.reconcile_ms.get());
        let patience = Instant::now() + (round * ROUNDS).max(SETTLE_AT_LEAST);
        while pending.query::<u64>(&mut redis)? > 0 && Instant::now() < patience {
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Servers {
    /// Holds the gate against the rows, coupon by coupon, for those that are still on offer.
    pub(crate) fn check_gate(
        &self,
        gate: &Gate,
        snapshot: &Snapshot,
        holders: &Holders,
        drained: bool,
        report: &mut AuditReport,
    ) -> Result<()> {
        let why = match (drained, self.settings().redis.is_empty()) {
            (false, _) => Some("the service was not drained"),
            (_, true) => Some("setting `servers.redis` is missing"),
            _ => gate.closed(),
        };
        if let Some(why) = why {
            report.not_checked.insert(Kind::Stock, format!("the gate was not held against the rows: {why}"));
            return Ok(());
        }
        let mut redis = connect(self.settings())?;
        let mut found = Vec::new();
        for coupon in on_offer(&snapshot.catalogue) {
            let stored = accounted(snapshot, holders, coupon);
            found.extend(compare(&mut redis, gate, coupon, &stored)?);
        }
        if self.gate_now(gate)? != *gate {
            let why = "the gate was not held against the rows: it was rebuilt meanwhile";
            report.not_checked.insert(Kind::Stock, why.to_owned());
            return Ok(());
        }
        for (count, text) in found {
            report.add(Kind::Stock, count, || text);
        }
        Ok(())
    }
}

/// The users whose hold of a coupon is accounted for: by a row, or by a result that was parked.
fn accounted(snapshot: &Snapshot, holders: &Holders, coupon: CouponId) -> HashSet<i64> {
    let Ok(coupon) = i64::try_from(coupon.get()) else { return HashSet::new() };
    let parked = snapshot.shards.iter().flat_map(|shard| &shard.parked).map(|parked| parked.grab);
    let parked = parked.filter(|grab| grab.coupon == coupon).map(|grab| grab.user);
    holders.get(&coupon).into_iter().flatten().map(|(user, _)| *user).chain(parked).collect()
}

/// What differs between the gate's holders of a coupon and the users accounted for: how many, and a description.
fn compare(
    redis: &mut Connection,
    gate: &Gate,
    coupon: CouponId,
    stored: &HashSet<i64>,
) -> Result<Vec<(u64, String)>> {
    let key = gate.names.holders(gate.open_epoch, coupon);
    let fields: HashMap<String, String> = redis::cmd("HGETALL").arg(&key).query(redis)?;
    if fields.is_empty() {
        return Ok(vec![(
            1,
            format!("coupon {coupon} is on offer, and the gate does not know it: no {key}"),
        )]);
    }
    let mut held = BTreeMap::new();
    for (field, result) in fields {
        if META.contains(&&*field) || field.starts_with(SURPLUS) {
            continue;
        }
        let user: i64 = field.parse().with_context(|| format!("Redis: {key} has a field {field:?}"))?;
        held.insert(user, result);
    }
    let leaked: Vec<_> = held.iter().filter(|(user, _)| !stored.contains(user)).collect();
    let missing = stored.iter().filter(|user| !held.contains_key(user)).min();
    let unheld = stored.iter().filter(|user| !held.contains_key(user)).count() as u64;
    let mut found = Vec::new();
    if let Some((user, result)) = leaked.first() {
        let text = format!(
            "coupon {coupon}: {} held in the gate but not stored, for example by user {user}, result {result}",
            leaked.len()
        );
        found.push((leaked.len() as u64, text));
    }
    if let Some(user) = missing {
        let text = format!(
            "coupon {coupon}: {unheld} stored but not held in the gate, for example by user {user}: it could be granted \
             again"
        );
        found.push((unheld, text));
    }
    Ok(found)
}

/// The coupons that the gate must know: on offer, and not ended yet.
fn on_offer(catalogue: &Catalogue) -> Vec<CouponId> {
    let now = jiff::Timestamp::now().as_millisecond();
    let running = catalogue.iter().filter(|(_, coupon)| coupon.active && coupon.end > now);
    running.filter_map(|(id, _)| CouponId::new(u64::try_from(*id).ok()?).ok()).collect()
}

fn connect(settings: &ServersSettings) -> Result<Connection> {
    let what = || format!("setting `servers.redis`: Redis at {}", settings.redis.host());
    let client = redis::Client::open(settings.redis.expose()).with_context(what)?;
    let connection = client.get_connection_with_timeout(CONNECT).with_context(what)?;
    connection.set_read_timeout(Some(ANSWER)).with_context(what)?;
    Ok(connection)
}
