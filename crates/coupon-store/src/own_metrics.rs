//! The metrics that a backend has beside those of every backend.

use crate::metrics::Exposition;

/// Differences between the gate and the shards that were found and mended since the process started. Where the gate is
/// made of what is stored, there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Reservations that had not reached their shard, and were handed over again.
    pub reconciled: u64,
    /// Stored results that the gate lacked, and that were added to it.
    pub restored: u64,
}

/// The metrics that a backend has beside those of every backend.
pub trait OwnMetrics: Send + Sync {
    /// The differences that were found and mended.
    fn repairs(&self) -> Repairs;

    /// Writes the backend's own metrics.
    fn expose(&self, page: &mut Exposition);
}
