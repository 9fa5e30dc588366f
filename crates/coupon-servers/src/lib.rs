//! The servers' backend: one main MySQL, MySQL shards, Redis and RabbitMQ, shared by any number of processes.
//!
//! A grab passes the gate, one script in Redis; is handed over to its shard's queue, and answered when the queue has
//! confirmed it on disk. A consumer stores it later, and its change is applied to main. Whatever can be lost on the
//! way is found again: see docs/ARCHITECTURE.md.

pub mod books;
pub mod broker;
pub mod bulk;
pub mod cluster;
pub mod copied;
mod copying;
pub mod engine;
#[cfg(test)]
mod first_shard;
mod format;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod gate;
pub mod gates;
pub mod markers;
mod marks;
pub mod mysql;
pub mod names;
pub mod rebuild;
pub mod rooms;
pub mod seam;
pub mod wipe;

pub mod at_work;
mod catalogue;
mod columns;
mod counts;
mod growth;
mod hand_over;
pub mod lane;
mod layouts;
mod lifecycle;
pub mod mains_time;
mod open;
mod outbox;
mod own_metrics;
mod per_thread;
mod places;
mod process;
mod shards;
mod sql;
mod status;
mod stock;
mod tasks;
mod tls;
mod upgrade;
mod values;
mod waits;

pub use stock::take_off as take_off_stock;

pub use open::{Options, connect_decided_by, fill_gates, open, open_decided_by};
