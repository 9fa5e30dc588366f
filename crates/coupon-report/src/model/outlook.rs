//! The effect of more shards, as far as routing alone decides it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Figure;

/// The contestants at other numbers of shards: their strategies, routing the grabs of the run's own workload.
///
/// Nothing of it was timed: the place of a row and the shards that a query visits do not depend on machines.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outlook {
    /// Grabs that were routed for each case, drawn as those of the rounds are.
    pub grabs: u64,
    /// The days over which stored rows lie, for the queries.
    pub days: u32,
    /// One case for each contestant and number of shards: its own, 16, 64 and 1,024.
    pub cases: Vec<OutlookCase>,
}

/// One contestant with another number of shards.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OutlookCase {
    /// The contestant whose strategy it is.
    pub contestant: String,
    /// The number of shards.
    pub shards: u16,
    /// All rows ÷ the hottest shard's rows.
    pub effective_shards: Figure,
    /// The hottest shard's share ÷ the fair share.
    pub skew: Figure,
    /// Shards that got no row at all.
    pub idle_shards: u64,
    /// Shards that a query visits, on average over 500, by endpoint.
    pub visits: BTreeMap<String, f64>,
}

impl Outlook {
    /// The case of a contestant with so many shards.
    #[must_use]
    pub fn case(&self, contestant: &str, shards: u16) -> Option<&OutlookCase> {
        self.cases.iter().find(|case| case.contestant == contestant && case.shards == shards)
    }
}
