//! Retiring old results: the part of their life where ranges of time pay off.
//!
//! A table that holds one day, or one hour, is dropped whole; from any other table old rows are deleted, batch by batch. Either
//! way the stock goes with the rows that still take it: a coupon's total falls by what was retired of these, so that total −
//! remaining = live rows still holds, and two stock logs say so. Rows that gave their stock back go without a word. Rows that are
//! held stay: what becomes of them is not known yet. So do those that gave their stock back within the hour and name their
//! request: a user who asks again is answered by them. Where a row that takes stock is of a coupon whose end was less than a day
//! ago, or has not come, withdrawn or not, nothing is retired: a user who was granted it and asks again is answered by its rows,
//! and before its end it may be on offer again.
//!
//! The rows leave and the shard's outbox gets its entry in one transaction, as with grabs, so that a crash at any
//! point leaves a data set whose books balance; the next archive finishes what was begun.
//!
//! Before the first result of a coupon goes, an archive takes the coupon out of sale for good, by a change of the catalogue as
//! operators make them: one transaction, which takes its turn with theirs. It is made only where the coupon's end was a day ago.
//! An operator who moves the end before that stops the archive; an operator who wants to move it afterwards is refused.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Context as _;
use coupon_core::books::{ARCHIVE, REBUILD};
use coupon_core::catalogue_change::Operator;
use coupon_core::{CouponId, Day, RESULT_ID_EPOCH, ResultId, ShardId, Timestamp};

use super::terms::ASKED_ABOUT_MS;
use super::{Backend, ChangeError, LocalFuture};

/// The time between two looks at an archive that is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// The time for which results of a day that is over may still be on their way to their tables.
const LATE_MS: i64 = 60_000;

/// The share of the files' time that an archive leaves to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchivePace {
    /// Grabs come first: batches are small, and the shard's writer is its own for most of the time.
    BesideGrabs,
    /// Nothing else uses the files.
    Alone,
}

/// An archive, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The first day that is kept.
    pub before: Day,
    /// The time at which it began.
    pub began: Timestamp,
    /// The operator who asked for it.
    pub operator: String,
    /// True while it goes on.
    pub runs: bool,
    /// Rows that could go when it began.
    pub rows: u64,
    /// The results that have gone so far.
    pub retired: Retired,
    /// The reason for which it ended before everything had gone, in words.
    pub trouble: Option<String>,
}

/// The rows and tables retired, and the time it took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retired {
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
    /// Rows that would have gone, but are held, answer their request still or, with a room index, have changed since.
    pub held: u64,
}

/// Retires old results of a data set that one process has. On servers the seeder does it, beside any number of processes.
pub trait Archiving: Send + Sync {
    /// Begins to retire the results of all days before one. It is answered once it is known that they may go, and goes on.
    fn start(
        &self,
        before: Day,
        operator: Operator,
        pace: ArchivePace,
    ) -> LocalFuture<'_, Result<Archive, ChangeError>>;

    /// The last archive since the process started, as far as it has come; none before the first.
    fn last(&self) -> Option<Archive>;
}

/// Retires the results of all days before one from files that nothing else uses, to the end; `told` is called with how far it is.
/// Blocks until then.
///
/// # Errors
/// [`ChangeError`] when they may not go, and when a file cannot be read or written.
pub fn archive_alone(
    backend: &Backend,
    before: Day,
    operator: Operator,
    told: &mut dyn FnMut(&Archive),
) -> anyhow::Result<Archive> {
    let archiving = backend.archiving.as_deref().context("this backend retires no results by itself")?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut archive = runtime.block_on(archiving.start(before, operator, ArchivePace::Alone))?;
    while archive.runs {
        told(&archive);
        sleep(LOOK);
        archive = archiving.last().context("nobody knows of the archive that was begun")?;
    }
    told(&archive);
    match archive.trouble {
        Some(why) => Err(anyhow::anyhow!(why)),
        None => Ok(archive),
    }
}

/// Days that are to be archived, and whose results may still come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the days before {before} are not all over for a minute, and results of them may still come, so nothing was retired: choose \
     an earlier day (--before), {latest} at the latest"
)]
pub struct NotOver {
    before: Day,
    latest: Day,
}

impl NotOver {
    /// The latest day before which all days are over for so long.
    #[must_use]
    pub const fn latest(now: Timestamp) -> Day {
        now.plus_millis(-LATE_MS).day()
    }

    /// Makes sure that all days before one are over, and so long that nothing of them is on its way any more.
    ///
    /// # Errors
    /// When they are not.
    pub fn refuse(before: Day, now: Timestamp) -> Result<(), Self> {
        let latest = Self::latest(now);
        if before > latest { Err(Self { before, latest }) } else { Ok(()) }
    }
}

/// A shard with parked results, which would be missed in what an archive counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("shard {0} has parked results, which hold their stock: resolve them first")]
pub struct HasParked(ShardId);

impl HasParked {
    /// Makes sure that a shard has parked no result.
    ///
    /// # Errors
    /// When it has parked some.
    pub const fn refuse(shard: ShardId, parked: i64) -> Result<(), Self> {
        if parked > 0 { Err(Self(shard)) } else { Ok(()) }
    }
}

/// The least id that a result of that day, or of a later one, can have.
///
/// # Errors
/// When no id is that late.
pub fn first_id(day: Day) -> anyhow::Result<i64> {
    let first = ResultId::from_parts(day.start().max(RESULT_ID_EPOCH), 0, 0);
    Ok(first.with_context(|| format!("no result is as late as {day}"))?.number())
}

/// A coupon whose results may not go yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotYet {
    /// The coupon.
    pub coupon: CouponId,
    /// Its end.
    pub end: Timestamp,
}

/// The name under which main's label has the last line of the stock log that is older than the first archive which the record of
/// changes names: of what was archived by then, the record says nothing.
pub const NAMED_FROM: &str = "archives_named_from";

/// The question whether results of a coupon have been archived, or are about to be. Where main had forgotten it, its books say so
/// on the word of the rows.
pub fn is_archived(coupon: CouponId) -> String {
    format!(
        "SELECT EXISTS (SELECT 1 FROM catalogue_changes WHERE coupon_id = {coupon} AND operator = '{ARCHIVE}') \
         OR EXISTS (SELECT 1 FROM stock_logs WHERE coupon_id = {coupon} AND operation_type = 1 \
         AND operator IN ('{ARCHIVE}', '{REBUILD}'))"
    )
}

/// The last to end of those among these coupons whose results may not go yet at that moment. The columns are the coupon and its
/// end.
pub fn not_yet(coupons: &[CouponId], now: Timestamp) -> String {
    let listed: Vec<String> = coupons.iter().map(ToString::to_string).collect();
    format!(
        "SELECT coupon_id, end_time FROM coupons WHERE coupon_id IN ({}) AND end_time > {} \
         ORDER BY end_time DESC, coupon_id LIMIT 1",
        listed.join(","),
        now.millis() - ASKED_ABOUT_MS
    )
}

/// The reason to retire nothing, with the time from which that is otherwise.
#[must_use]
pub fn may_not_go_yet(NotYet { coupon, end }: NotYet, before: Day) -> String {
    format!(
        "coupon {coupon} ends at {end}, and results of it are older than {before}: until a day after its end, withdrawn or not, \
         they hold its stock and answer whoever was granted one and asks again, so nothing was retired; archive from {} on, or \
         choose an earlier day (--before)",
        end.plus_millis(ASKED_ABOUT_MS)
    )
}
