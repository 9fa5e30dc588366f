//! A layout of files that changes while the process serves.
//!
//! This process is the only one that uses the folder. So a version begins a second after it is announced: all threads of the
//! process go by it at once. What is handed over meanwhile is refused at a fence of each writer, and stored later, so that no row
//! of the version's time is stored by the one before.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::thread;

use coupon_core::catalogue_change::Operator;
use coupon_core::{ShardId, ShardingStrategy, Timestamp, VersionNumber};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::applier::{LayoutStep, ToMain};
use super::archive::Archiver;
use super::hand_over::{WriterHandle, on_blocking};
use super::layouts;
use super::mover::{Files, HolderLock, MoverThread};
use super::moves;
use super::reader::Readers;
use super::state::lock;
use super::work::WriterRequest;
use super::writer::table_window;
use crate::clock::Clock;
use crate::layout_records::of_layout;
use crate::layouts::Previous;
use crate::{
    Announced, Growing, GrowthError, Layouts, LocalFuture, Moving, NextLayout, Unavailable, VersionRecord,
    Visit,
};

/// The time from which a version is in force, after it was announced.
const LEAD_MS: i64 = 1_000;

/// Changes the layout.
#[derive(Clone)]
pub(super) struct FileGrowth(pub(super) Arc<Shared>);

/// Its parts.
pub(super) struct Shared {
    pub(super) writers: Arc<[WriterHandle]>,
    pub(super) to_main: ToMain,
    pub(super) main: Arc<Readers>,
    pub(super) layouts: Arc<Layouts>,
    pub(super) clock: Clock,
    pub(super) mover: Arc<MoverThread>,
    pub(super) turns: HolderLock,
    pub(super) archiver: Arc<Archiver>,
    /// One change at a time.
    pub(super) changing: Mutex<()>,
}

type Grown<T> = Result<T, GrowthError>;

impl FileGrowth {
    /// Goes on with what a process before this one did not finish.
    pub(super) fn resume(&self, moving: Option<Moving>) -> std::io::Result<()> {
        let Some(moving) = moving.filter(|moving| moving.runs) else { return Ok(()) };
        tracing::info!(version = moving.to, "rows go on moving to where this version of the layout says");
        let begun = Moving { rows: self.0.rows(), ..moving };
        self.0.start_mover(begun, None).map(drop)
    }

    /// Does something to its end, whether or not the caller waits for the answer.
    fn finish<T: Send + 'static>(
        &self,
        name: &str,
        run: impl FnOnce(&Shared) -> Grown<T> + Send + 'static,
    ) -> LocalFuture<'static, Grown<T>> {
        let (reply, answer) = oneshot::channel();
        let shared = Arc::clone(&self.0);
        let started = thread::Builder::new().name(name.to_owned()).spawn(move || {
            let one = lock(&shared.changing);
            let done = run(&shared);
            drop(one);
            let _ = reply.send(done);
        });
        Box::pin(async move {
            started.map_err(|error| Unavailable::new("this process", error))?;
            answer
                .await
                .map_err(|_| Unavailable::new("this process", "a change of the layout was cut short"))?
        })
    }
}

