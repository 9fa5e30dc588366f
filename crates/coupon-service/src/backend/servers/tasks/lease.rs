//! Worker numbers, leased from main: part of every id, and never used by two processes for the same time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use coupon_core::Timestamp;
use mysql_async::TxOpts;
use mysql_async::prelude::Queryable as _;

use super::super::mysql::Database;
use crate::clock::Clock;
use crate::ids::Lease;
use crate::outage::Outage;

/// Numbers from here on are kept for history and for stock logs of the embedded backend.
const NUMBERS: u16 = 1_000;
/// How long a lease is. A process that cannot reach main for so long makes no ids any more; one that was killed keeps its
/// numbers for so long.
const TERM_MS: i64 = 600_000;
/// How long main may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(30);

/// The numbers that this process has leased.
pub(in super::super) struct Leases {
    main: Database,
    clock: Clock,
    /// Tells this process from every other.
    holder: String,
    pub(in super::super) numbers: Vec<Arc<Lease>>,
}

impl Leases {
    /// Leases so many numbers that nobody else holds.
    pub(in super::super) async fn take(
        main: &Database,
        clock: &Clock,
        holder: String,
        count: usize,
    ) -> anyhow::Result<Self> {
        let failed = |error| main.error(&error);
        let mut conn = main.connect().await?;
        let mut transaction = conn.start_transaction(TxOpts::default()).await.map_err(failed)?;
        // Everybody who leases locks this row first: a number without a row cannot be locked itself.
        transaction.query_drop("SELECT id FROM gate_state WHERE id = 1 FOR UPDATE").await.map_err(failed)?;
        let taken: Vec<(u16, i64)> =
            transaction.query("SELECT worker, lease_end FROM worker_leases").await.map_err(failed)?;
        let now = clock.now().millis();
        let end_of =
            |number: u16| taken.iter().find(|(worker, _)| *worker == number).map_or(0, |(_, end)| *end);
        let free: Vec<u16> = (0..NUMBERS).filter(|number| end_of(*number) < now).take(count).collect();
        ensure!(
            free.len() == count,
            "{main}: all {NUMBERS} worker numbers are leased; those of processes that are gone are free again within {} minutes",
            TERM_MS / 60_000
        );
        let (start, end) = (Timestamp::from_millis(now), Timestamp::from_millis(now + TERM_MS));
        for number in &free {
            let row = (*number, &holder, start.millis(), end.millis());
            transaction
                .exec_drop(
                    "REPLACE INTO worker_leases (worker, holder, lease_start, lease_end) VALUES (?, ?, ?, ?)",
                    row,
                )
                .await
                .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)?;
        let numbers = free.into_iter().map(|number| Arc::new(Lease::new(number, start, end))).collect();
        Ok(Self { main: main.clone(), clock: clock.clone(), holder, numbers })
    }

    /// Renews them for as long as the process lives.
    pub(in super::super) async fn keep(self: Arc<Self>) {
        let outage = Outage::of_task();
        loop {
            tokio::time::sleep(RENEW).await;
            match self.renew().await {
                Ok(()) => {
                    if let Some(told) = outage.ended() {
                        let (failures, lasted_s) = (told.failures, told.lasted_s);
                        tracing::info!(failures, lasted_s, "worker numbers are renewed again");
                    }
                }
                Err(error) => {
                    if let Some(told) = outage.failed() {
                        let (error, failures, lasted_s) =
                            (format!("{error:#}"), told.failures, told.lasted_s);
                        tracing::warn!(
                            error,
                            failures,
                            lasted_s,
                            "worker numbers are not renewed; tried again"
                        );
                    }
                }
            }
        }
    }

    async fn renew(&self) -> anyhow::Result<()> {
        tokio::time::timeout(PATIENCE, self.renew_all()).await.context("main does not answer")?
    }

    async fn renew_all(&self) -> anyhow::Result<()> {
        let end = self.clock.now().plus_millis(TERM_MS);
        let mut conn = self.main.connect().await?;
        for lease in &self.numbers {
            let row = (end.millis(), lease.worker, &self.holder);
            let sql =
                "UPDATE worker_leases SET lease_end = GREATEST(lease_end, ?) WHERE worker = ? AND holder = ?";
            conn.exec_drop(sql, row).await?;
            // An end that is there already changes no row: ask who holds it instead of counting.
            let holder: Option<String> =
                conn.exec_first("SELECT holder FROM worker_leases WHERE worker = ?", (lease.worker,)).await?;
            if holder.as_ref() == Some(&self.holder) {
                lease.extend(end);
            } else {
                // This process was away for longer than its lease; its other numbers may still be its own.
                tracing::error!(
                    worker = lease.worker,
                    "a worker number is held by another process: start this one again"
                );
                lease.close();
            }
        }
        Ok(())
    }

    /// Gives them back: nobody else may use them for a time that has been used.
    pub(in super::super) async fn give_back(&self) -> anyhow::Result<()> {
        self.numbers.iter().for_each(|lease| lease.close());
        tokio::time::timeout(PATIENCE, self.give_all_back()).await.context("main does not answer")?
    }

    async fn give_all_back(&self) -> anyhow::Result<()> {
        let mut conn = self.main.connect().await?;
        for lease in &self.numbers {
            let row = (lease.used().millis() + 1, lease.worker, &self.holder);
            let sql = "UPDATE worker_leases SET lease_end = ? WHERE worker = ? AND holder = ?";
            conn.exec_drop(sql, row).await?;
        }
        Ok(())
    }
}
