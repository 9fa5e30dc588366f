//! Starts the servers of the `servers` backend as private child processes: one main database, the shards, Redis and
//! RabbitMQ. For development, tests and faults; not for production.
//!
//! What may fail over is there by [`Topology`]: replicas of the databases, a replica of Redis with Sentinels, several nodes of
//! RabbitMQ.
//!
//! Everything is private to a [`Stack`]: its folder, its ports (loopback only), its passwords, its Erlang nodes and
//! the port mapper of those. So any number of stacks runs on one machine. A stack never outlives its owner: it is
//! stopped when dropped, and by a guardian process when the owner is gone, however it went (`kill -9` included). Only
//! [`Stack::leave_running`] lets it.
//!
//! The servers come from the machine's packages ([`install::ensure`]). `COUPON_STACK_MYSQL=/path/to/mysqld` takes a
//! MySQL (8.4 or later) or MariaDB server of your own; with `COUPON_STACK_MYSQL_ROOT=DIR` that path is inside of
//! `DIR`, and the server runs under `chroot DIR`, which takes root. `COUPON_STACK_REDIS=/path/to/valkey-server` takes a Redis of
//! your own, or a Valkey.
//!
//! A stack may have an *engine* over its shards: Vitess, which shards by itself. It takes a MySQL server and the
//! programs that `make engine` builds, or those of `COUPON_STACK_VITESS=DIR`.
//!
//! ```no_run
//! use coupon_stack::{StackOptions, Server, Stack};
//!
//! # fn main() -> anyhow::Result<()> {
//! let stack = Stack::start(&StackOptions::default())?;
//! for setting in stack.addresses().settings() {
//!     // hash-svc --set …
//! }
//! stack.kill(Server::Shard(2))?;
//! stack.restart(Server::Shard(2))?;
//! # Ok(())
//! # }
//! ```

mod addresses;
mod cgroup;
pub mod cli;
mod engine;
mod fault_tools;
mod files;
mod guardian;
mod home;
pub mod install;
mod kind;
mod mysql;
mod node;
mod pair;
mod ports;
mod process;
mod programs;
mod rabbitmq;
mod record;
mod redis;
mod server;
mod stack;
mod tls;
mod topology;

pub use addresses::Addresses;
pub use fault_tools::SpareRedis;
pub use guardian::Guardian;
pub use process::Usage;
pub use server::{Server, UnknownServer};
pub use stack::{Stack, StackOptions, Status, joined};
pub use tls::Certificates;
pub use topology::Topology;