impl Growing for FileGrowth {
    fn versions(&self) -> LocalFuture<'_, Grown<Vec<VersionRecord>>> {
        let asked = self.0.main.ask(Visit::All, |db, _| Ok((layouts::read(db)?, 1)));
        Box::pin(async move { Ok(asked.await?.value) })
    }

    fn announce(&self, next: NextLayout, operator: Operator) -> LocalFuture<'_, Grown<Announced>> {
        self.finish("announce-layout", move |shared| shared.announce(&next, &operator))
    }

    fn refuses(&self, next: NextLayout) -> LocalFuture<'_, Grown<Option<String>>> {
        self.finish("look-at-layout", move |shared| match shared.next_number(&next, shared.clock.now()) {
            Ok(_) => Ok(None),
            Err(GrowthError::Refused(why)) => Ok(Some(why)),
            Err(error) => Err(error),
        })
    }

    fn start_moving(&self, rate: NonZeroU32, operator: Operator) -> LocalFuture<'_, Grown<Moving>> {
        self.finish("start-moving", move |shared| shared.start_moving(rate, operator))
    }

    fn stop_moving(&self) -> LocalFuture<'_, Grown<Option<Moving>>> {
        self.finish("stop-moving", Shared::stop_moving)
    }

    fn moving(&self) -> LocalFuture<'_, Grown<Option<Moving>>> {
        if let Some(movement) = self.0.mover.movement() {
            return Box::pin(std::future::ready(Ok(Some(movement.now()))));
        }
        let asked = self.0.main.ask(Visit::All, |db, _| Ok((layouts::moving(db)?, 1)));
        Box::pin(async move { Ok(asked.await?.value) })
    }
}

impl Shared {
    fn announce(&self, next: &NextLayout, operator: &Operator) -> Grown<Announced> {
        let now = self.clock.now();
        let number = self.next_number(next, now)?;
        if !self.main_lacks(number)? {
            return Err(GrowthError::Refused(format!(
                "main has version {number} of the layout already, and this process does not go by it: start the service again"
            )));
        }
        self.make_tables(&*next.strategy);
        let latest = self.set_fence(None)?;
        let from = now.max(latest).plus_millis(LEAD_MS);
        let announced = self.announce_behind_a_fence(next.version(now, from, operator));
        if let Err(error) = &announced {
            if self.main_lacks(number).unwrap_or(false) {
                // What waits is stored as before.
                self.set_fence(None)?;
            } else {
                tracing::error!(
                    version = number,
                    %error,
                    "main may have a version of the layout that this process does not go by: rows of its time are not stored \
                     until the service starts again"
                );
            }
        }
        announced
    }

    /// True if main surely has no version of that number.
    fn main_lacks(&self, number: VersionNumber) -> Result<bool, Unavailable> {
        Ok(self.read_main(layouts::read)?.iter().all(|version| version.number != number))
    }

    /// Reads main, on a thread that may be blocked.
    pub(super) fn read_main<T: Send + 'static>(
        &self,
        read: impl Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Unavailable> {
        let asked = self.main.ask(Visit::All, move |db, _| Ok((read(db)?, 1)));
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.map_err(|error| Unavailable::new("this process", error))?;
        Ok(runtime.block_on(asked)?.value)
    }

    /// From the fence on, no writer stores a row of the version's time before it goes by the version.
    fn announce_behind_a_fence(&self, version: VersionRecord) -> Grown<Announced> {
        let latest = self.set_fence(Some((version.number, version.from)))?;
        if latest >= version.from {
            return Err(
                Unavailable::new("the clock", "it shows a time well before the latest result's").into()
            );
        }
        self.to_main.layout_blocking(LayoutStep::Announce(version.clone()))?;
        self.tell_shards(version.number);
        tracing::info!(version = version.number, from = %version.from, layout = version.layout, "a version of the layout is announced");
        Ok(Announced { version, unconfirmed: Vec::new(), gate: true })
    }

