//! A transaction in MySQL in which results take a step.

use async_trait::async_trait;
use coupon_core::schema::Dialect;
use coupon_core::{
    CouponId, CouponResult, GateCount, RequestKey, ResultId, ResultState, TableId, Timestamp, UserId,
    VersionNumber,
};
use coupon_store::statements::{self, Numbers};
use coupon_store::{Change, Totals};
use mysql_async::prelude::Queryable;
use mysql_async::{Row, Transaction};

use super::{ShardDatabase, code, has_code};
use crate::engine::{self, Begins};
use crate::format;
use crate::lane::{Lane, written};
use crate::seam::{
    Begun, Expired, GateEpochs, OutboxEntry, Release, ShardMoves, Stepped, Stepping, StepsNote, StoringError,
    Waiting,
};
use crate::{rooms, sql, stock, values};

const MYSQL: Dialect = Dialect::MySql;

/// The moment until which a result is held, its id, and the name of its table.
type Due = (i64, i64, String);

/// A transaction on a connection of the pool's.
pub(super) struct StepsOver {
    shard: ShardDatabase,
    transaction: Transaction<'static>,
    /// The row of state, where it was taken when the transaction began.
    begun: Option<Begun>,
    /// The number of transactions before this one.
    after: u64,
    /// The rows that took a step, as they are now.
    stepped: Vec<CouponResult>,
}

/// Begins one. In a lane of an engine its row of state is taken first, whatever is changed: it proves that the transaction is the
/// lane's.
pub(super) async fn begin_steps(shard: &ShardDatabase) -> Result<StepsOver, StoringError> {
    let over = |transaction, begun| StepsOver {
        shard: shard.clone(),
        transaction,
        begun,
        after: 0,
        stepped: Vec::new(),
    };
    if !shard.lane.is_engines() {
        return Ok(over(shard.database.begin().await.map_err(StoringError::Failed)?, None));
    }
    shard.ensure_on_one_shard().await?;
    let mut opening = OpeningLane { shard, transaction: None };
    let begun = engine::begin(&mut opening).await?;
    match (begun, opening.transaction) {
        (Some(begun), Some(transaction)) => Ok(over(transaction, Some(begun))),
        _ => Err(StoringError::Failed(shard.of_another())),
    }
}

/// A transaction in a lane of an engine, while it begins.
struct OpeningLane<'a> {
    shard: &'a ShardDatabase,
    transaction: Option<Transaction<'static>>,
}

#[async_trait]
impl Begins for OpeningLane<'_> {
    type State = Begun;
    type Error = StoringError;

    async fn start(&mut self) -> Result<(), StoringError> {
        let began = self.shard.database.begin().await;
        self.transaction = Some(began.map_err(StoringError::Failed)?);
        Ok(())
    }

    async fn lock_state(&mut self) -> Result<Option<Begun>, StoringError> {
        let Some(transaction) = &mut self.transaction else { return Ok(None) };
        let ShardDatabase { lane, dataset, gates, .. } = self.shard;
        let state = lock_state(transaction, *lane, dataset, *gates).await;
        state.map_err(|error| self.shard.storing_failed(&error))
    }

    async fn roll_back(&mut self) -> Result<(), StoringError> {
        let Some(transaction) = self.transaction.take() else { return Ok(()) };
        transaction.rollback().await.map_err(|error| self.shard.storing_failed(&error))
    }
}

/// Takes the lane's row of state until the transaction ends.
pub(crate) async fn lock_state(
    conn: &mut impl Queryable,
    lane: Lane,
    dataset: &str,
    gates: GateCount,
) -> mysql_async::Result<Option<Begun>> {
    let state: Option<StateRow> = conn.exec_first(state_query(lane, gates), (dataset,)).await?;
    Ok(state.map(|(outbox_id, closed_epoch, of_gates, list, commits, batch, moving_from, closed, late)| {
        let moves = ShardMoves {
            batch: batch.unwrap_or(0),
            moving_from: moving_from.unwrap_or(0),
            closed: closed.unwrap_or(0),
            late: late.unwrap_or(0),
        };
        Begun { outbox_id, closed: GateEpochs::read(closed_epoch, &of_gates), list, commits, moves }
    }))
}

/// The statement that takes a lane's row of state.
pub(super) fn state_query(lane: Lane, gates: GateCount) -> String {
    let of_several = if gates.is_several() { "s.closed_epochs, s.gate_list" } else { "'', 0" };
    lane.named(format!(
        "SELECT s.outbox_id, s.closed_epoch, {of_several}, s.commits, m.batch, m.moving_from, m.closed, m.late \
         FROM shard_state s LEFT JOIN move_state m ON m.id = 1 WHERE s.{lane} AND s.id = {} AND s.dataset = ? FOR UPDATE",
        format::of(gates)
    ))
}

