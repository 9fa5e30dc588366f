//! The gates, held against the rows: a hold that no shard has is stock that no user can ever get.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Servers;
use super::connect::Addresses;
use super::gates::Lines;
use super::holds::{self, Kept, META, parsed};
use super::keys::GateKeys;
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

impl GateKeys {
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
        if let Some(engine) = servers.engine_of(&source::Place::label(&servers)?)?
            && scope.drained
        {
            super::runtime()?.block_on(engine.hold_to_its_plan(holders, report))?;
        }
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
