//! A model of the grab's protocol, which a machine exhausts.
//!
//! Two users ask for a coupon of which there is one. Between them and the shard are the gate with its epochs, the
//! queue with its routing keys, main, consumer, reconciler and gatekeeper. Every order of their steps is tried, and
//! every crash and loss that a [scope](SearchScope) allows, until no new state is found: what docs/RELIABILITY.md promises
//! must hold in all of them. Each [mechanism](Mechanism) can be left out, and then the shortest history is shown that
//! breaks a promise: a mechanism that could be left out with nothing broken would be one too many.
//!
//! The model is not the code. It shows that the protocol is sound if its steps do what the model says they do; that the
//! code's steps do so is what tests on real servers and `make faults` show.

#![expect(clippy::indexing_slicing, reason = "arrays of a fixed, small size, indexed by numbers below it")]

mod check;
mod effects;
mod filling;
mod lease;
mod mechanism;
mod promise;
mod state;
mod step;
mod words;

pub use check::{Broken, SearchScope, Searched, search, search_all, search_leases};
pub use mechanism::Mechanism;
pub use state::Left;
