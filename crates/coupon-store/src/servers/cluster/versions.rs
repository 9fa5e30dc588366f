//! The versions of a data set's layout, and the places of its shards, as main has them.

use coupon_core::Timestamp;
use mysql_async::prelude::Queryable;

use super::Cluster;
use super::label::Label;
use crate::VersionRecord;
use crate::clock::Clock;
use crate::servers::mysql::{DatabaseError, code, has_code};
use crate::servers::{layouts, mains_time, places};

impl Cluster {
    /// The versions of the layout, from the first on.
    pub(super) async fn versions(&self, label: &Label) -> Result<Vec<VersionRecord>, DatabaseError> {
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
    pub(in crate::servers) async fn record_first(
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
