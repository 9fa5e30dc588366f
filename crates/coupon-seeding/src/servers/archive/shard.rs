//! One shard's old results: counting them, and letting them go together with the outbox entry that says so.

use anyhow::{Context, Result, anyhow, ensure};
use coupon_core::books::Moved;
use coupon_core::{CouponId, Day, ShardId, TableId};
use coupon_servers::mysql::{Database, DatabaseError};
use coupon_servers::rebuild::RETIRED;
use coupon_servers::take_off_stock;
use coupon_store::first_id;
use coupon_store::statements::LIVE;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, Transaction, TxOpts};

use super::{Counts, Offers, Tries, is_conflict};
use crate::options::now;

/// Rows deleted in one transaction: consumers of the shard wait for it.
const BATCH: u32 = 5_000;

/// A shard whose results are retired. Its connections are the pool's: should this program be stopped within a
/// transaction, the server soon ends the one that is silent, and services go on.
pub(super) struct Shard {
    pub(super) id: ShardId,
    database: Database,
    /// The condition on a row that may go.
    settled: String,
}

/// Rows that go: those that take stock by coupon, and what all of them were in the shard's sums.
#[derive(Default)]
struct Going {
    counts: Counts,
    rows: i64,
    live: i64,
    used: i64,
    cents: i64,
}

/// Rows of one coupon: the coupon, their number, how many of them take stock, how many were used, and their orders in
/// cents.
type Sums = (u64, i64, i64, i64, i64);

impl Going {
    fn add(&mut self, (coupon, rows, live, used, cents): Sums) -> Result<()> {
        if live > 0 {
            *self.counts.entry(CouponId::new(coupon)?).or_default() += live;
        }
        self.rows += rows;
        self.live += live;
        self.used += used;
        self.cents += cents;
        Ok(())
    }

    /// In the outbox and in the sums, within the transaction in which the rows go. Taking the number locks the row, so
    /// that entries are numbered in the order of their commits.
    async fn note_in_outbox(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let number = "UPDATE shard_state SET outbox_id = outbox_id + 1, used = used - ?, \
                      order_amount = order_amount - ? / 100, given_back = given_back - ?";
        transaction.exec_drop(number, (self.used, self.cents, self.rows - self.live)).await?;
        let untold = take_off_stock(transaction, &self.counts).await?;
        let counted: i64 = untold.iter().map(|(_, rows)| rows).sum();
        let results = "UPDATE shard_state SET results = results + ?";
        transaction.exec_drop(results, (counted - self.rows,)).await?;
        let entry = "INSERT INTO outbox (outbox_id, deltas, create_time) \
                     SELECT outbox_id, ?, ? FROM shard_state";
        let stored = untold.into_iter().map(|(coupon, rows)| Moved::stored(coupon, rows));
        let retired = self.counts.iter().map(|(coupon, rows)| Moved::retired(*coupon, *rows));
        let deltas: Vec<Moved> = stored.chain(retired).collect();
        transaction.exec_drop(entry, (serde_json::to_string(&deltas)?, now().millis())).await?;
        Ok(())
    }
}

impl Shard {
    /// `settled` is the condition on a row that may go.
    pub(super) fn new(id: ShardId, database: &Database, settled: &str) -> Self {
        Self { id, database: database.clone(), settled: settled.to_owned() }
    }

    pub(super) const fn database(&self) -> &Database {
        &self.database
    }

    pub(super) async fn connect(&self) -> Result<Conn, DatabaseError> {
        self.database.connect().await
    }

    pub(super) async fn parked(&self) -> Result<i64> {
        let parked = self.connect().await?.query_first("SELECT COUNT(*) FROM parked_results").await;
        Ok(parked.map_err(|error| self.database.error(&error))?.unwrap_or_default())
    }

    /// The tables that may hold older rows. Those of a day or an hour then hold nothing else.
    pub(super) async fn old_tables(&self, before: Day) -> Result<Vec<TableId>> {
        let names = self.tables_like(TableId::PREFIX).await?;
        let tables = names.iter().filter_map(|name| TableId::parse(name));
        Ok(tables.filter(|table| table.day().is_none_or(|day| day < before)).collect())
    }

    async fn tables_like(&self, prefix: &str) -> Result<Vec<String>> {
        // In a pattern, `_` stands for any character.
        let pattern = prefix.replace('_', "\\_");
        let names = self.connect().await?.query(format!("SHOW TABLES LIKE '{pattern}%'")).await;
        Ok(names.map_err(|error| self.database.error(&error))?)
    }

    /// The number of rows of a table older than a day that are held.
    pub(super) async fn held(&self, table: TableId, before: Day) -> Result<u64> {
        let settled = &self.settled;
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE result_id < ? AND NOT ({settled})");
        let held = self.connect().await?.exec_first(sql, (first_id(before)?,)).await;
        Ok(held.map_err(|error| self.database.error(&error))?.unwrap_or_default())
    }

