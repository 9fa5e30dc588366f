//! The gate, held against the rows: what it holds and no shard has is stock that nobody can ever get.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use redis::Connection;

use super::Servers;
use super::connect::{self, Addresses};
use super::names::Namespace;
use crate::scan::Holders;
use crate::source::{Catalogue, Coupon, Snapshot};
use crate::{AuditReport, Kind, Scope};

/// How many rounds of looking through the pending reservations settle them: one to find a marker, one to hand over what
/// is older, one to see it stored.
const ROUNDS: u32 = 3;
/// Even a quick round takes its time under load.
const SETTLE_AT_LEAST: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);
/// What is in a coupon's hash beside its holders: total, start and end, and surpluses.
const META: [&str; 3] = ["t", "s", "e"];
const SURPLUS: char = '+';
/// What is before a result that was set aside.
const PARKED: &str = "x";

/// Which of the gate's keys count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gate {
    namespace: Namespace,
    dataset: String,
    epoch: u64,
    open_epoch: u64,
}

impl Gate {
    /// What main says of it.
    pub(super) async fn read(main: &mut Conn, namespace: &Namespace, dataset: &str) -> Result<Self> {
        let sql = "SELECT epoch, open_epoch FROM gate_state WHERE id = 1";
        let state: Option<(u64, u64)> = main.query_first(sql).await?;
        let (epoch, open_epoch) = state.context("main does not tell the gate's epoch")?;
        Ok(Self { namespace: namespace.clone(), dataset: dataset.to_owned(), epoch, open_epoch })
    }

    /// What main says of it now.
    pub(super) async fn again(&self, main: &mut Conn) -> Result<Self> {
        Self::read(main, &self.namespace, &self.dataset).await
    }

