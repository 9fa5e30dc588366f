//! The errors of an engine that is switching shards.
//!
//! After any error but that of a row which is there already, a transaction is not gone on with: the engine may have rolled back on its
//! own, and would answer a later COMMIT as if it had done something.

use mysql_async::Error;

/// An error that the engine has no better number for.
const UNKNOWN: u16 = 1105;
/// The words of that error while a shard's rows go to others.
const RESHARDED: &str = "is being resharded";
/// The engine's own number of an error for a shard that serves no more.
const NOT_SERVING: &str = "VT15001";

/// True of a statement that met a switch of shards: it was not done, and is to be sent again from its transaction's beginning.
#[must_use]
pub fn is_switch(error: &Error) -> bool {
    let Error::Server(error) = error else { return false };
    error.message.contains(NOT_SERVING) || (error.code == UNKNOWN && error.message.contains(RESHARDED))
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
}
