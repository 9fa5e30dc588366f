//! What a seed draws: who grabs what and when, and which faults come.

use std::fmt;

use coupon_core::after_grab::Action;
use coupon_core::{GrabTerms, ShardId};
use coupon_measure::random::Random;

use crate::world::{ProcessId, Server};

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
    /// Who it is.
    pub user: u64,
    /// The coupon, from 1 on.
    pub coupon: u64,
    /// The process that they ask.
    pub process: ProcessId,
    /// They ask again when they get no clear answer.
    pub asks_again: bool,
    /// They ask again when they got it, and once more at the end.
    pub repeats: bool,
    /// What they do with what they got, and after how many milliseconds; what is held lapses otherwise.
    pub then: Option<(Action, u64)>,
}

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The moment at which it comes, in milliseconds.
    pub at: u64,
    /// What it is.
    pub kind: Kind,
}

/// A kind of fault, and for how many milliseconds it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A process is killed, and started again later.
    Crash(ProcessId, u64),
    /// A process is frozen.
    Freeze(ProcessId, u64),
    /// The gate's server loses its memory.
    Forgets,
    /// The gate's server loses the pending marks.
    ForgetsMarks,
    /// The gate's server loses a coupon.
    ForgetsCoupon(u64),
    /// A stale copy takes the gate's place.
    PutBack,
    /// A server refuses connections.
    Down(Server, u64),
    /// A server takes its time.
    Slow(Server, u64),
    /// Questions to a server, or its answers, are lost: so many in a hundred.
    Loses(Server, u64, u64),
    /// Every connection to a server is cut.
    Cut(Server),
    /// A shard's queue is deleted.
    Deleted(ShardId),
    /// A shard's queue loses what is in it.
    Purged(ShardId),
    /// Something that nobody can read is put into a shard's queue.
    Unreadable(ShardId),
    /// A second result of somebody who holds a coupon is put into a queue.
    Contradiction,
    /// A stale copy takes a shard's place, until its full copy is back.
    Stale(ShardId, u64),
    /// Main is put back to before the epoch that is open.
    EpochForgotten,
    /// An operator asks a process for another layout.
    Turns(ProcessId),
    /// An operator asks a process to move rows to where the latest layout says.
    Moves(ProcessId),
    /// An operator asks a process to change a coupon.
    Changes(ProcessId, u64, Altered),
    /// A coupon ends: its window was made so.
    Ends(u64),
    /// A process's clock shows so many milliseconds more than it should.
    Wrong(ProcessId, i64, u64),
}

/// What an operator makes of a coupon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Altered {
    /// It is not on offer.
    Withdrawn,
    /// It is on offer within its window.
    Offered,
    /// Its window ends now.
    Ended,
    /// Its window ends in some hours.
    Extended,
    /// There are so many.
    Total(u32),
}

