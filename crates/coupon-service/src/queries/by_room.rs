//! Queries of a room alone: answered by one shard, where the data set has a room index.

use coupon_core::{ResultQuery, RoomId, Timestamp};
use coupon_store::{LocalFuture, RoomIndex, Unavailable, Visit, Visited};

use super::{Answered, Queries, Round};

impl Queries {
    /// Asks the room index, if there is one and the query is its business. Where it does not answer there is no answer here, and
    /// the caller is to ask the shards that the layout names: the plan in the answer shows which of the two it was.
    pub(super) async fn ask_index<'a, T>(
        &'a self,
        query: &ResultQuery,
        now: Timestamp,
        ask: impl Fn(&'a dyn RoomIndex, RoomId) -> LocalFuture<'a, Result<Visited<T>, Unavailable>>,
    ) -> Option<(T, Answered)> {
        let index = self.backend.room_index.as_deref()?;
        let room = query.room.filter(|_| query.user.is_none())?;
        let visits = vec![(index.places().of(room).into(), Visit::Tables(Vec::new()))];
        let Round { values, answered, .. } = self.visit(visits, now, &|_, _| ask(index, room)).await;
        values.into_iter().next().map(|(_, value)| (value, answered))
    }
}
