//! All lanes of an engine as one place to ask: it plans what is asked there, and asks every shard.

use coupon_core::{Lanes, ShardId, TableId};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::errors::{missing_shard, past_switches};
use crate::lane::QueryRoute;
use crate::mysql::{Database, DatabaseError};
use crate::sql::Question;

/// The way to all lanes at once.
#[derive(Debug, Clone)]
pub(crate) struct AllLanes {
    keyspace: Database,
    lanes: Lanes,
}

/// What is said of a shard that did not answer: the level, a number, and the text.
type WarningRow = (String, u16, String);

impl AllLanes {
    pub(super) const fn new(keyspace: Database, lanes: Lanes) -> Self {
        Self { keyspace, lanes }
    }

    /// The same, with its own pool, for another runtime.
    pub(crate) fn with_own_pool(&self) -> Self {
        Self { keyspace: self.keyspace.with_own_pool(), ..self.clone() }
    }

    /// Asks about the one table of results, and again where shards are switched meanwhile. Also says how many tables were read,
    /// and which lanes are missing in the answer.
    pub(crate) async fn ask<Q: Question>(
        &self,
        question: &Q,
    ) -> Result<(Q::Answer, u64, Vec<ShardId>), DatabaseError> {
        let mut conn = self.keyspace.connect().await?;
        let planned = QueryRoute::Planned;
        let asked = past_switches(async || question.ask(&mut conn, planned, &[TableId::Single], false).await);
        let (answer, tables) = asked.await.map_err(|error| self.keyspace.error(&error))?;
        let missing = self.missing(&mut conn).await?;
        Ok((answer, tables, missing))
    }

    /// The lanes that were missing when a connection was asked last.
    async fn missing(&self, conn: &mut Conn) -> Result<Vec<ShardId>, DatabaseError> {
        if conn.get_warnings() == 0 {
            return Ok(Vec::new());
        }
        let warnings: Vec<WarningRow> =
            conn.query("SHOW WARNINGS").await.map_err(|error| self.keyspace.error(&error))?;
        let mut missing = Vec::new();
        for (_, _, text) in &warnings {
            let shard = missing_shard(self.keyspace.name(), text);
            let shard = shard.map_err(|why| self.keyspace.failed(why, true))?;
            missing.extend(shard.into_iter().flat_map(|shard| self.lanes.within(shard)));
        }
        missing.sort_unstable();
        missing.dedup();
        Ok(missing)
    }
}
