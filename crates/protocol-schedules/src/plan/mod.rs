//! The draw of a seed: who grabs what and when, and which faults come.

mod draw;
mod fault;

use std::fmt;

use coupon_core::after_grab::Action;
use coupon_core::{GateCount, GrabTerms};

use self::draw::Draw;
use self::fault::promised;
pub use self::fault::{Altered, Fault, FaultKind};
use crate::world::ProcessId;

/// The processes of a schedule.
pub(crate) const PROCESSES: usize = 2;
/// Its shards.
pub(crate) const SHARDS: u16 = 2;
/// Its coupons: how many there are of each, and on what terms.
pub(crate) const OFFERS: [(u32, GrabTerms); 5] = [
    (1, offered(0, 1, false)),
    (2, offered(0, 1, true)),
    (3, offered(0, 1, false)),
    (1, offered(2, 1, false)),
    (3, offered(1, 2, true)),
];

const fn offered(hold_s: u32, user_limit: u8, returnable: bool) -> GrabTerms {
    GrabTerms { hold_s, user_limit, returnable }
}

/// Its users.
pub(crate) const USERS: u64 = 9;
/// The moment at which every fault is over, in milliseconds.
pub(crate) const HEALED_MS: u64 = 9_000;
/// The time from which a version of the layout is announced to that from which it is in force.
pub(crate) const LEAD_MS: u64 = 2_500;

/// A user's wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// The moment at which they ask, in milliseconds.
    pub at: u64,
    /// Their number.
    pub user: u64,
    /// The coupon, from 1 on.
    pub coupon: u64,
    /// The process that they ask.
    pub process: ProcessId,
    /// They ask again when they get no clear answer.
    pub asks_again: bool,
    /// They ask again when they got it, and once more at the end.
    pub repeats: bool,
    /// The step that they take with their result, and after how many milliseconds; a hold lapses otherwise.
    pub then: Option<(Action, u64)>,
}

/// A schedule: what is drawn from its seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeededSchedule {
    /// The seed of every delay and loss.
    pub seed: u64,
    /// The number of gates among which the coupons are divided.
    pub gates: GateCount,
    /// The users' wishes.
    pub wishes: Vec<Wish>,
    /// The faults that come.
    pub faults: Vec<Fault>,
}

impl SeededSchedule {
    /// The plan of a seed, with one gate.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self::with_gates(seed, GateCount::ONE)
    }

    /// The same with so many gates, of which each may fail by itself.
    #[must_use]
    pub fn with_gates(seed: u64, gates: GateCount) -> Self {
        let mut draw = Draw::of(seed, gates, 0);
        let wishes = draw.wishes();
        let mut faults = draw.faults();
        // A stream of its own leaves the other draws as they are.
        faults.extend(Draw::of(seed, gates, 2).growth());
        faults.sort_by_key(|fault| fault.at);
        Self { seed, gates, wishes, faults }
    }

    /// The same, with operators who change coupons a moment before users want them.
    #[must_use]
    pub fn with_changes(seed: u64) -> Self {
        let mut plan = Self::of(seed);
        let mut draw = Draw::of(seed, plan.gates, 1);
        for _ in 0..draw.between(2, 6) {
            let before = draw.below(60);
            let at = draw.below(plan.wishes.len() as u64);
            let Some(wish) = usize::try_from(at).ok().and_then(|at| plan.wishes.get(at)) else { continue };
            let kind = FaultKind::Changes(draw.process(), wish.coupon, draw.altered());
            plan.faults.push(Fault { at: wish.at.saturating_sub(before), kind });
        }
        plan.faults.sort_by_key(|fault| fault.at);
        plan
    }

    /// The same, with coupons that end in the middle of it, after which the gate may lose its memory.
    #[must_use]
    pub fn with_ends(seed: u64) -> Self {
        let mut plan = Self::of(seed);
        let mut draw = Draw::of(seed, plan.gates, 2);
        for coupon in 1..=OFFERS.len() as u64 {
            let at = draw.between(1_100, 6_000);
            if !draw.one_in(3) {
                plan.faults.push(Fault { at, kind: FaultKind::Ends(coupon) });
            }
            if draw.one_in(4) {
                plan.faults
                    .push(Fault { at: at + draw.between(1, 900), kind: FaultKind::Forgets(draw.gate()) });
            }
        }
        plan.faults.sort_by_key(|fault| fault.at);
        promised(&mut plan.faults);
        plan
    }

    /// The same, with a gate that fails over, most often just after somebody grabs, and a process that has not heard of it.
    #[must_use]
    pub fn with_fail_over(seed: u64) -> Self {
        let mut plan = Self::of(seed);
        let mut draw = Draw::of(seed, plan.gates, 3);
        let wished = usize::try_from(draw.below(plan.wishes.len() as u64)).ok();
        let wished = wished.and_then(|at| plan.wishes.get(at)).map_or(1_000, |wish| wish.at);
        let at = wished + draw.between(1, 200);
        let kind = FaultKind::FailsOver(draw.process(), draw.between(50, 2_500));
        plan.faults.push(Fault { at, kind });
        plan.faults.sort_by_key(|fault| fault.at);
        promised(&mut plan.faults);
        plan
    }

    /// The moment at which a coupon's window ends, in milliseconds, where that is within the schedule.
    pub(crate) fn end_of(&self, coupon: u64) -> Option<u64> {
        let ends = |fault: &&Fault| fault.kind == FaultKind::Ends(coupon);
        self.faults.iter().find(ends).map(|fault| fault.at)
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, user, coupon, process, .. } = self;
        write!(f, "at {at} ms user {user} wants coupon {coupon} of {process}")
    }
}
