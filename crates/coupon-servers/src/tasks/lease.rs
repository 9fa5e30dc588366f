//! Worker numbers, leased from main: part of every id, and never used by two processes for the same time.
//!
//! A lease is taken, judged and renewed by main's clock, within the statement that does it: a process's own clock,
//! however wrong, gives it no other's number.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use coupon_core::Timestamp;
use coupon_store::clock::Clock;
use coupon_store::failpoints::{self, Mechanism};
use coupon_store::ids::{Lease, Leased, PATIENCE_MS};
use coupon_store::outage::TaskOutage;
use coupon_store::timekeeping::{ClockOffset, seconds};
use tokio::time::timeout;

use crate::seam::{MainServer, NUMBERS, Renewed, TERM_MS, Term};

/// The longest that main may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The time between two renewals.
pub(crate) const RENEW: Duration = Duration::from_secs(30);
/// The wait before it is tried again for a worker that has no ids.
const AGAIN: Duration = Duration::from_secs(1);

/// The numbers that this process has leased, and how to keep them.
pub(crate) struct Leases {
    main: Arc<dyn MainServer>,
    clock: Clock,
    /// Distinguishes this process from every other.
    holder: String,
    pub(crate) leased: Arc<Leased>,
}

impl Leases {
    /// Leases so many free numbers.
    pub(crate) async fn take(
        main: &Arc<dyn MainServer>,
        clock: &Clock,
        holder: String,
        count: usize,
        clock_offset: Arc<ClockOffset>,
    ) -> anyhow::Result<Self> {
        let numbers = take(&**main, clock, &holder, count).await?;
        let leased = Arc::new(Leased::new(numbers, clock_offset));
        Ok(Self { main: Arc::clone(main), clock: clock.clone(), holder, leased })
    }

    /// Renews them for as long as the process lives, and leases others for those that are lost.
    pub(crate) async fn keep(self: Arc<Self>) {
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
        let workers: Vec<u16> = held.iter().map(|lease| lease.worker).collect();
        let Renewed { ends, now } = self.main.renew(&self.holder, &workers).await?;
        let mut lost = Vec::new();
        for (place, lease) in held.iter().enumerate() {
            // A number whose ids ran ahead of time, by a clock that was wrong for a while, would give none for as long.
            let usable = lease.used() <= now.plus_millis(PATIENCE_MS);
            match ends.get(&lease.worker) {
                Some(end) if usable => lease.extend(*end),
                _ => lost.push((place, lease)),
            }
        }
        if lost.is_empty() {
            return Ok(());
        }
        for (_, lease) in &lost {
            lease.close();
        }
        let numbers = take(&*self.main, &self.clock, &self.holder, lost.len()).await?;
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

    /// Gives them back: no other process may use them for a time that has been used.
    pub(crate) async fn give_back(&self) -> anyhow::Result<()> {
        self.leased.all().iter().for_each(|lease| lease.close());
        timeout(PATIENCE, self.give_all_back()).await.context("main does not answer")?
    }

    async fn give_all_back(&self) -> anyhow::Result<()> {
        for lease in self.leased.all() {
            self.main.give_back(&self.holder, lease.worker, lease.used().plus_millis(1)).await?;
        }
        Ok(())
    }
}

/// Takes numbers whose leases have ended by main's clock. A number goes over in the one statement that finds its
/// lease to have ended: a holder that renews it at the same time has it still, or has lost it.
async fn take(
    main: &dyn MainServer,
    clock: &Clock,
    holder: &str,
    count: usize,
) -> anyhow::Result<Vec<Lease>> {
    if failpoints::is_off(Mechanism::Leases) {
        return Ok(unleased(clock.now(), count));
    }
    let terms = main.lease(holder, count).await?;
    Ok(terms.into_iter().map(|Term { worker, start, end }| Lease::new(worker, start, end)).collect())
}

/// The first numbers there are, whatever other processes use: the choice of a process that does not ask main.
fn unleased(now: Timestamp, count: usize) -> Vec<Lease> {
    (0..NUMBERS).take(count).map(|number| Lease::new(number, now, now.plus_millis(TERM_MS))).collect()
}