/// Of the shard its last entry of the outbox, the closed epochs, the list of gates and the commits; and what has moved, if
/// anything has: the last batch, the versions that rows leave and those that are closed, and the rows that came late.
type StateRow =
    (i64, u64, String, u64, u64, Option<u64>, Option<VersionNumber>, Option<VersionNumber>, Option<u64>);

/// The statement that adds these entries to the outbox, if any, with its end.
pub(super) fn entries(lane: Lane, entries: &[OutboxEntry], now: Timestamp) -> String {
    let (value, now) = (lane.value(), now.millis());
    let rows = entries.iter().map(|entry| format!("({value},{},'{}',{now})", entry.id, entry.deltas));
    let rows: Vec<String> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
    let rows = rows.join(",");
    lane.named(format!("INSERT INTO outbox (lane, outbox_id, deltas, create_time) VALUES {rows}; "))
}

/// The statement that notes what the gate is to let go of, if anything, with its end.
pub(super) fn releases(lane: Lane, releases: &[Waiting]) -> String {
    let value = lane.value();
    let row = |waiting: &Waiting| {
        let Waiting { outbox_id, release: Release { coupon, user, id, slot, request }, closed } = waiting;
        let request = request.map_or_else(|| "NULL".to_owned(), |request| request.number().to_string());
        format!("({value},{outbox_id},{id},{user},{coupon},{slot},{request},{closed})")
    };
    let rows: Vec<String> = releases.iter().map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    lane.named(format!(
        "INSERT INTO releases (lane, outbox_id, result_id, user_id, coupon_id, slot, request, closed_epoch) VALUES {}; ",
        rows.join(",")
    ))
}

/// Outbox entry, result, user, coupon, slot, request, closed epoch.
type WaitingRow = (i64, i64, u64, u64, u8, Option<i64>, u64);

/// A row of `releases`; `None` for one that this system did not write.
pub(super) fn waiting(row: WaitingRow) -> Option<Waiting> {
    let (outbox_id, id, user, coupon, slot, request, closed) = row;
    let release = Release {
        coupon: CouponId::new(coupon).ok()?,
        user: UserId::new(user).ok()?,
        id: ResultId::from_number(id).ok()?,
        slot,
        request: request.and_then(RequestKey::from_number),
    };
    Some(Waiting { outbox_id, release, closed })
}

impl StepsOver {
    fn failed(&self, error: &mysql_async::Error) -> StoringError {
        self.shard.storing_failed(error)
    }

    /// Locks the row of a result, if there is one.
    async fn find(&mut self, table: TableId, id: ResultId) -> mysql_async::Result<Option<CouponResult>> {
        let sql = format!("{} FOR UPDATE", statements::find(MYSQL, table, id, Numbers::Written));
        let sql = self.shard.lane.named(sql);
        let row: Option<Row> = self.transaction.query_first(sql).await?;
        row.map(|row| values::result(&row)).transpose()
    }

    async fn try_change(&mut self, table: TableId, change: &Change) -> mysql_async::Result<Option<Stepped>> {
        let found = match self.find(table, change.id).await {
            // It was retired, and its results with it.
            Err(error) if has_code(&error, code::NO_TABLE) => None,
            found => found?,
        };
        let Some(before) = found.filter(|row| row.user_id == change.user) else { return Ok(None) };
        if !sql::change(&mut self.transaction, self.shard.lane, table, change).await? {
            return Ok(Some(Stepped { before, after: None }));
        }
        // What is held no more is not in the list; to look for it there would lock the place where it would be, which
        // others insert into.
        if let Some(until) = before.hold_until.filter(|_| before.state == ResultState::Held) {
            let held = (until.millis(), change.id.number());
            self.transaction.exec_drop(self.shard.lane.only(statements::LET_GO), held).await?;
        }
        let after = self.find(table, change.id).await?;
        self.stepped.extend(after);
        Ok(Some(Stepped { before, after }))
    }

