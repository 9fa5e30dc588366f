//! The servers of a stack, by number and kind.

use std::fmt;
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

/// The servers that a stack has beside its main database and its Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
// The record of a stack of before names shards alone.
#[serde(default)]
pub struct Topology {
    /// The number of shards, each a database server. 4 by default.
    pub shards: NonZeroU16,
    /// Gives main and each shard a replica, which [`crate::Stack::promote`] has take writes. False by default.
    pub replicas: bool,
    /// Gives Redis a replica, and three Sentinels that elect it within seconds where Redis is gone. False by default.
    pub redis_sentinel: bool,
    /// The number of nodes of RabbitMQ, all of one cluster. 1 by default.
    pub rabbitmq: NonZeroU16,
}

impl Default for Topology {
    fn default() -> Self {
        const SHARDS: NonZeroU16 = NonZeroU16::new(4).unwrap();
        Self { shards: SHARDS, replicas: false, redis_sentinel: false, rabbitmq: NonZeroU16::MIN }
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shards, replicas, redis_sentinel, rabbitmq } = self;
        let with = |has: bool| if has { "with" } else { "without" };
        let (replicas, sentinels) = (with(*replicas), with(*redis_sentinel));
        write!(
            f,
            "{shards} shards {replicas} replicas, Redis {sentinels} Sentinels, and RabbitMQ of {rabbitmq}"
        )
    }
}
