//! The load tester itself: what its advice costs, and how often it errs about services that are equal.

mod advise;
mod child;
mod equal;
mod sources;
mod table;

use super::section::Section;

/// The sections in the order in which they run.
pub(super) fn sections() -> Vec<Section> {
    vec![advise::SECTION, equal::SECTION]
}
