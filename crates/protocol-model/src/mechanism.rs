//! The mechanisms of docs/RELIABILITY.md that the models can leave out.

use std::fmt;
use std::str::FromStr;

/// A mechanism of the protocol. Left out of a model, it must cost a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// Answering only after the queue's confirmation.
    Confirms,
    /// Routing by epoch, and refusing messages of closed epochs at the shard.
    Epoch,
    /// Sending a second marker once everything that was routed has arrived.
    SecondMarker,
    /// Loading the gate's script before it is filled, and looking for it at the end.
    ScriptFirst,
    /// Filling the gate from every row, or not at all.
    WholeFill,
    /// Recording at the shard which epochs were opened, beside main.
    RecordedEpochs,
    /// Handing over again what is pending, and giving the gate the rows that it lacks.
    Reconciler,
    /// Distinguishing a reservation that is not known to be stored from one that is.
    Pending,
    /// Acknowledging a message to its queue only after the shard's commit.
    AckAfterCommit,
    /// Taking a row that is stored already for a repeat.
    Repeats,
    /// Taking, judging and renewing leases of worker numbers by main's clock.
    MainsClock,
    /// Giving stock back at the shard before the gate lets go of it.
    RowFirst,
    /// Noting a release as done only in an epoch of the gate that no filling made from rows read before it.
    ReleaseEpochs,
    /// Looking again at a row that the gate was given: it may have given its stock back meanwhile.
    SecondLook,
    /// Filling the gate from rows that have their stock, and from no others.
    LiveRows,
    /// Telling a Redis that has its scripts, and took over another's memory, from one that has its own.
    ReplicationId,
    /// Closing at the shard the epochs of a gate that is filled, and of no other.
    OwnEpochs,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Confirms,
        Self::Epoch,
        Self::SecondMarker,
        Self::ScriptFirst,
        Self::WholeFill,
        Self::RecordedEpochs,
        Self::Reconciler,
        Self::Pending,
        Self::AckAfterCommit,
        Self::Repeats,
        Self::MainsClock,
        Self::RowFirst,
        Self::ReleaseEpochs,
        Self::SecondLook,
        Self::LiveRows,
        Self::ReplicationId,
        Self::OwnEpochs,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirms => "confirms",
            Self::Epoch => "epoch",
            Self::SecondMarker => "second-marker",
            Self::ScriptFirst => "script-first",
            Self::WholeFill => "whole-fill",
            Self::RecordedEpochs => "recorded-epochs",
            Self::Reconciler => "reconciler",
            Self::Pending => "pending",
            Self::AckAfterCommit => "ack-after-commit",
            Self::Repeats => "repeats",
            Self::MainsClock => "mains-clock",
            Self::RowFirst => "row-first",
            Self::ReleaseEpochs => "release-epochs",
            Self::SecondLook => "second-look",
            Self::LiveRows => "live-rows",
            Self::ReplicationId => "replication-id",
            Self::OwnEpochs => "own-epochs",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Mechanism {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|mechanism| mechanism.name() == text);
        found.ok_or_else(|| format!("{text:?} is no mechanism of the models: {known}"))
    }
}

/// The rules by which states follow each other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// The mechanism that is left out.
    pub(crate) without: Option<Mechanism>,
}

impl Rules {
    /// True if a mechanism is there.
    pub(crate) fn has(self, mechanism: Mechanism) -> bool {
        self.without != Some(mechanism)
    }
}
