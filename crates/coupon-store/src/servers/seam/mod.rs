//! The seam between the protocol and its servers: what it asks of the gate, the queues, the shards and main, in its own
//! words. Redis, RabbitMQ and MySQL answer it where a service runs.

mod gate;

pub use gate::{GateError, GateServer, Held, Hold, Holders, Mark, Remembers};

pub use crate::servers::gate::Epoch;
pub use crate::terms::Terms;