    async fn try_to_expire(&mut self, now: Timestamp, most: usize) -> mysql_async::Result<Expired> {
        let (limit, lane) = (i64::try_from(most).unwrap_or(i64::MAX), self.shard.lane);
        let (sql, numbers) = (lane.only(statements::DUE), [now.millis(), limit]);
        let mut due: Vec<Due> = if lane.is_engines() {
            self.transaction.query(written(&sql, numbers)).await?
        } else {
            self.transaction.exec(sql, numbers.to_vec()).await?
        };
        due.sort_unstable_by(|one, other| (&one.2, one.1).cmp(&(&other.2, other.1)));
        let mut rows = Vec::new();
        for of_table in due.chunk_by(|one, next| one.2 == next.2) {
            let table = of_table.first().and_then(|(_, _, name)| TableId::parse(name));
            let ids: Vec<ResultId> =
                of_table.iter().filter_map(|(_, id, _)| ResultId::from_number(*id).ok()).collect();
            if let (Some(table), false) = (table, ids.is_empty()) {
                rows.extend(self.expire_in(table, &ids, now).await?);
            }
        }
        if !due.is_empty() {
            let keys = due.iter().map(|(until, id, _)| format!("{until},{id}"));
            let sql = format!("DELETE FROM holds WHERE {}", lane.keys("hold_until, result_id", keys));
            self.transaction.query_drop(lane.named(sql)).await?;
        }
        Ok(Expired { due: due.len(), rows })
    }

    /// Lets those of these results expire that are still held; returns them as they were.
    async fn expire_in(
        &mut self,
        table: TableId,
        ids: &[ResultId],
        now: Timestamp,
    ) -> mysql_async::Result<Vec<CouponResult>> {
        let lane = self.shard.lane;
        let sql = format!("{} FOR UPDATE", statements::due(MYSQL, table, ids, now));
        let rows: Vec<Row> = match self.transaction.query(lane.named(sql)).await {
            // It was retired, and its results with it.
            Err(error) if has_code(&error, code::NO_TABLE) => return Ok(Vec::new()),
            rows => rows?,
        };
        self.transaction.query_drop(lane.named(statements::expire(table, ids, now))).await?;
        let before: Vec<CouponResult> = rows.iter().map(values::result).collect::<Result<_, _>>()?;
        let expired = |row: &CouponResult| CouponResult {
            state: ResultState::Expired,
            slot: None,
            state_time: Some(now),
            ..*row
        };
        self.stepped.extend(before.iter().map(expired));
        Ok(before)
    }
}

#[async_trait]
impl Stepping for StepsOver {
    async fn begin(&mut self) -> Result<Option<Begun>, StoringError> {
        let state = match self.begun {
            Some(begun) => Some(begun),
            None => {
                let Self { shard, transaction, .. } = self;
                let state = lock_state(transaction, shard.lane, &shard.dataset, shard.gates).await;
                state.map_err(|error| self.failed(&error))?
            }
        };
        self.after = state.map_or(0, |begun| begun.commits);
        Ok(state)
    }

    async fn untold(&mut self) -> Result<Vec<(CouponId, i64)>, StoringError> {
        if !self.shard.stock {
            return Ok(Vec::new());
        }
        stock::take_untold(&mut self.transaction).await.map_err(|error| self.failed(&error))
    }

    async fn change(&mut self, table: TableId, change: &Change) -> Result<Option<Stepped>, StoringError> {
        self.try_change(table, change).await.map_err(|error| self.failed(&error))
    }

    async fn expire(&mut self, now: Timestamp, most: usize) -> Result<Expired, StoringError> {
        self.try_to_expire(now, most).await.map_err(|error| self.failed(&error))
    }

    async fn commit(mut self: Box<Self>, note: &StepsNote<'_>) -> Result<(), StoringError> {
        let StepsNote { now, outbox_id, sums, .. } = note;
        let told = self.shard.rooms.map(|places| rooms::entries(places, &self.stepped, self.after));
        let lane = self.shard.lane;
        let mut noted =
            entries(lane, note.entries, *now) + &releases(lane, note.releases) + &told.unwrap_or_default();
        if self.shard.stock {
            noted += &stock::take_back(note.releases.iter().map(|waiting| &waiting.release));
        }
        let Totals { results, used, order_amount, given_back } = sums;
        let Self { shard, mut transaction, .. } = *self;
        let commit = async {
            let cents = order_amount.cents();
            let state = lane.named(format!(
                "UPDATE shard_state SET outbox_id = GREATEST(outbox_id, {outbox_id}), results = results + {results}, \
                 used = used + {used}, order_amount = order_amount + {cents} / 100, given_back = given_back + {given_back}, \
                 commits = commits + 1 WHERE {lane} AND id = {}",
                format::of(shard.gates)
            ));
            transaction.query_drop(noted + &state).await?;
            let rows = transaction.affected_rows();
            if lane.is_engines() && rows != 1 {
                return Ok(Some(rows));
            }
            transaction.commit().await.map(|()| None)
        };
        match commit.await {
            Ok(None) => Ok(()),
            Ok(Some(rows)) => Err(shard.lost(rows)),
            Err(error) => Err(shard.storing_failed(&error)),
        }
    }
}
