//! The promises, held against what is there once everything has settled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coupon_core::{CouponId, CouponResult, GateId, RequestKey, ResultId, ResultState};
use coupon_servers::seam::Terms;

use crate::inject::UNREADABLE;
use crate::memory::{CouponMemory, HolderMemory, ShardMemory, Slot, State};
use crate::plan::{FaultKind, SeededSchedule};
use crate::process::places;
use crate::world::{ProcessId, World};

/// A clear answer that a user got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClearAnswer {
    pub(crate) user: u64,
    pub(crate) coupon: u64,
    /// The result that they hold; none if they were refused.
    pub(crate) id: Option<ResultId>,
    /// The request that it answers, if they named one and it is not another's result.
    pub(crate) request: Option<RequestKey>,
}

/// Everything that users heard.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    /// The answers to their grabs.
    pub(crate) told: Vec<ClearAnswer>,
    /// The states of their results, as steps were answered.
    pub(crate) states: Vec<(ResultId, ResultState)>,
    /// Answers that contradict earlier ones.
    pub(crate) otherwise: Vec<String>,
    /// The steps that were refused as too late, though they were not.
    pub(crate) too_late: Vec<String>,
}

/// The promises that were broken.
pub(crate) fn broken(
    world: &Arc<World>,
    plan: &SeededSchedule,
    terms: &[Terms],
    heard: &Heard,
) -> Vec<String> {
    let mut state = world.state();
    let mut broken = std::mem::take(&mut state.broken);
    let rows = state.shards.iter().flat_map(|shard| shard.rows()).collect();
    let check = Check { state: &state, at_first: terms, terms: &state.main.catalogue.terms, rows };
    check.answers(&heard.told, &mut broken);
    check.states(&heard.states, &mut broken);
    check.ends(plan, &mut broken);
    broken.extend(heard.otherwise.iter().cloned());
    // By a clock that is wrong no user is in time.
    if !plan.faults.iter().any(|fault| matches!(fault.kind, FaultKind::Wrong(..))) {
        broken.extend(heard.too_late.iter().cloned());
    }
    check.rows(&mut broken);
    check.places(&mut broken);
    check.parked(plan, &mut broken);
    check.gates(&mut broken);
    check.books(&mut broken);
    broken
}

/// Says whether the gate of an epoch, as the process sees it that filled it, lacks a holder whose row takes stock, unless it has
/// lost its memory, or that coupon: of that it decides nothing.
pub(crate) fn half_full(state: &State, filled_by: ProcessId, epoch: u64) -> Option<String> {
    let gates = state.gates.count();
    let id = gates.of_epoch(epoch);
    let gate = state.gate_of(filled_by, id);
    let memory = gate.epochs.get(&epoch).filter(|_| gate.scripts.contains(&epoch))?;
    let lacks = |row: &CouponResult| {
        if gates.of(row.coupon_id) != id || state.lost_coupons.contains(&(epoch, row.coupon_id)) {
            return false;
        }
        let held = |slot| {
            let coupon = memory.coupons.get(&row.coupon_id);
            coupon.is_some_and(|coupon| coupon.holders.contains_key(&slot))
        };
        slot(row).is_some_and(|slot| !held(slot))
    };
    let CouponResult { result_id, coupon_id, user_id, .. } =
        state.shards.iter().flat_map(ShardMemory::rows_and_leaving).find(|row| lacks(row))?;
    Some(format!(
        "a gate opens whole: epoch {epoch} opens without result {result_id}, coupon {coupon_id} of user {user_id}"
    ))
}

/// Says whether there are more rows of a coupon that take stock than there are coupons.
pub(crate) fn oversold(state: &State) -> Option<String> {
    let mut live: BTreeMap<CouponId, i64> = BTreeMap::new();
    let rows = state.full_shards().flat_map(ShardMemory::rows).filter(|row| row.slot.is_some());
    rows.for_each(|row| *live.entry(row.coupon_id).or_default() += 1);
    let over = |(coupon, live): &(&CouponId, &i64)| {
        // What operators took back may have been sold before.
        state.main.stocks.get(*coupon).is_some_and(|stock| **live > stock.total + stock.taken_back)
    };
    let (coupon, live) = live.iter().find(over)?;
    Some(format!("never oversold: {live} of coupon {coupon} take stock at once"))
}

/// The slot of a row that takes stock.
fn slot(row: &CouponResult) -> Option<Slot> {
    row.slot.map(|slot| (row.user_id.get(), slot))
}

struct Check<'a> {
    state: &'a State,
    /// The coupons as they were at first, and as main has them now.
    at_first: &'a [Terms],
    terms: &'a [Terms],
    rows: Vec<&'a CouponResult>,
}

