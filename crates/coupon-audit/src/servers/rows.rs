//! The tables of shards on servers, row by row.

use std::rc::Rc;

use anyhow::{Context, Result};
use coupon_core::{Placement, ShardId};
use mysql_async::prelude::{FromValue, Protocol, Queryable as _};
use mysql_async::{Conn, QueryResult, Row, from_row_opt};
use tokio::runtime::Runtime;

use super::engine::Part;
use crate::books::Line;
use crate::life::Life;
use crate::room_index;
use crate::source::{Grab, Rows, Spent, Stored, Wanted};

/// The connections, each inside a read transaction but for those to an engine.
pub(super) struct Databases {
    // Dropped in this order: connections close while the runtime that they belong to is still there.
    pub(super) main: Conn,
    /// By shard, in order, each with the shard's part of it.
    pub(super) connections: Vec<(Conn, Part)>,
    pub(super) runtime: Rc<Runtime>,
}

impl Databases {
    fn of(connections: &mut [(Conn, Part)], shard: ShardId) -> Result<&mut (Conn, Part)> {
        connections.get_mut(shard.index()).with_context(|| format!("there is no shard {shard}"))
    }
}

/// An amount, which is a decimal there, in cents.
pub(super) const CENTS: &str = "CAST(order_amount * 100 AS SIGNED)";

/// The columns of [`Stored`].
pub(super) fn stored(row: &Row) -> Result<Stored> {
    Ok(Stored {
        grab: Grab { id: get(row, 0)?, user: get(row, 1)?, coupon: get(row, 2)? },
        room: get(row, 3)?,
        time: get(row, 4)?,
        granted: get(row, 5)?,
        spent: Spent { status: get(row, 6)?, time: get(row, 7)?, cents: get(row, 13)? },
        life: Life {
            state: get(row, 8)?,
            slot: get(row, 9)?,
            hold_until: get(row, 10)?,
            state_time: get(row, 11)?,
        },
        request: get(row, 12)?,
    })
}

pub(super) fn get<T: FromValue>(row: &Row, column: usize) -> Result<T> {
    let value = row.get_opt(column).with_context(|| format!("there is no column {column}"))?;
    value.with_context(|| format!("column {column}"))
}

impl Databases {
    fn each_of(
        &mut self,
        shard: ShardId,
        table: impl std::fmt::Display,
        each: &mut dyn FnMut(Stored),
    ) -> Result<()> {
        let (connection, part) = Self::of(&mut self.connections, shard)?;
        self.runtime.block_on(async {
            // Prepared, since then numbers come as numbers; and read as they come, so that a table of any size fits. An engine
            // reads all of a table when it prepares this.
            let sql = format!("SELECT {}, {CENTS} FROM {table}", Stored::COLUMNS);
            if part.is_lanes() {
                each_row(connection.query_iter(sql).await?, part, each).await
            } else {
                each_row(connection.exec_iter(sql, ()).await?, part, each).await
            }
        })
    }
}

/// Hands on the rows of a shard's part.
async fn each_row<P: Protocol>(
    mut rows: QueryResult<'_, '_, P>,
    part: &Part,
    each: &mut dyn FnMut(Stored),
) -> Result<()> {
    while let Some(row) = rows.next().await? {
        let row = stored(&row)?;
        if part.has(row.grab.user) {
            each(row);
        }
    }
    Ok(())
}

impl Rows for Databases {
    fn each(&mut self, place: Placement, each: &mut dyn FnMut(Stored)) -> Result<()> {
        self.each_of(place.shard, place.table, each)
    }

    fn indexed(&mut self, shard: ShardId, each: &mut dyn FnMut(Stored)) -> Result<()> {
        self.each_of(shard, room_index::TABLE, each)
    }

    fn lines(&mut self, each: &mut dyn FnMut(Line)) -> Result<()> {
        let main = &mut self.main;
        self.runtime.block_on(async {
            let sql = format!("SELECT {} FROM stock_logs ORDER BY coupon_id, log_id", Line::COLUMNS);
            let mut rows = main.exec_iter(sql, ()).await?;
            while let Some(row) = rows.next().await? {
                let (id, coupon, operation, before, after, operator, shard, entry) = from_row_opt(row)?;
                each(Line { id, coupon, operation, before, after, operator, shard, entry });
            }
            Ok(())
        })
    }

    fn find(&mut self, place: Placement, wanted: Wanted) -> Result<Vec<Grab>> {
        let (connection, part) = Self::of(&mut self.connections, place.shard)?;
        let (condition, parameters) = match wanted {
            Wanted::Result(id) => ("result_id = ?", vec![id]),
            Wanted::Holding { user, coupon } => ("user_id = ? AND coupon_id = ?", vec![user, coupon]),
        };
        let sql = format!("SELECT result_id, user_id, coupon_id FROM {} WHERE {condition}", place.table);
        let found: Vec<(i64, i64, i64)> = self.runtime.block_on(connection.exec(sql, parameters))?;
        let of_shard = found.into_iter().filter(|(_, user, _)| part.has(*user));
        Ok(of_shard.map(|(id, user, coupon)| Grab { id, user, coupon }).collect())
    }

    fn newest(&mut self, place: Placement) -> Result<Option<i64>> {
        let (connection, _) = Self::of(&mut self.connections, place.shard)?;
        let sql = format!("SELECT MAX(result_id) FROM {}", place.table);
        let newest: Option<Option<i64>> = self.runtime.block_on(connection.query_first(sql))?;
        Ok(newest.flatten())
    }
}
