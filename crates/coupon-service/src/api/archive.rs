//! Bodies about archives of old results.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Results to be archived.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ArchiveRequest {
    /// The first day (UTC) to keep.
    #[schema(example = "2026-11-12", format = Date)]
    pub before: String,
}

/// An archive, and how far it is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema, PartialEq, Eq)]
pub struct ArchiveView {
    /// The first day (UTC) that is kept.
    pub before: String,
    /// The time at which it began.
    pub began_at: String,
    /// The operator who asked for it.
    pub operator: String,
    /// True while it goes on.
    pub runs: bool,
    /// Results that could go when it began.
    pub rows: u64,
    /// Tables dropped whole.
    pub tables_dropped: u64,
    /// Results that were in them.
    pub rows_dropped: u64,
    /// Results deleted one by one.
    pub rows_deleted: u64,
    /// Results that would have gone, but are held, answer their request still or, with a room index, have changed since.
    pub held: u64,
    /// Coupons that had results taken off their stock.
    pub coupons: u64,
    /// Time that it took to count, in milliseconds.
    pub count_ms: u64,
    /// Time that it took to drop tables, in milliseconds.
    pub drop_ms: u64,
    /// Time that it took to delete results, in milliseconds.
    pub delete_ms: u64,
    /// The reason for which it ended before everything had gone, if there is one.
    pub trouble: Option<String>,
}

/// The archive, if there was one.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LastArchive {
    /// The last one since this process started; null before the first.
    pub archive: Option<ArchiveView>,
}
