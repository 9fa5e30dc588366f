//! Keeps the room index up, where there is one.

use std::sync::Arc;
use std::time::Duration;

use coupon_core::{ShardId, Timestamp};
use coupon_store::Unavailable;
use coupon_store::outage::TaskOutage;
use futures_util::future::join_all;

use super::background::Background;

/// The time for which entries gather.
const GATHER: Duration = Duration::from_secs(1);

impl Background {
    /// Carries to the room index what shards have committed, until this process stops.
    pub(super) async fn keep_rooms_up(self: Arc<Self>) {
        let Some(rooms) = &self.rooms else { return };
        let outage =
            |to| TaskOutage::of_shard(to, "the room index is told later", "the room index is kept up again");
        let outages: Vec<TaskOutage> = rooms.places.all().map(outage).collect();
        let as_of = |shard| self.stored_as_of(shard);
        let keep = async |(to, outage): (ShardId, &TaskOutage)| {
            while !self.signals.stopping() {
                outage.tried(&rooms.carry_all_to(to, &as_of).await);
                tokio::time::sleep(GATHER).await;
            }
        };
        // Each at its own pace: one that does not answer holds up no other.
        join_all(rooms.places.all().zip(&outages).map(keep)).await;
    }

    /// Carries to the room index everything that was committed before.
    pub(super) async fn tell_rooms(&self) -> Result<(), Unavailable> {
        let Some(rooms) = &self.rooms else { return Ok(()) };
        for (shard, carried) in rooms.places.all().zip(rooms.carry(&|shard| self.stored_as_of(shard)).await) {
            carried.map_err(|error| {
                Unavailable::new(format!("the room index on shard {shard}"), format!("{error:#}"))
            })?;
        }
        Ok(())
    }

    /// The moment before which a shard has stored every grab acknowledged; none while it is away, or has lost data.
    fn stored_as_of(&self, shard: ShardId) -> Option<Timestamp> {
        let status = self.status.get(shard.index())?;
        (status.is_up() && !status.has_lost_data()).then(|| status.look().as_of)
    }
}
