//! The processes at work on a data set, as far as main knows: those that have renewed a lease lately, or do so soon.

use std::time::Duration;

use coupon_store::clock::Clock;
use mysql_async::prelude::Queryable as _;

use super::mains_time;
use super::mysql::{Database, DatabaseError, PATIENCE, code, has_code};
use super::seam::TERM_MS;
use super::tasks::RENEW;

/// A process that lives, and reaches main, has renewed its leases within this time: twice what passes between two
/// renewals.
const LATELY_MS: i64 = 60_000;
/// The time within which every process renews its leases that lives and reaches main: as long as it pauses, as long as
/// it waits for main, and a second.
pub const RENEWED_WITHIN: Duration = Duration::from_secs(1).saturating_add(RENEW).saturating_add(PATIENCE);

/// Counts the processes that hold leases taken or renewed lately. A process that ends in good order gives its leases
/// back. One that has not renewed them lately was killed, or could not reach main for a while: which of both is shown
/// by the time in which it would renew them, and `renewals` ends after that.
pub(super) async fn processes_at_work(
    main: &Database,
    clock: &Clock,
    renewals: impl Future<Output = ()>,
) -> Result<u64, DatabaseError> {
    let lately = holders(main, clock, TERM_MS - LATELY_MS).await?;
    if lately > 0 || holders(main, clock, 0).await? == 0 {
        return Ok(lately);
    }
    tracing::info!("worker numbers are leased, and were not renewed lately: waiting whether they still are");
    renewals.await;
    holders(main, clock, TERM_MS - LATELY_MS).await
}

/// Counts the processes whose leases end later than so long from now.
async fn holders(main: &Database, clock: &Clock, left_ms: i64) -> Result<u64, DatabaseError> {
    let mut conn = main.connect().await?;
    let now = mains_time::expression(clock);
    let sql = format!("SELECT COUNT(DISTINCT holder) FROM worker_leases WHERE lease_end > {now} + {left_ms}");
    let asked = async {
        match conn.query_first(&sql).await {
            // A data set that was made before there were leases has no processes of this version.
            Err(error) if has_code(&error, code::NO_TABLE) => Ok(None),
            asked => asked,
        }
    };
    Ok(main.patiently(PATIENCE, asked).await?.unwrap_or(0))
}
