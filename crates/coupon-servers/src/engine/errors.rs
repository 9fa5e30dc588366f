//! The errors of an engine that is switching shards.
//!
//! After any error but that of a row which is there already, a transaction is not gone on with: the engine may have rolled back
//! on its own, and would answer a later COMMIT as if it had done something.

use std::time::Duration;

use coupon_core::KeyRange;
use mysql_async::Error;
use tokio::time::Instant;

/// An error that the engine has no better number for.
const UNKNOWN: u16 = 1105;
/// The words of that error while a shard's rows go to others.
const RESHARDED: &str = "is being resharded";
/// The engine's own number of an error for a shard that serves no more.
const NOT_SERVING: &str = "VT15001";

/// The words of an error for a shard that does not answer the engine.
const AWAY: [&str; 2] = ["code = Unavailable", "no healthy tablet available"];
/// The longest that shards' rows go nowhere while shards are switched.
const LONGEST: Duration = Duration::from_secs(15);
/// The time between two tries meanwhile.
const PAUSE: Duration = Duration::from_millis(50);

/// True of a statement that met a switch of shards: it was not done, and is to be sent again from its transaction's beginning.
#[must_use]
pub fn is_switch(error: &Error) -> bool {
    let Error::Server(error) = error else { return false };
    error.message.contains(NOT_SERVING) || (error.code == UNKNOWN && error.message.contains(RESHARDED))
}

/// True of a shard that does not answer the engine.
pub(crate) fn is_away(error: &Error) -> bool {
    let Error::Server(error) = error else { return false };
    error.code == UNKNOWN && AWAY.iter().any(|words| error.message.contains(words))
}

/// Asks again, for as long as a switch of shards may take, what has met one. It must be no part of a transaction.
///
/// # Errors
/// When it fails for another reason, or meets switches for longer.
pub async fn past_switches<T>(
    mut ask: impl AsyncFnMut() -> mysql_async::Result<T>,
) -> mysql_async::Result<T> {
    let deadline = Instant::now() + LONGEST;
    loop {
        match ask().await {
            Err(error) if is_switch(&error) && Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            answered => return answered,
        }
    }
}

/// The words before the name of a shard that did not answer.
const TARGET: &str = "target: ";

/// The shard that a warning says did not answer, of a keyspace's; `None` where it warns of something else.
///
/// # Errors
/// When it names none of this keyspace: what is missing is then not known.
pub(super) fn missing_shard(keyspace: &str, warning: &str) -> Result<Option<KeyRange>, String> {
    let Some((_, target)) = warning.split_once(TARGET) else { return Ok(None) };
    let shard = target.strip_prefix(keyspace).and_then(|rest| rest.strip_prefix('.')?.split('.').next());
    let range = shard.and_then(|shard| shard.parse().ok()).map(Some);
    range.ok_or_else(|| format!("the engine answers without a shard that is not known: {warning}"))
}

#[cfg(test)]
mod tests {
    use mysql_async::ServerError;

    use super::*;

    fn error(code: u16, message: &str) -> Error {
        Error::Server(ServerError { code, message: message.to_owned(), state: "HY000".to_owned() })
    }

    #[test]
    fn a_switch_of_shards_is_told_from_other_errors() {
        for (code, message) in [
            (1105, "target: results.-40.primary: current keyspace is being resharded"),
            (1105, "VT15001: shard is not serving"),
            (1317, "VT15001: shard is not serving"),
        ] {
            assert!(is_switch(&error(code, message)), "{code} {message}");
        }
        for (code, message) in [(1105, "syntax error"), (1317, "multi-db transaction attempted"), (1062, "x")]
        {
            assert!(!is_switch(&error(code, message)), "{code} {message}");
        }
        assert!(!is_switch(&Error::Driver(mysql_async::DriverError::ConnectionClosed)));
    }

    #[test]
    fn a_shard_that_does_not_answer_the_engine_is_away() {
        let lost = "target: results.-40.primary: vttablet: rpc error: code = Unavailable desc = error reading from server";
        let none = "target: results.-40.primary: no healthy tablet available for 'keyspace:\"results\"'";
        assert!(is_away(&error(1105, lost)) && is_away(&error(1105, none)));
        assert!(!is_away(&error(1105, "syntax error")) && !is_away(&error(1064, "code = Unavailable")));
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_met_a_switch_is_asked_again_and_nothing_else_is() {
        let switch = || Err(error(1105, "target: results.-40.primary: current keyspace is being resharded"));
        let mut asked = 0;
        let answered = past_switches(async || {
            asked += 1;
            if asked < 3 { switch() } else { Ok(7) }
        });
        assert_eq!((answered.await.unwrap(), asked), (7, 3));
        let mut asked = 0;
        let refused = past_switches(async || {
            asked += 1;
            Err::<(), _>(error(1317, "multi-db transaction attempted"))
        });
        assert!(refused.await.is_err() && asked == 1);
        assert!(past_switches(async || switch()).await.is_err(), "not for ever");
    }

    #[test]
    fn a_warning_names_the_shard_that_is_missing() {
        let warning = "target: results.40-80.primary: no healthy tablet available for 'keyspace:\"results\" shard:\"40-80\"'";
        assert_eq!(missing_shard("results", warning), Ok("40-80".parse().ok()));
        assert_eq!(
            missing_shard("results", "Column 'result_id' in order by statement is ambiguous"),
            Ok(None)
        );
        for other in ["target: orders.40-80.primary: x", "target: results.x.primary: x"] {
            assert!(missing_shard("results", other).unwrap_err().contains(other));
        }
    }
}
