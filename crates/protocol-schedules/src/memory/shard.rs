//! A shard's server in memory, and a process's way to it.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use coupon_core::books::Behind;
use coupon_core::{CouponId, CouponResult, GateCount, ResultId, ShardId, TableId, Timestamp, VersionNumber};
use coupon_servers::seam::{
    Begun, DatabaseError, GateEpochs, Hold, Look, OutboxEntry, ReadsHolds, ShardMoves, ShardProgress,
    ShardServer, ShardState, Stepping, Storing, StoringError, Waiting,
};
use coupon_store::{PlacedResult, Totals};
use tokio::sync::Mutex;

use super::stepping::Steps;
use super::storing::Connection;
use super::unanswered;
use crate::world::{NoAnswer, ServerLine};

/// The memory of a shard's server.
#[derive(Debug, Clone, Default)]
pub struct ShardMemory {
    /// The rows of each table, by their ids.
    pub tables: BTreeMap<TableId, BTreeMap<i64, CouponResult>>,
    /// Results that are parked.
    pub parked: BTreeMap<i64, ParkedRow>,
    /// The list of what is held: until when, the result's id, and its table.
    pub holds: BTreeMap<(Timestamp, i64), TableId>,
    /// Changes that main has not applied, or that were not taken off since.
    pub outbox: BTreeMap<i64, String>,
    /// The last of them.
    pub outbox_id: i64,
    /// The releases that the gate is to do, by the entry that waits with each and the result's id.
    pub releases: BTreeMap<(i64, i64), Waiting>,
    /// Results of these epochs, and of earlier ones of their gates, are not taken any more.
    pub closed: GateEpochs,
    /// The last epochs that were announced.
    pub announced: GateEpochs,
    /// The latest version of the layout that was announced to it.
    pub layout: VersionNumber,
    /// Its transactions.
    pub commits: u64,
    /// The sums that it keeps itself.
    pub sums: Totals,
    /// The rows that have left their table and are not known to have arrived, each with the place that it goes to.
    pub leaving: BTreeMap<i64, PlacedResult>,
    /// Its own record of what has moved.
    pub moves: ShardMoves,
    /// The last batch that has arrived from each shard.
    pub arrivals: BTreeMap<ShardId, u64>,
    pub(super) messages: u64,
    pub(super) received: u64,
    pub(super) as_of: i64,
    pub(super) markers: BTreeMap<String, Timestamp>,
    /// The lock of the row of state.
    pub(super) row: Arc<Mutex<()>>,
    /// The lock of the rows of results that take a step.
    pub(super) stepping: Arc<Mutex<()>>,
    /// The transactions that have either of these and wait for the other.
    pub(super) waiting: Arc<Crosswise>,
}

/// The transactions that have one thing and wait for another: there is one of either kind at most.
#[derive(Debug, Default)]
pub(super) struct Crosswise {
    /// The one that has the row of state waits for rows.
    pub(super) for_rows: AtomicBool,
    /// The one that has rows waits for the row of state.
    pub(super) for_state: AtomicBool,
}

/// A parked result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedRow {
    /// The row itself.
    pub row: CouponResult,
    /// The reason.
    pub reason: String,
}

impl ShardMemory {
    /// Every stored result, but for those that are leaving.
    pub fn rows(&self) -> impl Iterator<Item = &CouponResult> {
        self.tables.values().flat_map(BTreeMap::values)
    }

    /// Every stored result, and those that are leaving.
    pub fn rows_and_leaving(&self) -> impl Iterator<Item = &CouponResult> {
        self.rows().chain(self.leaving.values().map(|row| &row.result))
    }

    /// The entries of the outbox, from after one of them on, that wait for no release.
    fn told_after(&self, id: i64) -> impl Iterator<Item = OutboxEntry> + '_ {
        let first = self.releases.keys().next().map_or(i64::MAX, |(entry, _)| *entry);
        let entries = self.outbox.range(id + 1..).take_while(move |(id, _)| **id < first);
        entries.map(|(id, deltas)| OutboxEntry { id: *id, deltas: deltas.clone() })
    }

    pub(super) const fn reached(&self) -> ShardProgress {
        ShardProgress { outbox_id: self.outbox_id, commits: self.commits }
    }

    pub(super) fn begun(&self) -> Begun {
        let Self { outbox_id, closed, commits, moves, .. } = *self;
        Begun { outbox_id, closed, list: 0, commits, moves }
    }
}

