//! The plan of a comparison.

use std::path::PathBuf;

use coupon_lab::Setup;
use coupon_loadgen::http::Target;
use coupon_loadgen::load::LoadSpec;
use coupon_report::require::Limit;
use coupon_strategies::Spec;

use super::growth::PlannedGrowth;
use super::servers::ServersChoice;

/// The plan of a comparison.
#[derive(Debug)]
pub struct CompareOptions {
    /// Contestants to start.
    pub contestants: Vec<Spec>,
    /// Services that run already.
    pub targets: Vec<Target>,
    /// The contestants' common settings; their servers follow from the next field.
    pub setup: Setup,
    /// The servers that there are to be.
    pub servers: ServersChoice,
    /// The cores that each shard's server may use.
    pub shard_cpu: Option<f64>,
    /// The number of rounds.
    pub rounds: u32,
    /// The load of every round, but for its seed: each round has its own, drawn from this one's. A trace is sent once,
    /// a part of it each round.
    pub load: LoadSpec,
    /// The workload's name: its file, if it has one.
    pub workload: String,
    /// Notes on the load for the reader of the report.
    pub notes: Vec<String>,
    /// The change of each contestant's layout in the middle of each turn. Every turn is then on data seeded for it, and
    /// its load keeps each request.
    pub growth: Option<PlannedGrowth>,
    /// The limits that figures must keep.
    pub limits: Vec<Limit>,
    /// The folder for the report.
    pub out: PathBuf,
}
