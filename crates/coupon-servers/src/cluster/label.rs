//! Main's label of its data set.

use std::collections::HashMap;
use std::num::NonZeroU16;

use anyhow::{Context as _, bail, ensure};
use coupon_store::carried::COPYING;
use coupon_store::room_index::{self, RoomPlaces};
use mysql_async::TxOpts;
use mysql_async::prelude::Queryable as _;

use super::Cluster;
use crate::format::{self, FORMAT, FORMATS_BEFORE, SEVERAL_GATES};
use crate::mysql::{Database, DatabaseError, code, has_code};

/// The name under which main notes the keyspace of an engine.
const KEYSPACE: &str = "keyspace";

/// Main's label of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its id, which main and every shard share.
    pub dataset: String,
    /// The layout of its strategy at first.
    pub layout: String,
    /// Its number of shards, whether or not the layout uses all of them.
    pub shards: u16,
    /// True if it was filled to the end.
    pub complete: bool,
    /// True if an earlier version made it, and no service has brought it up to date.
    pub of_before: bool,
    /// The data set that it is to become a copy of, while it is not.
    pub copy_of: Option<String>,
    /// Its room index, if it has one.
    pub rooms: Option<RoomPlaces>,
    /// The keyspace of the engine that has its shards, if they are not run by hand.
    pub keyspace: Option<String>,
}

impl Cluster {
    /// Reads main's label of its data set; `None` when it holds none.
    ///
    /// # Errors
    /// When main cannot be asked.
    pub async fn label(&self) -> Result<Option<Label>, DatabaseError> {
        let meta = read_meta(&self.main, "meta").await?;
        let text = |name: &str| meta.get(name).cloned();
        let Some(dataset) = text("dataset") else { return Ok(None) };
        let shards = text("shards").and_then(|shards| shards.parse().ok()).unwrap_or(0);
        let (complete, of_before) = match text("format").as_deref() {
            Some(FORMAT | SEVERAL_GATES) => (true, false),
            Some(before) if FORMATS_BEFORE.contains(&before) => (true, true),
            None => (false, false),
            Some(other) => {
                let why = format!("its data has format {other}; this program knows {FORMAT}");
                return Err(self.main.failed(why, false));
            }
        };
        let copy_of = text(COPYING).filter(|_| !complete);
        let layout = text("layout").unwrap_or_default();
        let rooms = text(room_index::META).map(|value| RoomPlaces::read(&value)).transpose();
        let rooms = rooms.map_err(|error| self.main.failed(error.to_string(), false))?;
        let keyspace = text(KEYSPACE);
        Ok(Some(Label { dataset, layout, shards, complete, of_before, copy_of, rooms, keyspace }))
    }

    /// Writes what main says of a new data set, all or nothing. With a catalogue it is complete.
    pub(crate) async fn write_label(
        &self,
        dataset: &str,
        layout: &str,
        copy_of: Option<&str>,
        catalogue: &[String],
    ) -> anyhow::Result<()> {
        let write = async || {
            let mut conn = self.main.connect().await?;
            let failed = |error| self.main.error(&error);
            let mut transaction = conn.start_transaction(TxOpts::default()).await.map_err(failed)?;
            let shards = self.shards.len().to_string();
            let mut rows = vec![("dataset", dataset), ("layout", layout), ("shards", &shards)];
            rows.extend(copy_of.map(|source| (COPYING, source)));
            rows.extend(self.engine.as_ref().map(|engine| (KEYSPACE, engine.keyspace())));
            if !catalogue.is_empty() {
                rows.push(("format", format::of(self.gates.count())));
            }
            for row in rows {
                transaction
                    .exec_drop("REPLACE INTO meta (name, value) VALUES (?, ?)", row)
                    .await
                    .map_err(failed)?;
            }
            let key = format::of(self.gates.count());
            let gate = format!("INSERT INTO gate_state (id, epoch, open_epoch) VALUES ({key}, 0, 0)");
            for statement in ["DELETE FROM gate_state", "DELETE FROM gates", &*gate] {
                transaction.query_drop(statement).await.map_err(failed)?;
            }
            self.write_gates(&mut transaction, 0, 0).await.map_err(failed)?;
            self.record_first(&mut transaction, layout).await.map_err(failed)?;
            for statement in catalogue {
                transaction.query_drop(statement).await.map_err(failed)?;
            }
            transaction.commit().await.map_err(failed)
        };
        write().await.context("cannot write what main says of the new data set")
    }
}

impl Label {
    /// Its shards, which are at least one.
    #[must_use]
    pub fn shard_count(&self) -> NonZeroU16 {
        NonZeroU16::new(self.shards).unwrap_or(NonZeroU16::MIN)
    }

    /// Refuses a data set whose shards an engine has, for work that is done on shards that are run by hand.
    ///
    /// # Errors
    /// When it has; the message says so.
    pub fn ensure_by_hand(&self, main: &Database) -> anyhow::Result<()> {
        match &self.keyspace {
            Some(keyspace) => {
                bail!(
                    "{main}: an engine has the shards of its data set (keyspace {keyspace}), where this is not done"
                )
            }
            None => Ok(()),
        }
    }

    /// Refuses a data set that was not filled to the end.
    ///
    /// # Errors
    /// When it was not; the message says what can be done.
    pub fn ensure_complete(&self, main: &Database) -> anyhow::Result<()> {
        if let Some(source) = &self.copy_of {
            bail!(
                "{main}: a copy of data set {source} into it is under way, or was cut short: run the same `seeder copy` \
                 again, which goes on with it"
            );
        }
        ensure!(
            self.complete,
            "{main}: data set {} is incomplete, since filling it was cut short: seed it again, with --reset",
            self.dataset
        );
        Ok(())
    }
}

/// The names and values that a database holds of its data set; none without the database or the table.
pub(super) async fn read_meta(
    database: &Database,
    table: &'static str,
) -> Result<HashMap<String, String>, DatabaseError> {
    // First without choosing a database, so that "there is none" differs from "the server is away".
    let mut conn = database.connect_server().await?;
    let rows: Result<Vec<(String, String)>, _> =
        conn.query(format!("SELECT name, value FROM {}.{table}", database.name())).await;
    match rows {
        Ok(rows) => Ok(rows.into_iter().collect()),
        Err(error) if has_code(&error, code::NO_TABLE) || has_code(&error, code::NO_DATABASE) => {
            Ok(HashMap::new())
        }
        Err(error) => Err(database.error(&error)),
    }
}
