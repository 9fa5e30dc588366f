//! The only writer of the main database. It applies to main what the shards have written to their outboxes, each entry exactly
//! once, many in one transaction: it trails the grabs by a moment, and no grab waits for it. And it makes the changes of the
//! catalogue.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use coupon_core::books::{self, Changes, Moved};
use coupon_core::catalogue_change::{CatalogueChange, Operator};
use coupon_core::{CouponId, Day, ShardId};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::archive::end_for_good;
use super::books::{apply, position};
use super::catalogue::{MadeChange, make};
use super::live::Live;
use super::state::{SharedShard, lock};
use crate::clock::Clock;
use crate::layouts::Previous;
use crate::measure::AppliedEntries;
use crate::outage::TaskOutage;
use crate::set_aside::{Place, SetAside};
use crate::{Applied, ChangeError, Moving, NotYet, Unavailable, VersionRecord};

/// The time for which entries gather before they are applied: not every commit needs a transaction in main.
const GATHER: Duration = Duration::from_millis(200);
const RETRY: Duration = Duration::from_millis(500);

/// The changes of one shard transaction, for main.
#[derive(Debug, Clone)]
pub(super) struct ShardChanges {
    pub(super) shard: ShardId,
    pub(super) id: i64,
    /// Rows that took stock or let go of it, also those retired by a `seeder archive` that ended before main had
    /// applied its entry.
    pub(super) deltas: Vec<Moved>,
}

/// The applier's notes. Entries pile up without waking it: under load there is one a commit.
pub(super) enum ApplierNote {
    /// The first entry since the pile was taken.
    Entries,
    /// Answer once everything before is applied.
    Marker(Reply),
    /// Change the catalogue, and answer once the gate goes by it.
    Change(Box<Asked>),
    /// Write what becomes of the layout, and answer once this process goes by it.
    Layout(Box<(LayoutStep, LayoutReply)>),
    /// Go by what becomes of an archive, and answer.
    Archive(Box<(ArchiveStep, ArchiveReply)>),
    /// Apply everything before, and end.
    Stop,
}

type Reply = oneshot::Sender<Result<(), Unavailable>>;

/// A step in the life of the layout.
pub(super) enum LayoutStep {
    /// There is another version.
    Announce(VersionRecord),
    /// Rows begin to move to the latest version.
    Receive(Moving, Operator),
    /// The movement of rows, as far as it has come.
    Moving(Moving),
    /// They have all moved: the versions before are closed.
    Moved(Moving),
}

/// A step of an archive.
pub(super) enum ArchiveStep {
    /// Results of these coupons, of the days before one, that are about to go, since this operator asked for it. Lines among the
    /// changes say so, and from now on no coupon that is over comes to be on offer again.
    Begin(BTreeMap<CouponId, i64>, Day, Operator),
    /// It has ended.
    End,
}

type ArchiveReply = oneshot::Sender<Result<Option<NotYet>, Unavailable>>;

type LayoutReply = oneshot::Sender<Result<Option<Previous>, Unavailable>>;

/// A change that an operator asks for.
pub(super) struct Asked {
    pub(super) change: CatalogueChange,
    pub(super) operator: Operator,
    pub(super) reply: oneshot::Sender<Result<Applied, ChangeError>>,
}

/// The way to the applier.
#[derive(Clone)]
pub(super) struct ToMain {
    pile: Arc<Mutex<Vec<ShardChanges>>>,
    notes: Sender<ApplierNote>,
    lag: Arc<AtomicU64>,
    pub(super) applied: Arc<AppliedEntries>,
}

impl ToMain {
    /// Adds an entry that its shard has committed.
    pub(super) fn tell(&self, entry: ShardChanges) {
        self.lag.fetch_add(1, Ordering::Relaxed);
        let mut pile = lock(&self.pile);
        pile.push(entry);
        if pile.len() == 1 {
            // Without an applier the service is stopping; main catches up from the outbox at the next start.
            let _ = self.notes.send(ApplierNote::Entries);
        }
    }

    /// Sends a marker, or the end.
    pub(super) fn send(&self, note: ApplierNote) -> Result<(), Unavailable> {
        self.notes.send(note).map_err(|_| stopped())
    }

    /// Has main take a step of the layout. Returns the versions that this process went by before, if it goes by others now.
    pub(super) async fn layout(&self, step: LayoutStep) -> Result<Option<Previous>, Unavailable> {
        self.ask_layout(step)?.await.map_err(|_| stopped())?
    }

    /// The same, on a thread that may be blocked.
    pub(super) fn layout_blocking(&self, step: LayoutStep) -> Result<Option<Previous>, Unavailable> {
        self.ask_layout(step)?.blocking_recv().map_err(|_| stopped())?
    }

