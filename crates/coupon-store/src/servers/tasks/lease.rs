//! Worker numbers, leased from main: part of every id, and never used by two processes for the same time.
//!
//! A lease is taken, judged and renewed by main's clock, within the statement that does it: a process's own clock,
//! however wrong, gives it no other's number.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use coupon_core::Timestamp;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, TxOpts};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::failpoints::{self, Mechanism};
use crate::ids::{Lease, Leased, PATIENCE_MS};
use crate::outage::TaskOutage;
use crate::servers::mains_time;
use crate::servers::mysql::Database;
use crate::timekeeping::{Agreement, seconds};

/// Numbers from here on are kept for history and for stock logs of the embedded backend.
const NUMBERS: u16 = 1_000;
/// The length of a lease. A process that cannot reach main for so long makes no ids any more; one that was killed keeps
/// its numbers for so long.
pub(in crate::servers) const TERM_MS: i64 = 600_000;
/// The longest that main may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The time between two renewals.
pub(in crate::servers) const RENEW: Duration = Duration::from_secs(30);
/// The wait before it is tried again for a worker that has no ids.
const AGAIN: Duration = Duration::from_secs(1);

/// The numbers that this process has leased, and how to keep them.
pub(in crate::servers) struct Leases {
    main: Database,
    clock: Clock,
    /// Tells this process from every other.
    holder: String,
    pub(in crate::servers) leased: Arc<Leased>,
}

impl Leases {
    /// Leases so many free numbers.
    pub(in crate::servers) async fn take(
        main: &Database,
        clock: &Clock,
        holder: String,
        count: usize,
        agreement: Arc<Agreement>,
    ) -> anyhow::Result<Self> {
        let mut conn = main.connect().await?;
        let numbers = take(main, &mut conn, clock, &holder, count).await?;
        let leased = Arc::new(Leased::new(numbers, agreement));
        Ok(Self { main: main.clone(), clock: clock.clone(), holder, leased })
    }