    /// Has every shard remember a version that main has: a main that was put back to before it is recognized by that.
    fn tell_shards(&self, version: VersionNumber) {
        for shard in (0..).map(ShardId::new).take(self.writers.len()) {
            let told =
                on_blocking(&self.writers, shard, move |writer| moves::tell_layout(&writer.db, version));
            let why = match told {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            tracing::warn!(%shard, version, why, "a shard is not told of this version of the layout");
        }
    }

    /// The number of the next version, if it can be announced.
    fn next_number(&self, next: &NextLayout, now: Timestamp) -> Grown<VersionNumber> {
        let (versions, layout) = (self.layouts.now(), next.strategy.layout());
        let (latest, prepared) = (versions.latest(), self.layouts.prepared());
        let refused = |why: String| Err(GrowthError::Refused(why));
        let moves = self.mover.movement().is_some();
        if let Some(why) =
            next.in_the_way((latest.number, latest.from, &latest.strategy.layout()), now, moves)
        {
            return refused(why);
        }
        if next.strategy.shard_count() > prepared {
            return refused(format!(
                "the layout \"{layout}\" uses {} shards, and {prepared} are prepared: start the service with more first \
                 (setting `shards_prepared`)",
                next.strategy.shard_count()
            ));
        }
        if of_layout(&versions, &layout).is_none() {
            return refused(format!("the layout \"{layout}\" is none that can be read back"));
        }
        Ok(latest.number + 1)
    }

    /// Makes its tables, ahead of need: a writer makes one that is missing all the same.
    fn make_tables(&self, strategy: &dyn ShardingStrategy) {
        let placements = strategy.tables(table_window(&self.clock));
        for (shard, writer) in (0..).map(ShardId::new).zip(&*self.writers) {
            let here = placements.iter().filter(|placement| placement.shard == shard);
            let _ =
                writer.messages.send(WriterRequest::MakeTables { tables: here.map(|at| at.table).collect() });
        }
    }

    /// Puts up a fence at every writer, or takes it down; returns the latest time of any row that has come to one.
    fn set_fence(&self, version: Option<(VersionNumber, Timestamp)>) -> Result<Timestamp, Unavailable> {
        let mut latest = Timestamp::from_millis(0);
        for shard in (0..).map(ShardId::new).take(self.writers.len()) {
            let of_shard = on_blocking(&self.writers, shard, move |writer| {
                writer.fence.version = version;
                writer.fence.latest
            });
            latest = latest.max(of_shard?);
        }
        Ok(latest)
    }

    fn start_moving(&self, rate: NonZeroU32, operator: Operator) -> Grown<Moving> {
        let (versions, now) = (self.layouts.now(), self.clock.now());
        let latest = versions.latest();
        let refused = |why: String| Err(GrowthError::Refused(why));
        if self.archiver.runs() {
            return refused("results are being archived: no row moves before that has ended".to_owned());
        }
        if let Some(movement) = self.mover.movement() {
            movement.set_rate(rate);
            return Ok(movement.now());
        }
        let (open, latest) = (versions.versions().len(), (latest.number, latest.from));
        let last = self.read_main(layouts::moving)?;
        let begun = Moving::begin(open, latest, now, self.rows(), (rate, &operator), last.as_ref())?;
        drop(versions);
        let before = self.to_main.layout_blocking(LayoutStep::Receive(begun.clone(), operator))?;
        Ok(self.start_mover(begun, before).map_err(|error| Unavailable::new("this process", error))?)
    }

    fn start_mover(&self, begun: Moving, before: Option<Previous>) -> std::io::Result<Moving> {
        let files = Files::new(Arc::clone(&self.writers), Arc::clone(&self.turns));
        let (layouts, to_main) = (Arc::clone(&self.layouts), self.to_main.clone());
        Ok(self.mover.start(files, layouts, to_main, begun, before)?.now())
    }

    fn stop_moving(&self) -> Grown<Option<Moving>> {
        // Main may say that rows move though nothing moves them: its last note may be older than the end.
        let stopped = match self.mover.stop() {
            Some(moving) => Some(moving),
            None => self.read_main(layouts::moving)?.filter(|moving| moving.runs),
        };
        let Some(moving) = stopped else { return Ok(None) };
        let moving = Moving { runs: false, ..moving };
        self.to_main.layout_blocking(LayoutStep::Moving(moving.clone()))?;
        Ok(Some(moving))
    }

    /// The rows that there are.
    fn rows(&self) -> u64 {
        self.writers.iter().map(|writer| writer.state.totals().results).sum()
    }
}

#[cfg(test)]
mod tests;