    /// Adds how many rows of each coupon are older than a day, take stock and may go.
    pub(super) async fn count(&self, before: Day, counts: &mut Counts) -> Result<()> {
        let tables = self.old_tables(before).await?;
        let (mut conn, settled) = (self.connect().await?, &self.settled);
        for table in tables {
            let sql = format!(
                "SELECT coupon_id, COUNT(*) FROM {table} WHERE result_id < ? AND {settled} AND {LIVE} GROUP BY coupon_id"
            );
            let rows: Vec<(u64, i64)> =
                conn.exec(sql, (first_id(before)?,)).await.map_err(|error| self.database.error(&error))?;
            for (coupon, rows) in rows {
                *counts.entry(CouponId::new(coupon)?).or_default() += rows;
            }
        }
        Ok(())
    }

    /// Goes on with tables that an earlier run did not get to drop.
    pub(super) async fn finish_dropping(&self, offers: &mut Offers<'_>) -> Result<()> {
        for retired in self.tables_like(RETIRED).await? {
            self.drop_retired(&retired, offers).await?;
        }
        Ok(())
    }

    /// Drops a table of old results; returns how many rows it had.
    pub(super) async fn drop_table(&self, table: TableId, offers: &mut Offers<'_>) -> Result<u64> {
        let retired = format!("{RETIRED}{table}");
        // Left from a table of the same name: the run that dropped it was cut short just before its end.
        let forget = "DELETE FROM shard_meta WHERE name = ?";
        let mut conn = self.connect().await?;
        conn.exec_drop(forget, (&retired,)).await?;
        let rename = format!("RENAME TABLE {table} TO {retired}");
        conn.query_drop(rename).await.map_err(|error| self.database.error(&error))?;
        drop(conn);
        self.drop_retired(&retired, offers).await
    }

    async fn drop_retired(&self, retired: &str, offers: &mut Offers<'_>) -> Result<u64> {
        let mut tries = Tries::default();
        let rows = loop {
            match self.note_table_in_outbox(retired, offers).await {
                Ok(rows) => break rows,
                Err(error) if tries.again_if(passes(&error)) => {}
                Err(error) => return Err(error).with_context(|| format!("{}: {retired}", self.database)),
            }
        };
        let mut conn = self.connect().await?;
        conn.query_drop(format!("DROP TABLE {retired}")).await?;
        conn.exec_drop("DELETE FROM shard_meta WHERE name = ?", (retired,)).await?;
        Ok(rows)
    }

    /// No service writes to the table any more: its rows can be counted before anything has to wait. They are counted
    /// here and not earlier: services that run store results until the table has its other name.
    async fn note_table_in_outbox(&self, retired: &str, offers: &mut Offers<'_>) -> Result<u64> {
        let told = "SELECT 1 FROM shard_meta WHERE name = ?";
        let mut conn = self.connect().await?;
        if conn.exec_first::<i64, _, _>(told, (retired,)).await?.is_some() {
            return Ok(0);
        }
        let sums = format!(
            "SELECT coupon_id, COUNT(*), CAST(SUM({LIVE}) AS SIGNED), CAST(SUM(use_status) AS SIGNED), \
             CAST(COALESCE(SUM(order_amount), 0) * 100 AS SIGNED) FROM {retired} GROUP BY coupon_id"
        );
        let mut going = Going::default();
        for sums in conn.query::<Sums, _>(sums).await? {
            going.add(sums)?;
        }
        let settled = &self.settled;
        let held: Option<i64> =
            conn.query_first(format!("SELECT COUNT(*) FROM {retired} WHERE NOT ({settled})")).await?;
        let settled = match held {
            Some(held @ 1..) => Err(anyhow!(
                "{held} of its results are held, answer their request or have changed by now: run it again"
            )),
            _ => offers.ensure_over(&going.counts).await,
        };
        if let Err(error) = settled {
            self.put_back(&mut conn, retired)
                .await
                .with_context(|| format!("{error}; {retired} is to be put back"))?;
            return Err(error);
        }
        let mut transaction = conn.start_transaction(TxOpts::default()).await?;
        going.note_in_outbox(&mut transaction).await?;
        let note = "INSERT INTO shard_meta (name, value) VALUES (?, 'told')";
        transaction.exec_drop(note, (retired,)).await?;
        transaction.commit().await?;
        offers.have_gone(&going.counts);
        Ok(going.rows.cast_unsigned())
    }

    /// Gives a table its name back. A service may have made one of that name meanwhile: then the rows go there.
    async fn put_back(&self, conn: &mut Conn, retired: &str) -> Result<()> {
        const TABLE_EXISTS: u16 = 1050;
        let table = retired.strip_prefix(RETIRED).unwrap_or(retired);
        match conn.query_drop(format!("RENAME TABLE {retired} TO {table}")).await {
            Err(Error::Server(error)) if error.code == TABLE_EXISTS => {}
            done => return Ok(done?),
        }
        let mut transaction = conn.start_transaction(TxOpts::default()).await?;
        take_out_repeats(&mut transaction, table, retired).await?;
        transaction.query_drop(format!("INSERT INTO {table} SELECT * FROM {retired}")).await?;
        transaction.query_drop(format!("DELETE FROM {retired}")).await?;
        transaction.commit().await?;
        Ok(conn.query_drop(format!("DROP TABLE {retired}")).await?)
    }

