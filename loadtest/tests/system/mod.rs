//! The whole system, put together as its users do: services as processes, load, crashes, midnight, and the audit.

mod advised;
mod baselines;
mod common;
mod crash;
mod full_disk;
mod growing;
mod midnight;
mod own;
mod recorded;
mod replay;
mod servers;
mod start;
mod verdicts;
mod vertical;
mod workloads;
