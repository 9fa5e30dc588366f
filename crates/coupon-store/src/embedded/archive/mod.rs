//! Retires old results of files, on a thread beside the writers, which alone change their files: grabs go on meanwhile.

mod archiver;
mod change;
mod part;
mod steps;

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use coupon_core::catalogue_change::Operator;
use coupon_core::{Day, ShardId};
use rusqlite::Connection;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

pub(super) use self::archiver::Archiver;
use self::archiver::{ArchiveCaller, answer, goes_on, stopping};
pub(super) use self::change::end_for_good;
pub(super) use self::part::TablePart;
use self::part::{Going, live};
use self::steps::{Gone, refused};
use super::applier::{ApplierNote, ArchiveStep};
use super::folder;
use super::growth::Shared;
use super::hand_over::{WriterHandle, on_blocking};
use super::rooms::{Carriers, FIRST, next_to_retire};
use super::state::lock;
use super::writer::Writer;
use crate::{
    Archive, ArchivePace, Archiving, ChangeError, LocalFuture, NotOver, Retired, RoomPlaces, Unavailable,
    may_not_go_yet,
};

/// The wait after a step beside grabs, in the time that it took: the disk and the writer are the grabs' meanwhile.
const REST: u32 = 3;

/// Retires results of a folder.
pub(super) struct FileArchiving(Arc<Site>);

/// The files and threads that an archive works with.
struct Site {
    shared: Arc<Shared>,
    /// The room index, if there is one, and what keeps it up.
    index: Option<RoomPlaces>,
    carriers: Arc<Carriers>,
}

impl Site {
    /// Lets coupons that are over be on offer again, where no results of them have been archived.
    fn end(&self) {
        // Without an applier the process is stopping.
        let _ = self.shared.to_main.archive_blocking(ArchiveStep::End);
    }
}

impl FileArchiving {
    pub(super) fn new(shared: Arc<Shared>, index: Option<RoomPlaces>, carriers: Arc<Carriers>) -> Self {
        Self(Arc::new(Site { shared, index, carriers }))
    }
}

impl Archiving for FileArchiving {
    fn start(
        &self,
        before: Day,
        operator: Operator,
        pace: ArchivePace,
    ) -> LocalFuture<'_, Result<Archive, ChangeError>> {
        let (reply, answer) = oneshot::channel();
        let archive = Archive {
            before,
            began: self.0.shared.clock.now(),
            operator: operator.as_str().to_owned(),
            runs: true,
            rows: 0,
            retired: Retired::default(),
            trouble: None,
        };
        let site = Arc::clone(&self.0);
        let job = Job { site: Arc::clone(&site), operator, pace, archive: archive.clone() };
        let started = self.0.shared.archiver.start(
            archive,
            reply,
            move || site.end(),
            move |last, reply| job.run(last, reply),
        );
        Box::pin(async move {
            started?;
            answer.await.map_err(|_| Unavailable::new("this process", "an archive was cut short"))?
        })
    }

    fn last(&self) -> Option<Archive> {
        self.0.shared.archiver.last()
    }
}

/// The thread's job.
struct Job {
    site: Arc<Site>,
    operator: Operator,
    pace: ArchivePace,
    archive: Archive,
}

impl Job {
    fn run(mut self, last: Option<Archive>, reply: &mut Option<ArchiveCaller>) {
        let (before, operator) = (self.archive.before, self.archive.operator.clone());
        let going = match self.prepare() {
            Ok(going) => going,
            Err(error) => {
                self.site.end();
                self.site.shared.archiver.set(last);
                answer(reply, Err(error));
                return;
            }
        };
        tracing::info!(%before, operator, rows = self.archive.rows, "old results are archived");
        answer(reply, Ok(self.archive.clone()));
        let done = self.retire(&Arc::new(going)).and_then(|()| Ok(self.main_knows()?));
        self.site.end();
        let Retired { rows_dropped, rows_deleted, .. } = self.archive.retired;
        match &done {
            Ok(()) => {
                tracing::info!(%before, rows = rows_dropped + rows_deleted, "old results have been archived");
            }
            Err(error) => {
                tracing::warn!(%before, %error, "an archive ended before its end; another one goes on");
            }
        }
        self.archive.runs = false;
        self.archive.trouble = done.err().map(goes_on);
        self.tell();
    }

    fn tell(&self) {
        self.site.shared.archiver.set(Some(self.archive.clone()));
    }

