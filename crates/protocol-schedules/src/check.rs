//! The promises, held against what is there once everything has settled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coupon_core::{CouponId, ResultId};
use coupon_store::servers::seam::{Held, Terms};

use crate::inject::UNREADABLE;
use crate::memory::{CouponMemory, State, StoredRow};
use crate::plan::{Kind, Plan};
use crate::world::World;

/// A clear answer that a user got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) user: u64,
    pub(crate) coupon: u64,
    /// The result that they hold; none if they were refused.
    pub(crate) id: Option<ResultId>,
}

/// The promises that were broken.
pub(crate) fn broken(world: &Arc<World>, plan: &Plan, terms: &[Terms], told: &[Told]) -> Vec<String> {
    let mut state = world.state();
    let mut broken = std::mem::take(&mut state.broken);
    let check =
        Check { state: &state, terms, rows: state.shards.iter().flat_map(|shard| shard.rows()).collect() };
    check.told(told, &mut broken);
    check.rows(&mut broken);
    check.parked(plan, &mut broken);
    check.gate(&mut broken);
    check.books(&mut broken);
    broken
}

/// Says whether the gate of an epoch lacks a holder whose row is stored, unless it has lost its memory.
pub(crate) fn half_full(state: &State, epoch: u64) -> Option<String> {
    let memory = state.gate.epochs.get(&epoch).filter(|_| state.gate.scripts.contains(&epoch))?;
    let holds = |row: &StoredRow| {
        let coupon = CouponId::new(row.coupon).ok().and_then(|id| memory.coupons.get(&id));
        coupon.is_some_and(|coupon| coupon.holders.contains_key(&row.user))
    };
    let mut rows = state.shards.iter().flat_map(|shard| shard.rows());
    let (id, row) = rows.find(|(_, row)| !holds(row))?;
    Some(format!(
        "a gate opens whole: epoch {epoch} opens without result {id}, coupon {} of user {}",
        row.coupon, row.user
    ))
}

struct Check<'a> {
    state: &'a State,
    terms: &'a [Terms],
    rows: Vec<(i64, StoredRow)>,
}