impl Check<'_> {
    /// An acknowledged grab is stored, as it was acknowledged.
    fn answers(&self, told: &[ClearAnswer], broken: &mut Vec<String>) {
        let rows: BTreeMap<ResultId, &CouponResult> =
            self.rows.iter().map(|row| (row.result_id, *row)).collect();
        let mut answers = BTreeMap::new();
        for ClearAnswer { user, coupon, id, request } in told {
            let Some(id) = id else { continue };
            let first = request.map(|request| *answers.entry((user, coupon, request)).or_insert(id));
            if first.is_some_and(|first| first != id) {
                broken.push(format!(
                    "a request has one result: user {user} was told of {id} of coupon {coupon}, and of {first:?} before"
                ));
            }
            let stored =
                rows.get(id).is_some_and(|row| (row.user_id.get(), row.coupon_id.get()) == (*user, *coupon));
            if !stored {
                broken.push(format!(
                    "acknowledged is stored: user {user} was told of result {id} of coupon {coupon}, which no shard has"
                ));
            }
        }
    }

    /// Each result stands as it was said to, unless its user returned it since.
    fn states(&self, states: &[(ResultId, ResultState)], broken: &mut Vec<String>) {
        use ResultState::{Held, Owned, Returned};
        for (id, told) in states {
            let is = self.rows.iter().find(|row| row.result_id == *id).map(|row| row.state);
            let stands = match (*told, is) {
                (_, None) => false,
                (Held, Some(_)) | (Owned, Some(Owned | Returned)) => true,
                (told, Some(is)) => told == is,
            };
            if !stands {
                broken
                    .push(format!("the answer of a step stands: {id} was said to be {told}, and is {is:?}"));
            }
        }
    }

    /// Nothing is granted of a coupon that is over.
    fn ends(&self, plan: &SeededSchedule, broken: &mut Vec<String>) {
        let ended = self.terms.iter().filter(|terms| plan.end_of(terms.coupon.get()).is_some());
        for Terms { coupon, end, .. } in ended {
            let late = |row: &&&CouponResult| row.coupon_id == *coupon && row.grab_time >= *end;
            if let Some(row) = self.rows.iter().find(late) {
                let (id, time) = (row.result_id, row.grab_time);
                broken.push(format!(
                    "nothing is granted of what is over: result {id} of coupon {coupon} at {time}, which ended at {end}"
                ));
            }
        }
    }

    /// Every row is where the version of the layout says that was in force at its time, or a later one to which rows
    /// have moved; and at one place.
    fn places(&self, broken: &mut Vec<String>) {
        let versions = &self.state.main.catalogue.layouts;
        let mut ids: Vec<ResultId> = self.rows.iter().map(|row| row.result_id).collect();
        ids.sort_unstable();
        for twice in ids.windows(2).filter(|pair| pair.first() == pair.last()) {
            broken.push(format!("no row twice: {twice:?}"));
        }
        for (number, shard) in self.state.shards.iter().enumerate() {
            for row in shard.rows() {
                let places = places(versions, row.user_id, row.grab_time);
                if !places.iter().any(|place| place.shard.index() == number) {
                    let CouponResult { result_id, user_id, .. } = row;
                    broken.push(format!(
                        "no row where nobody looks: result {result_id} of user {user_id} is on shard {number}, not on any of {places:?}"
                    ));
                }
            }
        }
    }

    /// The rows of a coupon that take stock.
    fn live(&self, coupon: CouponId) -> impl Iterator<Item = &CouponResult> {
        self.rows.iter().copied().filter(move |row| row.coupon_id == coupon && row.slot.is_some())
    }

    /// Never oversold, never more for one user than they may have, no id twice, and no request with two results.
    fn rows(&self, broken: &mut Vec<String>) {
        for Terms { coupon, total, taken_back, grab, .. } in self.terms {
            let live = self.live(*coupon).count();
            let most = (total + taken_back) as usize;
            if live > most {
                broken.push(format!("never oversold: {live} of coupon {coupon}, of which there were {most}"));
            }
            let mut of_user: BTreeMap<_, usize> = BTreeMap::new();
            self.live(*coupon).for_each(|row| *of_user.entry(row.user_id).or_default() += 1);
            for (user, has) in of_user.iter().filter(|(_, has)| **has > usize::from(grab.user_limit)) {
                broken.push(format!("never two for one user: user {user} has {has} of coupon {coupon}"));
            }
        }
        let (mut ids, mut requests) = (BTreeSet::new(), BTreeSet::new());
        for CouponResult { result_id, user_id, coupon_id, request, .. } in &self.rows {
            if !ids.insert(result_id) {
                broken.push(format!("no id twice: {result_id} is there twice"));
            }
            if request.is_some() && !requests.insert((user_id, coupon_id, request)) {
                broken.push(format!(
                    "a request has one result: {result_id} of user {user_id}, coupon {coupon_id}, is another"
                ));
            }
        }
    }

    /// Contradictions and unreadable messages are parked, and nothing else is.
    fn parked(&self, plan: &SeededSchedule, broken: &mut Vec<String>) {
        let has =
            |wanted: fn(&FaultKind) -> bool| plan.faults.iter().filter(|fault| wanted(&fault.kind)).count();
        let contradictions = has(|kind| matches!(kind, FaultKind::Contradiction));
        let parked: Vec<_> = self.state.shards.iter().flat_map(|shard| &shard.parked).collect();
        // What was granted in an epoch that was closed before it came was not acknowledged.
        let contradicted = parked.iter().filter(|(_, parked)| !parked.reason.contains("closed")).count();
        if contradicted > contradictions {
            broken.push(format!("contradictions alone are parked: {contradicted}, of {contradictions}"));
        }
        let unreadable = has(|kind| matches!(kind, FaultKind::Unreadable(_)));
        let queues = &self.state.queues;
        let lost = plan
            .faults
            .iter()
            .any(|fault| matches!(fault.kind, FaultKind::Deleted(_) | FaultKind::Purged(_)));
        let kept = queues.parked.iter().filter(|body| body.as_slice() == UNREADABLE).count();
        if kept < unreadable && !lost {
            broken.push(format!("what nobody can read is parked: {kept} of {unreadable} are"));
        }
    }

    /// Nothing leaks: every holder has a row, every row is held, and nothing is pending.
    fn gates(&self, broken: &mut Vec<String>) {
        self.state.gates.count().all().for_each(|gate| self.gate(gate, broken));
    }

    fn gate(&self, gate: GateId, broken: &mut Vec<String>) {
        let State { main, gates, .. } = self.state;
        let Some(epoch) = main.gates.get(gate).open() else {
            broken.push(format!("everything settles: gate {gate} is shut"));
            return;
        };
        let Some(memory) = gates.get(gate).epochs.get(&epoch) else {
            broken.push(format!("everything settles: gate {gate} knows nothing of epoch {epoch}"));
            return;
        };
        for mark in memory.marks() {
            broken.push(format!("no stock leaks: coupon {} of user {} is pending", mark.coupon, mark.user));
        }
        let none = CouponMemory::default();
        for terms in self.terms.iter().filter(|terms| gates.count().of(terms.coupon) == gate) {
            let coupon = memory.coupons.get(&terms.coupon).unwrap_or(&none);
            self.holders(terms.coupon, coupon, broken);
        }
    }

    fn holders(&self, coupon: CouponId, memory: &CouponMemory, broken: &mut Vec<String>) {
        let rows: BTreeMap<Slot, ResultId> =
            self.live(coupon).filter_map(|row| Some((slot(row)?, row.result_id))).collect();
        let parked = self.state.shards.iter().flat_map(|shard| shard.parked.values());
        let parked: BTreeSet<ResultId> = parked.map(|parked| parked.row.result_id).collect();
        for ((user, slot), HolderMemory { reserved, parked: as_parked }) in &memory.holders {
            let id = reserved.id;
            let has_row =
                if *as_parked { parked.contains(&id) } else { rows.get(&(*user, *slot)) == Some(&id) };
            if !has_row {
                broken.push(format!("no stock leaks: user {user} holds coupon {coupon} in the gate as {reserved:?}, and no shard has it"));
            }
        }
        // Of a coupon that it has lost altogether it decides nothing until it has been filled anew.
        for ((user, slot), id) in rows.iter().filter(|_| memory.terms.is_some()) {
            if !memory.holders.contains_key(&(*user, *slot)) {
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
            let live = self.live(coupon).count() as i64;
            let stock = main.stocks.get(&coupon).copied().unwrap_or_default();
            let remains = i64::from(terms.total) - live;
            if (stock.total, stock.remaining) != (i64::from(terms.total), remains) {
                broken.push(format!(
                    "the books add up: of coupon {coupon} main has {} of {} left, and {remains} are",
                    stock.remaining, stock.total
                ));
            }
            let at_first = self.at_first.iter().find(|first| first.coupon == coupon);
            let mut left = at_first.map_or(0, |first| i64::from(first.total));
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
            let given_back = shard.rows().filter(|row| row.slot.is_none()).count() as u64;
            if (shard.sums.results, shard.sums.given_back) != (rows, given_back) {
                broken.push(format!(
                    "the books add up: shard {number} counts {:?}, and has {rows}, of which {given_back} gave their stock back",
                    shard.sums
                ));
            }
            if !shard.releases.is_empty() {
                broken.push(format!("everything settles: at shard {number} {:?} wait", shard.releases));
            }
        }
    }
}
