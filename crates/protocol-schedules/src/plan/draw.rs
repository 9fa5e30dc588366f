//! Draws a plan's parts from a stream of random numbers.

use coupon_core::after_grab::Action;
use coupon_core::{GateCount, GateId, ShardId};
use coupon_measure::random::Random;

use super::fault::{Altered, Fault, FaultKind, promised};
use super::{HEALED_MS, LEAD_MS, OFFERS, USERS, Wish};
use crate::world::{ProcessId, Server};

/// A stream of random numbers, and the rushes of users that were drawn from it.
pub(super) struct Draw {
    random: Random,
    gates: GateCount,
    /// The moments at which several users ask at once, in pairs: a rush, and the one that follows it.
    rushes: [(u64, u64); 2],
}

impl Draw {
    /// A stream of a seed; its users rush from the first second to the next, until wishes are drawn.
    pub(super) fn of(seed: u64, gates: GateCount, stream: u64) -> Self {
        Self { random: Random::new(seed, stream), gates, rushes: [(1_000, 2_000); 2] }
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    pub(super) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last + 1 - first)
    }

    pub(super) fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    pub(super) fn process(&mut self) -> ProcessId {
        ProcessId(usize::from(self.one_in(2)))
    }

    fn shard(&mut self) -> ShardId {
        ShardId::new(u16::from(self.one_in(2)))
    }

    /// A gate. Where there is one alone nothing is drawn.
    pub(super) fn gate(&mut self) -> GateId {
        let gates = self.gates;
        let drawn = if gates.is_several() { self.below(u64::from(gates.get())) } else { 0 };
        gates.all().find(|gate| u64::from(gate.number()) == drawn).unwrap_or(GateId::FIRST)
    }

    fn server(&mut self) -> Server {
        match self.below(4) {
            0 => Server::Gate(self.gate()),
            1 => Server::Queues,
            2 => Server::Main,
            _ => Server::Shard(self.shard()),
        }
    }

    /// Users come in rushes: several ask in the same millisecond. One follows the other in about the time that it takes to
    /// fill a gate anew.
    pub(super) fn wishes(&mut self) -> Vec<Wish> {
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

    pub(super) fn altered(&mut self) -> Altered {
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

    pub(super) fn faults(&mut self) -> Vec<Fault> {
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
    pub(super) fn growth(&mut self) -> Vec<Fault> {
        if !self.one_in(3) {
            return Vec::new();
        }
        let mut at = self.between(900, 3_000);
        let mut faults = vec![Fault { at, kind: FaultKind::Turns(self.process()) }];
        let again = if self.one_in(3) { 2 } else { 1 };
        for round in 0..again {
            if round > 0 {
                at += self.between(300, 1_500);
                faults.push(Fault { at, kind: FaultKind::Turns(self.process()) });
            }
            if !self.one_in(4) {
                at += LEAD_MS + self.below(600);
                faults.push(Fault { at, kind: FaultKind::Moves(self.process()) });
            }
        }
        faults.retain(|fault| fault.at < HEALED_MS);
        faults
    }

    fn any(&mut self) -> Fault {
        let (at, long) = (self.between(800, 6_000), self.between(200, 2_800));
        let kind = match self.below(18) {
            0 | 1 => FaultKind::Crash(self.process(), long),
            2 | 3 => FaultKind::Freeze(self.process(), long),
            4 | 5 => FaultKind::Forgets(self.gate()),
            6 => FaultKind::ForgetsMarks(self.gate()),
            7 => FaultKind::ForgetsCoupon(self.between(1, OFFERS.len() as u64)),
            8 => FaultKind::PutBack(self.gate()),
            9 => FaultKind::Down(self.server(), long),
            10 => FaultKind::Slow(self.server(), long),
            11 => FaultKind::Loses(self.server(), long, self.between(10, 60)),
            12 => FaultKind::Cut(self.server()),
            13 => {
                if self.one_in(2) {
                    FaultKind::Deleted(self.shard())
                } else {
                    FaultKind::Purged(self.shard())
                }
            }
            14 => FaultKind::Unreadable(self.shard()),
            15 => FaultKind::Contradiction,
            16 => FaultKind::Stale(self.shard(), long),
            _ => {
                let hour = 3_600_000;
                FaultKind::Wrong(self.process(), if self.one_in(2) { hour } else { -hour }, long)
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
        let gate = self.gate();
        let fault = |at, kind| Fault { at, kind };
        match self.below(12) {
            // Grabs are on their way while the gate is filled anew and sold out.
            0 => {
                vec![fault(at, FaultKind::Slow(Server::Queues, long)), fault(soon, FaultKind::Forgets(gate))]
            }
            1 => vec![fault(at, FaultKind::Freeze(process, long)), fault(soon, FaultKind::Forgets(gate))],
            2 => self.epoch_twice(process),
            // The gate is lost while a shard is away, or a second time while it is filled.
            3 => {
                vec![
                    fault(at, FaultKind::Down(Server::Shard(shard), long)),
                    fault(soon, FaultKind::Forgets(gate)),
                ]
            }
            // Slow, it is filled for long.
            4 => vec![
                fault(at, FaultKind::Forgets(gate)),
                fault(soon, FaultKind::Slow(Server::Gate(gate), 3_000)),
                fault(at + self.between(500, 3_500), FaultKind::Forgets(gate)),
            ],
            5 => vec![
                fault(at, FaultKind::Forgets(gate)),
                fault(soon, FaultKind::Slow(Server::Gate(gate), 3_000)),
                fault(at + self.between(500, 2_000), FaultKind::Down(Server::Shard(shard), long)),
            ],
            // What was stored since is not in the copy.
            6 => vec![fault(at + self.between(150, 400), FaultKind::Stale(shard, long))],
            // What a process was at work on is known to no other process.
            7 => vec![fault(at, FaultKind::Crash(process, long)), fault(soon, FaultKind::ForgetsMarks(gate))],
            8 => vec![
                fault(at, FaultKind::Down(Server::Shard(shard), long)),
                fault(later, FaultKind::Crash(ProcessId(0), 500)),
                fault(later, FaultKind::Crash(ProcessId(1), 500)),
                fault(later + self.between(1, 300), FaultKind::Forgets(gate)),
            ],
            9 => vec![
                fault(at, FaultKind::Loses(Server::Shard(shard), long, 40)),
                fault(soon, FaultKind::Cut(Server::Queues)),
            ],
            10 => {
                vec![fault(at, FaultKind::Crash(process, long)), fault(later, FaultKind::Cut(Server::Queues))]
            }
            _ => vec![fault(at, FaultKind::Slow(Server::Main, long)), fault(soon, FaultKind::Forgets(gate))],
        }
    }

    /// Main gives an epoch out a second time while a process keeps what it was granted in the first, and goes on in the
    /// middle of the next rush.
    fn epoch_twice(&mut self, process: ProcessId) -> Vec<Fault> {
        let (first, next) = self.pair();
        let at = first + self.between(1, 5);
        let (soon, gate) = (at + self.between(1, 30), self.gate());
        let faults = [
            (at, FaultKind::Freeze(process, next + self.between(0, 60) - at)),
            // From now on the other process stores.
            (soon, FaultKind::Cut(Server::Queues)),
            (soon, FaultKind::Forgets(gate)),
            (soon + self.between(1, 30), FaultKind::EpochForgotten(gate)),
        ];
        faults.map(|(at, kind)| Fault { at, kind }).to_vec()
    }
}
