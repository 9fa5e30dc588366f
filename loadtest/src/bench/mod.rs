//! The benchmark: one run that measures what the project promises of its speed, each figure beside its ceiling.
//!
//! Absolute rates say more about the machine than about the service, and a machine's speed drifts within minutes. So
//! nearly every row is a ratio, of two kinds that take turns within one section, in an order drawn anew for each round.
//! - [`model`] has what comes out, [`section`] what a part of the benchmark is, [`context`] what the parts share.

pub mod context;
pub mod model;
pub mod section;

use section::Section;

/// All sections, in the order in which they run.
#[must_use]
pub fn sections() -> Vec<Section> {
    let mut sections = Vec::new();
    sections.extend(grabs());
    sections.extend(storage());
    sections
}

/// What grabs, routing and the generator cost.
fn grabs() -> Vec<Section> {
    Vec::new()
}

/// What storing and querying cost.
fn storage() -> Vec<Section> {
    Vec::new()
}
