//! Retires old results: the part of their life where ranges of time pay off.
//!
//! A table that holds one day, or one hour, is dropped whole; from any other table old rows are deleted, batch by
//! batch. Either way the stock goes with the rows that still take it: a coupon's total falls by what was retired of these,
//! so that total − remaining = live rows still holds, and two stock logs say so. Rows that gave their stock back go without
//! a word. Rows that are held stay: what becomes of them is not known yet. So do those that gave their stock back within the hour and
//! name their request: who asks again is answered by them. Where a row that takes stock is of a coupon whose end has not come,
//! withdrawn or not, nothing is retired: it may be on offer again, and its rows say who holds it.
//!
//! The rows leave and the shard's outbox gets its entry in one transaction, as with grabs, so that a crash at any
//! point leaves a data set whose books balance; the next run, or the service, finishes what was begun.

mod books;
mod shard;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU16;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use coupon_core::{CouponId, Day, RESULT_ID_EPOCH, ResultId, ShardId, Timestamp};
use coupon_store::embedded::folder::Folder;
use coupon_store::embedded::rooms;
use indicatif::HumanCount;

use self::books::Books;
use self::shard::Shard;
use crate::Progress;

/// The number of rows of each coupon that take stock.
pub(crate) type Counts = BTreeMap<CouponId, i64>;

/// The rows and tables retired, and the time it took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchiveReport {
    /// Tables dropped whole.
    pub tables_dropped: u64,
    /// Rows that were in them.
    pub rows_dropped: u64,
    /// The time that took.
    pub drop_took: Duration,
    /// Rows deleted one by one.
    pub rows_deleted: u64,
    /// The time that took.
    pub delete_took: Duration,
    /// The time to count what would be retired, coupon by coupon, whichever way it then goes.
    pub count_took: Duration,
    /// Coupons that had results retired.
    pub coupons: u64,
    /// Rows that would have gone, but are held, or answer their request still.
    pub held: u64,
}

/// Retires the results of all days before `before`. The service must not be running.
///
/// `now` decides which coupons may still be on offer: their results hold their stock, and are not to be retired.
///
/// # Errors
/// When the folder cannot be opened, a shard has parked results, an inbox that is not empty or rows on their way to another place, or a result to be
/// retired is of a coupon still on offer; then nothing is retired.
pub fn archive(
    dir: &Path,
    before: Day,
    now: Timestamp,
    progress: &mut dyn Progress,
) -> Result<ArchiveReport> {
    let folder = Folder::open_any(dir)?;
    // What waits to be told of rows that go now would otherwise come after they have gone.
    rooms::settle(&folder)?;
    let mut books = Books::open(&folder)?;
    let mut shards = open_shards(&folder, &books, now)?;
    for shard in &shards {
        books.settle(shard)?;
    }
    let mut report = ArchiveReport::default();

    let counting = Instant::now();
    let mut counts = Counts::new();
    for shard in &shards {
        shard.count(before, &mut counts)?;
        report.held += shard.held(before)?;
    }
    report.count_took = counting.elapsed();
    report.coupons = counts.len() as u64;
    if let Some((coupon, end)) = books.first_on_offer(&counts, now)? {
        return Err(still_on_offer(coupon, end, before));
    }

    progress.stage("retired", counts.values().sum::<i64>().cast_unsigned());
    for shard in &mut shards {
        shard.retire(before, &mut report, progress)?;
        books.settle(shard)?;
    }
    rooms::retire(&folder, first_id(before)?, now)?;
    progress.done();
    Ok(report)
}

pub(crate) fn still_on_offer(coupon: CouponId, end: Timestamp, before: Day) -> anyhow::Error {
    anyhow::anyhow!(
        "coupon {coupon} is on offer until {end}, or can be again if it was withdrawn, and results of it are older than \
         {before}: they hold its stock, so nothing was retired; choose an earlier --before"
    )
}

/// The least id that a result of that day, or of a later one, can have.
pub(crate) fn first_id(day: Day) -> Result<i64> {
    let first = ResultId::from_parts(day.start().max(RESULT_ID_EPOCH), 0, 0);
    Ok(first.with_context(|| format!("--before {day}"))?.number())
}

fn open_shards(folder: &Folder, books: &Books, now: Timestamp) -> Result<Vec<Shard>> {
    let shards: NonZeroU16 = folder.shards();
    (0..shards.get())
        .map(|number| {
            let shard = ShardId::new(number);
            let opened = Shard::open(folder, shard, books.position(shard)?, now);
            let shard = opened.with_context(|| format!("{}", folder.shard_path(shard).display()))?;
            ensure!(
                shard.parked()? == 0,
                "shard {number} has parked results, which hold their stock: resolve them first"
            );
            ensure!(
                shard.inbox()? == 0,
                "shard {number} has results in its inbox, which a service that was cut off did not get to sort into \
                 their tables: start the service and stop it first"
            );
            ensure!(
                shard.leaving()? == 0,
                "shard {number} has results on their way to another place, since a service was cut off while rows moved: \
                 start it, and stop it once it is up"
            );
            Ok(shard)
        })
        .collect()
}

impl fmt::Display for ArchiveReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |number: u64| HumanCount(number).to_string();
        let secs = Duration::as_secs_f64;
        if self.held > 0 {
            let held = count(self.held);
            writeln!(
                f,
                "{held} results stay: they are held, until they are confirmed, released or expired, or they answer their request \
                 still, for an hour after their stock was given back"
            )?;
        }
        if self.rows_dropped + self.rows_deleted + self.tables_dropped == 0 {
            return f.write_str("nothing to retire");
        }
        let (tables, dropped) = (count(self.tables_dropped), count(self.rows_dropped));
        writeln!(f, "dropped {tables} tables with {dropped} results in {:.2} s", secs(&self.drop_took))?;
        let deleted = count(self.rows_deleted);
        writeln!(f, "deleted {deleted} results one by one in {:.2} s", secs(&self.delete_took))?;
        let coupons = count(self.coupons);
        write!(
            f,
            "counted them in {:.2} s, and took them off {coupons} coupons' stock",
            secs(&self.count_took)
        )
    }
}
