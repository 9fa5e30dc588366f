//! The parts that a sale takes which is larger than one machine: on paper, from what each part was measured to cost.
//!
//! A service batches the grabs of each worker for each gate, and sends what a batch was granted as one message to each shard. So
//! the more workers, gates and shards there are, the smaller are batches and messages, and the more a grab costs: what is needed
//! is not what one machine does, times a number.

mod costs;
mod parts;
mod render;
mod sale;
mod work;

use coupon_measure::Machine;
use serde::Serialize;

pub use costs::Costs;
pub use render::text;
pub use sale::Sale;
use work::SaleWork;

/// The parts of sales of several sizes.
#[derive(Debug, Clone, Serialize)]
pub struct SaleSizes {
    /// What was assumed.
    pub sale: Sale,
    /// The time at which the costs were measured, RFC 3339.
    pub measured: String,
    /// The machine that they were measured on.
    pub on: Machine,
    /// One for each size.
    pub plans: Vec<SalePlan>,
}

/// The parts that a sale takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SalePlan {
    /// Grabs a second.
    pub grabs: u64,
    /// Its parts; the one that is full first as the sale grows comes first.
    pub parts: Vec<SalePart>,
    /// Machines, each for one kind of parts.
    pub machines: u64,
    /// Cores that are busy.
    pub cores: f64,
    /// What the machines cost in an hour, where it was said what a core does.
    pub euros_an_hour: Option<f64>,
    /// Grabs of one worker that one gate decides at once.
    pub batch: f64,
    /// Milliseconds in which as many come in; none where nothing is granted.
    pub batch_ms: Option<f64>,
    /// Rows of a message.
    pub rows_a_message: f64,
    /// Rows a second by which the queues grow.
    pub queued_rows: f64,
    /// What no number of parts is enough for.
    pub limits: Vec<String>,
    /// The measured costs.
    pub costs: Vec<MeasuredCost>,
}

/// A kind of parts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SalePart {
    /// Its name.
    pub name: &'static str,
    /// The grabs a second that a single one takes (of RabbitMQ, the fewest nodes that have each message), where it has to do with
    /// grabs.
    pub one_takes: Option<f64>,
    /// The number that is needed.
    pub needed: u64,
    /// The machines and what they do; none for what lives on those of another part.
    pub machines: Option<PartMachines>,
}

/// The machines of a kind of parts, copies and replicas included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PartMachines {
    /// The number of machines.
    pub number: u64,
    /// Cores that are busy on them.
    pub cores: f64,
    /// Bytes a second that they send and receive.
    pub bytes: f64,
}

/// A cost that was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeasuredCost {
    /// What costs it.
    pub what: &'static str,
    /// The cost.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// The rows of the benchmark that it is from, or the option.
    pub from: &'static str,
}

/// Sizes a sale for each of these grabs a second.
#[must_use]
pub fn size(grabs: &[u64], sale: Sale, costs: &Costs) -> SaleSizes {
    let plans = grabs.iter().map(|grabs| SaleWork::new(*grabs, &sale, costs).plan()).collect();
    SaleSizes { sale, measured: costs.date.clone(), on: costs.machine.clone(), plans }
}

#[cfg(test)]
mod tests;