    /// Deletes the next rows of a table behind an id, at most a batch of them; returns how many, and the id of the
    /// last, if there are any. What stays before that is not read again.
    pub(super) async fn delete_batch(
        &self,
        table: TableId,
        after: i64,
        before: Day,
        offers: &mut Offers<'_>,
    ) -> Result<Option<(u64, i64)>> {
        let mut tries = Tries::default();
        loop {
            match self.try_delete(table, after, before, offers).await {
                Err(error) if tries.again_after(&error) => {}
                done => return done.with_context(|| format!("{}: {table}", self.database)),
            }
        }
    }

    /// Result ids are in the order of time, and so is the table: the oldest rows lie side by side. They are locked
    /// before the shard's row is, which services wait for. A service that changes one of them takes both in the other
    /// order: of two that meet so, one is given up and tried again.
    async fn try_delete(
        &self,
        table: TableId,
        after: i64,
        before: Day,
        offers: &mut Offers<'_>,
    ) -> Result<Option<(u64, i64)>> {
        let mut conn = self.connect().await?;
        let mut transaction = conn.start_transaction(TxOpts::default()).await?;
        let settled = &self.settled;
        let next = format!(
            "SELECT result_id, coupon_id, {LIVE}, use_status, CAST(COALESCE(order_amount, 0) * 100 AS SIGNED) \
             FROM {table} WHERE result_id > ? AND result_id < ? AND {settled} ORDER BY result_id LIMIT {BATCH} FOR UPDATE"
        );
        let rows: Vec<(i64, u64, i64, i64, i64)> = transaction.exec(next, (after, first_id(before)?)).await?;
        let Some(last) = rows.last().map(|row| row.0) else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let mut going = Going::default();
        for (_, coupon, live, used, cents) in rows {
            going.add((coupon, 1, live, used, cents))?;
        }
        offers.ensure_over(&going.counts).await?;
        going.note_in_outbox(&mut transaction).await?;
        let delete = format!("DELETE FROM {table} WHERE result_id > ? AND result_id <= ? AND {settled}");
        transaction.exec_drop(delete, (after, last)).await?;
        let gone = transaction.affected_rows();
        ensure!(
            gone == going.rows.cast_unsigned(),
            "{gone} rows would go instead of the {} that were counted",
            going.rows
        );
        transaction.commit().await?;
        // Not before it is committed: it may be given up, and tried again.
        offers.have_gone(&going.counts);
        Ok(Some((gone, last)))
    }
}

/// Takes out what is stored twice, in a table that left the services' sight and in the one that they made in its
/// place: a message may come again, and its result was not found. Of the two rows the older one stays, unless the newer
/// one's state changed later. The other was counted and is in the outbox, and is no more.
async fn take_out_repeats(transaction: &mut Transaction<'_>, table: &str, retired: &str) -> Result<()> {
    let (older, newer) = (format!("{retired} older"), format!("{table} newer"));
    let both = format!(
        "{older} JOIN {newer} ON newer.user_id = older.user_id AND newer.coupon_id = older.coupon_id \
         AND (newer.slot = older.slot OR newer.result_id = older.result_id)"
    );
    let newer_stays = "COALESCE(newer.state_time, 0) > COALESCE(older.state_time, 0)";
    // The rows are locked before the shard's row is.
    let pairs = format!(
        "SELECT older.coupon_id, 1, IF({newer_stays}, older.{LIVE}, newer.{LIVE}), \
         IF({newer_stays}, older.use_status, newer.use_status), CAST(COALESCE(IF({newer_stays}, older.order_amount, newer.order_amount), 0) * 100 AS SIGNED) \
         FROM {both} FOR UPDATE"
    );
    let mut going = Going::default();
    for sums in transaction.query::<Sums, _>(pairs).await? {
        going.add(sums)?;
    }
    if going.rows == 0 {
        return Ok(());
    }
    let mut gone = 0;
    for (goes, which) in [("older", newer_stays.to_owned()), ("newer", format!("NOT ({newer_stays})"))] {
        transaction.query_drop(format!("DELETE {goes} FROM {both} WHERE {which}")).await?;
        gone += transaction.affected_rows();
    }
    ensure!(
        gone == going.rows.cast_unsigned(),
        "{gone} repeats would go instead of the {} that were counted",
        going.rows
    );
    going.note_in_outbox(transaction).await
}

/// True if trying again may help: a row that was stored once more just before its table was put back is then found
/// there.
fn passes(error: &anyhow::Error) -> bool {
    const DUPLICATE: u16 = 1062;
    let stored_again = |error: &Error| matches!(error, Error::Server(error) if error.code == DUPLICATE);
    is_conflict(error) || error.downcast_ref().is_some_and(stored_again)
}