    fn holders(&self, coupon: i64) -> String {
        self.namespace.holders(&self.dataset, self.open_epoch, coupon)
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
    pub(super) fn settle(&self, addresses: &Addresses) -> Result<()> {
        if addresses.redis.is_empty() || self.closed().is_some() {
            return Ok(());
        }
        let mut redis = connect::redis(addresses)?;
        // Whoever fills the gate puts a sentinel behind them, later than any of them.
        let mut pending = redis::cmd("ZCOUNT");
        pending.arg(self.namespace.pending(&self.dataset, self.open_epoch)).arg("-inf").arg("(+inf");
        let patience = Instant::now() + (addresses.reconcile * ROUNDS).max(SETTLE_AT_LEAST);
        while pending.query::<u64>(&mut redis)? > 0 && Instant::now() < patience {
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Servers {
    /// Holds the gate against main and the rows, coupon by coupon, for those that are still on offer.
    pub(crate) fn check_gate(
        &self,
        gate: &Gate,
        snapshot: &Snapshot,
        holders: &Holders,
        scope: &Scope<'_>,
        report: &mut AuditReport,
    ) -> Result<()> {
        let why = match (scope.drained, self.addresses.redis.is_empty()) {
            (false, _) => Some("the service was not drained"),
            (_, true) => Some("setting `servers.redis` is missing"),
            _ => gate.closed(),
        };
        if let Some(why) = why {
            report.not_checked.insert(Kind::Stock, format!("the gate was not held against the rows: {why}"));
            return Ok(());
        }
        let mut redis = connect::redis(&self.addresses)?;
        let mut found = Vec::new();
        for (id, coupon) in on_offer(&snapshot.catalogue) {
            let Some(kept) = Kept::read(&mut redis, gate, id)? else {
                let key = gate.holders(id);
                found.push((1, format!("coupon {id} is on offer, and the gate does not know it: no {key}")));
                continue;
            };
            let before = scope.start.and_then(|start| start.coupon(id));
            found.extend(otherwise(id, kept.terms, coupon, before).map(|text| (1, text)));
            found.extend(compare(id, &kept.holders, &accounted(snapshot, holders, id)));
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

/// A coupon's total, start and end, as far as the gate has them.
type Terms = [Option<i64>; 3];

/// What the gate keeps of a coupon.
struct Kept {
    terms: Terms,
    holders: BTreeMap<i64, Hold>,
}

/// Under which result somebody holds a coupon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hold {
    result: i64,
    /// That result was set aside.
    parked: bool,
}

impl Kept {
    /// Nothing when the gate does not know the coupon.
    fn read(redis: &mut Connection, gate: &Gate, coupon: i64) -> Result<Option<Self>> {
        let key = gate.holders(coupon);
        let fields: HashMap<String, String> = redis::cmd("HGETALL").arg(&key).query(redis)?;
        if fields.is_empty() {
            return Ok(None);
        }
        let terms = META.map(|field| fields.get(field)?.parse().ok());
        let mut holders = BTreeMap::new();
        for (field, held) in fields {
            if META.contains(&&*field) || field.starts_with(SURPLUS) {
                continue;
            }
            let wrong = || format!("Redis: {key} has a field {field:?} with {held:?}");
            let (parked, result) = held.strip_prefix(PARKED).map_or((false, &*held), |result| (true, result));
            let result = result.parse().with_context(wrong)?;
            holders.insert(field.parse().with_context(wrong)?, Hold { result, parked });
        }
        Ok(Some(Self { terms, holders }))
    }
}

/// A total or a window that is neither main's nor what main said at the start: services take changes over when they fill
/// the gate.
fn otherwise(id: i64, kept: Terms, now: &Coupon, before: Option<&Coupon>) -> Option<String> {
    let known = || [Some(now), before].into_iter().flatten();
    let nonsense = |coupon: &Coupon| coupon.remaining < 0 || coupon.remaining > coupon.total;
    // What the gate has of a row that makes no sense, or of one that was withdrawn, is no law.
    if known().any(|coupon| nonsense(coupon) || !coupon.active) {
        return None;
    }
    let terms = |coupon: &Coupon| [coupon.total, coupon.start, coupon.end];
    let names = ["total", "start", "end"].into_iter().enumerate();
    let wrong: Vec<String> = names
        .filter_map(|(at, name)| {
            let kept = kept.get(at).copied().flatten();
            let of = |coupon: &Coupon| terms(coupon).get(at).copied();
            let shown =
                |value: Option<i64>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
            known()
                .all(|coupon| of(coupon) != kept)
                .then(|| format!("{name} {} and main {}", shown(kept), shown(of(now))))
        })
        .collect();
    (!wrong.is_empty()).then(|| format!("coupon {id}: the gate has {}", wrong.join(", ")))
}

/// The results by which each user's hold of a coupon is accounted for: by a row, or by one that was parked.
fn accounted(snapshot: &Snapshot, holders: &Holders, coupon: i64) -> BTreeMap<i64, Vec<Hold>> {
    let parked = snapshot.shards.iter().flat_map(|shard| &shard.parked).map(|parked| parked.grab);
    let parked = parked.filter(|grab| grab.coupon == coupon).map(|grab| (grab.user, grab.id, true));
    let stored = holders.get(&coupon).into_iter().flatten().map(|&(user, result)| (user, result, false));
    let mut all: BTreeMap<i64, Vec<Hold>> = BTreeMap::new();
    for (user, result, parked) in stored.chain(parked) {
        all.entry(user).or_default().push(Hold { result, parked });
    }
    all
}

/// What differs between the gate's holders of a coupon and those accounted for: how many, and a description.
fn compare(
    coupon: i64,
    held: &BTreeMap<i64, Hold>,
    accounted: &BTreeMap<i64, Vec<Hold>>,
) -> Vec<(u64, String)> {
    let mut leaked = held.iter().filter(|(user, _)| !accounted.contains_key(user)).peekable();
    let mut missing = accounted.keys().filter(|user| !held.contains_key(user)).peekable();
    // A result that was set aside may be held as any other: until the gate is filled anew, it is.
    let is = |held: Hold, known: &Hold| held.result == known.result && (known.parked || !held.parked);
    let mut renamed = held
        .iter()
        .filter_map(|(user, held)| Some((user, held, accounted.get(user)?)))
        .filter(|(_, held, known)| !known.iter().any(|known| is(**held, known)))
        .peekable();
    let mut found = Vec::new();
    if let Some(&(user, Hold { result, .. })) = leaked.peek() {
        let count = leaked.count();
        let example = format!("for example by user {user}, result {result}");
        found.push((
            count as u64,
            format!("coupon {coupon}: {count} held in the gate but not stored, {example}"),
        ));
    }
    if let Some(&user) = missing.peek() {
        let count = missing.count();
        let example = format!("for example by user {user}: it could be granted again");
        found.push((
            count as u64,
            format!("coupon {coupon}: {count} stored but not held in the gate, {example}"),
        ));
    }
    if let Some(&(user, held, known)) = renamed.peek() {
        let stored: Vec<String> = known.iter().map(|known| known.result.to_string()).collect();
        let count = renamed.count();
        let example = format!(
            "for example by user {user}: result {}, and stored is {}",
            held.result,
            stored.join(", ")
        );
        found.push((
            count as u64,
            format!("coupon {coupon}: {count} held in the gate under another id than stored, {example}"),
        ));
    }
    found
}

/// The coupons that the gate must know: on offer, and not ended yet.
fn on_offer(catalogue: &Catalogue) -> impl Iterator<Item = (i64, &Coupon)> {
    let now = jiff::Timestamp::now().as_millisecond();
    catalogue
        .iter()
        .filter(move |(_, coupon)| coupon.active && coupon.end > now)
        .map(|(id, coupon)| (*id, coupon))
}
