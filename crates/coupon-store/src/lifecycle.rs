//! The upkeep of a backend, and its end.

use coupon_core::Placement;

use super::{LocalFuture, Unavailable};

/// The upkeep of a backend, and its end.
pub trait Lifecycle: Send + Sync {
    /// Makes tables ahead of need. One that is missing all the same is made when a result needs it.
    fn make_tables(&self, placements: &[Placement]);

    /// Waits until everything handed over so far is in its table, and the main database has applied it.
    fn drain(&self) -> LocalFuture<'_, Result<(), Unavailable>>;

    /// Takes no more, and makes sure that nothing handed over so far depends on this process any more. Blocks until
    /// then.
    fn close(&self);
}
