//! The servers of a stack, by number and kind.

use std::fmt;
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

/// The servers that a stack has beside its main database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
// The record of a stack of before names shards alone.
#[serde(default)]
pub struct Topology {
    /// The number of shards, each a database server. 4 by default.
    pub shards: NonZeroU16,
    /// Gives main and each shard a replica, which [`crate::Stack::promote`] has take writes. False by default.
    pub replicas: bool,
    /// The number of Redis, each a gate of its own. 1 by default.
    pub redis: NonZeroU16,
    /// Gives a single Redis a replica, and three Sentinels that elect it within seconds where Redis is gone. False by default.
    pub redis_sentinel: bool,
    /// The number of nodes of RabbitMQ, all of one cluster. 1 by default.
    pub rabbitmq: NonZeroU16,
    /// The number of shards of an engine (Vitess) over the shards' databases: 1, 2, 4, 8 or so on. None by default; a folder
    /// keeps the engine that it has.
    // A change of shards is no other stack: the record has the tablets in the place of this.
    #[serde(skip)]
    pub engine: Option<NonZeroU16>,
}

impl Default for Topology {
    fn default() -> Self {
        const SHARDS: NonZeroU16 = NonZeroU16::new(4).unwrap();
        const ONE: NonZeroU16 = NonZeroU16::MIN;
        Self {
            shards: SHARDS,
            replicas: false,
            redis: ONE,
            redis_sentinel: false,
            rabbitmq: ONE,
            engine: None,
        }
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shards, replicas, redis, redis_sentinel, rabbitmq, engine } = self;
        let with = |has: bool| if has { "with" } else { "without" };
        let (replicas, sentinels) = (with(*replicas), with(*redis_sentinel));
        write!(
            f,
            "{shards} shards {replicas} replicas, {redis} Redis {sentinels} Sentinels, and RabbitMQ of {rabbitmq}"
        )?;
        engine.map_or(Ok(()), |engine| write!(f, ", and an engine of {engine}"))
    }
}
