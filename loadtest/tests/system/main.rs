//! The whole system, put together as its users do: services as processes, load, crashes, midnight, and the audit.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
mod crash;
mod full_disk;
mod midnight;
#[path = "../receipts/mod.rs"]
mod receipts;
mod recorded;
mod replay;
mod servers;
mod start;
mod workloads;
