//! The versions of a data set's layout, and the places of its shards, as main has them.

use anyhow::Context as _;
use coupon_core::{Timestamp, VersionNumber};
use coupon_store::VersionRecord;
use coupon_store::clock::Clock;
use coupon_store::moving::ShardMoves;
use mysql_async::prelude::Queryable;

use super::Cluster;
use super::label::{Label, read_meta};
use crate::mysql::{Database, DatabaseError, LAYOUT, code, has_code, read_moves};
use crate::{layouts, mains_time, places};

/// A shard's notes on the layout.
pub(super) struct Noted {
    moves: ShardMoves,
    /// The latest version that was announced to the shard.
    told: VersionNumber,
}

impl Noted {
    pub(super) async fn read(database: &Database) -> Result<Self, DatabaseError> {
        let told = read_meta(database, "shard_meta").await?.get(LAYOUT).and_then(|told| told.parse().ok());
        Ok(Self { moves: read_moves(database).await?, told: told.unwrap_or(0) })
    }

    /// Refuses versions of main that lack one which it has noted. They are to be read after it: main has a version before any
    /// shard has to do with it.
    pub(super) fn ensure_known(&self, database: &Database, versions: &[VersionRecord]) -> anyhow::Result<()> {
        layouts::ensure_known(self.moves, versions)
            .and_then(|()| layouts::ensure_told(self.told, versions))
            .with_context(|| format!("cannot use {database}"))
    }
}

impl Cluster {
    /// Judges whether rows have ever moved from any shard.
    ///
    /// # Errors
    /// When main has forgotten a version of the layout that a shard knows of, or a database cannot be asked.
    pub(crate) async fn has_moved(&self) -> anyhow::Result<bool> {
        let mut noted = Vec::new();
        for (_, database) in self.numbered() {
            noted.push((database, Noted::read(database).await?));
        }
        let mut conn = self.main.connect().await?;
        let versions = layouts::read(&mut conn).await.map_err(|error| self.main.error(&error))?;
        noted.iter().try_for_each(|(database, noted)| noted.ensure_known(database, &versions))?;
        Ok(noted.iter().any(|(_, noted)| noted.moves.moving_from > 0))
    }

    /// The versions of the layout, from the first on.
    pub(crate) async fn versions(&self, label: &Label) -> Result<Vec<VersionRecord>, DatabaseError> {
        let mut conn = self.main.connect().await?;
        let read = match layouts::read(&mut conn).await {
            // A data set of long before has no list of them.
            Err(error) if label.of_before && has_code(&error, code::NO_TABLE) => Vec::new(),
            read => read.map_err(|error| self.main.error(&error))?,
        };
        if read.is_empty() && label.of_before {
            return Ok(vec![layouts::first(&label.layout, Timestamp::from_millis(0))]);
        }
        Ok(read)
    }

    /// Records the first version of the layout, unless versions are recorded already, and the places of the shards.
    pub(crate) async fn record_first(
        &self,
        conn: &mut impl Queryable,
        layout: &str,
    ) -> mysql_async::Result<()> {
        let now: Option<i64> =
            conn.query_first(format!("SELECT {}", mains_time::expression(&Clock::system()))).await?;
        let first = layouts::first(layout, Timestamp::from_millis(now.unwrap_or(0)));
        if layouts::read(conn).await?.is_empty() {
            layouts::write(conn, &first).await?;
        }
        let shards = u16::try_from(self.shards.len()).unwrap_or(u16::MAX);
        places::record(conn, &self.places, shards).await
    }
}