    /// Renews them for as long as the process lives, and leases others for those that are lost.
    pub(in crate::servers) async fn keep(self: Arc<Self>) {
        let outage = TaskOutage::new(
            "worker numbers are not renewed; tried again",
            "worker numbers are renewed again",
        );
        let mut renewed = Some(self.clock.now());
        loop {
            let needed = timeout(RENEW, self.leased.ended()).await.is_ok();
            let away = renewed.map_or(0, |renewed| self.clock.now().millis() - renewed.millis());
            if away > TERM_MS {
                tracing::warn!(
                    away = seconds(away),
                    "this process was away for longer than its worker numbers were leased; it leases them anew"
                );
            }
            let outcome = self.renew().await;
            renewed = outcome.is_ok().then(|| self.clock.now());
            outage.tried(&outcome);
            if needed {
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    async fn renew(&self) -> anyhow::Result<()> {
        timeout(PATIENCE, self.renew_all()).await.context("main does not answer")?
    }

    async fn renew_all(&self) -> anyhow::Result<()> {
        let held = self.leased.all();
        let mut conn = self.main.connect().await?;
        let (ends, now) = self.extend(&mut conn, &held).await?;
        let mut lost = Vec::new();
        for (place, lease) in held.iter().enumerate() {
            // A number whose ids ran ahead of time, by a clock that was wrong for a while, would give none for as long.
            let usable = lease.used().millis() <= now + PATIENCE_MS;
            match ends.get(&lease.worker) {
                Some(end) if usable => lease.extend(Timestamp::from_millis(*end)),
                _ => lost.push((place, lease)),
            }
        }
        if lost.is_empty() {
            return Ok(());
        }
        for (_, lease) in &lost {
            lease.close();
        }
        let numbers = take(&self.main, &mut conn, &self.clock, &self.holder, lost.len()).await?;
        for ((place, old), new) in lost.into_iter().zip(numbers) {
            tracing::warn!(
                lost = old.worker,
                leased = new.worker,
                "a worker number cannot be used any more; another is leased"
            );
            self.leased.replace(place, new);
        }
        Ok(())
    }

    /// Moves the ends of the leases that are still this process's. Says where they are now, and main's time.
    async fn extend(
        &self,
        conn: &mut Conn,
        held: &[Arc<Lease>],
    ) -> mysql_async::Result<(HashMap<u16, i64>, i64)> {
        let (now, held) = (mains_time::expression(&self.clock), list(held.iter().map(|lease| lease.worker)));
        let sql = format!(
            "UPDATE worker_leases SET lease_end = GREATEST(lease_end, {now} + {TERM_MS}) \
             WHERE holder = ? AND worker IN ({held})"
        );
        conn.exec_drop(sql, (&self.holder,)).await?;
        let sql =
            format!("SELECT worker, lease_end FROM worker_leases WHERE holder = ? AND worker IN ({held})");
        let ends: Vec<(u16, i64)> = conn.exec(sql, (&self.holder,)).await?;
        let now: Option<i64> = conn.query_first(format!("SELECT {now}")).await?;
        Ok((ends.into_iter().collect(), now.unwrap_or_default()))
    }

    /// Gives them back: no other process may use them for a time that has been used.
    pub(in crate::servers) async fn give_back(&self) -> anyhow::Result<()> {
        self.leased.all().iter().for_each(|lease| lease.close());
        timeout(PATIENCE, self.give_all_back()).await.context("main does not answer")?
    }

    async fn give_all_back(&self) -> anyhow::Result<()> {
        let mut conn = self.main.connect().await?;
        for lease in self.leased.all() {
            let row = (lease.used().millis() + 1, lease.worker, &self.holder);
            let sql = "UPDATE worker_leases SET lease_end = ? WHERE worker = ? AND holder = ?";
            conn.exec_drop(sql, row).await?;
        }
        Ok(())
    }
}

/// Takes numbers whose leases have ended by main's clock. A number goes over in the one statement that finds its
/// lease to have ended: a holder that renews it at the same time has it still, or has lost it.
async fn take(
    main: &Database,
    conn: &mut Conn,
    clock: &Clock,
    holder: &str,
    count: usize,
) -> anyhow::Result<Vec<Lease>> {
    if failpoints::is_off(Mechanism::Leases) {
        return Ok(unleased(clock.now(), count));
    }
    let failed = |error| main.error(&error);
    let now = mains_time::expression(clock);
    let mut transaction = conn.start_transaction(TxOpts::default()).await.map_err(failed)?;
    // Everybody who leases locks this row first, so that no two of them want the same.
    transaction.query_drop("SELECT id FROM gate_state WHERE id = 1 FOR UPDATE").await.map_err(failed)?;
    let sql = format!("SELECT worker FROM worker_leases WHERE lease_end >= {now}");
    let taken: Vec<u16> = transaction.query(sql).await.map_err(failed)?;
    let free: Vec<u16> = (0..NUMBERS).filter(|number| !taken.contains(number)).take(count).collect();
    let enough = |found: usize| {
        ensure!(
            found == count,
            "{main}: all {NUMBERS} worker numbers are leased; those of processes that are gone are free again within {} minutes",
            TERM_MS / 60_000
        );
        Ok(())
    };
    enough(free.len())?;
    let mut leases = Vec::with_capacity(count);
    for number in free {
        // The end goes last: what is assigned before it is judged by the end of the old lease.
        let mine = "lease_end < VALUES(lease_start)";
        let sql = format!(
            "INSERT INTO worker_leases (worker, holder, lease_start, lease_end) \
             VALUES (?, ?, {now}, {now} + {TERM_MS}) ON DUPLICATE KEY UPDATE \
             holder = IF({mine}, VALUES(holder), holder), \
             lease_start = IF({mine}, VALUES(lease_start), lease_start), \
             lease_end = IF({mine}, VALUES(lease_end), lease_end)"
        );
        transaction.exec_drop(sql, (number, holder)).await.map_err(failed)?;
        let sql = "SELECT lease_start, lease_end FROM worker_leases WHERE worker = ? AND holder = ?";
        let row: Option<(i64, i64)> = transaction.exec_first(sql, (number, holder)).await.map_err(failed)?;
        let [start, end] = row
            .map(|(start, end)| [start, end].map(Timestamp::from_millis))
            .with_context(|| format!("{main}: worker number {number} was renewed by its holder just now"))?;
        leases.push(Lease::new(number, start, end));
    }
    transaction.commit().await.map_err(failed)?;
    Ok(leases)
}

/// The first numbers there are, whatever other processes use: the choice of a process that does not ask main.
fn unleased(now: Timestamp, count: usize) -> Vec<Lease> {
    (0..NUMBERS).take(count).map(|number| Lease::new(number, now, now.plus_millis(TERM_MS))).collect()
}

fn list(numbers: impl Iterator<Item = u16>) -> String {
    numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(",")
}
