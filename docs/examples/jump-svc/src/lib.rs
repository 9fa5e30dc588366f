//! Jump consistent hash (Lamping and Veach, 2014): even, and one more shard moves only its fair share of users.

use std::num::NonZeroU16;
use std::sync::Arc;

use coupon_core::{
    Growth, Mix, Placement, Plan, ResultQuery, RouteError, RowKey, ShardId, ShardingStrategy, UserId,
};

/// Places a result by the jump hash of its user, over so many shards.
#[derive(Debug)]
pub struct Jump(pub NonZeroU16);

impl Jump {
    fn home(&self, user: UserId) -> Placement {
        let (mut key, mut shard, mut next) = (Mix::Xxh3.hash(user.get()), 0, 0);
        while next < u64::from(self.0.get()) {
            shard = next;
            key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
            next = ((shard + 1) as f64 * ((1_u64 << 31) as f64 / ((key >> 33) + 1) as f64)) as u64;
        }
        Placement::single(ShardId::new(shard as u16))
    }
}

impl ShardingStrategy for Jump {
    fn name(&self) -> &str {
        "jump"
    }

    fn shard_count(&self) -> NonZeroU16 {
        self.0
    }

    fn place(&self, row: &RowKey) -> Result<Placement, RouteError> {
        Ok(self.home(row.user))
    }

    fn plan(&self, query: &ResultQuery) -> Plan {
        query.user.map_or(Plan::All, |user| Plan::One(self.home(user)))
    }

    fn growths(&self, shards: NonZeroU16) -> Vec<Growth> {
        vec![Growth { how: "jump on", after: Arc::new(Self(shards)) }]
    }
}
