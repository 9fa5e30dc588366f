//! The gates, held against the rows: a hold that no shard has is stock that no user can ever get.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::connect::Addresses;
use super::gates::{self, Lines};
use super::holds::{self, Kept, META, parsed};
use super::names::{NO_GATE, Namespace};
use super::{Servers, read};
use crate::scan::Holders;
use crate::source::{self, Snapshot, Terms};
use crate::terms::{Keeper, OtherTerms, now, on_offer};
use crate::{AuditReport, Kind, Scope, kept};

/// The number of rounds of looking through the pending reservations that settle them: one to find a marker, one to
/// hand over what is older, one to see it stored.
const ROUNDS: u32 = 3;
/// Even a quick round takes its time under load.
const SETTLE_AT_LEAST: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);
const KEEPER: Keeper = Keeper { name: "the gate", takes_over: "when it is filled" };

/// Data set and epochs of the gates, which are part of the keys to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GateKeys {
    namespace: Namespace,
    dataset: String,
    /// Of each gate, in order.
    epochs: Vec<Epochs>,
    /// True if the database decides grabs: then there is none.
    pub(super) by_database: bool,
}

/// A gate's epochs, as main has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Epochs {
    taken: u64,
    open: u64,
}

impl GateKeys {
    /// Reads main's record of them.
    pub(super) async fn read(main: &mut Conn, namespace: &Namespace, dataset: &str) -> Result<Self> {
        let epochs = |(taken, open)| Epochs { taken, open };
        let mut several = Vec::new();
        if read::has(&read::tables(main).await?, "gates") {
            several = main.query_map("SELECT epoch, open_epoch FROM gates ORDER BY gate", epochs).await?;
        }
        if several.is_empty() {
            let sql = "SELECT epoch, open_epoch FROM gate_state";
            let one = main.query_first(sql).await?.map(epochs);
            several.push(one.context("main does not tell the gate's epoch")?);
        }
        let by_database = read::gate_address(main).await?.is_some_and(|address| address == NO_GATE);
        let (namespace, dataset) = (namespace.clone(), dataset.to_owned());
        Ok(Self { namespace, dataset, epochs: several, by_database })
    }

    /// The number of gates.
    pub(super) fn count(&self) -> usize {
        self.epochs.len()
    }

    /// The place of a coupon's gate.
    pub(super) fn of(&self, coupon: i64) -> usize {
        gates::place(coupon, self.count())
    }

    fn open_epoch(&self, gate: usize) -> u64 {
        self.epochs.get(gate).map_or(0, |epochs| epochs.open)
    }

    /// Reads main's present record of it.
    pub(super) async fn again(&self, main: &mut Conn) -> Result<Self> {
        Self::read(main, &self.namespace, &self.dataset).await
    }

    pub(super) fn holders(&self, coupon: i64) -> String {
        self.namespace.holders(&self.dataset, self.open_epoch(self.of(coupon)), coupon)
    }

    /// The reason why there is no gate to look at, if there is none.
    pub(super) fn closed(&self) -> Option<&'static str> {
        self.epochs.iter().find_map(|Epochs { taken, open }| match open {
            0 => Some("the gate was never opened"),
            open if open < taken => Some("the gate was being rebuilt"),
            _ => None,
        })
    }

    /// The sorted set of a gate's reservations that are not known to be stored.
    pub(super) fn pending(&self, gate: usize) -> String {
        self.namespace.pending(&self.dataset, self.open_epoch(gate))
    }

    /// Waits until no reservation is pending, at most for as long as a service may take to settle them all. What stays
    /// pending is for the checks to find.
    pub(super) fn settle(&self, addresses: &Addresses) -> Result<()> {
        if self.by_database || addresses.redis.is_empty() || self.closed().is_some() {
            return Ok(());
        }
        let mut lines = Lines::open(addresses, self.count())?;
        let patience = Instant::now() + (addresses.reconcile * ROUNDS).max(SETTLE_AT_LEAST);
        for gate in 0..self.count() {
            // The process that fills the gate puts a sentinel behind them, later than any of them, and the versions of the layout
            // before them.
            let mut pending = redis::cmd("ZCOUNT");
            pending.arg(self.pending(gate)).arg(0).arg("(+inf");
            while pending.query::<u64>(lines.to(gate)?)? > 0 && Instant::now() < patience {
                std::thread::sleep(POLL);
            }
        }
        Ok(())
    }
}

/// The gate of a data set that is held still.
pub(super) struct HeldGate<'a> {
    pub(super) servers: &'a Servers,
    pub(super) gate: GateKeys,
}

impl source::Gate for HeldGate<'_> {
    fn terms(&self, snapshot: &Snapshot) -> Result<BTreeMap<i64, Terms>> {
        let (servers, gate) = (self.servers, &self.gate);
        let mut known = BTreeMap::new();
        if servers.addresses.redis.is_empty() || gate.closed().is_some() {
            return Ok(known);
        }
        let mut lines = Lines::open(&servers.addresses, gate.count())?;
        for id in snapshot.catalogue.keys() {
            let (total, start, end): (Option<String>, Option<String>, Option<String>) =
                redis::cmd("HMGET").arg(gate.holders(*id)).arg(&META).query(lines.to(gate.of(*id))?)?;
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
        if kept::is_kept(snapshot) {
            // There is no gate beside the database: its stock was held against rows and main.
            return Ok(());
        }
        let why = match (scope.drained, servers.addresses.redis.is_empty()) {
            (false, _) => Some(scope.why_not_still()),
            (_, true) => Some("setting `servers.redis` is missing"),
            _ => gate.closed(),
        };
        if let Some(why) = why {
            report.skip(Kind::Miscounted, format!("the gate was not held against the rows: {why}"));
            return Ok(());
        }
        let mut lines = Lines::open(&servers.addresses, gate.count())?;
        let (mut found, mut other) = (Vec::new(), OtherTerms::of(KEEPER, snapshot, scope.start));
        for id in on_offer(&snapshot.catalogue, now().millis()) {
            let Some(kept) = Kept::read(&mut lines, gate, id)? else {
                let key = gate.holders(id);
                found.push((1, format!("coupon {id} is on offer, and the gate does not know it: no {key}")));
                continue;
            };
            other.hold(id, kept.terms);
            let accounted = holds::accounted(snapshot, holders, id);
            let differing = holds::differing(&kept.held, &accounted, now());
            found.extend(differing.in_short().map(|(count, text)| (count, format!("coupon {id}: {text}"))));
        }
        if servers.gate_now(gate)? != *gate {
            let why = "the gate was not held against the rows: it was rebuilt meanwhile";
            report.skip(Kind::Miscounted, why);
            return Ok(());
        }
        other.report(report);
        for (count, text) in found {
            report.add(Kind::Miscounted, count, || text);
        }
        Ok(())
    }
}