/// True of a row that takes stock.
pub(super) const fn is_live(row: &CouponResult) -> bool {
    row.slot.is_some()
}

fn hold(row: &CouponResult) -> Hold {
    let CouponResult { result_id, user_id, coupon_id, slot, hold_until, request, state_time, .. } = *row;
    Hold {
        coupon: coupon_id.get(),
        user: user_id.get(),
        id: result_id.number(),
        slot: slot.unwrap_or(0),
        hold_until,
        request,
        given_back: if slot.is_some() { None } else { state_time },
    }
}

/// A result that is parked takes stock, in the slot that is noted of it, or else in the first.
fn parked(row: &CouponResult) -> Hold {
    hold(&CouponResult { slot: row.slot.or(Some(0)), ..*row })
}

/// A process's way to a shard.
#[derive(Clone)]
pub(super) struct Shard {
    pub(super) line: ServerLine,
    pub(super) shard: ShardId,
}

impl Shard {
    pub(super) async fn ask<T>(&self, read: impl FnOnce(&mut ShardMemory) -> T) -> Result<T, DatabaseError> {
        let asked = self.line.ask(|state| state.shards.get_mut(self.shard.index()).map(read)).await;
        asked.and_then(|found| found.ok_or(NoAnswer::Refused)).map_err(|lost| self.failed(lost))
    }

    async fn order(&self, act: impl FnOnce(&mut ShardMemory) + Send + 'static) -> Result<(), DatabaseError> {
        let shard = self.shard.index();
        let ordered = self.line.order(move |world| world.state().shards.get_mut(shard).map(act)).await;
        ordered.map(|_| ()).map_err(|lost| self.failed(lost))
    }

    pub(super) fn failed(&self, lost: NoAnswer) -> DatabaseError {
        unanswered(self.line.server, lost)
    }
}

#[async_trait]
impl ShardServer for Shard {
    fn name(&self) -> String {
        self.line.server.to_string()
    }

    async fn storing(&self) -> Result<Box<dyn Storing>, DatabaseError> {
        self.ask(|_| ()).await?;
        Ok(Box::new(Connection::new(self)))
    }

    async fn tables(&self) -> Result<Vec<TableId>, DatabaseError> {
        self.ask(|memory| memory.tables.keys().rev().copied().collect()).await
    }

    async fn make_table(&self, table: TableId) -> Result<(), DatabaseError> {
        self.order(move |memory| {
            memory.tables.entry(table).or_default();
        })
        .await
    }

    async fn look(&self, before: &Look) -> Result<(Look, Option<Vec<TableId>>), DatabaseError> {
        self.ask(|memory| {
            let look = Look {
                as_of: Timestamp::from_millis(memory.as_of),
                outbox_id: memory.outbox_id,
                results: memory.sums.results,
                used: memory.sums.used,
                order_amount: memory.sums.order_amount,
                given_back: memory.sums.given_back,
                commits: memory.commits,
                messages: memory.messages,
                received: memory.received,
                parked: memory.parked.len() as u64,
                ..*before
            };
            (look, Some(memory.tables.keys().rev().copied().collect()))
        })
        .await
    }

    async fn state(&self) -> Result<ShardState, DatabaseError> {
        self.ask(|memory| ShardState {
            last_epochs: memory.closed.max(memory.announced),
            layout: memory.layout,
            outbox_id: memory.outbox_id,
            untold_from: memory.outbox.keys().next().copied().unwrap_or(memory.outbox_id + 1),
            commits: memory.commits,
        })
        .await
    }

    async fn check(&self, told: i64) -> Result<(), DatabaseError> {
        let has = self.ask(|memory| memory.outbox_id).await?;
        let refused =
            |why: Behind| DatabaseError::new(&self.name(), "memory", "memory", &why.to_string(), false);
        Behind::refuse(told, has).map_err(refused)
    }

