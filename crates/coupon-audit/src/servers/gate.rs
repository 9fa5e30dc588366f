//! The gate, held against the rows: a hold that no shard has is stock that no user can ever get.

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
use crate::source::{Catalogue, Coupon, Snapshot, Terms};
use crate::start::{self, Start};
use crate::{AuditReport, Kind, Scope};

/// The number of rounds of looking through the pending reservations that settle them: one to find a marker, one to
/// hand over what is older, one to see it stored.
const ROUNDS: u32 = 3;
/// Even a quick round takes its time under load.
const SETTLE_AT_LEAST: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);
/// The fields of a coupon's hash beside its holders: total, start and end, and surpluses.
const META: [&str; 3] = ["t", "s", "e"];
/// Their names in descriptions, and their places in terms.
const TERMS: [(&str, Term); 3] =
    [("total", |terms| terms.total), ("start", |terms| terms.start), ("end", |terms| terms.end)];
const SURPLUS: char = '+';
/// The prefix of a result that was set aside.
const PARKED: &str = "x";

/// One of a coupon's terms.
type Term = fn(&Terms) -> i64;

/// Data set and epoch of the gate, which are part of the keys to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gate {
    namespace: Namespace,
    dataset: String,
    epoch: u64,
    open_epoch: u64,
}

impl Gate {
    /// Reads main's record of it.
    pub(super) async fn read(main: &mut Conn, namespace: &Namespace, dataset: &str) -> Result<Self> {
        let sql = "SELECT epoch, open_epoch FROM gate_state WHERE id = 1";
        let state: Option<(u64, u64)> = main.query_first(sql).await?;
        let (epoch, open_epoch) = state.context("main does not tell the gate's epoch")?;
        Ok(Self { namespace: namespace.clone(), dataset: dataset.to_owned(), epoch, open_epoch })
    }

    /// Reads main's present record of it.
    pub(super) async fn again(&self, main: &mut Conn) -> Result<Self> {
        Self::read(main, &self.namespace, &self.dataset).await
    }

    fn holders(&self, coupon: i64) -> String {
        self.namespace.holders(&self.dataset, self.open_epoch, coupon)
    }

    /// The reason why there is no gate to look at, if there is none.
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
        // The process that fills the gate puts a sentinel behind them, later than any of them.
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
    /// The terms of the coupons in the gate; none where there is no gate to look at.
    pub(crate) fn gate_terms(&self, gate: &Gate, catalogue: &Catalogue) -> Result<BTreeMap<i64, Terms>> {
        let mut known = BTreeMap::new();
        if self.addresses.redis.is_empty() || gate.closed().is_some() {
            return Ok(known);
        }
        let mut redis = connect::redis(&self.addresses)?;
        for id in catalogue.keys() {
            let (total, start, end): (Option<String>, Option<String>, Option<String>) =
                redis::cmd("HMGET").arg(gate.holders(*id)).arg(&META).query(&mut redis)?;
            if let [Some(total), Some(start), Some(end)] =
                [total, start, end].map(|field| parsed(field.as_ref()))
            {
                known.insert(*id, Terms { total, start, end });
            }
        }
        // If the gate was rebuilt meanwhile, the terms read may be of either epoch.
        Ok(if self.gate_now(gate)? == *gate { known } else { BTreeMap::new() })
    }

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
            report.skip(Kind::Miscounted, format!("the gate was not held against the rows: {why}"));
            return Ok(());
        }
        let mut redis = connect::redis(&self.addresses)?;
        let (mut found, mut undated) = (Vec::new(), Vec::new());
        for id in on_offer(&snapshot.catalogue) {
            let Some(kept) = Kept::read(&mut redis, gate, id)? else {
                let key = gate.holders(id);
                found.push((1, format!("coupon {id} is on offer, and the gate does not know it: no {key}")));
                continue;
            };
            if let Some(text) = otherwise(id, kept.terms, snapshot, scope.start) {
                // The gate took it from main at some time; only with a record of its terms at the start can it be
                // called wrong.
                let had = scope.start.is_some_and(|start| start.gate.contains_key(&id));
                if had || kept.terms.contains(&None) {
                    found.push((1, text));
                } else {
                    undated.push(text);
                }
            }
            found.extend(compare(id, &kept.holders, &accounted(snapshot, holders, id)));
        }
        if self.gate_now(gate)? != *gate {
            let why = "the gate was not held against the rows: it was rebuilt meanwhile";
            report.skip(Kind::Miscounted, why);
            return Ok(());
        }
        if let Some(first) = undated.first() {
            let count = undated.len();
            let why = format!(
                "the gate takes totals and windows over when it is filled, and of {count} that differ nobody recorded what it \
                 had at the start: for example {first}"
            );
            report.skip(Kind::Miscounted, why);
        }
        for (count, text) in found {
            report.add(Kind::Miscounted, count, || text);
        }
        Ok(())
    }
}

/// A coupon as the gate keeps it.
struct Kept {
    /// Its total, start and end, as far as they can be read.
    terms: [Option<i64>; 3],
    holders: BTreeMap<i64, Hold>,
}

/// The result under which a user holds a coupon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hold {
    result: i64,
    /// True if that result was set aside.
    parked: bool,
}

impl Kept {
    /// `None` when the gate does not have the coupon.
    fn read(redis: &mut Connection, gate: &Gate, coupon: i64) -> Result<Option<Self>> {
        let key = gate.holders(coupon);
        let fields: HashMap<String, String> = redis::cmd("HGETALL").arg(&key).query(redis)?;
        if fields.is_empty() {
            return Ok(None);
        }
        let terms = META.map(|field| parsed(fields.get(field)));
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

/// A number of the gate's, if it has one there.
fn parsed(field: Option<&String>) -> Option<i64> {
    field?.parse().ok()
}

/// A total or a window that is neither main's, nor what main or the gate had at the start.
fn otherwise(id: i64, kept: [Option<i64>; 3], snapshot: &Snapshot, start: Option<&Start>) -> Option<String> {
    let now = snapshot.catalogue.get(&id)?;
    let nonsense = |coupon: &Coupon| coupon.remaining < 0 || coupon.remaining > coupon.total;
    // What the gate has of a row that makes no sense, or of one that was withdrawn, is no law.
    let before = start.and_then(|start| start.coupon(id));
    if [Some(now), before].into_iter().flatten().any(|coupon| nonsense(coupon) || !coupon.active) {
        return None;
    }
    let known: Vec<Terms> = start::terms(&snapshot.catalogue, start, id).collect();
    let shown = |value: Option<i64>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
    let wrong: Vec<String> = TERMS
        .into_iter()
        .zip(kept)
        .filter(|((_, of), kept)| known.iter().all(|terms| Some(of(terms)) != *kept))
        .map(|((name, of), kept)| format!("{name} {} and main {}", shown(kept), of(&now.terms())))
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

/// The difference between the gate's holders of a coupon and those accounted for: their number, and a description.
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

/// The coupons that the gate must have: on offer, and not ended yet.
fn on_offer(catalogue: &Catalogue) -> impl Iterator<Item = i64> {
    let now = jiff::Timestamp::now().as_millisecond();
    catalogue.iter().filter(move |(_, coupon)| coupon.active && coupon.end > now).map(|(id, _)| *id)
}
