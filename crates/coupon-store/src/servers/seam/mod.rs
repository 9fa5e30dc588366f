//! The seam between the protocol and its servers: what it asks of the gate, the queues, the shards and main, in its own
//! words. Redis, RabbitMQ and MySQL answer it where a service runs.

mod gate;
mod queue;
mod shard;

pub use gate::{GateError, GateServer, Held, Hold, Holders, Mark, Remembers};
pub use queue::{
    BrokerError, Delivery, Publish, PublishError, QueueAdmin, QueueConsumer, QueueServer, QueueState, Route,
    Until,
};
pub use shard::{
    Alike, Begun, DatabaseError, Inserted, Look, Marker, Note, OutboxEntry, ReadsHolds, ShardServer,
    ShardState, Storing, StoringError,
};

pub use crate::servers::gate::Epoch;
pub use crate::terms::Terms;
