//! Everything but rows, read with the auditor's own SQL.

use anyhow::{Context, Result, ensure};
use coupon_core::TableId;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::Positions;
use crate::audit::Label;
use crate::audit::source::{Catalogue, Coupon, Entry, Grab, Parked, Shard, tables_of_results};

/// What main says of its data set.
pub(super) async fn label(main: &mut Conn) -> Result<Label> {
    let meta: Vec<(String, String)> = main.query("SELECT name, value FROM meta").await?;
    let said = |wanted: &str| {
        let value = meta.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        value.with_context(|| format!("it does not tell its {wanted}"))
    };
    said("format").context("its data set is incomplete: filling it was cut short")?;
    let shards = said("shards")?;
    let shards = shards.parse().with_context(|| format!("{shards:?} is no number of shards"))?;
    Ok(Label { dataset: said("dataset")?, layout: said("layout")?, shards })
}

pub(super) async fn positions(main: &mut Conn) -> Result<Positions> {
    let rows: Vec<(u16, i64)> = main.query("SELECT shard, outbox_id FROM outbox_positions").await?;
    Ok(rows.into_iter().collect())
}

/// The coupons, and what the log says of each.
pub(super) async fn catalogue(main: &mut Conn) -> Result<Catalogue> {
    let sql = "SELECT coupon_id, room_id, total_stock, remaining_stock, status, end_time FROM coupons";
    let rows: Vec<(i64, i64, i64, i64, i64, i64)> = main.query(sql).await?;
    let coupons = rows.into_iter().map(|(id, room, total, remaining, status, end)| {
        let until = (status != 0).then_some(end);
        (id, Coupon { room, total, remaining, deducted: 0, until })
    });
    let mut catalogue: Catalogue = coupons.collect();
    let sql = "SELECT coupon_id, CAST(SUM(stock_before - stock_after) AS SIGNED) FROM stock_logs \
               WHERE operation_type IN (2, 3) GROUP BY coupon_id";
    let deducted: Vec<(i64, i64)> = main.query(sql).await?;
    for (id, deducted) in deducted {
        if let Some(coupon) = catalogue.get_mut(&id) {
            coupon.deducted = deducted;
        }
    }
    Ok(catalogue)
}

/// The names of all tables, sorted.
pub(super) async fn tables(shard: &mut Conn) -> Result<Vec<String>> {
    let mut names: Vec<String> = shard.query("SHOW TABLES").await?;
    names.sort_unstable();
    Ok(names)
}

/// Refuses a shard that belongs to other data, in whichever of its two places it says so.
pub(super) async fn check_dataset(connection: &mut Conn, number: u16, dataset: &str) -> Result<()> {
    let meta: Vec<(String, String)> = connection.query("SELECT name, value FROM shard_meta").await?;
    for (wanted, right) in [("dataset", dataset), ("shard", &number.to_string())] {
        let theirs = meta.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        ensure!(theirs == Some(right), "shard_meta says {wanted} {theirs:?}, and main {right:?}");
    }
    let state: Option<String> =
        connection.query_first("SELECT dataset FROM shard_state WHERE id = 1").await?;
    ensure!(state.as_deref() == Some(dataset), "shard_state says dataset {state:?}, and main {dataset:?}");
    Ok(())
}

/// What a shard says, but for its rows.
pub(super) async fn shard(
    connection: &mut Conn,
    number: u16,
    tables: Vec<String>,
    position: i64,
) -> Result<Shard> {
    let tables: Vec<TableId> = tables_of_results(tables)?;
    let outbox = "SELECT outbox_id, deltas FROM outbox WHERE outbox_id > ?";
    let outbox: Vec<(i64, String)> = connection.exec(outbox, (position,)).await?;
    let parked =
        "SELECT result_id, user_id, coupon_id, table_name, reason FROM parked_results ORDER BY result_id";
    let parked: Vec<(i64, i64, i64, String, String)> = connection.query(parked).await?;
    let counted = counted(connection).await?;
    let as_parked =
        |(id, user, coupon, table, reason)| Parked { grab: Grab { id, user, coupon }, table, reason };
    Ok(Shard {
        number,
        tables,
        inbox: Vec::new(),
        position,
        outbox: outbox.into_iter().map(|(id, deltas)| Entry { id, deltas }).collect(),
        parked: parked.into_iter().map(as_parked).collect(),
        counted,
    })
}

/// How many results a shard counts itself.
pub(super) async fn counted(shard: &mut Conn) -> Result<Option<i64>> {
    Ok(shard.query_first("SELECT results FROM shard_state WHERE id = 1").await?)
}
