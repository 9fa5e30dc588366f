//! The faults of a schedule.

use std::fmt;

use coupon_core::{GateId, ShardId};

use crate::world::{ProcessId, Server};

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The moment at which it comes, in milliseconds.
    pub at: u64,
    /// The kind of fault.
    pub kind: FaultKind,
}

/// A kind of fault, and for how many milliseconds it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// A process is killed, and started again later.
    Crash(ProcessId, u64),
    /// A process is frozen.
    Freeze(ProcessId, u64),
    /// A gate's server loses its memory.
    Forgets(GateId),
    /// A gate's server loses the pending marks.
    ForgetsMarks(GateId),
    /// The gate's server loses a coupon.
    ForgetsCoupon(u64),
    /// A stale copy takes a gate's place.
    PutBack(GateId),
    /// The same of the first gate, and a process goes on with the one of before for a while.
    FailsOver(ProcessId, u64),
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
    /// A message that cannot be read is put into a shard's queue.
    Unreadable(ShardId),
    /// A second result of a user who holds a coupon is put into a queue.
    Contradiction,
    /// A stale copy takes a shard's place, until its full copy is back.
    Stale(ShardId, u64),
    /// Main is put back to before the epoch of a gate that is open.
    EpochForgotten(GateId),
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

/// A change that an operator makes of a coupon.
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

/// Leaves out the faults that are not promised to be survived: a queue's loss beside the gate's.
pub(super) fn promised(faults: &mut Vec<Fault>) {
    let gate_goes = |kind: &FaultKind| {
        matches!(
            kind,
            FaultKind::Forgets(_)
                | FaultKind::ForgetsMarks(_)
                | FaultKind::ForgetsCoupon(_)
                | FaultKind::PutBack(_)
                | FaultKind::FailsOver(..)
        )
    };
    let queue_goes = |kind: &FaultKind| matches!(kind, FaultKind::Deleted(_) | FaultKind::Purged(_));
    if faults.iter().any(|fault| gate_goes(&fault.kind)) {
        faults.retain(|fault| !queue_goes(&fault.kind));
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} ms: {}", self.at, self.kind)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash(process, ms) => write!(f, "{process} is killed, and started again after {ms} ms"),
            Self::Freeze(process, ms) => write!(f, "{process} is frozen for {ms} ms"),
            Self::Forgets(gate) => write!(f, "gate {gate} loses its memory"),
            Self::ForgetsMarks(gate) => write!(f, "gate {gate} loses the pending marks"),
            Self::ForgetsCoupon(coupon) => write!(f, "the gate of coupon {coupon} loses it"),
            Self::PutBack(gate) => write!(f, "a stale copy takes the place of gate {gate}"),
            Self::FailsOver(unaware, ms) => write!(
                f,
                "a stale copy takes the place of gate 0, and {unaware} goes on with that of before for {ms} ms"
            ),
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
            Self::EpochForgotten(gate) => {
                write!(f, "main is put back to before the open epoch of gate {gate}")
            }
            Self::Wrong(process, by, ms) => {
                write!(f, "the clock of {process} is wrong by {by} ms for {ms} ms")
            }
        }
    }
}
