//! Holds what a service stored against what it promised.
//!
//! The auditor shares no code with the services but the core's ids, times, table ids and money. It has connections of
//! its own, its own list of database and key names, its own law of where rows belong (`placement`) and its own law of
//! the books (`books`), so that a mistake in the code audited cannot hide in the audit as well. Golden files hold
//! both sides to the same. It reads every row every time; a duplicate of an old row is still a duplicate.
//!
//! The checks (`scan`, `answers`, `stock`) are written once, over the types in `source`; `folder` and `servers` hold
//! data of one kind still and read it.

mod acks;
mod answers;
mod archives;
mod books;
mod catalogue;
mod claims;
mod findings;
mod folder;
mod history;
mod ids;
mod kept;
mod ledger;
mod life;
mod moment;
mod placement;
mod reads;
mod recorded;
mod requests;
mod room_index;
mod scan;
#[cfg(feature = "servers")]
mod servers;
mod source;
mod spent;
mod start;
mod steps;
mod stock;
mod terms;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

pub use acks::{Ack, ClientAnswer, write_acks};
pub use claims::{Claims, GrabClaim};
pub use findings::{AuditReport, Finding, Kind, SHOWN, Unapplied};
pub use moment::Moment;
pub use reads::{AnsweredQuestion, QuestionSample, ReadQuestion, fetch};
#[cfg(feature = "servers")]
pub use servers::{Addresses, Differences, Servers};
use source::{Gate, Place, Snapshot};
pub use spent::UseAnswer;
pub use start::StartState;
pub use steps::StepAnswer;

/// Data that can be audited.
#[derive(Debug, Clone)]
pub enum Data {
    /// A data folder of the embedded backend.
    Folder(PathBuf),
    /// A data set of the servers' backend.
    #[cfg(feature = "servers")]
    Servers(Box<Servers>),
}

/// The data's own account of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The data set's id.
    pub dataset: String,
    /// Every parameter that decides where a row lives, when the data was made.
    pub layout: String,
    /// Number of shards.
    pub shards: u16,
}

/// Knowledge that the auditor is given beside the data itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope<'a> {
    /// The service's answers. Without them nothing can be called lost or invented.
    pub claims: Option<&'a Claims>,
    /// Rows with a larger `result_id` were written during the run, by the run alone. Without it, the run starts
    /// with the first id acknowledged.
    pub since: Option<i64>,
    /// The state of the data when the run began. Without it, nothing can be said of what happened to older rows, and
    /// a window that was moved looks like one that was broken.
    pub start: Option<&'a StartState>,
    /// The answers of its read endpoints since the last change of the data. Without them, nothing can be said of the
    /// endpoints.
    pub reads: Option<&'a [AnsweredQuestion]>,
    /// True if the main database has applied everything handed over: then nothing may be left to apply, and the gate
    /// may hold nothing that is not stored.
    pub drained: bool,
    /// The data at a moment before everything was drained, where clients go on meanwhile whose answers are not all known. What it
    /// had is applied since, and what came later may be on its way; nothing is called invented.
    pub beside: Option<&'a Moment>,
}

impl Scope<'_> {
    /// The reason why nothing is judged that holds only where all is still, and the way out.
    fn why_not_still(&self) -> &'static str {
        match self.beside {
            Some(_) => "clients changed the data meanwhile: end the load, and audit again",
            None => "the service was not drained",
        }
    }
}

impl Data {
    /// Its place, which knows how to hold it still and read it.
    fn place(&self) -> Box<dyn Place + '_> {
        match self {
            Self::Folder(folder) => Box::new(folder::Folder(folder)),
            #[cfg(feature = "servers")]
            Self::Servers(servers) => Box::new(&**servers),
        }
    }

    /// Reads the data's account of itself.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn label(&self) -> Result<Label> {
        self.place().label()
    }

    /// The largest `result_id` stored; `None` when there are no results.
    ///
    /// # Errors
    /// When the data cannot be read.
    pub fn newest_result(&self) -> Result<Option<i64>> {
        self.read(|mut snapshot, _| snapshot.newest())
    }

    /// Remembers the present state of the data, to be held against what a run makes of it.
    ///
    /// # Errors
    /// When the data cannot be read.
    pub fn remember(&self) -> Result<StartState> {
        self.read(|mut snapshot, gate| {
            let terms = match gate {
                _ if kept::is_kept(&snapshot) => kept::terms(&snapshot),
                Some(gate) => gate.terms(&snapshot)?,
                None => BTreeMap::new(),
            };
            Ok(StartState { gate: terms, ..stock::remember(&mut snapshot)? })
        })
    }

    /// Takes note of the data as it is now, to tell whether anything has changed since.
    ///
    /// # Errors
    /// When the data cannot be read.
    pub fn moment(&self) -> Result<Moment> {
        self.read(|mut snapshot, _| Moment::of(&mut snapshot))
    }

    /// The questions to ask the service's read endpoints, so that some of everything is asked: users who were granted
    /// something, their rooms, windows of time, sums.
    ///
    /// # Errors
    /// When the data cannot be read.
    pub fn sample(&self, claims: &Claims) -> Result<QuestionSample> {
        self.read(|snapshot, _| Ok(reads::sample(&snapshot, claims)))
    }

    /// Reads it as it is at one moment.
    fn read<T>(&self, read: impl FnOnce(Snapshot, Option<&dyn Gate>) -> Result<T>) -> Result<T> {
        let place = self.place();
        let held = place.hold_still().and_then(|(snapshot, gate)| read(snapshot, gate.as_deref()));
        held.with_context(|| format!("cannot read {self}"))
    }

    /// The number of results of each shard by its own count; `None` where no shard keeps count.
    ///
    /// # Errors
    /// When a shard cannot be read.
    pub fn kept_counts(&self) -> Result<Option<Vec<u64>>> {
        self.place().kept_counts()
    }

    /// Waits until no reservation is pending any more, at most for as long as a service may take to settle them all.
    ///
    /// # Errors
    /// When the servers cannot be asked.
    pub fn settle(&self) -> Result<()> {
        self.place().settle()
    }

    /// Audits it. The service may be running: each file or database is read at one moment, without blocking it.
    ///
    /// # Errors
    /// When it cannot be read, is no data, or mixes two data sets. A violation is no error.
    pub fn audit(&self, scope: &Scope<'_>) -> Result<AuditReport> {
        let started = Instant::now();
        let place = self.place();
        let audited = place.hold_still().and_then(|(mut snapshot, gate)| {
            let (mut report, seen) = self.check(&mut snapshot, scope)?;
            if let Some(gate) = gate {
                gate.check(&snapshot, &seen.holders, scope, &mut report)?;
            }
            Ok(report)
        });
        let mut report = audited.with_context(|| format!("cannot audit {self}"))?;
        report.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(report)
    }

    fn check(&self, snapshot: &mut Snapshot, scope: &Scope<'_>) -> Result<(AuditReport, scan::Seen)> {
        if let Some(start) = scope.start {
            let (then, now) = (&start.dataset, &snapshot.dataset);
            ensure!(then == now, "the start is that of data set {then}, and this is data set {now}");
        }
        let mut report = AuditReport::new(self.to_string(), snapshot.shards.len());
        let ledger = scope.claims.map(Claims::ledger);
        let seen = scan::scan(snapshot, scope, ledger.as_ref(), &mut report)?;
        stock::check(snapshot, &seen, scope, &mut report)?;
        if let Some(ledger) = &ledger {
            stock::left_over(snapshot, &seen, ledger, &mut report);
        }
        Ok((report, seen))
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place().fmt(f)
    }
}
