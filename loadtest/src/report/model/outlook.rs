//! What more shards would change, as far as routing alone decides it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Figure;

/// The contestants at other numbers of shards: their strategies, routing the grabs of the run's own workload.
///
/// Nothing of it was timed: where a row goes and which shards a query visits do not depend on machines.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outlook {
    /// Grabs that were routed for each case, drawn as those of the rounds are.
    pub grabs: u64,
    /// Over how many days stored rows lie, for the queries.
    pub days: u32,
    /// By contestant and number of shards.
    pub cases: Vec<OutlookCase>,
}

/// One contestant with so many shards.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OutlookCase {
    /// Whose strategy.
    pub contestant: String,
    /// With how many shards.
    pub shards: u16,
    /// All rows ÷ the hottest shard's rows.
    pub effective_shards: Figure,
    /// The hottest shard's share ÷ the fair share.
    pub skew: Figure,
    /// Shards that got no row at all.
    pub idle_shards: u64,
    /// Shards that a query visits, on average, by endpoint.
    pub visits: BTreeMap<String, f64>,
}

impl Outlook {
    /// The case of a contestant with so many shards.
    #[must_use]
    pub fn case(&self, contestant: &str, shards: u16) -> Option<&OutlookCase> {
        self.cases.iter().find(|case| case.contestant == contestant && case.shards == shards)
    }
}