/// A schedule: what is drawn from its seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The seed of every delay and loss.
    pub seed: u64,
    /// What users wish.
    pub wishes: Vec<Wish>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut draw = Draw { random: Random::new(seed, 0), rushes: [(1_000, 2_000); 2] };
        let wishes = draw.wishes();
        let mut faults = draw.faults();
        // Of a stream of its own.
        let mut draw = Draw { random: Random::new(seed, 2), rushes: draw.rushes };
        faults.extend(draw.growth());
        faults.sort_by_key(|fault| fault.at);
        Self { seed, wishes, faults }
    }

    /// The same, with operators who change coupons a moment before somebody wants them.
    #[must_use]
    pub fn with_changes(seed: u64) -> Self {
        let mut plan = Self::of(seed);
        let mut draw = Draw { random: Random::new(seed, 1), rushes: [(1_000, 2_000); 2] };
        for _ in 0..draw.between(2, 6) {
            let before = draw.below(60);
            let at = draw.below(plan.wishes.len() as u64);
            let Some(wish) = usize::try_from(at).ok().and_then(|at| plan.wishes.get(at)) else { continue };
            let kind = Kind::Changes(draw.process(), wish.coupon, draw.altered());
            plan.faults.push(Fault { at: wish.at.saturating_sub(before), kind });
        }
        plan.faults.sort_by_key(|fault| fault.at);
        plan
    }

    /// The same, with coupons that end in the middle of it, after which the gate may lose its memory.
    #[must_use]
    pub fn with_ends(seed: u64) -> Self {
        let mut plan = Self::of(seed);
        let mut draw = Draw { random: Random::new(seed, 2), rushes: [(1_000, 2_000); 2] };
        for coupon in 1..=OFFERS.len() as u64 {
            let at = draw.between(1_100, 6_000);
            if !draw.one_in(3) {
                plan.faults.push(Fault { at, kind: Kind::Ends(coupon) });
            }
            if draw.one_in(4) {
                plan.faults.push(Fault { at: at + draw.between(1, 900), kind: Kind::Forgets });
            }
        }
        plan.faults.sort_by_key(|fault| fault.at);
        promised(&mut plan.faults);
        plan
    }

    /// The moment at which a coupon's window ends, in milliseconds, where that is within the schedule.
    pub(crate) fn end_of(&self, coupon: u64) -> Option<u64> {
        let ends = |fault: &&Fault| fault.kind == Kind::Ends(coupon);
        self.faults.iter().find(ends).map(|fault| fault.at)
    }
}