    fn ask_layout(
        &self,
        step: LayoutStep,
    ) -> Result<oneshot::Receiver<Result<Option<Previous>, Unavailable>>, Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.send(ApplierNote::Layout(Box::new((step, reply))))?;
        Ok(answer)
    }

    /// Has main go by a step of an archive, on a thread that may be blocked. Where a coupon's results may not go yet,
    /// nothing is done.
    pub(super) fn archive_blocking(&self, step: ArchiveStep) -> Result<Option<NotYet>, Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.send(ApplierNote::Archive(Box::new((step, reply))))?;
        answer.blocking_recv().map_err(|_| stopped())?
    }

    /// Entries that main has not applied yet.
    pub(super) fn lag(&self) -> u64 {
        self.lag.load(Ordering::Relaxed)
    }
}

fn stopped() -> Unavailable {
    Unavailable::new("the main database", "its writer has stopped")
}

/// The entries that have arrived and are not applied.
#[derive(Default)]
struct Inbox {
    entries: Vec<ShardChanges>,
    markers: Vec<Reply>,
    changes: Vec<Asked>,
    layouts: Vec<(LayoutStep, LayoutReply)>,
    archives: Vec<(ArchiveStep, ArchiveReply)>,
    stop: bool,
}

impl Inbox {
    fn take(&mut self, note: ApplierNote) {
        match note {
            ApplierNote::Entries => {}
            ApplierNote::Marker(marker) => self.markers.push(marker),
            ApplierNote::Change(asked) => self.changes.push(*asked),
            ApplierNote::Layout(asked) => self.layouts.push(*asked),
            ApplierNote::Archive(asked) => self.archives.push(*asked),
            ApplierNote::Stop => self.stop = true,
        }
    }

    fn is_waited_for(&self) -> bool {
        !(self.markers.is_empty()
            && self.changes.is_empty()
            && self.layouts.is_empty()
            && self.archives.is_empty())
    }

    /// Lets entries pile up for a moment, or until a caller waits for them, and takes them.
    fn gather(&mut self, notes: &Receiver<ApplierNote>, pile: &Mutex<Vec<ShardChanges>>) {
        let until = Instant::now() + GATHER;
        while !self.is_waited_for() && !self.stop {
            match notes.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(note) => self.take(note),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => self.stop = true,
            }
        }
        // Markers first: what was committed before they were sent is on the pile by now.
        notes.try_iter().for_each(|note| self.take(note));
        self.entries.append(&mut lock(pile));
    }
}

/// The thread that applies entries.
pub(super) struct Applier {
    db: Connection,
    shards: Vec<Arc<SharedShard>>,
    pile: Arc<Mutex<Vec<ShardChanges>>>,
    lag: Arc<AtomicU64>,
    applied: Arc<AppliedEntries>,
    clock: Clock,
    set_aside: SetAside,
    live: Live,
    outage: TaskOutage,
    /// Coupons whose latest change main has, and the gate could not be brought to yet.
    unfinished: Vec<CouponId>,
    unfinished_outage: TaskOutage,
    /// The first day that an archive keeps that is under way.
    archiving: Option<Day>,
}

impl Applier {
    /// Starts the thread. It ends on request, after what was sent before.
    pub(super) fn start(
        db: Connection,
        shards: Vec<Arc<SharedShard>>,
        clock: Clock,
        set_aside: SetAside,
        live: Live,
    ) -> anyhow::Result<(ToMain, JoinHandle<()>)> {
        let (notes, receiver) = channel();
        let to_main = ToMain { pile: Arc::default(), notes, lag: Arc::default(), applied: Arc::default() };
        let (pile, lag) = (Arc::clone(&to_main.pile), Arc::clone(&to_main.lag));
        let applied = Arc::clone(&to_main.applied);
        let outage = TaskOutage::new(
            "main takes no stock changes; they are kept and told later",
            "main is told of stock changes again",
        );
        let unfinished_outage = TaskOutage::new(
            "a changed coupon is not decided yet; its holders are read again",
            "what is changed is on offer again",
        );
        let unfinished = Vec::new();
        let applier = Self {
            db,
            shards,
            pile,
            lag,
            applied,
            clock,
            set_aside,
            live,
            outage,
            unfinished,
            unfinished_outage,
            archiving: None,
        };
        let thread =
            thread::Builder::new().name("main-apply".to_owned()).spawn(move || applier.run(&receiver))?;
        Ok((to_main, thread))
    }

