//! A second model: worker numbers, leased from main by processes whose clocks disagree.
//!
//! Time is counted in thirds of a lease, which is enough to see one end before its holder is done with it.

use std::fmt;

use crate::mechanism::Mechanism;

/// The processes.
const PROCESSES: usize = 2;
/// Length of a lease, in ticks.
const TERM: i8 = 3;
/// The errors that the clock of the second process may have, either way.
const WRONG: [i8; 3] = [0, -5, 5];
/// Main's clock runs so far.
const HORIZON: i8 = 8;

/// A process: how wrong its clock is, and until when it believes to hold the one worker number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    /// Its clock minus main's.
    pub(crate) wrong: i8,
    /// The end of its lease, by the clock that it judges leases by.
    pub(crate) until: Option<i8>,
}

/// Main's row of the one worker number, the clock, and the processes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Leases {
    /// Main's clock.
    pub(crate) now: i8,
    /// The holder of the number, and the end of its lease.
    pub(crate) held: Option<(usize, i8)>,
    /// The processes.
    pub(crate) processes: [Process; PROCESSES],
    /// A process has taken the number from one whose lease, by main's clock, had not ended.
    pub(crate) taken_from_a_holder: bool,
}

/// A step of a process or of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum LeaseStep {
    /// Main's clock moves on.
    Tick,
    /// A process takes the number, if it finds it free.
    Take { process: usize },
    /// It renews its lease.
    Renew { process: usize },
    /// It dies, and starts again.
    Restart { process: usize },
}

impl Leases {
    /// The first states: the second process' clock is right, or wrong either way.
    pub(crate) fn first() -> impl Iterator<Item = Self> {
        WRONG.into_iter().map(|wrong| Self {
            now: 0,
            held: None,
            processes: [Process::default(), Process { wrong, ..Process::default() }],
            taken_from_a_holder: false,
        })
    }

    /// The time that a process judges leases by.
    fn time_of(&self, process: usize, without: Option<Mechanism>) -> i8 {
        let wrong = if without == Some(Mechanism::MainsClock) { self.processes[process].wrong } else { 0 };
        self.now + wrong
    }

    /// The state after a step; `None` where it cannot be taken.
    pub(crate) fn after(&self, step: LeaseStep, without: Option<Mechanism>) -> Option<Self> {
        let mut next = self.clone();
        match step {
            LeaseStep::Tick => {
                (self.now < HORIZON).then_some(())?;
                next.now += 1;
            }
            LeaseStep::Take { process } => {
                let time = self.time_of(process, without);
                let free = self.held.is_none_or(|(_, until)| until < time);
                (free && self.processes[process].until.is_none()).then_some(())?;
                let other = |(holder, _): (usize, i8)| {
                    let until = self.processes[holder].until;
                    holder != process && until.is_some_and(|until| until >= self.time_of(holder, without))
                };
                next.taken_from_a_holder = self.held.is_some_and(other);
                next.held = Some((process, time + TERM));
                next.processes[process].until = Some(time + TERM);
            }
            LeaseStep::Renew { process } => {
                self.processes[process].until?;
                let mine = self.held.is_some_and(|(holder, _)| holder == process);
                let until = self.time_of(process, without) + TERM;
                if mine {
                    next.held = Some((process, until));
                }
                next.processes[process].until = mine.then_some(until);
                (next != *self).then_some(())?;
            }
            LeaseStep::Restart { process } => {
                next.processes[process].until.take()?;
            }
        }
        Some(next)
    }

    /// The steps that some state may take.
    pub(crate) fn steps() -> impl Iterator<Item = LeaseStep> {
        let of_process = |process| {
            [LeaseStep::Take { process }, LeaseStep::Renew { process }, LeaseStep::Restart { process }]
        };
        std::iter::once(LeaseStep::Tick).chain((0..PROCESSES).flat_map(of_process))
    }
}

impl fmt::Display for LeaseStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |process: usize| if process == 0 { "the first process" } else { "the second process" };
        match *self {
            Self::Tick => f.write_str("time passes"),
            Self::Take { process } => {
                write!(f, "{} finds the worker number free, and leases it", name(process))
            }
            Self::Renew { process } => write!(f, "{} renews its lease", name(process)),
            Self::Restart { process } => write!(f, "{} dies, and starts again", name(process)),
        }
    }
}
