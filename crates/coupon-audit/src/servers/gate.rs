//! The gate, held against the rows: a hold that no shard has is stock that no user can ever get.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use coupon_core::Timestamp;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::Servers;
use super::connect::{self, Addresses};
use super::holds::{self, Kept, META, parsed};
use super::names::Namespace;
use crate::scan::Holders;
use crate::source::{self, Catalogue, Coupon, Earlier, Snapshot, Terms};
use crate::start::{self, Start};
use crate::{AuditReport, Kind, Scope};

/// The number of rounds of looking through the pending reservations that settle them: one to find a marker, one to
/// hand over what is older, one to see it stored.
const ROUNDS: u32 = 3;
/// Even a quick round takes its time under load.
const SETTLE_AT_LEAST: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);
/// The names of [`META`] in descriptions, and their places in terms.
const TERMS: [(&str, Term); 3] =
    [("total", |terms| terms.total), ("start", |terms| terms.start), ("end", |terms| terms.end)];

/// One of a coupon's terms.
type Term = fn(&Terms) -> i64;

/// Data set and epoch of the gate, which are part of the keys to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gate {
    namespace: Namespace,
    dataset: String,
    epoch: u64,
    open_epoch: u64,
}

impl Gate {
    /// Reads main's record of it.
    pub(super) async fn read(main: &mut Conn, namespace: &Namespace, dataset: &str) -> Result<Self> {
        let sql = "SELECT epoch, open_epoch FROM gate_state";
        let state: Option<(u64, u64)> = main.query_first(sql).await?;
        let (epoch, open_epoch) = state.context("main does not tell the gate's epoch")?;
        Ok(Self { namespace: namespace.clone(), dataset: dataset.to_owned(), epoch, open_epoch })
    }

    /// Reads main's present record of it.
    pub(super) async fn again(&self, main: &mut Conn) -> Result<Self> {
        Self::read(main, &self.namespace, &self.dataset).await
    }

    pub(super) fn holders(&self, coupon: i64) -> String {
        self.namespace.holders(&self.dataset, self.open_epoch, coupon)
    }

    /// The reason why there is no gate to look at, if there is none.
    pub(super) fn closed(&self) -> Option<&'static str> {
        match (self.open_epoch, self.epoch) {
            (0, _) => Some("the gate was never opened"),
            (open, taken) if open < taken => Some("the gate was being rebuilt"),
            _ => None,
        }
    }

    /// The sorted set of reservations that are not known to be stored.
    pub(super) fn pending(&self) -> String {
        self.namespace.pending(&self.dataset, self.open_epoch)
    }

    /// Waits until no reservation is pending, at most for as long as a service may take to settle them all. What stays
    /// pending is for the checks to find.
    pub(super) fn settle(&self, addresses: &Addresses) -> Result<()> {
        if addresses.redis.is_empty() || self.closed().is_some() {
            return Ok(());
        }
        let mut redis = connect::redis(addresses)?;
        // The process that fills the gate puts a sentinel behind them, later than any of them, and the versions of the layout
        // before them.
        let mut pending = redis::cmd("ZCOUNT");
        pending.arg(self.pending()).arg(0).arg("(+inf");
        let patience = Instant::now() + (addresses.reconcile * ROUNDS).max(SETTLE_AT_LEAST);
        while pending.query::<u64>(&mut redis)? > 0 && Instant::now() < patience {
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

/// The gate of a data set that is held still.
pub(super) struct HeldGate<'a> {
    pub(super) servers: &'a Servers,
    pub(super) gate: Gate,
}

impl source::Gate for HeldGate<'_> {
    fn terms(&self, catalogue: &Catalogue) -> Result<BTreeMap<i64, Terms>> {
        let (servers, gate) = (self.servers, &self.gate);
        let mut known = BTreeMap::new();
        if servers.addresses.redis.is_empty() || gate.closed().is_some() {
            return Ok(known);
        }
        let mut redis = connect::redis(&servers.addresses)?;
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
        Ok(if servers.gate_now(gate)? == *gate { known } else { BTreeMap::new() })
    }

    fn check(
        &self,
        snapshot: &Snapshot,
        holders: &Holders,
        scope: &Scope<'_>,
        report: &mut AuditReport,
    ) -> Result<()> {
        let (servers, gate) = (self.servers, &self.gate);
        if snapshot.shards.iter().any(|shard| !shard.stock.is_empty()) {
            // There is no gate beside the database: its stock was held against the rows.
            return Ok(());
        }
        let why = match (scope.drained, servers.addresses.redis.is_empty()) {
            (false, _) => Some("the service was not drained"),
            (_, true) => Some("setting `servers.redis` is missing"),
            _ => gate.closed(),
        };
        if let Some(why) = why {
            report.skip(Kind::Miscounted, format!("the gate was not held against the rows: {why}"));
            return Ok(());
        }
        let mut redis = connect::redis(&servers.addresses)?;
        let (mut found, mut undated) = (Vec::new(), Vec::new());
        for id in on_offer(&snapshot.catalogue, now().millis()) {
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
            let accounted = holds::accounted(snapshot, holders, id);
            let differing = holds::differing(&kept.holders, &accounted, now());
            found.extend(differing.in_short().map(|(count, text)| (count, format!("coupon {id}: {text}"))));
        }
        if servers.gate_now(gate)? != *gate {
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

/// A total or a window that is neither main's, nor what main or the gate had at the start.
fn otherwise(id: i64, kept: [Option<i64>; 3], snapshot: &Snapshot, start: Option<&Start>) -> Option<String> {
    let now = snapshot.catalogue.get(&id)?;
    let nonsense = |coupon: &Coupon| coupon.remaining < -coupon.taken_back || coupon.remaining > coupon.total;
    // What the gate has of a row that makes no sense, or of one that was withdrawn, is no law.
    let before = start.and_then(|start| start.coupon(id));
    if [Some(now), before].into_iter().flatten().any(|coupon| nonsense(coupon) || !coupon.active) {
        return None;
    }
    let known: Vec<Terms> = start::terms(&snapshot.catalogue, &Earlier::new(), start, id).collect();
    let shown = |value: Option<i64>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
    let wrong: Vec<String> = TERMS
        .into_iter()
        .zip(kept)
        .filter(|((_, of), kept)| known.iter().all(|terms| Some(of(terms)) != *kept))
        .map(|((name, of), kept)| format!("{name} {} and main {}", shown(kept), of(&now.terms())))
        .collect();
    (!wrong.is_empty()).then(|| format!("coupon {id}: the gate has {}", wrong.join(", ")))
}

/// The time by this machine's clock.
fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

/// The coupons that the gate must have: on offer, and not ended yet.
pub(super) fn on_offer(catalogue: &Catalogue, now: i64) -> impl Iterator<Item = i64> {
    catalogue.iter().filter(move |(_, coupon)| coupon.active && coupon.end > now).map(|(id, _)| *id)
}
