//! Retires old results on servers, where services may be running meanwhile.
//!
//! MySQL drops no table within a transaction, so that is done in steps, each of which the next run finds and goes on
//! from: the table gets a name that services do not read; in one transaction the shard's outbox and sums take in its
//! rows, and a note says that they did; the table is dropped, then the note.

mod books;
mod shard;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Result, bail};
use coupon_core::catalogue_change::Operator;
use coupon_core::{CouponId, Day, Timestamp};
use coupon_servers::cluster::Cluster;
use coupon_servers::mains_time;
use coupon_servers::markers::settle_queues;
use coupon_servers::mysql::{self, DatabaseError};
use coupon_servers::rooms;
use coupon_store::settings::ServersSettings;
use coupon_store::statements::settled;
use coupon_store::{HasParked, NotOver, Retired, first_id, may_not_go_yet};

use self::books::Books;
use self::shard::Shard;
use super::databases::{namespace, open};
use crate::Progress;
use crate::archive::ArchiveReport;

/// The number of rows of each coupon that take stock.
type Counts = BTreeMap<CouponId, i64>;

/// The number of attempts at a transaction that gets in another's way.
const TRIES: u32 = 10;

/// The tries of a transaction so far.
#[derive(Debug, Default)]
struct Tries(u32);

impl Tries {
    /// Judges whether to try once more after it failed so.
    fn again_after(&mut self, error: &anyhow::Error) -> bool {
        self.again_if(is_conflict(error))
    }

    /// Judges so by whether trying again may help.
    const fn again_if(&mut self, may_help: bool) -> bool {
        self.0 += 1;
        self.0 < TRIES && may_help
    }
}

/// Holds what is about to go against the ends of the coupons.
struct Offers<'a> {
    books: &'a mut Books,
    before: Day,
    now: Timestamp,
    /// The operator who asked for the archive, until the record of changes names them.
    unnamed: Option<&'a Operator>,
    /// The results that the record of changes names, and that have not gone yet.
    named: Counts,
}

impl Offers<'_> {
    /// Refuses to let rows go of a coupon that is not over for a day; from now on, none of these coupons is on offer again,
    /// and the record of changes names them all.
    async fn ensure_over(&mut self, counts: &Counts) -> Result<()> {
        let more = |(coupon, rows): (&CouponId, &i64)| {
            let more = rows - self.named.get(coupon).copied().unwrap_or(0);
            (more > 0).then_some((*coupon, more))
        };
        let more: Counts = counts.iter().filter_map(more).collect();
        let not_yet = if more.is_empty() && self.unnamed.is_none() {
            // A person who edits main by hand is not refused: so their ends are looked at again.
            self.books.first_not_yet(counts, self.now).await?
        } else {
            self.books.end_for_good(&more, self.before, self.unnamed, self.now).await?
        };
        if let Some(not_yet) = not_yet {
            bail!(may_not_go_yet(not_yet, self.before));
        }
        self.unnamed = None;
        more.into_iter().for_each(|(coupon, rows)| *self.named.entry(coupon).or_default() += rows);
        Ok(())
    }

    /// Takes note of rows that have gone.
    fn have_gone(&mut self, counts: &Counts) {
        counts.iter().for_each(|(coupon, rows)| *self.named.entry(*coupon).or_default() -= rows);
    }
}

