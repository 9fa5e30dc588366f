//! The inbox of a shard: results that are stored, but not in their tables yet.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use coupon_core::TableId;
use rusqlite::{Connection, OptionalExtension};

use super::source::{Grab, Waiting};

/// Reads the results that wait there. One handed over again after it reached its table is no second one.
pub(super) fn read(connection: &Connection, tables: &[TableId]) -> Result<Vec<Waiting>> {
    let mut waiting: Vec<Waiting> = Vec::new();
    let mut statement = connection.prepare("SELECT batch_id, results FROM inbox ORDER BY batch_id")?;
    let mut batches = statement.query([])?;
    while let Some(batch) = batches.next()? {
        let (number, json): (i64, String) = (batch.get(0)?, batch.get(1)?);
        let results: BTreeMap<String, Vec<(i64, i64, i64, i64)>> =
            serde_json::from_str(&json).with_context(|| format!("inbox batch {number}"))?;
        for (name, results) in results {
            let table = TableId::parse(&name)
                .with_context(|| format!("inbox batch {number}: {name:?} is no table of results"))?;
            for (id, user, coupon, room) in results {
                if !tables.contains(&table) || !stored(connection, table, id)? {
                    waiting.push(Waiting { table, grab: Grab { id, user, coupon }, room });
                }
            }
        }
    }
    waiting.sort_unstable_by_key(|waiting| waiting.grab.id);
    waiting.dedup_by_key(|waiting| waiting.grab.id);
    Ok(waiting)
}

fn stored(connection: &Connection, table: TableId, id: i64) -> Result<bool> {
    let sql = format!("SELECT 1 FROM {table} WHERE result_id = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row([id], |_| Ok(())).optional()?.is_some())
}