    /// Waits until main knows of everything that has gone.
    fn main_knows(&self) -> Result<(), Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.site.shared.to_main.send(ApplierNote::Marker(reply))?;
        answer.blocking_recv().map_err(|_| stopping())?
    }

    /// Finds out what may go, and has main take note that it does.
    fn prepare(&mut self) -> Result<Going, ChangeError> {
        let Archive { before, began, .. } = self.archive;
        NotOver::refuse(before, began).or_else(|why| refused(why.to_string()))?;
        self.no_row_moves()?;
        let shared = &self.site.shared;
        for shard in self.shards() {
            on_blocking(&shared.writers, shard, Writer::all_in_tables)??;
        }
        let size = match self.pace {
            // Some ten milliseconds each.
            ArchivePace::BesideGrabs => (2_000, 20_000),
            // The log stays small.
            ArchivePace::Alone => (20_000, u32::MAX - 1),
        };
        let mut going = Going::new(before, began, size, self.site.index.is_some())
            .or_else(|error| refused(format!("the days before {before} cannot be archived: {error:#}")))?;
        self.count(&mut going)?;
        self.begin(&going)?;
        self.tell();
        Ok(going)
    }

    /// Refuses to archive beside a movement of rows, which is refused from now on.
    fn no_row_moves(&self) -> Result<(), ChangeError> {
        let shared = &self.site.shared;
        let _one = lock(&shared.changing);
        match shared.mover.movement() {
            Some(movement) => refused(format!(
                "rows are being moved to version {} of the layout: wait for its end, or stop it",
                movement.to()
            )),
            None => Ok(()),
        }
    }

    /// Counts what goes and what stays, and lists the coupons whose stock goes with it.
    fn count(&mut self, going: &mut Going) -> Result<(), ChangeError> {
        let counting = Instant::now();
        for shard in self.shards() {
            let archive = &mut self.archive;
            read(&self.site.shared.writers, shard, |db| {
                for table in going.tables(db)? {
                    let sums = going.sums(db, table)?;
                    archive.rows += sums.iter().map(|(_, sums)| sums.results).sum::<u64>();
                    archive.retired.held += going.held(db, table)?;
                    for (coupon, rows) in live(&sums) {
                        *going.over.entry(coupon).or_default() += rows;
                    }
                }
                Ok(())
            })?;
        }
        self.archive.retired.coupons = going.over.len() as u64;
        self.archive.retired.count_took = counting.elapsed();
        Ok(())
    }

    /// Has main take note, and refuses to let rows go of a coupon that is not over for a day.
    fn begin(&self, going: &Going) -> Result<(), ChangeError> {
        let begin = ArchiveStep::Begin(going.over.clone(), going.before, self.operator.clone());
        match self.site.shared.to_main.archive_blocking(begin)? {
            Some(not_yet) => refused(may_not_go_yet(not_yet, going.before)),
            None => Ok(()),
        }
    }

    fn retire(&mut self, going: &Arc<Going>) -> Result<(), ChangeError> {
        for shard in self.shards() {
            let tables = read(&self.site.shared.writers, shard, |db| going.tables(db))?;
            for table in tables {
                let mut after = 0;
                loop {
                    let (part, began) = (Arc::clone(going), Instant::now());
                    let gone = self.step(shard, move |writer| writer.retire(table, after, &part))??;
                    after = gone.last;
                    self.has_gone(gone, began.elapsed());
                    if gone.whole || gone.rows == 0 {
                        break;
                    }
                }
            }
        }
        self.retire_from_index(going)
    }

    fn has_gone(&mut self, gone: Gone, took: Duration) {
        let retired = &mut self.archive.retired;
        if gone.whole {
            retired.tables_dropped += 1;
            retired.rows_dropped += gone.rows;
            retired.drop_took += took;
        } else if gone.rows > 0 {
            retired.rows_deleted += gone.rows;
            retired.delete_took += took;
        }
        self.tell();
    }

    /// Once the index has heard everything of them, rows that have gone leave it too.
    fn retire_from_index(&self, going: &Arc<Going>) -> Result<(), ChangeError> {
        let Some(places) = self.site.index else { return Ok(()) };
        runtime()?.block_on(self.site.carriers.reached())?;
        let most = going.batch;
        for shard in places.all() {
            let mut after = FIRST;
            loop {
                let last = read(&self.site.shared.writers, shard, |db| {
                    next_to_retire(db, after, going.first_kept, going.at, most)
                })?;
                let Some(last) = last else { break };
                let (keys, going) = ((after, last), Arc::clone(going));
                self.step(shard, move |writer| writer.retire_from_index(keys, &going))??;
                after = last;
            }
        }
        Ok(())
    }

    /// Has a writer take a step, and leaves it to the grabs for a while, if there are any.
    fn step<T: Send + 'static>(
        &self,
        shard: ShardId,
        step: impl FnOnce(&mut Writer) -> T + Send + 'static,
    ) -> Result<T, Unavailable> {
        if self.site.shared.archiver.is_closed() {
            return Err(stopping());
        }
        let began = Instant::now();
        let done = on_blocking(&self.site.shared.writers, shard, step)?;
        if self.pace == ArchivePace::BesideGrabs {
            sleep(began.elapsed() * REST);
        }
        Ok(done)
    }

    fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..).map(ShardId::new).take(self.site.shared.writers.len())
    }
}

/// Reads a shard's file, while its writer goes on.
fn read<T>(
    writers: &[WriterHandle],
    shard: ShardId,
    read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, Unavailable> {
    let failed = |error| Unavailable::new(format!("shard {shard}"), error);
    let Some(writer) = writers.get(shard.index()) else {
        return Err(Unavailable::new(format!("shard {shard}"), "there is no such shard"));
    };
    folder::connect_reader(&writer.path).and_then(|db| read(&db)).map_err(failed)
}

fn runtime() -> Result<Runtime, Unavailable> {
    Builder::new_current_thread().build().map_err(|error| Unavailable::new("this process", error))
}

#[cfg(test)]
mod tests;