/// Retires the results of all days before `before` from a strategy's databases. Services may be running.
///
/// The record of changes names the operator. The databases are those of `servers.namespace` or, without it, of the name of the
/// strategy. The earlier of `now` and main's time decides which results may go: until a coupon is over for a day, a user who
/// asks again is answered by its results.
///
/// # Errors
/// When a database cannot be used, the data set is incomplete, the days are not over, a shard has parked results, or a result to be
/// retired is of a coupon that is not over for a day; then nothing is retired, but for the tables counted before a service
/// stored such a result.
pub fn archive_servers(
    settings: &ServersSettings,
    strategy: Option<&str>,
    before: Day,
    operator: &Operator,
    now: Timestamp,
    progress: &mut dyn Progress,
) -> Result<ArchiveReport> {
    let namespace = namespace(settings, strategy)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (cluster, dataset) = open(settings, namespace).await?;
        let now = mains_time::at_most(&cluster.main, now).await?;
        NotOver::refuse(before, now)?;
        let books = Books::open(&cluster, &dataset).await?;
        // What is on its way to tables that are about to go is counted with what they hold.
        settle_queues(&cluster, settings, &dataset).await?;
        let retired = retire(&cluster, books, (before, operator), now, progress).await?;
        rooms::retire(&cluster, &dataset, first_id(before)?, now).await?;
        Ok(ArchiveReport(retired))
    })
}

async fn retire(
    cluster: &Cluster,
    mut books: Books,
    (before, operator): (Day, &Operator),
    now: Timestamp,
    progress: &mut dyn Progress,
) -> Result<Retired> {
    let indexed = cluster.label().await?.is_some_and(|label| label.rooms.is_some());
    let shards = open_shards(cluster, &settled(now, indexed)).await?;
    // Entries that an earlier archive left in the outboxes are not of this one.
    for shard in &shards {
        books.settle(shard).await?;
    }
    let mut offers = Offers { books: &mut books, before, now, unnamed: Some(operator), named: Counts::new() };
    for shard in &shards {
        shard.finish_dropping(&mut offers).await?;
        offers.books.settle(shard).await?;
    }
    let mut retired = Retired::default();

    let counting = Instant::now();
    let mut counts = Counts::new();
    for shard in &shards {
        shard.count(before, &mut counts).await?;
        for table in shard.old_tables(before).await? {
            retired.held += shard.held(table, before).await?;
        }
    }
    retired.count_took = counting.elapsed();
    retired.coupons = counts.len() as u64;
    // Before anything goes; and again for all that goes, since services may store more of it meanwhile.
    offers.ensure_over(&counts).await?;

    progress.stage("retired", counts.values().sum::<i64>().cast_unsigned());
    for shard in &shards {
        let done = retire_from(shard, &mut offers, &mut retired, progress).await;
        // The rows that have gone are applied even if something else was not let go.
        offers.books.settle(shard).await?;
        done?;
    }
    progress.done();
    Ok(retired)
}

async fn open_shards(cluster: &Cluster, settled: &str) -> Result<Vec<Shard>> {
    let mut shards = Vec::with_capacity(cluster.shards.len());
    for (number, database) in cluster.numbered() {
        let shard = Shard::new(number, database, settled);
        HasParked::refuse(number, shard.parked().await?)?;
        shards.push(shard);
    }
    Ok(shards)
}

async fn retire_from(
    shard: &Shard,
    offers: &mut Offers<'_>,
    retired: &mut Retired,
    progress: &mut dyn Progress,
) -> Result<()> {
    let before = offers.before;
    for table in shard.old_tables(before).await? {
        let began = Instant::now();
        // What is held stays.
        if table.day().is_some() && shard.held(table, before).await? == 0 {
            let rows = shard.drop_table(table, offers).await?;
            retired.tables_dropped += 1;
            retired.rows_dropped += rows;
            retired.drop_took += began.elapsed();
            progress.reached(retired.rows_dropped + retired.rows_deleted);
            continue;
        }
        let mut after = 0;
        while let Some((rows, last)) = shard.delete_batch(table, after, before, offers).await? {
            after = last;
            retired.rows_deleted += rows;
            progress.reached(retired.rows_dropped + retired.rows_deleted);
        }
        retired.delete_took += began.elapsed();
    }
    Ok(())
}

/// True if it is the error of a transaction that can be tried again: see [`mysql::is_conflict`].
fn is_conflict(error: &anyhow::Error) -> bool {
    let of_database = error.downcast_ref::<DatabaseError>().is_some_and(|error| error.conflict);
    of_database || error.downcast_ref().is_some_and(mysql::is_conflict)
}