    async fn announce(&self, gates: GateCount, epoch: u64) -> Result<(), DatabaseError> {
        self.order(move |memory| memory.announced.note(gates, epoch)).await
    }

    async fn announce_layout(&self, version: VersionNumber) -> Result<(), DatabaseError> {
        self.order(move |memory| memory.layout = memory.layout.max(version)).await
    }

    async fn markers(&self, among: &[String]) -> Result<Vec<String>, DatabaseError> {
        self.ask(|memory| among.iter().filter(|id| memory.markers.contains_key(*id)).cloned().collect()).await
    }

    async fn read_holds(
        &self,
        table: TableId,
        coupons: RangeInclusive<CouponId>,
        since: Timestamp,
        reader: &mut dyn ReadsHolds,
    ) -> anyhow::Result<ShardProgress> {
        let read = |memory: &mut ShardMemory| {
            (memory.reached(), memory.tables.get(&table).cloned().unwrap_or_default())
        };
        let (reached, rows) = self.ask(read).await?;
        let answers = |row: &CouponResult| row.request.is_some() && row.state_time >= Some(since);
        let wanted = |row: &&CouponResult| coupons.contains(&row.coupon_id) && (is_live(row) || answers(row));
        reader.take(rows.values().filter(wanted).map(hold).collect()).await?;
        Ok(reached)
    }

    async fn parked(&self) -> Result<Vec<Hold>, DatabaseError> {
        self.ask(|memory| memory.parked.values().map(|kept| parked(&kept.row)).collect()).await
    }

    async fn rows_after(
        &self,
        table: TableId,
        id: i64,
        most: usize,
    ) -> Result<(ShardProgress, Vec<Hold>), DatabaseError> {
        self.ask(|memory| {
            let rows = memory.tables.get(&table).map(|rows| rows.range(id + 1..));
            let live = rows.into_iter().flatten().filter(|(_, row)| is_live(row));
            (memory.reached(), live.map(|(_, row)| hold(row)).take(most).collect())
        })
        .await
    }

    async fn take_stock(
        &self,
        table: TableId,
        ids: &[ResultId],
    ) -> Result<(ShardProgress, Vec<(ResultId, bool)>), DatabaseError> {
        self.ask(|memory| {
            let rows = memory.tables.get(&table);
            let found = |id: &ResultId| Some((*id, is_live(rows?.get(&id.number())?)));
            (memory.reached(), ids.iter().filter_map(found).collect())
        })
        .await
    }

    async fn stepping(&self) -> Result<Box<dyn Stepping>, StoringError> {
        self.ask(|_| ()).await.map_err(StoringError::Failed)?;
        Ok(Box::new(Steps::new(self)))
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, DatabaseError> {
        self.ask(|memory| memory.holds.keys().next().map(|(until, _)| *until)).await
    }

    async fn releases(&self, after: Option<Waiting>, most: usize) -> Result<Vec<Waiting>, DatabaseError> {
        let after = after.as_ref().map(waits_at).map_or(Bound::Unbounded, Bound::Excluded);
        let rest = move |memory: &mut ShardMemory| {
            let rest = memory.releases.range((after, Bound::Unbounded));
            rest.map(|(_, waiting)| *waiting).take(most).collect()
        };
        self.ask(rest).await
    }

    async fn forget_releases(&self, gone: &[Waiting]) -> Result<(), DatabaseError> {
        if gone.is_empty() {
            return Ok(());
        }
        let gone: Vec<(i64, i64)> = gone.iter().map(waits_at).collect();
        self.order(move |memory| memory.releases.retain(|at, _| !gone.contains(at))).await
    }

    async fn outbox_after(&self, id: i64, most: usize) -> Result<Vec<OutboxEntry>, DatabaseError> {
        self.ask(|memory| memory.told_after(id).take(most).collect()).await
    }

    async fn forget_outbox(&self, up_to: i64) -> Result<(), DatabaseError> {
        self.order(move |memory| memory.outbox.retain(|id, _| *id > up_to)).await
    }
}

/// The place of a release among those that wait.
pub(super) const fn waits_at(waiting: &Waiting) -> (i64, i64) {
    (waiting.outbox_id, waiting.release.id.number())
}
