//! Mechanisms that can be left out, to show that the rows see it.

use std::fmt;
use std::str::FromStr;

use crate::audit::Kind;

/// A mechanism that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// Answering only after the queue's confirmation.
    Confirms,
    /// Routing by epoch, and closing epochs.
    Epoch,
    /// Looking for what one side has and the other does not know.
    Reconciler,
    /// Marking reservations that are not known to be stored.
    Pending,
    /// Reading back what a row that does not go in contradicts.
    Conflicts,
    /// Telling the queue to forget what is stored only once it is.
    Acks,
    /// Telling what comes again from what is new.
    Repeats,
}

impl Without {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Confirms,
        Self::Epoch,
        Self::Reconciler,
        Self::Pending,
        Self::Conflicts,
        Self::Acks,
        Self::Repeats,
    ];

    /// What it is called on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirms => "confirms",
            Self::Epoch => "epoch",
            Self::Reconciler => "reconciler",
            Self::Pending => "pending",
            Self::Conflicts => "conflicts",
            Self::Acks => "acks",
            Self::Repeats => "repeats",
        }
    }

    /// The switch of a service that leaves it out.
    pub(super) fn file(self) -> String {
        format!("without-{self}")
    }

    /// The rows that must fail without it.
    #[must_use]
    pub const fn rows(self) -> &'static [&'static str] {
        match self {
            Self::Confirms | Self::Epoch => &["19"],
            Self::Reconciler | Self::Pending => &["3"],
            Self::Conflicts => &["25"],
            Self::Acks => &["5b"],
            Self::Repeats => &["5"],
        }
    }

    /// Who must ask again for that: a user who does mends what the reconciler would have, and one who does not never learns
    /// what was wrong.
    pub(super) const fn who(self) -> Who {
        match self {
            Self::Reconciler => Who::Nobody,
            Self::Pending => Who::Everybody,
            Self::Confirms | Self::Epoch | Self::Conflicts | Self::Acks | Self::Repeats => Who::EverySecond,
        }
    }

    /// How they must fail: the audit must find one of these.
    #[must_use]
    pub const fn found(self) -> &'static [Kind] {
        match self {
            // Answered although no queue took it.
            Self::Confirms => &[Kind::Lost],
            // Stored although the gate was sold out anew meanwhile.
            Self::Epoch => &[Kind::Oversold, Kind::Duplicate],
            // Held in the gate, and stored nowhere.
            Self::Reconciler => &[Kind::Stock],
            // Told that they hold it already, and no shard says so.
            Self::Pending => &[Kind::Lost],
            // Counted as stored, and not there.
            Self::Conflicts => &[Kind::Stock],
            // Forgotten by the queue, and never stored.
            Self::Acks => &[Kind::Lost],
            // Counted as often as they came.
            Self::Repeats => &[Kind::Stock],
        }
    }
}

/// Which users ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// As it is with people.
    EverySecond,
    /// All of them.
    Everybody,
    /// None.
    Nobody,
}

impl fmt::Display for Without {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Without {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|without| without.name() == text)
            .ok_or_else(|| format!("{text:?} is no mechanism that can be left out: {known}"))
    }
}
