//! The one shard's database in the place of Redis and RabbitMQ: a grab is decided and stored by one transaction there.
//!
//! What is sold is counted when an epoch is filled, by the transaction that puts coupons on offer, and kept from then
//! on by every transaction that stores results or gives their stock back. So nothing is pending, and no holder has to
//! be written or let go of.

mod kept;
mod queues;
mod retired;
mod transactions;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use coupon_core::schema::{self, Dialect};
use coupon_core::{CouponId, CouponResult, Timestamp, VersionNumber};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::time::timeout;

pub(super) use kept::{ensure_main_agrees, ensure_shard_agrees, may_have_gate, opened_by};
pub(super) use queues::LocalQueues;
pub use retired::take_off;
pub(super) use retired::untold;
pub(super) use transactions::{take_back, take_untold};

use super::catalogue::OfferedCatalogue;
use super::gate::Epoch;
use super::mysql::{Database, DatabaseError};
use super::seam::{
    CouponHolders, Fence, GateError, GateServer, Held, Hold, Mark, Release, Remembers, Unchecked, Versions,
};
use coupon_store::stock::TABLE;
use coupon_store::terms::Terms;
use coupon_store::{Attempt, Decision, GateStock};
use transactions::{Failed, row};

/// The address of the stock, whichever way a process reaches it: a data set has one.
pub(super) const ADDRESS: &str = "the database of shard 0";
/// The longest that it may take to count what is sold: all rows are read.
const COUNTING: Duration = Duration::from_secs(60);
/// The name under which the shard has the epoch that its stock is of.
const EPOCH: &str = "stock";

/// The way to the database that decides, of one thread.
pub(super) struct StockGate {
    database: Database,
    dataset: String,
    offered: Arc<OfferedCatalogue>,
    patience: Duration,
}

/// Makes the tables of results and of stock, unless they are there, and has the shard say that it keeps the stock,
/// before an epoch of it is announced.
pub(super) async fn prepare(database: &Database) -> Result<(), DatabaseError> {
    let mut conn = database.connect().await?;
    let tables = schema::stock(Dialect::MySql).into_iter().chain([schema::results_table(TABLE)]);
    let mark = format!("INSERT IGNORE INTO shard_meta (name, value) VALUES ('{EPOCH}', 0)");
    for sql in tables.chain([mark]) {
        conn.query_drop(sql).await.map_err(|error| database.error(&error))?;
    }
    Ok(())
}

impl StockGate {
    pub(super) fn new(
        database: &Database,
        dataset: &str,
        offered: Arc<OfferedCatalogue>,
        patience: Duration,
    ) -> Self {
        Self { database: database.with_own_pool(), dataset: dataset.to_owned(), offered, patience }
    }

    /// Waits for an answer of the database's for so long.
    async fn within<T>(
        &self,
        patience: Duration,
        asked: impl Future<Output = Result<T, Failed>>,
    ) -> Result<T, GateError> {
        match timeout(patience, asked).await {
            Ok(answer) => answer.map_err(|failed| match failed {
                Failed::Forgot => GateError::Forgot,
                Failed::Database(error) => GateError::Away { why: self.database.error(&error).to_string() },
                Failed::Away(why) => GateError::Away { why },
                Failed::Overtaken => {
                    GateError::Away { why: format!("{}: others were always first", self.database) }
                }
            }),
            Err(_) => Err(GateError::Away { why: format!("{} did not answer in time", self.database) }),
        }
    }

    async fn connect(&self) -> Result<Conn, GateError> {
        self.within(self.patience, async { Ok(self.database.connect().await?) }).await
    }

    async fn heard<T>(&self, asked: impl Future<Output = mysql_async::Result<T>>) -> Result<T, GateError> {
        self.within(self.patience, async { Ok(asked.await?) }).await
    }
}

async fn read_epoch(conn: &mut impl Queryable) -> mysql_async::Result<Option<u64>> {
    conn.exec_first("SELECT CAST(value AS UNSIGNED) FROM shard_meta WHERE name = ?", (EPOCH,)).await
}

#[async_trait]
impl GateServer for StockGate {
    fn address(&self) -> String {
        ADDRESS.to_owned()
    }

    async fn decide(
        &self,
        epoch: &Epoch,
        _: VersionNumber,
        attempts: &[&Attempt],
    ) -> Result<Vec<Decision>, GateError> {
        let mut decisions = vec![Decision::NotLoaded; attempts.len()];
        let mut open: Vec<(&Attempt, &mut Decision)> = attempts.iter().copied().zip(&mut decisions).collect();
        // A user's second attempt at a coupon is decided by what the first has stored.
        while !open.is_empty() {
            let mut seen = HashSet::new();
            let (now, later): (Vec<_>, Vec<_>) =
                open.into_iter().partition(|(attempt, _)| seen.insert((attempt.user, attempt.coupon)));
            let asked: Vec<&Attempt> = now.iter().map(|(attempt, _)| *attempt).collect();
            let decided = self.within(self.patience, self.transaction(epoch.number, &asked)).await?;
            now.into_iter().zip(decided).for_each(|((_, decision), decided)| *decision = decided);
            open = later;
        }
        Ok(decisions)
    }

    async fn fence(&self, _: &Epoch, _: u64, _: &[Fence]) -> Result<(), GateError> {
        // Whatever version of the layout places a row, it is in the one table.
        Ok(())
    }

