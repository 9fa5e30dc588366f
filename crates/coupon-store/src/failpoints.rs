//! Places where a test may break a service on purpose. They exist with the feature `failpoints` alone, which no
//! service is built with: only `loadtest faults` asks for it, in programs built for it.
//!
//! A test talks to a running service by files in the folder that `COUPON_FAILPOINTS` names:
//!
//! | file | what it does |
//! |---|---|
//! | `after-gate`, `after-confirm`, `after-commit`, `after-give-back`, `while-filling`, `while-announcing`, `after-change`, `after-leave`, `after-arrival` | the next that comes by is the process's last deed (`kill`), or freezes it (`pause`); the file goes first |
//! | `contradict` | the next hand-over also holds a second result of its first user; the file goes first |
//! | `without-…` | switches a [`Mechanism`] off for as long as it is there |
//! | `clock` | milliseconds by which time is moved: the process's clock, and with it what it hears of main's |
//! | `clock-wrong` | milliseconds by which the process's clock alone is wrong: main's time stays |

#[cfg(feature = "failpoints")]
pub use built_in::{clock_displacement_ms, clock_wrong_ms, contradiction, is_off};
#[cfg(feature = "failpoints")]
pub use built_in::{hit, leave_out};
#[cfg(not(feature = "failpoints"))]
pub use left_out::hit;
#[cfg(not(feature = "failpoints"))]
pub use left_out::{clock_displacement_ms, clock_wrong_ms, contradiction, is_off};

/// A point at which a process can be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// By the gate, and not handed over.
    Granted,
    /// By the queue, and not answered.
    Confirmed,
    /// By the shard, and not acknowledged to the queue.
    Committed,
    /// Some of it written to a gate that is being filled.
    Filling,
    /// A version of the layout with its time, of which neither the gate nor main has heard.
    Announcing,
    /// A change of the catalogue by main, and not by the gate.
    Changed,
    /// Given back at the row, and not at the gate yet; the other way round without [`Mechanism::RowFirst`].
    GaveBack,
    /// Out of its table to be moved, and not at its new place yet.
    Left,
    /// At its new place as well as on its way there.
    Arrived,
}

/// A mechanism of docs/RELIABILITY.md that can be switched off, to show that its absence is noticed. Where the model of
/// the protocol can leave it out as well, it has the same name there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// Answering only after the queue's confirmation.
    Confirms,
    /// Acknowledging a message to its queue only once it is stored.
    AckAfterCommit,
    /// Routing by epoch, and closing epochs at the shards.
    Epoch,
    /// Announcing an epoch to every shard before it opens.
    RecordedEpochs,
    /// Loading the gate's script before the gate is filled, and looking for it at the end.
    ScriptFirst,
    /// Filling the gate from every shard, or not at all.
    WholeFill,
    /// Waiting until everything that was handed over before a filling is stored.
    Markers,
    /// Looking for the sentinel among the pending marks before anything is decided.
    Sentinel,
    /// Granting a user no coupon that they hold.
    OnePerUser,
    /// Looking for reservations and rows that the other side lacks.
    Reconciler,
    /// Distinguishing a reservation that is not known to be stored from one that is.
    Pending,
    /// Looking among the pending marks for a result that no shard has.
    PendingReads,
    /// Reading back what a row that does not go in contradicts.
    Conflicts,
    /// Distinguishing what comes again from what is new.
    Repeats,
    /// Keeping an unreadable message before the queue forgets it.
    Parking,
    /// Using only worker numbers that are leased to this process.
    Leases,
    /// Refusing a shard that has less than main has applied, or than this process has seen committed.
    Floors,
    /// Remembering how far main has applied a shard's outbox.
    Positions,
    /// Giving stock back at the shard before the gate lets go of it.
    RowFirst,
    /// Filling the gate from rows that take stock alone.
    LiveRows,
    /// Filling the gate with what was over for less than a day as well, whose holders may ask again.
    OverForADay,
    /// Announcing a version of the layout a while before it is in force.
    LayoutLead,
    /// Refusing at the gate what a process places that does not know the version of the layout in force.
    LayoutFence,
    /// Judging anew where a row belongs that comes to a shard once rows have left it.
    LateRows,
    /// Answering an operator only once the gate decides by the change and every process goes by it.
    Enforced,
}

impl Mechanism {
    /// Its name on the command line, and behind `without-` that of the file which switches it off.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirms => "confirms",
            Self::AckAfterCommit => "ack-after-commit",
            Self::Epoch => "epoch",
            Self::RecordedEpochs => "recorded-epochs",
            Self::ScriptFirst => "script-first",
            Self::WholeFill => "whole-fill",
            Self::Markers => "markers",
            Self::Sentinel => "sentinel",
            Self::OnePerUser => "one-per-user",
            Self::Reconciler => "reconciler",
            Self::Pending => "pending",
            Self::PendingReads => "pending-reads",
            Self::Conflicts => "conflicts",
            Self::Repeats => "repeats",
            Self::Parking => "parking",
            Self::Leases => "leases",
            Self::Floors => "floors",
            Self::Positions => "positions",
            Self::RowFirst => "row-first",
            Self::LiveRows => "live-rows",
            Self::OverForADay => "over-for-a-day",
            Self::LayoutLead => "layout-lead",
            Self::LayoutFence => "layout-fence",
            Self::LateRows => "late-rows",
            Self::Enforced => "enforced",
        }
    }
}

