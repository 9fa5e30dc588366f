//! Copies a data set that is at rest into another one: of another strategy, of more or fewer shards, on files or on servers.
//!
//! Rows go in the order of their keys, results in the order of their ids over all tables, a few thousand at a time. The copy
//! is incomplete until the end, and notes in its label how far it has come, whenever what was handed over is durable: so
//! that the same command goes on where it was cut short. At the end every row is read back, and held against what was
//! read from the source, by number and digest; then the copy is opened for services.
//!
//! What belongs to the source's shards does not come along: the entries of outboxes, of which lines of the stock log say
//! that they came, and the epochs of a gate. The law of the books has a place for such lines.

pub(crate) mod ends;
mod merge;
mod pace;
mod report;
mod verify;
mod way;

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use coupon_core::{ShardingStrategy, Timestamp};
use coupon_store::Totals;
use coupon_store::carried::{
    CARRIED, COPIED_FROM, COPIED_LINES, COPYING, CarriedTable, PUT_BACK, STOCK_LOGS, Waits, key_of,
};
use coupon_store::settings::ServersSettings;

use self::ends::{Indexed, Opening, Origin, Source, Target};
use self::merge::Merge;
use self::pace::Pace;
pub use self::report::{CopiedKind, CopyReport};
use self::verify::{Tallies, read_back};
use self::way::{Way, text_of_carried, text_of_result};
use crate::progress::with_indexes;
use crate::room_index::on_stage;
use crate::seed::place;
use crate::{Progress, now, servers};

/// The name of results among the kinds of rows.
const RESULTS: &str = "results";

/// The place of a data set.
#[derive(Debug, Clone)]
pub enum Site {
    /// A folder.
    Folder(PathBuf),
    /// The databases of servers: those of `servers.namespace`, or else of a strategy.
    Servers(Box<ServersSettings>),
}

/// The way in which a copy is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct CopyOptions {
    /// The most rows to store in a second; without it as many as can be.
    pub rate: Option<NonZeroU64>,
    /// Throw away what a copy that was cut short has left there.
    pub anew: bool,
    /// Make the room index of the copy, before it is opened.
    pub room_index: bool,
}

/// Copies a data set into another one, of a strategy. `named` is the strategy of the source, where its databases are named
/// after that.
///
/// # Errors
/// When the source is not at rest, the target holds anything but an earlier run of the same copy, a row has no place by the
/// strategy, or what is read back is not what was read. Then the source is as it was, and the target stays incomplete.
pub fn copy(
    from: &Site,
    named: Option<&str>,
    to: &Site,
    strategy: &dyn ShardingStrategy,
    options: CopyOptions,
    progress: &mut dyn Progress,
) -> Result<CopyReport> {
    let origin = match from {
        Site::Folder(dir) => ends::of_folder(dir),
        Site::Servers(settings) => servers::of_servers(settings, named),
    };
    let origin = origin.context("the source")?;
    refuse_what_waits(&origin)?;
    match to {
        Site::Folder(dir) => {
            let target = ends::into_folder(dir, strategy, &origin, options.anew).context("the target")?;
            run(origin, target, strategy, options, progress)
        }
        Site::Servers(settings) => {
            let target = servers::into_servers(settings, strategy, &origin, options.anew);
            run(origin, target.context("the target")?, strategy, options, progress)
        }
    }
}

/// Refuses a source that is not at rest, with everything that it waits for.
fn refuse_what_waits(origin: &Origin) -> Result<()> {
    let (for_people, on_its_way): (Vec<&Waits>, Vec<&Waits>) =
        origin.waits.iter().partition(|waits| waits.for_a_person);
    let listed = |waits: &[&Waits]| waits.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let place = origin.source.place();
    ensure!(
        on_its_way.is_empty(),
        "{place} is not drained ({}): start a service on it, POST /admin/drain, stop it, and copy then",
        listed(&on_its_way)
    );
    ensure!(
        for_people.is_empty(),
        "{place} has what waits for a person ({}): resolve it first",
        listed(&for_people)
    );
    Ok(())
}

