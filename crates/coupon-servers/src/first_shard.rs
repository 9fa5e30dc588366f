//! A strategy for tests of what does not depend on one.

use std::num::NonZeroU16;

use coupon_core::{Placement, Plan, ResultQuery, RouteError, RowKey, ShardId, ShardingStrategy};

/// Everything on the first of so many shards.
#[derive(Debug)]
pub(crate) struct FirstOf(pub(crate) u16);

impl ShardingStrategy for FirstOf {
    fn name(&self) -> &str {
        "first-of"
    }
    fn shard_count(&self) -> NonZeroU16 {
        NonZeroU16::new(self.0).unwrap()
    }
    fn place(&self, _: &RowKey) -> Result<Placement, RouteError> {
        Ok(Placement::single(ShardId::new(0)))
    }
    fn plan(&self, _: &ResultQuery) -> Plan {
        Plan::All
    }
}