impl Check<'_> {
    /// An acknowledged grab is stored, as it was told.
    fn told(&self, told: &[Told], broken: &mut Vec<String>) {
        let rows: BTreeMap<i64, StoredRow> = self.rows.iter().copied().collect();
        for Told { user, coupon, id } in told {
            let Some(id) = id else { continue };
            let stored = rows.get(&id.number()).is_some_and(|row| (row.user, row.coupon) == (*user, *coupon));
            if !stored {
                broken.push(format!(
                    "acknowledged is stored: user {user} was told of result {id} of coupon {coupon}, which no shard has"
                ));
            }
        }
    }

    /// Never oversold, never two for one user, no id twice.
    fn rows(&self, broken: &mut Vec<String>) {
        for terms in self.terms {
            let coupon = terms.coupon.get();
            let stored = self.rows.iter().filter(|(_, row)| row.coupon == coupon).count();
            if stored > terms.total as usize {
                broken.push(format!(
                    "never oversold: {stored} of coupon {coupon}, of which there are {}",
                    terms.total
                ));
            }
        }
        let (mut ids, mut holders) = (BTreeSet::new(), BTreeSet::new());
        for (id, row) in &self.rows {
            if !ids.insert(id) || !holders.insert((row.user, row.coupon)) {
                broken.push(format!(
                    "never two for one user: result {id} of user {}, coupon {}",
                    row.user, row.coupon
                ));
            }
        }
    }

    /// What contradicts is parked, and nothing else is; so is what nobody can read.
    fn parked(&self, plan: &Plan, broken: &mut Vec<String>) {
        let has = |wanted: fn(&Kind) -> bool| plan.faults.iter().filter(|fault| wanted(&fault.kind)).count();
        let contradictions = has(|kind| matches!(kind, Kind::Contradiction));
        let parked: Vec<_> = self.state.shards.iter().flat_map(|shard| &shard.parked).collect();
        // What was granted in an epoch that was closed before it came was not acknowledged.
        let contradicted = parked.iter().filter(|(_, parked)| !parked.reason.contains("closed")).count();
        if contradicted > contradictions {
            broken.push(format!("contradictions alone are parked: {contradicted}, of {contradictions}"));
        }
        let unreadable = has(|kind| matches!(kind, Kind::Unreadable(_)));
        let queues = &self.state.queues;
        let lost = plan.faults.iter().any(|fault| matches!(fault.kind, Kind::Deleted(_) | Kind::Purged(_)));
        let kept = queues.parked.iter().filter(|body| body.as_slice() == UNREADABLE).count();
        if kept < unreadable && !lost {
            broken.push(format!("what nobody can read is parked: {kept} of {unreadable} are"));
        }
    }

    /// Nothing leaks: every holder has a row, every row is held, and nothing is pending.
    fn gate(&self, broken: &mut Vec<String>) {
        let Some(epoch) = self.state.main.gate.open() else {
            broken.push("everything settles: the gate is shut".to_owned());
            return;
        };
        let Some(memory) = self.state.gate.epochs.get(&epoch) else {
            broken.push(format!("everything settles: the gate knows nothing of epoch {epoch}"));
            return;
        };
        for mark in memory.pending.keys() {
            broken.push(format!("no stock leaks: coupon {} of user {} is pending", mark.coupon, mark.user));
        }
        let none = CouponMemory::default();
        for terms in self.terms {
            let coupon = memory.coupons.get(&terms.coupon).unwrap_or(&none);
            self.holders(terms.coupon.get(), coupon, broken);
        }
    }

    fn holders(&self, coupon: u64, memory: &CouponMemory, broken: &mut Vec<String>) {
        let rows: BTreeMap<u64, i64> = self
            .rows
            .iter()
            .filter(|(_, row)| row.coupon == coupon)
            .map(|(id, row)| (row.user, *id))
            .collect();
        let parked = self.state.shards.iter().flat_map(|shard| &shard.parked);
        let parked: BTreeSet<(u64, i64)> = parked
            .filter(|(_, parked)| parked.row.coupon == coupon)
            .map(|(id, parked)| (parked.row.user, *id))
            .collect();
        for (user, held) in &memory.holders {
            let has_row = match held {
                Held::Result(id) => rows.get(user) == Some(id),
                Held::Parked(id) => parked.contains(&(*user, *id)),
            };
            if !has_row {
                broken.push(format!("no stock leaks: user {user} holds coupon {coupon} in the gate as {held:?}, and no shard has it"));
            }
        }
        // Of a coupon that it has lost altogether it decides nothing until it has been filled anew.
        for (user, id) in rows.iter().filter(|_| memory.terms.is_some()) {
            if !memory.holders.contains_key(user) {
                broken.push(format!(
                    "what is stored is held: result {id} of user {user}, coupon {coupon}, is not"
                ));
            }
        }
    }

    /// The books add up.
    fn books(&self, broken: &mut Vec<String>) {
        let main = &self.state.main;
        for terms in self.terms {
            let coupon = terms.coupon;
            let stored = self.rows.iter().filter(|(_, row)| row.coupon == coupon.get()).count() as i64;
            let stock = main.stocks.get(&coupon).copied().unwrap_or_default();
            let remains = i64::from(terms.total) - stored;
            if (stock.total, stock.remaining) != (i64::from(terms.total), remains) {
                broken.push(format!(
                    "the books add up: of coupon {coupon} main has {} of {} left, and {remains} are",
                    stock.remaining, stock.total
                ));
            }
            let mut left = i64::from(terms.total);
            for line in main.log.iter().filter(|line| line.coupon == coupon) {
                if line.before != left {
                    broken.push(format!(
                        "the books add up: line {} of the log is of {} and not of {left}",
                        line.id, line.before
                    ));
                }
                left = line.after;
            }
        }
        for (shard, number) in self.state.shards.iter().zip(0..) {
            let rows = shard.rows().count() as u64;
            if shard.results != rows {
                broken.push(format!(
                    "the books add up: shard {number} counts {} results, and has {rows}",
                    shard.results
                ));
            }
        }
    }
}
