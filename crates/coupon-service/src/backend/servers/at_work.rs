//! Which processes are at work on a data set, as main can tell: those that have renewed a lease lately.

use mysql_async::prelude::Queryable as _;

use super::mains_time;
use super::mysql::{Database, DatabaseError, PATIENCE, code, has_code};
use super::tasks::TERM_MS;
use crate::clock::Clock;

/// A process that lives has renewed its leases within this time: twice what passes between two renewals.
const LATELY_MS: i64 = 60_000;

/// How many processes hold leases that were taken or renewed lately. A process that ends in good order gives its leases
/// back; one that was killed counts for a minute.
pub(super) async fn processes_at_work(main: &Database) -> Result<u64, DatabaseError> {
    let mut conn = main.connect().await?;
    let now = mains_time::expression(&Clock::system());
    let sql = format!(
        "SELECT COUNT(DISTINCT holder) FROM worker_leases WHERE lease_end > {now} + {TERM_MS} - {LATELY_MS}"
    );
    let asked = async {
        match conn.query_first(&sql).await {
            // A data set that was made before there were leases has no processes of this version.
            Err(error) if has_code(&error, code::NO_TABLE) => Ok(None),
            asked => asked,
        }
    };
    Ok(main.patiently(PATIENCE, asked).await?.unwrap_or(0))
}
