//! Main's time, which all processes go by: as an expression of its SQL, and asked for.

use coupon_core::Timestamp;
use coupon_store::clock::Clock;
use mysql_async::prelude::Queryable as _;

use super::mysql::{Database, DatabaseError, PATIENCE};

/// Main's time in milliseconds since 1970, as an expression: it is read, judged and written by the same statement.
pub(super) fn expression(clock: &Clock) -> String {
    format!("(CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) + {})", clock.displacement_ms())
}

/// Asks main for its time.
pub(super) async fn ask(main: &Database, clock: &Clock) -> Result<Timestamp, DatabaseError> {
    let mut conn = main.connect().await?;
    let asked = conn.query_first(format!("SELECT {}", expression(clock)));
    let told: Option<i64> = main.patiently(PATIENCE, asked).await?;
    told.map(Timestamp::from_millis).ok_or_else(|| main.failed("it does not tell the time".to_owned(), false))
}

/// A moment by this process's clock, or main's time where that is earlier.
///
/// # Errors
/// When main cannot be asked.
pub async fn at_most(main: &Database, now: Timestamp) -> Result<Timestamp, DatabaseError> {
    Ok(now.min(ask(main, &Clock::system()).await?))
}
