//! Queries of a room, answered by its shard of the index.

use std::sync::Arc;
use std::time::Instant;

use coupon_core::schema::Dialect;
use coupon_core::{CouponResult, ResultQuery, RoomId, ShardId, Timestamp};
use coupon_store::room_index::{RoomIndex, RoomPlaces, TABLE};
use coupon_store::statements::{self, Filter, Numbers};
use coupon_store::{LocalFuture, PageRequest, ResultSummary, Unavailable, Visited};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Row};

use crate::mysql::Database;
use crate::per_thread::PerThread;
use crate::status::ShardStatus;
use crate::values::{self, get};

/// The index, over each HTTP worker's own ways to the shards.
pub(crate) struct ServersRooms {
    pub(crate) places: RoomPlaces,
    pub(crate) databases: Vec<Database>,
    pub(crate) pools: PerThread<Vec<Database>>,
    pub(crate) status: Vec<Arc<ShardStatus>>,
}

impl ServersRooms {
    async fn connect(&self, shard: ShardId) -> Result<Conn, Unavailable> {
        let unavailable = |why: &dyn std::fmt::Display| Unavailable::new(format!("shard {shard}"), why);
        // What it lacks must not be called absent, and of a server that has just come nothing is known: all shards are
        // asked instead.
        if self.status.get(shard.index()).is_none_or(|status| status.has_lost_data() || !status.is_up()) {
            return Err(unavailable(&"it was down, or had lost data, when it was last looked at"));
        }
        let pools = self.pools.get(|| self.databases.iter().map(Database::with_own_pool).collect());
        let database = pools.get(shard.index()).ok_or_else(|| unavailable(&"there is no such shard"))?;
        database.connect().await.map_err(|error| unavailable(&error))
    }

    /// The moment before which the index there has everything; none until it has been brought up to every shard once.
    async fn known_as_of(&self, conn: &mut Conn) -> mysql_async::Result<Option<Timestamp>> {
        let told: Option<(usize, Option<i64>)> =
            conn.query_first("SELECT COUNT(*), MIN(as_of) FROM room_positions").await?;
        let (shards, as_of) = told.unwrap_or_default();
        let known = as_of.filter(|as_of| *as_of > 0 && shards >= self.databases.len());
        Ok(known.map(Timestamp::from_millis))
    }

    async fn ask<T>(
        &self,
        room: RoomId,
        sql: String,
        read: impl Fn(Vec<Row>) -> mysql_async::Result<T>,
    ) -> Result<Visited<T>, Unavailable> {
        let (asked, shard) = (Instant::now(), self.places.of(room));
        let mut conn = self.connect(shard).await?;
        let answer = async {
            // Before the rows: what comes later may be more than is promised, never less.
            let as_of = self.known_as_of(&mut conn).await?;
            let rows = conn.query(sql).await?;
            Ok((as_of, read(rows)?))
        };
        let failed = |error: mysql_async::Error| Unavailable::new(format!("shard {shard}"), error);
        let (as_of, value) = answer.await.map_err(failed)?;
        let as_of = as_of.ok_or_else(|| {
            Unavailable::new(
                format!("the room index on shard {shard}"),
                "not every shard has told it something",
            )
        })?;
        let took = asked.elapsed();
        if let Some(status) = self.status.get(shard.index()) {
            status.read.record(took);
        }
        Ok(Visited { value, tables: 1, took, as_of, missing: Vec::new() })
    }
}

impl RoomIndex for ServersRooms {
    fn places(&self) -> RoomPlaces {
        self.places
    }

    fn page(
        &self,
        room: RoomId,
        query: ResultQuery,
        page: PageRequest,
    ) -> LocalFuture<'_, Result<Visited<Vec<CouponResult>>, Unavailable>> {
        let (filter, limit) = (Filter::page(&query, page), i64::try_from(page.limit).unwrap_or(i64::MAX));
        let sql = statements::page(Dialect::MySql, TABLE, &filter, limit, Numbers::Written);
        Box::pin(self.ask(room, sql, |rows| rows.iter().map(values::result).collect()))
    }

    fn summary(
        &self,
        room: RoomId,
        query: ResultQuery,
    ) -> LocalFuture<'_, Result<Visited<ResultSummary>, Unavailable>> {
        let sql = statements::summary(TABLE, &Filter::of(&query), Numbers::Written);
        Box::pin(self.ask(room, sql, |rows| {
            let Some(row) = rows.first() else { return Ok(ResultSummary::default()) };
            let last_grab = get::<Option<i64>>(row, 1)?.map(Timestamp::from_millis);
            Ok(ResultSummary { results: get(row, 0)?, last_grab })
        }))
    }

    fn as_of(&self, shard: ShardId) -> LocalFuture<'_, Option<Timestamp>> {
        Box::pin(async move {
            let mut conn = self.connect(shard).await.ok()?;
            self.known_as_of(&mut conn).await.ok().flatten()
        })
    }
}
