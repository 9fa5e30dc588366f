//! Databases that a copy of another data set is made in. They are incomplete until the copy was verified, and say so by
//! name, so that a copy that was cut short goes on and nothing else is done with them.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use coupon_core::Timestamp;
use coupon_core::schema::{self, Dialect};
use coupon_store::carried::COPYING;
use coupon_store::settings::ServersSettings;
use mysql_async::TxOpts;
use mysql_async::prelude::Queryable as _;

use super::cluster::{Cluster, UnfinishedDataSet};
use super::columns;
use super::format::take_over;
use super::wipe;

impl Cluster {
    /// Makes an empty data set that is to become a copy of the one with the id `source`, or finds what an earlier run of
    /// the same copy has made. It stays incomplete until it is opened. With `anew`, the settings of the servers, it
    /// first removes what a copy has made here that was cut short.
    ///
    /// # Errors
    /// When there is any other data, or a database cannot be made.
    pub async fn begin_copy(
        &self,
        layout: &str,
        source: &str,
        anew: Option<&ServersSettings>,
    ) -> anyhow::Result<UnfinishedDataSet> {
        let lock = self.lock().await?;
        let main = &self.main;
        if let Some(settings) = anew {
            self.remove_copy(settings).await?;
        }
        let Some(label) = self.label().await? else {
            let dataset = self.make_tables().await?;
            self.write_label(&dataset, layout, Some(source), &[]).await?;
            return Ok(UnfinishedDataSet { dataset, lock });
        };
        let Some(of) = label.copy_of else {
            bail!("{main}: it holds data set {} already: choose another `servers.namespace`", label.dataset);
        };
        ensure!(
            (&*of, &*label.layout, usize::from(label.shards)) == (source, layout, self.shards.len()),
            "{main}: it holds a copy of data set {of} laid out as \"{}\" that was cut short, and another one is asked for: \
             choose another `servers.namespace`, or add --anew to throw away what is there of it",
            label.layout
        );
        let recorded = self.recorded().await?;
        for (shard, _) in recorded.numbered() {
            recorded.check_shard(shard, &label.dataset).await?;
        }
        if self.engine.is_some() {
            return Ok(UnfinishedDataSet { dataset: label.dataset, lock });
        }
        // An earlier version may have begun it: its shards lack columns, and its rows of state have other keys.
        for (_, database) in recorded.numbered() {
            let mut conn = database.connect_alone().await?;
            let lacking = schema::shard_columns(Dialect::MySql);
            columns::add(&mut conn, &lacking).await.map_err(|error| database.error(&error))?;
        }
        let states = recorded.numbered().map(|(_, shard)| (shard, "shard_state"));
        for (database, table) in states.chain([(main, "gate_state")]) {
            let mut conn = database.connect_alone().await?;
            conn.query_drop(take_over(table)).await.map_err(|error| database.error(&error))?;
        }
        Ok(UnfinishedDataSet { dataset: label.dataset, lock })
    }

    /// Removes what a copy has made here that was cut short, and nothing else. The caller has the lock, so that no copy comes
    /// to its end meanwhile.
    async fn remove_copy(&self, settings: &ServersSettings) -> anyhow::Result<()> {
        let Some(label) = self.label().await? else { return Ok(()) };
        ensure!(
            label.copy_of.is_some(),
            "{}: it holds data set {}, which is no copy that was cut short",
            self.main,
            label.dataset
        );
        wipe::remove(self, settings).await
    }

    /// Main's notes under names that begin so.
    pub(super) async fn notes(&self, prefix: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let mut conn = self.main.connect_alone().await?;
        let sql = "SELECT name, value FROM meta WHERE name LIKE CONCAT(?, '%')";
        let notes: Vec<(String, String)> =
            conn.exec(sql, (prefix,)).await.map_err(|error| self.main.error(&error))?;
        Ok(notes.into_iter().collect())
    }

    /// Notes something in main's label. The pool may have been silent for as long as rows were handed over.
    pub(super) async fn note(&self, name: &str, value: &str) -> anyhow::Result<()> {
        let mut conn = self.main.connect_alone().await?;
        let noted = conn.exec_drop("REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value)).await;
        Ok(noted.map_err(|error| self.main.error(&error))?)
    }

    /// Notes worker numbers as given back at a time: the process that leases them has ids later than those that are
    /// stored, whatever this main's clock shows.
    pub(super) async fn note_workers(&self, workers: &[(u16, Timestamp)]) -> anyhow::Result<()> {
        if workers.is_empty() {
            return Ok(());
        }
        let mut conn = self.main.connect_alone().await?;
        let row = |(worker, last): &(u16, Timestamp)| format!("({worker},'copied',{0},{0})", last.millis());
        let rows: Vec<String> = workers.iter().map(row).collect();
        let sql = format!(
            "REPLACE INTO worker_leases (worker, holder, lease_start, lease_end) VALUES {}",
            rows.join(",")
        );
        Ok(conn.query_drop(sql).await.map_err(|error| self.main.error(&error))?)
    }

    /// Marks the data set complete, in one transaction: what a copy noted on its way goes, and what is to stay known comes.
    ///
    /// # Errors
    /// When main cannot be written.
    pub(super) async fn complete_with(&self, notes: &[(&str, String)]) -> anyhow::Result<()> {
        let write = async || {
            let mut conn = self.main.connect_alone().await?;
            let failed = |error| self.main.error(&error);
            let mut transaction = conn.start_transaction(TxOpts::default()).await.map_err(failed)?;
            let forget = "DELETE FROM meta WHERE name LIKE CONCAT(?, '%')";
            transaction.exec_drop(forget, (COPYING,)).await.map_err(failed)?;
            // The key of the row of state is the format.
            let format = "REPLACE INTO meta (name, value) SELECT 'format', id FROM gate_state";
            transaction.query_drop(format).await.map_err(failed)?;
            for note in notes {
                transaction
                    .exec_drop("REPLACE INTO meta (name, value) VALUES (?, ?)", note)
                    .await
                    .map_err(failed)?;
            }
            transaction.commit().await.map_err(failed)
        };
        write().await.context("cannot mark the data set complete")
    }
}