struct Draw {
    random: Random,
    /// The moments at which several users ask at once, in pairs: a rush, and the one that follows it.
    rushes: [(u64, u64); 2],
}

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last + 1 - first)
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn process(&mut self) -> ProcessId {
        ProcessId(usize::from(self.one_in(2)))
    }

    fn shard(&mut self) -> ShardId {
        ShardId::new(u16::from(self.one_in(2)))
    }

    fn server(&mut self) -> Server {
        match self.below(4) {
            0 => Server::Gate,
            1 => Server::Queues,
            2 => Server::Main,
            _ => Server::Shard(self.shard()),
        }
    }

    /// Users come in rushes: several ask in the same millisecond. One follows the other in about the time that it takes to
    /// fill a gate anew.
    fn wishes(&mut self) -> Vec<Wish> {
        self.rushes = [(); 2].map(|()| {
            let first = self.between(1_000, 4_500);
            (first, first + self.between(500, 1_100))
        });
        let count = self.between(20, 40);
        (0..count)
            .map(|_| {
                let apart = if self.one_in(2) { 0 } else { self.below(400) };
                Wish {
                    at: self.rush() + apart,
                    user: self.between(1, USERS),
                    coupon: self.between(1, OFFERS.len() as u64),
                    process: self.process(),
                    asks_again: !self.one_in(3),
                    repeats: self.one_in(4),
                    then: self.then(),
                }
            })
            .collect()
    }

    fn altered(&mut self) -> Altered {
        match self.below(6) {
            0 => Altered::Withdrawn,
            1 => Altered::Ended,
            2 => Altered::Offered,
            3 => Altered::Extended,
            _ => Altered::Total(u32::from(self.one_in(2)) * 2 + u32::from(self.one_in(2))),
        }
    }

    fn then(&mut self) -> Option<(Action, u64)> {
        let action = match self.below(6) {
            0 | 1 => Action::Confirm,
            2 | 3 => Action::Release,
            4 => Action::Return,
            _ => return None,
        };
        let after = if self.one_in(3) { self.below(2_500) } else { self.below(300) };
        Some((action, after))
    }

    fn rush(&mut self) -> u64 {
        let (first, next) = self.pair();
        if self.one_in(2) { first } else { next }
    }

    fn pair(&mut self) -> (u64, u64) {
        let [one, other] = self.rushes;
        if self.one_in(2) { one } else { other }
    }

    fn faults(&mut self) -> Vec<Fault> {
        let mut faults = match self.below(10) {
            0 => Vec::new(),
            1..=4 => {
                let count = self.between(1, 3);
                (0..count).map(|_| self.any()).collect()
            }
            _ => self.story(),
        };
        faults.sort_by_key(|fault| fault.at);
        promised(&mut faults);
        faults
    }

    /// Of one plan in three the layout changes, of most of these rows move, and of some both once more.
    fn growth(&mut self) -> Vec<Fault> {
        if !self.one_in(3) {
            return Vec::new();
        }
        let mut at = self.between(900, 3_000);
        let mut faults = vec![Fault { at, kind: Kind::Turns(self.process()) }];
        let again = if self.one_in(3) { 2 } else { 1 };
        for round in 0..again {
            if round > 0 {
                at += self.between(300, 1_500);
                faults.push(Fault { at, kind: Kind::Turns(self.process()) });
            }
            if !self.one_in(4) {
                at += LEAD_MS + self.below(600);
                faults.push(Fault { at, kind: Kind::Moves(self.process()) });
            }
        }
        faults.retain(|fault| fault.at < HEALED_MS);
        faults
    }

    fn any(&mut self) -> Fault {
        let (at, long) = (self.between(800, 6_000), self.between(200, 2_800));
        let kind = match self.below(18) {
            0 | 1 => Kind::Crash(self.process(), long),
            2 | 3 => Kind::Freeze(self.process(), long),
            4 | 5 => Kind::Forgets,
            6 => Kind::ForgetsMarks,
            7 => Kind::ForgetsCoupon(self.between(1, OFFERS.len() as u64)),
            8 => Kind::PutBack,
            9 => Kind::Down(self.server(), long),
            10 => Kind::Slow(self.server(), long),
            11 => Kind::Loses(self.server(), long, self.between(10, 60)),
            12 => Kind::Cut(self.server()),
            13 => {
                if self.one_in(2) {
                    Kind::Deleted(self.shard())
                } else {
                    Kind::Purged(self.shard())
                }
            }
            14 => Kind::Unreadable(self.shard()),
            15 => Kind::Contradiction,
            16 => Kind::Stale(self.shard(), long),
            _ => {
                let hour = 3_600_000;
                Kind::Wrong(self.process(), if self.one_in(2) { hour } else { -hour }, long)
            }
        };
        Fault { at, kind }
    }

    /// Faults that go together, as a person would think of them: most of the protocol is about two at once.
    fn story(&mut self) -> Vec<Fault> {
        // Most often while grabs are between gate and queue.
        let at = if self.one_in(4) { self.between(1_000, 5_000) } else { self.rush() + self.between(1, 9) };
        let (soon, later) = (at + self.between(1, 120), at + self.between(100, 900));
        let (process, shard, long) = (self.process(), self.shard(), self.between(800, 3_000));
        let fault = |at, kind| Fault { at, kind };
        match self.below(12) {
            // Grabs are on their way while the gate is filled anew and sold out.
            0 => vec![fault(at, Kind::Slow(Server::Queues, long)), fault(soon, Kind::Forgets)],
            1 => vec![fault(at, Kind::Freeze(process, long)), fault(soon, Kind::Forgets)],
            2 => self.epoch_twice(process),
            // The gate is lost while a shard is away, or a second time while it is filled.
            3 => vec![fault(at, Kind::Down(Server::Shard(shard), long)), fault(soon, Kind::Forgets)],
            // Slow, it is filled for long.
            4 => vec![
                fault(at, Kind::Forgets),
                fault(soon, Kind::Slow(Server::Gate, 3_000)),
                fault(at + self.between(500, 3_500), Kind::Forgets),
            ],
            5 => vec![
                fault(at, Kind::Forgets),
                fault(soon, Kind::Slow(Server::Gate, 3_000)),
                fault(at + self.between(500, 2_000), Kind::Down(Server::Shard(shard), long)),
            ],
            // What was stored since is not in the copy.
            6 => vec![fault(at + self.between(150, 400), Kind::Stale(shard, long))],
            // What a process was at work on is known to nobody else.
            7 => vec![fault(at, Kind::Crash(process, long)), fault(soon, Kind::ForgetsMarks)],
            8 => vec![
                fault(at, Kind::Down(Server::Shard(shard), long)),
                fault(later, Kind::Crash(ProcessId(0), 500)),
                fault(later, Kind::Crash(ProcessId(1), 500)),
                fault(later + self.between(1, 300), Kind::Forgets),
            ],
            9 => vec![
                fault(at, Kind::Loses(Server::Shard(shard), long, 40)),
                fault(soon, Kind::Cut(Server::Queues)),
            ],
            10 => vec![fault(at, Kind::Crash(process, long)), fault(later, Kind::Cut(Server::Queues))],
            _ => vec![fault(at, Kind::Slow(Server::Main, long)), fault(soon, Kind::Forgets)],
        }
    }

    /// Main gives an epoch out a second time while a process keeps what it was granted in the first, and goes on in the
    /// middle of the next rush.
    fn epoch_twice(&mut self, process: ProcessId) -> Vec<Fault> {
        let (first, next) = self.pair();
        let at = first + self.between(1, 5);
        let soon = at + self.between(1, 30);
        let faults = [
            (at, Kind::Freeze(process, next + self.between(0, 60) - at)),
            // From now on the other process stores.
            (soon, Kind::Cut(Server::Queues)),
            (soon, Kind::Forgets),
            (soon + self.between(1, 30), Kind::EpochForgotten),
        ];
        faults.map(|(at, kind)| Fault { at, kind }).to_vec()
    }
}

