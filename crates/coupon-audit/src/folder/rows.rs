//! The tables of a data folder, row by row.

use std::fmt;

use anyhow::{Context as _, Result};
use coupon_core::{Placement, ShardId};
use rusqlite::{Connection, Row};

use crate::books::Line;
use crate::life::Life;
use crate::room_index;
use crate::source::{Grab, Rows, Spent, Stored, Wanted};

/// The files, each inside a read transaction.
pub(super) struct Files {
    pub(super) main: Connection,
    pub(super) shards: Vec<Connection>,
}

impl Files {
    fn of(&self, place: Placement) -> Result<&Connection> {
        self.shard(place.shard)
    }

    fn shard(&self, shard: ShardId) -> Result<&Connection> {
        self.shards.get(shard.index()).with_context(|| format!("there is no shard {shard}"))
    }

    fn each_of(&self, shard: ShardId, table: impl fmt::Display, row: &mut dyn FnMut(Stored)) -> Result<()> {
        let sql = format!("SELECT {}, {CENTS} FROM {table}", Stored::COLUMNS);
        let mut statement = self.shard(shard)?.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(next) = rows.next()? {
            row(stored(next)?);
        }
        Ok(())
    }
}

impl Rows for Files {
    fn each(&mut self, place: Placement, row: &mut dyn FnMut(Stored)) -> Result<()> {
        self.each_of(place.shard, place.table, row)
    }

    fn indexed(&mut self, shard: ShardId, row: &mut dyn FnMut(Stored)) -> Result<()> {
        self.each_of(shard, room_index::TABLE, row)
    }

    fn lines(&mut self, line: &mut dyn FnMut(Line)) -> Result<()> {
        let sql = format!("SELECT {} FROM stock_logs ORDER BY coupon_id, log_id", Line::COLUMNS);
        let mut statement = self.main.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            line(Line {
                id: row.get(0)?,
                coupon: row.get(1)?,
                operation: row.get(2)?,
                before: row.get(3)?,
                after: row.get(4)?,
                operator: row.get(5)?,
                shard: row.get(6)?,
                entry: row.get(7)?,
            });
        }
        Ok(())
    }

    fn find(&mut self, place: Placement, wanted: Wanted) -> Result<Vec<Grab>> {
        let (condition, parameters) = match wanted {
            Wanted::Result(id) => ("result_id = ?1", vec![id]),
            Wanted::Holding { user, coupon } => ("user_id = ?1 AND coupon_id = ?2", vec![user, coupon]),
        };
        let sql = format!("SELECT result_id, user_id, coupon_id FROM {} WHERE {condition}", place.table);
        let mut statement = self.of(place)?.prepare_cached(&sql)?;
        let found = statement.query_map(rusqlite::params_from_iter(parameters), grab)?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    fn newest(&mut self, place: Placement) -> Result<Option<i64>> {
        let sql = format!("SELECT max(result_id) FROM {}", place.table);
        Ok(self.of(place)?.query_row(&sql, [], |row| row.get(0))?)
    }
}

/// An amount as SQLite holds it, which has no decimals, in cents.
pub(super) const CENTS: &str = "CAST(ROUND(order_amount * 100) AS INTEGER)";

/// The columns of [`Stored`].
pub(super) fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        grab: grab(row)?,
        room: row.get(3)?,
        time: row.get(4)?,
        granted: row.get(5)?,
        spent: Spent { status: row.get(6)?, time: row.get(7)?, cents: row.get(13)? },
        life: Life {
            state: row.get(8)?,
            slot: row.get(9)?,
            hold_until: row.get(10)?,
            state_time: row.get(11)?,
        },
        request: row.get(12)?,
    })
}

/// The columns `result_id, user_id, coupon_id`.
pub(super) fn grab(row: &Row<'_>) -> rusqlite::Result<Grab> {
    Ok(Grab { id: row.get(0)?, user: row.get(1)?, coupon: row.get(2)? })
}
