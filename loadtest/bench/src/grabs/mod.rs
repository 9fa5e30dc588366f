//! The sections about grabs: rates, latency, holds and what becomes of them, memory, routing, the start of a service,
//! the generator's own cost.

mod batching;
mod curves;
mod disk;
mod embedded;
mod from_memory;
mod gates;
mod generator;
mod load_kind;
mod measured;
mod overload;
mod reconciler;
mod room_index;
mod routing;
mod sale;
mod sample;
mod start;
mod top_rate;
mod turns;

use super::section::Section;
pub(super) use load_kind::LoadKind;
pub(super) use measured::{Measured, MemoryWatch, PLENTY, What};

/// The sections in the order in which they run: the cheap ones first, so that what is missing is soon known.
pub(super) fn sections() -> Vec<Section> {
    vec![
        routing::SECTION,
        generator::SECTION,
        embedded::SECTION,
        top_rate::SECTION,
        from_memory::SECTION,
        batching::SECTION,
        gates::SECTION,
        overload::SECTION,
        reconciler::SECTION,
        sale::SECTION,
        room_index::SECTION,
        curves::CONNECTIONS,
        curves::COUPONS,
        start::SECTION,
    ]
}