#[cfg(not(feature = "failpoints"))]
mod left_out {
    use super::{Mechanism, Point};
    use crate::PlacedResult;

    #[inline]
    /// Nothing: the feature is left out.
    pub const fn hit(_: Point) {}

    /// Says whether a mechanism is switched off.
    #[inline]
    pub const fn is_off(_: Mechanism) -> bool {
        false
    }

    /// The milliseconds by which time is moved.
    #[inline]
    pub const fn clock_displacement_ms() -> i64 {
        0
    }

    /// The milliseconds by which the process's clock alone is wrong.
    #[inline]
    pub const fn clock_wrong_ms() -> i64 {
        0
    }

    /// A result that contradicts one of these, where a file asks for it.
    #[inline]
    pub const fn contradiction(_: &[PlacedResult]) -> Option<PlacedResult> {
        None
    }
}

#[cfg(feature = "failpoints")]
mod built_in {
    use std::cell::Cell;
    use std::path::{Path, PathBuf};
    use std::sync::LazyLock;
    use std::time::Duration;

    use coupon_core::{ResultId, ResultState};
    use rustix::process::{Signal, getpid, kill_process};

    use super::{Mechanism, Point};
    use crate::PlacedResult;

    /// A worker number that is never leased: ids of history and logs have those from a thousand on as well.
    const NOBODY: u16 = ResultId::WORKERS - 1;

    /// Much longer than a signal takes.
    const TAKES_EFFECT: Duration = Duration::from_millis(100);

    thread_local! {
        static LEFT_OUT: Cell<Option<Mechanism>> = const { Cell::new(None) };
    }

    /// Switches a mechanism off for whatever runs on this thread, and every other one on.
    pub fn leave_out(mechanism: Option<Mechanism>) {
        LEFT_OUT.set(mechanism);
    }

    static FOLDER: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os("COUPON_FAILPOINTS").map(PathBuf::from));

    fn folder() -> Option<&'static Path> {
        FOLDER.as_deref()
    }

    /// Takes a file away, and returns its content: of several threads that come by, one finds it.
    fn take(name: &str) -> Option<String> {
        let path = folder()?.join(name);
        let told = std::fs::read_to_string(&path).ok()?;
        std::fs::remove_file(path).ok().map(|()| told)
    }

    /// Does what a test asked for at this point.
    pub fn hit(point: Point) {
        let name = match point {
            Point::Granted => "after-gate",
            Point::Confirmed => "after-confirm",
            Point::Committed => "after-commit",
            Point::Filling => "while-filling",
            Point::Announcing => "while-announcing",
            Point::Changed => "after-change",
            Point::GaveBack => "after-give-back",
            Point::Left => "after-leave",
            Point::Arrived => "after-arrival",
        };
        let Some(what) = take(name) else { return };
        let signal = if what.trim() == "pause" { Signal::STOP } else { Signal::KILL };
        tracing::warn!(point = name, what, "a fail point is reached");
        // A process that is not stopped by it goes on, and the test finds out.
        let _ = kill_process(getpid(), signal);
        // Another thread may take the signal; until it has, this one must not go on.
        std::thread::sleep(TAKES_EFFECT);
    }

    /// Says whether a mechanism is switched off.
    pub fn is_off(mechanism: Mechanism) -> bool {
        LEFT_OUT.get() == Some(mechanism)
            || folder().is_some_and(|folder| folder.join(format!("without-{}", mechanism.name())).exists())
    }

    /// The milliseconds by which time is moved.
    pub fn clock_displacement_ms() -> i64 {
        millis("clock")
    }

    /// The milliseconds by which the process's clock alone is wrong.
    pub fn clock_wrong_ms() -> i64 {
        millis("clock-wrong")
    }

    fn millis(name: &str) -> i64 {
        let told = folder().and_then(|folder| std::fs::read_to_string(folder.join(name)).ok());
        told.and_then(|told| told.trim().parse().ok()).unwrap_or(0)
    }

    /// The same grab under another id of the same moment: what only a mistake of the gate's could bring about. It is
    /// one that named no request: in the matrix of faults none of these is given back, so that what becomes of the two
    /// is for an operator alone to say.
    pub fn contradiction(results: &[PlacedResult]) -> Option<PlacedResult> {
        let owned =
            |row: &&PlacedResult| row.result.state == ResultState::Owned && row.result.request.is_none();
        let mut other = results.iter().find(owned).copied()?;
        other.result.result_id = ResultId::from_parts(other.result.result_id.time(), NOBODY, 0).ok()?;
        take("contradict").map(|_| other)
    }
}