    async fn latest_layout(&self, _: &Epoch) -> Result<VersionNumber, GateError> {
        Ok(1)
    }

    async fn stock(&self, epoch: &Epoch, coupon: CouponId) -> Result<Option<GateStock>, GateError> {
        let mut conn = self.connect().await?;
        let row = self.heard(row(&mut conn, coupon.get())).await?;
        Ok(row.filter(|row| row.epoch == epoch.number).map(|row| row.counts()))
    }

    async fn holders(&self, _: &Epoch, _: CouponId) -> Result<CouponHolders, GateError> {
        Ok(CouponHolders::default())
    }

    async fn remembers(&self, epoch: &Epoch) -> Result<Remembers, GateError> {
        let mut conn = self.connect().await?;
        let known = self.heard(read_epoch(&mut conn)).await? == Some(epoch.number);
        Ok(Remembers { script: known, sentinel: known })
    }

    async fn pending_at(&self, epoch: &Epoch, _: Timestamp) -> Result<(Remembers, Vec<Mark>), GateError> {
        Ok((self.remembers(epoch).await?, Vec::new()))
    }

    async fn pending_until(&self, _: &Epoch, _: Timestamp) -> Result<Vec<Mark>, GateError> {
        Ok(Vec::new())
    }

    async fn pending(&self, _: &Epoch) -> Result<Vec<Mark>, GateError> {
        Ok(Vec::new())
    }

    async fn are_pending(&self, _: &Epoch, marks: &[Mark]) -> Result<Vec<bool>, GateError> {
        Ok(vec![false; marks.len()])
    }

    async fn unmark(&self, _: &Epoch, _: &[Mark]) -> Result<(), GateError> {
        Ok(())
    }

    async fn held(&self, _: &Epoch, marks: &[Mark]) -> Result<Vec<Option<Held>>, GateError> {
        Ok(vec![None; marks.len()])
    }

    async fn park(&self, _: &Epoch, _: &[CouponResult]) -> Result<(), GateError> {
        Ok(())
    }

    async fn probe(&self) -> Result<(), GateError> {
        let mut conn = self.connect().await?;
        self.heard(read_epoch(&mut conn)).await.map(drop)
    }

    async fn begin(&self, epoch: &Epoch) -> Result<(), GateError> {
        let sql = "INSERT INTO shard_meta (name, value) VALUES (?, ?) ON DUPLICATE KEY UPDATE value = VALUES(value)";
        let mut conn = self.connect().await?;
        self.heard(conn.exec_drop(sql, (EPOCH, epoch.number))).await
    }

    async fn offer(&self, epoch: &Epoch, version: u64, coupons: &[&Terms]) -> Result<(), GateError> {
        self.within(COUNTING, self.put_on_offer(epoch.number, version, coupons)).await
    }

    async fn change_terms(
        &self,
        epoch: &Epoch,
        version: u64,
        coupons: &[&Terms],
    ) -> Result<Vec<CouponId>, GateError> {
        // It lacks none: holders are counted where they are stored.
        self.offer(epoch, version, coupons).await.map(|()| Vec::new())
    }

    async fn versions(&self, epoch: &Epoch) -> Result<Option<Versions>, GateError> {
        let sql = "SELECT MIN(version), MAX(version) FROM stock WHERE epoch = ?";
        let mut conn = self.connect().await?;
        let versions: Option<(Option<u64>, Option<u64>)> =
            self.heard(conn.exec_first(sql, (epoch.number,))).await?;
        Ok(versions.and_then(|(first, last)| Some(Versions { first: first?, last: last?, layouts: 0 })))
    }

    async fn offers_all(&self, _: &Epoch) -> Result<bool, GateError> {
        Ok(true)
    }

    async fn hold(&self, _: &Epoch, holds: &[Hold]) -> Result<Vec<bool>, GateError> {
        Ok(vec![true; holds.len()])
    }

    async fn hold_instead(&self, _: &Epoch, _: Hold) -> Result<(), GateError> {
        Ok(())
    }

    async fn hold_beside(&self, _: &Epoch, _: Hold) -> Result<(), GateError> {
        Ok(())
    }

    async fn hold_parked(&self, _: &Epoch, _: &[Hold]) -> Result<(), GateError> {
        Ok(())
    }

    async fn lacking(&self, _: &Epoch, _: &[Hold]) -> Result<Vec<Hold>, GateError> {
        Ok(Vec::new())
    }

    async fn remember(&self, _: &Epoch, _: &[(Hold, Duration)]) -> Result<(), GateError> {
        Ok(())
    }

    async fn let_go(&self, _: &Epoch, _: &[Release]) -> Result<(), GateError> {
        Ok(())
    }

    async fn restore(&self, _: &Epoch, rows: &[(Unchecked, Hold)]) -> Result<Vec<bool>, GateError> {
        Ok(vec![false; rows.len()])
    }

    async fn unchecked(&self, _: &Epoch) -> Result<Vec<Unchecked>, GateError> {
        Ok(Vec::new())
    }

    async fn checked(&self, _: &Epoch, _: &[Unchecked]) -> Result<(), GateError> {
        Ok(())
    }

    async fn forget_before(&self, epoch: u64) -> Result<(), GateError> {
        // A row with sales that no outbox entry counts yet stays until a later epoch's turn.
        let sql = "DELETE FROM stock WHERE epoch < ? AND untold = 0";
        let mut conn = self.connect().await?;
        self.heard(conn.exec_drop(sql, (epoch,))).await
    }
}