    fn run(mut self, notes: &Receiver<ApplierNote>) {
        let mut inbox = Inbox::default();
        // What was parked when the folder was open last may make sense by now.
        let parked = self.apply(&[]);
        self.outage.tried(&parked);
        while !inbox.stop {
            self.finish();
            if inbox.entries.is_empty() {
                match self.next(notes) {
                    Ok(note) => inbox.take(note),
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            inbox.gather(notes, &self.pile);
            // Before any change: main must know which coupons had results archived.
            let done = if inbox.entries.is_empty() { Ok(()) } else { self.apply(&inbox.entries) };
            self.outage.tried(&done);
            inbox.changes.drain(..).for_each(|asked| self.change(asked));
            inbox.layouts.drain(..).for_each(|(step, reply)| {
                let taken = self.live.grow(&self.db, &step, self.clock.now());
                // The caller may have left: the step is taken all the same.
                let _ = reply.send(taken);
            });
            inbox.archives.drain(..).for_each(|(step, reply)| drop(reply.send(self.archive(&step))));
            match done {
                Ok(()) => {
                    self.applied(&inbox.entries);
                    inbox.entries.clear();
                    inbox.markers.drain(..).for_each(|marker| drop(marker.send(Ok(()))));
                }
                // When stopping, the outbox still has the entries: the next start applies them.
                Err(error) => {
                    let unavailable = || Unavailable::new("the main database", &error);
                    inbox.markers.drain(..).for_each(|marker| drop(marker.send(Err(unavailable()))));
                    thread::sleep(RETRY);
                }
            }
        }
    }

    /// Waits for the next note; while something is unfinished, for no longer than until that is tried again.
    fn next(&self, notes: &Receiver<ApplierNote>) -> Result<ApplierNote, RecvTimeoutError> {
        if self.unfinished.is_empty() {
            return notes.recv().map_err(RecvTimeoutError::from);
        }
        notes.recv_timeout(RETRY)
    }

    /// Brings the gate to the changes that it could not be brought to before: main has them, and perhaps no operator asks for
    /// them again.
    fn finish(&mut self) {
        for coupon in self.unfinished.clone() {
            let finished = MadeChange::again(&self.db, coupon)
                .map_err(anyhow::Error::from)
                .and_then(|made| Ok(self.follow(made)?));
            self.unfinished_outage.tried(&finished);
        }
    }

    /// Has the gate and this process go by what main has. A coupon for which that fails is unfinished.
    fn follow(&mut self, made: MadeChange) -> Result<Applied, Unavailable> {
        let coupon = made.coupon();
        let followed = self.live.follow(made, &self.set_aside, self.clock.now());
        self.unfinished.retain(|unfinished| Some(*unfinished) != coupon);
        if followed.is_err() {
            self.unfinished.extend(coupon);
        }
        followed
    }

    /// One transaction: stock, its logs, and how far each shard's outbox has been applied.
    fn apply(&mut self, entries: &[ShardChanges]) -> anyhow::Result<()> {
        let began = Instant::now();
        let transaction = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate)?;
        let mut by_shard: BTreeMap<ShardId, Vec<books::Entry<'_>>> = BTreeMap::new();
        for entry in entries {
            by_shard.entry(entry.shard).or_default().push((entry.id, &entry.deltas));
        }
        let mut changes = Changes::default();
        for (shard, entries) in by_shard {
            changes.take(shard, position(&transaction, shard)?, entries)?;
        }
        let found = apply(&transaction, changes, self.clock.now())?;
        transaction.commit()?;
        self.set_aside.tell(Place::Books, found);
        self.applied.record(entries.len(), began.elapsed());
        Ok(())
    }

    /// Makes a change, has the gate and this process go by it, and answers.
    fn change(&mut self, asked: Asked) {
        let Asked { change, operator, reply } = asked;
        let made = make(&self.db, &change, &operator, self.clock.now(), self.archiving);
        let of_coupon = made.as_ref().is_ok_and(|made| made.changed && made.coupon().is_some());
        let changed = made.and_then(|made| Ok(self.follow(made)?));
        // Stock that is added may make room for what was parked.
        if of_coupon {
            let parked = self.apply(&[]);
            self.outage.tried(&parked);
        }
        // The caller may have left: the change is made all the same.
        let _ = reply.send(changed);
    }

    /// Goes by a step of an archive. Changes take their turn with it: what is over stays over from its beginning to its end.
    fn archive(&mut self, step: &ArchiveStep) -> Result<Option<NotYet>, Unavailable> {
        let ArchiveStep::Begin(coupons, before, operator) = step else {
            self.archiving = None;
            return Ok(None);
        };
        let ended = end_for_good(&self.db, coupons, *before, operator, self.clock.now())
            .map_err(|error| Unavailable::new("the main database", error))?;
        Ok(match ended {
            Ok(version) => {
                self.live.goes_by(version);
                self.archiving = Some(*before);
                None
            }
            Err(not_yet) => Some(not_yet),
        })
    }

    fn applied(&self, entries: &[ShardChanges]) {
        for entry in entries {
            if let Some(state) = self.shards.get(entry.shard.index()) {
                state.applied.fetch_max(entry.id, Ordering::Release);
            }
        }
        self.lag.fetch_sub(entries.len() as u64, Ordering::Relaxed);
    }
}