/// Leaves out what nobody promises to survive: a queue's loss beside the gate's.
fn promised(faults: &mut Vec<Fault>) {
    let gate_goes = |kind: &Kind| {
        matches!(kind, Kind::Forgets | Kind::ForgetsMarks | Kind::ForgetsCoupon(_) | Kind::PutBack)
    };
    let queue_goes = |kind: &Kind| matches!(kind, Kind::Deleted(_) | Kind::Purged(_));
    if faults.iter().any(|fault| gate_goes(&fault.kind)) {
        faults.retain(|fault| !queue_goes(&fault.kind));
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, user, coupon, process, .. } = self;
        write!(f, "at {at} ms user {user} wants coupon {coupon} of {process}")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} ms: {}", self.at, self.kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash(process, ms) => write!(f, "{process} is killed, and started again after {ms} ms"),
            Self::Freeze(process, ms) => write!(f, "{process} is frozen for {ms} ms"),
            Self::Forgets => f.write_str("the gate's server loses its memory"),
            Self::ForgetsMarks => f.write_str("the gate's server loses the pending marks"),
            Self::ForgetsCoupon(coupon) => write!(f, "the gate's server loses coupon {coupon}"),
            Self::PutBack => f.write_str("a stale copy takes the place of the gate's server"),
            Self::Down(server, ms) => write!(f, "{server} is down for {ms} ms"),
            Self::Slow(server, ms) => write!(f, "{server} is slow for {ms} ms"),
            Self::Loses(server, ms, share) => {
                write!(f, "of what goes to and from {server}, {share} % are lost for {ms} ms")
            }
            Self::Cut(server) => write!(f, "every connection to {server} is cut"),
            Self::Deleted(shard) => write!(f, "the queue of shard {shard} is deleted"),
            Self::Purged(shard) => write!(f, "the queue of shard {shard} is purged"),
            Self::Unreadable(shard) => {
                write!(f, "something unreadable comes into the queue of shard {shard}")
            }
            Self::Contradiction => f.write_str("a second result of a holder comes into a queue"),
            Self::Stale(shard, ms) => write!(f, "a stale copy takes the place of shard {shard} for {ms} ms"),
            Self::Turns(process) => write!(f, "an operator asks {process} for another layout"),
            Self::Moves(process) => write!(f, "an operator asks {process} to move rows"),
            Self::Changes(process, coupon, altered) => {
                write!(f, "an operator asks {process} to change coupon {coupon}: {altered:?}")
            }
            Self::Ends(coupon) => write!(f, "coupon {coupon} ends"),
            Self::EpochForgotten => f.write_str("main is put back to before the open epoch"),
            Self::Wrong(process, by, ms) => {
                write!(f, "the clock of {process} is wrong by {by} ms for {ms} ms")
            }
        }
    }
}
