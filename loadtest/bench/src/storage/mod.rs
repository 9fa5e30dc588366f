//! The costs of storing and querying, each held against the same work over bare connections in the same run.
//!
//! - `raw` are the bare connections, `questions` what is asked of them and of the API.
//! - `queries`, `tenfold`, `scatter_gains`, `sums`, `consumer`, `seeding` and `files` are sections of the benchmark.

mod consumer;
mod files;
mod queries;
mod questions;
mod raw;
mod scatter_gains;
mod seeding;
mod sums;
mod tenfold;

use super::section::Section;

/// The sections, in the order in which they run.
#[must_use]
pub fn sections() -> Vec<Section> {
    vec![
        queries::SECTION,
        scatter_gains::SECTION,
        sums::SECTION,
        consumer::SECTION,
        seeding::SECTION,
        files::SECTION,
        tenfold::SECTION,
    ]
}
