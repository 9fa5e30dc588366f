//! The bounds of an engine's shards, looked at again and again: they can be changed while rows are stored.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use coupon_core::Lanes;

use super::{ask, start};
use crate::mysql::{Database, DatabaseError, PATIENCE};

/// The time for which a look is good.
const GOOD: Duration = Duration::from_secs(60);

/// Whether each lane is still on one shard. A shard that ended within a lane would take rows at the lane's address that are
/// another's.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// The way to the keyspace: what is sent to a lane is no question to the engine.
    keyspace: Database,
    lanes: Lanes,
    /// The time of the last look that found it so.
    found: Mutex<Option<Instant>>,
}

impl Bounds {
    pub(super) const fn new(keyspace: Database, lanes: Lanes) -> Self {
        Self { keyspace, lanes, found: Mutex::new(None) }
    }

    /// Refuses an engine in which a lane is not on one shard. Of all lanes' transactions one a minute asks for it.
    ///
    /// # Errors
    /// When it is so, or the engine cannot be asked.
    pub(crate) async fn ensure(&self) -> Result<(), DatabaseError> {
        if !self.is_due(Instant::now()) {
            return Ok(());
        }
        // Outside the pool, which belongs to one runtime: several ask.
        let (keyspace, mut conn) = (&self.keyspace, self.keyspace.connect_alone().await?);
        let names = keyspace.patiently(PATIENCE, ask::shards(&mut conn, keyspace.name())).await?;
        start::shards(&names, self.lanes).map_err(|refused| keyspace.failed(refused.to_string(), false))?;
        self.found_at(Instant::now());
        Ok(())
    }

    fn is_due(&self, now: Instant) -> bool {
        let found = *self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.is_none_or(|found| now.saturating_duration_since(found) >= GOOD)
    }

    fn found_at(&self, now: Instant) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use coupon_store::settings::ServerUrl;

    use super::*;

    #[test]
    fn a_look_is_good_for_a_minute() {
        let url = ServerUrl::new("mysql://u:p@gate:1/results");
        let keyspace = Database::of_engine(&url, "results", 1).unwrap();
        let bounds = Bounds::new(keyspace, Lanes::new(NonZeroU16::MIN).unwrap());
        let now = Instant::now();
        assert!(bounds.is_due(now));
        bounds.found_at(now);
        assert!(!bounds.is_due(now + GOOD / 2) && bounds.is_due(now + GOOD));
    }
}
