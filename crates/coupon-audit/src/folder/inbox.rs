//! The inbox of a shard: results that are stored, but not in their tables yet.
//!
//! A row is `[result_id, user_id, coupon_id, room_id]`, and of a hold, of a named request or in a further slot it goes on
//! with `slot, hold_until, request`.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use coupon_core::TableId;
use rusqlite::{Connection, OptionalExtension};

use crate::life::Life;
use crate::source::{Grab, Waiting};

/// Reads the results that wait there. One handed over again after it reached its table is no second one.
pub(super) fn read(connection: &Connection, tables: &[TableId]) -> Result<Vec<Waiting>> {
    let mut waiting: Vec<Waiting> = Vec::new();
    let mut statement = connection.prepare("SELECT batch_id, results FROM inbox ORDER BY batch_id")?;
    let mut batches = statement.query([])?;
    while let Some(batch) = batches.next()? {
        let (number, json): (i64, String) = (batch.get(0)?, batch.get(1)?);
        let results: BTreeMap<String, Vec<Vec<Option<i64>>>> =
            serde_json::from_str(&json).with_context(|| format!("inbox batch {number}"))?;
        for (name, results) in results {
            let table = TableId::parse(&name)
                .with_context(|| format!("inbox batch {number}: {name:?} is no table of results"))?;
            for row in results {
                let wrong = || format!("inbox batch {number}: {row:?} is no row");
                let (grab, room, life, request) = read_row(&row).with_context(wrong)?;
                if !tables.contains(&table) || !stored(connection, table, grab.id)? {
                    waiting.push(Waiting { table, grab, room, life, request });
                }
            }
        }
    }
    waiting.sort_unstable_by_key(|waiting| waiting.grab.id);
    waiting.dedup_by_key(|waiting| waiting.grab.id);
    Ok(waiting)
}

/// A row as it lies there: whose it is, its room, what becomes of it, and the request that it answers.
fn read_row(row: &[Option<i64>]) -> Option<(Grab, i64, Life, Option<i64>)> {
    let (plain, rest) = row.split_first_chunk::<4>()?;
    let [Some(id), Some(user), Some(coupon), Some(room)] = *plain else { return None };
    let (life, request) = match rest {
        [] => (Life::OWNED, None),
        [slot @ Some(_), hold_until, request] => {
            let state = if hold_until.is_some() { Life::HELD } else { Life::OWNED.state };
            (Life { state, slot: *slot, hold_until: *hold_until, state_time: None }, *request)
        }
        _ => return None,
    };
    Some((Grab { id, user, coupon }, room, life, request))
}

fn stored(connection: &Connection, table: TableId, id: i64) -> Result<bool> {
    let sql = format!("SELECT 1 FROM {table} WHERE result_id = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row([id], |_| Ok(())).optional()?.is_some())
}