fn run<T: Target>(
    origin: Origin,
    mut target: T,
    strategy: &dyn ShardingStrategy,
    options: CopyOptions,
    progress: &mut dyn Progress,
) -> Result<CopyReport> {
    let (began, place) = (Instant::now(), target.place());
    let Origin { mut source, dataset, layout, .. } = origin;
    let notes = target.notes()?;
    let first_began = match notes.get(&noted("began")).and_then(|text| text.parse().ok()) {
        Some(earlier) => Timestamp::from_millis(earlier),
        None => {
            let now = now();
            target.settle(&noted("began"), &now.millis().to_string())?;
            now
        }
    };
    let mut copy =
        Copy { source: &mut *source, target, strategy, notes, pace: Pace::new(options.rate), progress };
    let (read, last_line) = copy.everything()?;
    let Copy { target, progress, .. } = copy;
    let mut indexed = with_indexes(progress, |made| target.index(made))?;
    let mut opening =
        Opening { sums: vec![Totals::default(); strategy.shard_count().get().into()], ..Opening::default() };
    let back = read_back(&mut *indexed.reader()?, strategy, &read, &mut opening, progress)?;
    let different = back.differences(&read);
    ensure!(
        different.is_empty(),
        "what was read back from {place} is not what was read from {}; it stays closed to services: {}",
        source.place(),
        different.join("; ")
    );
    if options.room_index {
        let rows: u64 = opening.sums.iter().map(|sums| sums.results).sum();
        indexed = on_stage(progress, |told| indexed.room_index(&mut |taken, _| told(taken, rows)))?;
    }
    opening.notes = vec![(COPIED_LINES, last_line.to_string()), (COPIED_FROM, dataset)];
    if source.was_put_back()? {
        opening.notes.push((PUT_BACK, "1".to_owned()));
    }
    source.ensure_unchanged()?;
    indexed.open(&opening)?;
    Ok(CopyReport {
        from: source.place(),
        layout_before: layout,
        to: place,
        layout: strategy.layout(),
        kinds: read.kinds(),
        took: began.elapsed(),
        stood_still: Duration::from_millis((now().millis() - first_began.millis()).max(0).unsigned_abs()),
    })
}

/// The name under which something is noted of a copy that is under way.
fn noted(what: &str) -> String {
    format!("{COPYING}.{what}")
}

/// A copy under way.
struct Copy<'a, T> {
    source: &'a mut dyn Source,
    target: T,
    strategy: &'a dyn ShardingStrategy,
    /// The notes of earlier runs.
    notes: BTreeMap<String, String>,
    pace: Pace,
    progress: &'a mut dyn Progress,
}

impl<T: Target> Copy<'_, T> {
    /// Copies all kinds of rows. Returns what came by of each, and the number of the last line of the stock log.
    fn everything(&mut self) -> Result<(Tallies, i64)> {
        let (mut tallies, mut last_line) = (Tallies::default(), 0);
        for table in &CARRIED {
            let way = self.table(table)?;
            if table.name == STOCK_LOGS {
                last_line = way.reached.last.max(0);
            }
            tallies.push(table.name, way.end()?);
        }
        tallies.push(RESULTS, self.results()?.end()?);
        Ok((tallies, last_line))
    }

    fn table(&mut self, table: &'static CarriedTable) -> Result<Way> {
        let all = self.source.count_carried(table)?;
        let mut way = self.begin(table.name, all)?;
        loop {
            let chunk = self.source.carried(table, way.reached.last, self.pace.chunk().min(table.page))?;
            if chunk.is_empty() {
                break;
            }
            let mut fresh = Vec::with_capacity(chunk.len());
            for row in chunk {
                if way.pass(key_of(&row), &text_of_carried(&row))? {
                    fresh.push(row);
                }
            }
            self.target.carried(table, &fresh)?;
            self.handed_over(&way, fresh.len())?;
        }
        self.finish(&way)?;
        Ok(way)
    }

    fn results(&mut self) -> Result<Way> {
        let mut all = 0;
        for place in self.source.places()? {
            all += self.source.count(place)?;
        }
        let mut way = self.begin(RESULTS, all)?;
        let mut merge = Merge::new(self.source)?;
        loop {
            let chunk = merge.chunk(self.source, self.pace.chunk())?;
            if chunk.is_empty() {
                break;
            }
            let mut fresh = Vec::with_capacity(chunk.len());
            for row in chunk {
                if way.pass(row.result_id.number(), &text_of_result(&row))? {
                    fresh.push((place(self.strategy, &row.key())?, row));
                }
            }
            let stored = fresh.len();
            self.target.results(fresh)?;
            self.handed_over(&way, stored)?;
        }
        self.finish(&way)?;
        Ok(way)
    }

    fn begin(&mut self, name: &'static str, rows: u64) -> Result<Way> {
        self.progress.stage(name, rows);
        Way::new(name, self.notes.get(&noted(name)).map(String::as_str))
    }

    /// Notes now and then how far this has come.
    fn handed_over(&mut self, way: &Way, stored: usize) -> Result<()> {
        self.progress.reached(way.reached.tally.rows);
        if self.pace.stored(stored) { self.settle(way) } else { Ok(()) }
    }

    fn finish(&mut self, way: &Way) -> Result<()> {
        self.progress.done();
        if self.pace.is_settled() { Ok(()) } else { self.settle(way) }
    }

    fn settle(&mut self, way: &Way) -> Result<()> {
        self.source.keep()?;
        self.target.settle(&noted(way.name), &way.reached.to_string())?;
        self.pace.settled();
        Ok(())
    }
}
