//! Fills a data set: catalogue first, then the past, then the indexes.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use coupon_core::{Coupon, Placement, RowKey, ShardingStrategy};
use coupon_store::embedded;
use coupon_store::embedded::folder::Folder;

use crate::catalogue::{self, Users};
use crate::details::details;
use crate::history::History;
use crate::progress::with_indexes;
use crate::random::Stream;
use crate::sink::Sink;
use crate::{Progress, SeedOptions, SeedReport, room_index};

/// Users, coupons or results that are made and stored at a time.
const CHUNK: u64 = 8_192;

/// Fills the folder with generated data, each result where the strategy places it.
///
/// # Errors
/// When the options make no data, the folder cannot be written, or it holds data and `reset` is not set.
pub fn seed(
    dir: &Path,
    strategy: &dyn ShardingStrategy,
    options: &SeedOptions,
    reset: bool,
    progress: &mut dyn Progress,
) -> Result<SeedReport> {
    options.check()?;
    ensure_in_files(strategy)?;
    let began = Instant::now();
    let make = if reset { Folder::replace } else { Folder::create };
    let folder = make(dir, &strategy.layout(), strategy.shard_count())?;
    let new = NewDataSet { place: dir.display().to_string(), dataset: folder.dataset().to_owned(), began };
    let report = fill(embedded::bulk::Bulk::new(folder)?, new, strategy, options, progress)?;
    if options.room_index {
        room_index::in_folder(dir, progress)?;
    }
    Ok(report)
}

/// Refuses files for a strategy whose shards an engine has.
pub(crate) fn ensure_in_files(strategy: &dyn ShardingStrategy) -> Result<()> {
    ensure!(
        !strategy.whole().is_planned(),
        "the strategy {} is for an engine, which is reached over servers: set backend = \"servers\"",
        strategy.name()
    );
    Ok(())
}

/// The data set being made, and since when.
pub(crate) struct NewDataSet {
    pub(crate) place: String,
    pub(crate) dataset: String,
    pub(crate) began: Instant,
}

pub(crate) fn fill(
    sink: impl Sink,
    new: NewDataSet,
    strategy: &dyn ShardingStrategy,
    options: &SeedOptions,
    progress: &mut dyn Progress,
) -> Result<SeedReport> {
    let NewDataSet { place, dataset, began } = new;
    let mut load = Load { sink, next_log: 1, progress };
    load.catalogue(options)?;
    let catalogue_took = began.elapsed();
    let past_coupons = load.history(strategy, options)?;
    let rows_per_shard = load.finish()?;
    Ok(SeedReport {
        place,
        dataset,
        strategy: strategy.name().to_owned(),
        layout: strategy.layout(),
        users: options.users,
        rooms: options.rooms,
        coupons: options.live_coupons(),
        past_coupons,
        rows_per_shard,
        catalogue_took,
        took: began.elapsed(),
    })
}

struct Load<'a, S> {
    sink: S,
    next_log: i64,
    progress: &'a mut dyn Progress,
}

impl<S: Sink> Load<'_, S> {
    fn catalogue(&mut self, options: &SeedOptions) -> Result<()> {
        self.progress.stage("users", options.users);
        let (mut users, mut stored) = (Users::new(options), 0);
        loop {
            let chunk = users.chunk(CHUNK)?;
            if chunk.is_empty() {
                break;
            }
            self.sink.users(&chunk)?;
            stored += chunk.len() as u64;
            self.progress.reached(stored);
        }
        self.progress.done();
        self.sink.rooms(&catalogue::rooms(options)?)?;
        let mut random = Stream::new(options.seed, "details");
        self.coupons(catalogue::coupons(options)?.into_iter().map(Ok), options.live_coupons(), &mut random)
    }

    /// The past results, then the coupons that they were of. Returns how many of those there are.
    fn history(&mut self, strategy: &dyn ShardingStrategy, options: &SeedOptions) -> Result<u64> {
        if options.history == 0 {
            return Ok(0);
        }
        self.progress.stage("results", options.history);
        let (mut history, mut stored) = (History::new(options), 0);
        let capacity = usize::try_from(CHUNK)?;
        loop {
            let mut chunk = Vec::with_capacity(capacity);
            while chunk.len() < capacity
                && let Some(row) = history.next()?
            {
                chunk.push((place(strategy, &row.key())?, row));
            }
            if chunk.is_empty() {
                break;
            }
            stored += chunk.len() as u64;
            self.sink.results(chunk)?;
            self.progress.reached(stored);
        }
        self.progress.done();
        let sold = history.into_sold();
        let mut offers = Stream::new(options.seed, "past coupons");
        let mut random = Stream::new(options.seed, "past details");
        let coupons = sold.iter().map(|sold| sold.coupon(&mut offers));
        self.coupons(coupons, sold.len() as u64, &mut random)?;
        Ok(sold.len() as u64)
    }

    /// Coupons with their details and the logs of their stock.
    fn coupons(
        &mut self,
        mut coupons: impl Iterator<Item = Result<Coupon>>,
        count: u64,
        random: &mut Stream,
    ) -> Result<()> {
        self.progress.stage("coupons", count);
        let mut stored = 0;
        loop {
            let chunk = coupons.by_ref().take(usize::try_from(CHUNK)?).collect::<Result<Vec<_>>>()?;
            if chunk.is_empty() {
                break;
            }
            let wide: Vec<_> = chunk.iter().map(|coupon| details(coupon.coupon_id, random)).collect();
            let mut logs = Vec::with_capacity(chunk.len());
            for coupon in &chunk {
                logs.extend(catalogue::logs(self.next_log, coupon));
                self.next_log = logs.last().map_or(self.next_log, |log| log.log_id + 1);
            }
            self.sink.coupons(&chunk)?;
            self.sink.details(&wide)?;
            self.sink.stock_logs(&logs)?;
            stored += chunk.len() as u64;
            self.progress.reached(stored);
        }
        self.progress.done();
        Ok(())
    }

    fn finish(self) -> Result<Vec<u64>> {
        let Self { sink, progress, .. } = self;
        with_indexes(progress, |made| sink.finish(made))
    }
}

pub(crate) fn place(strategy: &dyn ShardingStrategy, key: &RowKey) -> Result<Placement> {
    strategy.place(key).with_context(|| format!("{} has no place for a result", strategy.name()))
}
