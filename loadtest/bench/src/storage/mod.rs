//! The costs of storing and querying, each held against the same work over bare connections in the same run.
//!
//! - `raw` are the bare connections, `questions` what is asked of them and of the API.
//! - `queries`, `many`, `gains`, `sums`, `consumer`, `seeding` and `files` are sections of the benchmark.

mod consumer;
mod files;
mod gains;
mod many;
mod queries;
mod questions;
mod raw;
mod seeding;
mod sums;

use super::section::Section;

/// The sections, in the order in which they run.
#[must_use]
pub fn sections() -> Vec<Section> {
    vec![
        queries::SECTION,
        gains::SECTION,
        sums::SECTION,
        consumer::SECTION,
        seeding::SECTION,
        files::SECTION,
        many::SECTION,
    ]
}
