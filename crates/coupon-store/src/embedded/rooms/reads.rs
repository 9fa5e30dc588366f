//! Queries of a room, answered by its shard of the index.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use coupon_core::{CouponResult, ResultQuery, RoomId, ShardId, Timestamp};
use rusqlite::Connection;

use crate::embedded::reader::Readers;
use crate::embedded::sql;
use crate::embedded::state::SharedShard;
use crate::room_index::{RoomIndex, RoomPlaces, TABLE};
use crate::{LocalFuture, PageRequest, ResultSummary, Unavailable, Visit, Visited};

/// The index, with every shard's readers.
pub(in crate::embedded) struct FolderRooms {
    pub(in crate::embedded) places: RoomPlaces,
    pub(in crate::embedded) readers: Arc<[(Readers, Arc<SharedShard>)]>,
    /// The `as_of` of each shard of the index; 0 while it is not known.
    pub(in crate::embedded) as_of: Vec<Arc<AtomicI64>>,
}

impl FolderRooms {
    fn known_as_of(&self, shard: ShardId) -> Option<Timestamp> {
        let as_of = self.as_of.get(shard.index())?.load(Ordering::Acquire);
        (as_of > 0).then(|| Timestamp::from_millis(as_of))
    }

    fn ask<T: Send + 'static>(
        &self,
        room: RoomId,
        read: impl Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> LocalFuture<'_, Result<Visited<T>, Unavailable>> {
        let shard = self.places.of(room);
        let unknown = |why| Unavailable::new(format!("the room index on shard {shard}"), why);
        // Before it is read: what comes later may be more than is promised, never less.
        let as_of = self.known_as_of(shard).ok_or_else(|| unknown("it was just opened"));
        let readers = self.readers.get(shard.index()).ok_or_else(|| unknown("there is no such shard"));
        Box::pin(async move {
            let (as_of, (readers, _)) = (as_of?, readers?);
            let visited = readers.ask(Visit::Tables(Vec::new()), move |db, _| Ok((read(db)?, 1))).await?;
            Ok(Visited { as_of, ..visited })
        })
    }
}

impl RoomIndex for FolderRooms {
    fn places(&self) -> RoomPlaces {
        self.places
    }

    fn page(
        &self,
        room: RoomId,
        query: ResultQuery,
        page: PageRequest,
    ) -> LocalFuture<'_, Result<Visited<Vec<CouponResult>>, Unavailable>> {
        self.ask(room, move |db| sql::page(db, TABLE, &query, page))
    }

    fn summary(
        &self,
        room: RoomId,
        query: ResultQuery,
    ) -> LocalFuture<'_, Result<Visited<ResultSummary>, Unavailable>> {
        self.ask(room, move |db| sql::summary(db, TABLE, &query))
    }

    fn as_of(&self, shard: ShardId) -> LocalFuture<'_, Option<Timestamp>> {
        Box::pin(std::future::ready(self.known_as_of(shard)))
    }
}
