//! The layout in MySQL: its versions, and a change of them as one transaction of main.

use std::num::NonZeroU16;

use async_trait::async_trait;
use coupon_core::{GateCount, GateId, Timestamp};
use coupon_store::{Moving, VersionRecord};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::catalogue::{lock_version, reach};
use super::main::{Locked, NOW, read_record};
use super::{Database, DatabaseError, MainDatabase, PATIENCE, change};
use crate::layouts;
use crate::seam::{ChangingLayout, LIVES_MS, LayoutServer, LayoutState, MoveOrder, MoverLock};

/// The lock of a process that has all rows in hand: a mover, an archive, a rebuild of the books, or a copy.
pub(crate) const BOOKS_LOCK: &str = "archive";

#[async_trait]
impl LayoutServer for MainDatabase {
    async fn layouts(&self) -> Result<Vec<VersionRecord>, DatabaseError> {
        let mut conn = self.database.connect().await?;
        self.database.patiently(PATIENCE, layouts::read(&mut conn)).await
    }

    async fn change_layout(&self, shards: NonZeroU16) -> Result<Box<dyn ChangingLayout>, DatabaseError> {
        let mut conn = self.database.connect_to_lock().await?;
        let now = self.now();
        let began = begin(&mut conn, self.gates, shards, &now);
        let state = self.database.patiently(PATIENCE, began).await?;
        Ok(Box::new(Changing { database: self.database.clone(), conn, state }))
    }

    async fn movement(&self) -> Result<Option<Moving>, DatabaseError> {
        let mut conn = self.database.connect().await?;
        self.database.patiently(PATIENCE, layouts::movement(&mut conn)).await
    }

    async fn order_movement(&self, order: MoveOrder) -> Result<Option<Moving>, DatabaseError> {
        let mut conn = self.database.connect().await?;
        self.database.patiently(PATIENCE, layouts::order(&mut conn, order)).await
    }

    async fn lock_mover(&self) -> Result<Option<Box<dyn MoverLock>>, DatabaseError> {
        // An archive and a rebuild of the books take it too.
        let conn = self.database.connect_to_lock().await?;
        let locked = self.lock(conn, BOOKS_LOCK, GateId::FIRST, NOW).await?;
        Ok(locked.map(|lock| Box::new(lock) as Box<dyn MoverLock>))
    }
}

#[async_trait]
impl MoverLock for Locked {
    async fn note(&mut self, moving: &Moving) -> Result<Option<Moving>, DatabaseError> {
        let Self { conn, database, .. } = self;
        let noted = async {
            layouts::note_progress(conn, moving).await?;
            layouts::movement(conn).await
        };
        database.patiently(PATIENCE, noted).await
    }
}

async fn begin(
    conn: &mut Conn,
    gates: GateCount,
    shards: NonZeroU16,
    now: &str,
) -> mysql_async::Result<LayoutState> {
    conn.query_drop("START TRANSACTION").await?;
    // A change of the catalogue, and the opening of an epoch, take this first.
    let catalogue = lock_version(conn).await?;
    let time: Option<i64> = conn.query_first(format!("SELECT {now}")).await?;
    let living = format!("SELECT name FROM processes WHERE seen > {now} - {LIVES_MS}");
    let (behind, narrow) = (
        format!("{living} AND catalogue_version < ? ORDER BY name"),
        format!("{living} AND shards < ? ORDER BY name"),
    );
    let behind = conn.exec(behind, (catalogue,)).await?;
    let narrow = conn.exec(narrow, (shards.get(),)).await?;
    Ok(LayoutState {
        versions: layouts::read(conn).await?,
        now: Timestamp::from_millis(time.unwrap_or(0)),
        catalogue,
        open_epochs: read_record(conn, gates).await?.open(),
        behind,
        narrow,
        movement: layouts::movement(conn).await?,
    })
}

/// The transaction goes with its connection.
struct Changing {
    database: Database,
    conn: Conn,
    state: LayoutState,
}

#[async_trait]
impl ChangingLayout for Changing {
    fn state(&self) -> &LayoutState {
        &self.state
    }

    async fn commit(
        self: Box<Self>,
        versions: &[VersionRecord],
        moving: Option<&Moving>,
        operator: &str,
        what: &str,
    ) -> Result<(), DatabaseError> {
        let Self { database, mut conn, state } = *self;
        let (catalogue, now) = (state.catalogue + 1, state.now.millis().to_string());
        let committed = async {
            for version in versions {
                layouts::write(&mut conn, version).await?;
            }
            if let Some(moving) = moving {
                layouts::write_movement(&mut conn, moving, operator).await?;
            }
            change::record_plain(&mut conn, catalogue, &now, operator, what).await?;
            reach(&mut conn, catalogue).await?;
            conn.query_drop("COMMIT").await
        };
        database.patiently(PATIENCE, committed).await
    }
}
