//! Transactions that store rows on a shard.

use async_trait::async_trait;
use coupon_core::{CouponId, CouponResult, GateCount, TableId, Timestamp, schema};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::shard::ShardDatabase;
use super::{code, has_code, steps};
use crate::engine::{self, Begins, Ends, TurnError};
use crate::format;
use crate::lane::Lane;
use crate::seam::{Alike, Begun, Inserted, Note, Storing, StoringError};
use crate::{rooms, sql, stock};

/// A connection that commits nothing by itself.
pub(super) struct StoringOver {
    shard: ShardDatabase,
    conn: Conn,
    /// The generation of the connection.
    generation: u64,
    /// The number of transactions before the one under way.
    after: u64,
    /// The rows that went in, where there is a room index to write entries for.
    rows: Vec<CouponResult>,
}

impl StoringOver {
    pub(super) const fn new(shard: ShardDatabase, conn: Conn, generation: u64) -> Self {
        Self { shard, conn, generation, after: 0, rows: Vec::new() }
    }
}

/// Waits for an answer over a connection of a generation, for as long as that is used.
async fn while_used<T>(
    shard: &ShardDatabase,
    generation: u64,
    asked: impl Future<Output = mysql_async::Result<T>>,
) -> Result<T, StoringError> {
    let answer = shard.database.unless_given_up(generation, asked).await;
    answer.map_err(|error| shard.storing_failed(&error))
}

#[async_trait]
impl Storing for StoringOver {
    async fn tables(&mut self) -> Result<Vec<TableId>, StoringError> {
        if self.shard.lane.is_engines() {
            return Ok(vec![TableId::Single]);
        }
        while_used(&self.shard, self.generation, sql::tables(&mut self.conn)).await
    }

    async fn make_table(&mut self, table: TableId) -> Result<(), StoringError> {
        if self.shard.has_always(table).map_err(StoringError::Failed)? {
            return Ok(());
        }
        while_used(&self.shard, self.generation, self.conn.query_drop(schema::results_table(table))).await
    }

    async fn begin(&mut self) -> Result<Option<Begun>, StoringError> {
        let state = if self.shard.lane.is_engines() {
            self.shard.ensure_on_one_shard().await?;
            engine::begin(self).await?
        } else {
            self.lock_state().await?
        };
        self.after = state.map_or(0, |begun| begun.commits);
        self.rows.clear();
        Ok(state)
    }

    async fn untold(&mut self) -> Result<Vec<(CouponId, i64)>, StoringError> {
        if !self.shard.stock {
            return Ok(Vec::new());
        }
        while_used(&self.shard, self.generation, stock::take_untold(&mut self.conn)).await
    }

    async fn insert(
        &mut self,
        table: TableId,
        results: &[&CouponResult],
        ignoring: bool,
    ) -> Result<Inserted, StoringError> {
        let lane = self.shard.lane;
        let insert = if lane.is_engines() {
            engine::insert(lane, results, ignoring) + &sql::hold(lane, table, results)
        } else {
            sql::insert(lane, table, results, ignoring)
        };
        let asked = self.conn.query_drop(insert);
        match self.shard.database.unless_given_up(self.generation, asked).await {
            Ok(()) => {
                if self.shard.rooms.is_some() {
                    self.rows.extend(results.iter().copied());
                }
                Ok(Inserted::All)
            }
            Err(error) if has_code(&error, code::DUPLICATE) => Ok(Inserted::Duplicate),
            Err(error) => Err(self.shard.storing_failed(&error)),
        }
    }

    async fn alike(&mut self, table: TableId, results: &[&CouponResult]) -> Result<Vec<Alike>, StoringError> {
        let asked = sql::alike(&mut self.conn, self.shard.lane, table, results);
        while_used(&self.shard, self.generation, asked).await
    }

    async fn park(
        &mut self,
        table: TableId,
        result: &CouponResult,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoringError> {
        let asked = sql::park(&mut self.conn, self.shard.lane, table, result, reason, now);
        while_used(&self.shard, self.generation, asked).await
    }

    async fn commit(&mut self, note: &Note<'_>) -> Result<(), StoringError> {
        let told = self.shard.rooms.map(|places| rooms::entries(places, &self.rows, self.after));
        let (lane, gates) = (self.shard.lane, self.shard.gates);
        let marked = note_markers(&mut self.conn, lane, note);
        while_used(&self.shard, self.generation, marked).await?;
        let noted = noted_by(lane, gates, note, &told.unwrap_or_default());
        if !lane.is_engines() {
            // The server does one after the other, and stops at the first that fails.
            let committed = self.conn.query_drop(noted + "; COMMIT");
            return while_used(&self.shard, self.generation, committed).await;
        }
        match engine::commit(self, noted).await {
            Ok(()) => Ok(()),
            Err(TurnError::Lost(rows)) => Err(self.shard.lost(rows)),
            Err(TurnError::Link(error)) => Err(error),
        }
    }

    async fn close(self: Box<Self>) {
        let _ = self.conn.disconnect().await;
    }
}

#[async_trait]
impl Begins for StoringOver {
    type State = Begun;
    type Error = StoringError;

    async fn start(&mut self) -> Result<(), StoringError> {
        while_used(&self.shard, self.generation, self.conn.query_drop("START TRANSACTION")).await
    }

    async fn lock_state(&mut self) -> Result<Option<Begun>, StoringError> {
        let Self { shard, conn, generation, .. } = self;
        let asked = steps::lock_state(conn, shard.lane, &shard.dataset, shard.gates);
        while_used(shard, *generation, asked).await
    }

    async fn roll_back(&mut self) -> Result<(), StoringError> {
        while_used(&self.shard, self.generation, self.conn.query_drop("ROLLBACK")).await
    }
}

#[async_trait]
impl Ends for StoringOver {
    type Error = StoringError;

    async fn note(&mut self, statements: String) -> Result<u64, StoringError> {
        while_used(&self.shard, self.generation, self.conn.query_drop(statements)).await?;
        Ok(self.conn.affected_rows())
    }

    async fn commit(&mut self) -> Result<(), StoringError> {
        while_used(&self.shard, self.generation, self.conn.query_drop("COMMIT")).await
    }
}

/// Writes the markers.
async fn note_markers(conn: &mut Conn, lane: Lane, note: &Note<'_>) -> mysql_async::Result<()> {
    let now = note.now.millis();
    for marker in note.markers {
        let row = (&marker.id, now);
        let replace = lane.insert("REPLACE INTO markers (marker_id, commit_time) VALUES (?, ?)");
        conn.exec_drop(replace, row).await?;
    }
    if !note.markers.is_empty() {
        let old = (note.markers_from.millis(),);
        conn.exec_drop(lane.only("DELETE FROM markers WHERE commit_time < ?"), old).await?;
    }
    Ok(())
}

/// The statements that note the outbox entries, the entries for the room index and, last, the shard's sums.
fn noted_by(lane: Lane, gates: GateCount, note: &Note<'_>, told: &str) -> String {
    let now = note.now.millis();
    let mut all = steps::entries(lane, note.entries, note.now) + told;
    // A time later than now came from a clock that was wrong.
    let Note { outbox_id, closed, sent, added, late, messages, received, .. } = note;
    if *late > 0 {
        all += &format!("UPDATE move_state SET late = late + {late} WHERE id = 1; ");
    }
    let of_several = if gates.is_several() {
        format!("closed_epochs = '{}', ", closed.of_several())
    } else {
        String::new()
    };
    let state = format!(
        "UPDATE shard_state SET outbox_id = {outbox_id}, closed_epoch = GREATEST(closed_epoch, {}), {of_several}\
         as_of = IF(as_of > {now}, {sent}, GREATEST(as_of, {sent})), results = results + {added}, \
         messages = messages + {messages}, received = received + {received}, commits = commits + 1 WHERE {lane} AND id = {}",
        closed.of_all(),
        format::of(gates)
    );
    all + &lane.named(state)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use coupon_core::{Lanes, ResultId, ResultState, RoomId, ShardId, UserId};

    use super::*;
    use crate::seam::{GateEpochs, OutboxEntry, Release, Waiting};

    fn third_of_eight() -> Lane {
        Lane::among(Lanes::new(NonZeroU16::new(8).unwrap()).unwrap(), ShardId::new(3)).unwrap()
    }

    /// Every statement of a lane's transactions that is made of text, one each.
    fn statements(lane: Lane) -> Vec<String> {
        let now = Timestamp::from_millis(1_795_000_000_000);
        let id = ResultId::from_parts(now, 0, 1).unwrap();
        let (user, coupon) = (UserId::new(1).unwrap(), CouponId::new(7).unwrap());
        let entries = [OutboxEntry { id: 5, deltas: r#"[[7,1],[8,2,"release"]]"#.to_owned() }];
        let note = Note {
            now,
            markers: &[],
            markers_from: now,
            entries: &entries,
            outbox_id: 5,
            closed: GateEpochs::all(0),
            sent: now.millis(),
            added: 1,
            late: 0,
            messages: 1,
            received: 1,
        };
        let release = Release { coupon, user, id, slot: 0, request: None };
        let waiting = [Waiting { outbox_id: 5, release, closed: 0 }];
        let held = CouponResult {
            state: ResultState::Held,
            hold_until: Some(now),
            ..CouponResult::granted(id, user, coupon, RoomId::new(3).unwrap())
        };
        let texts = [
            steps::state_query(lane, GateCount::ONE),
            noted_by(lane, GateCount::ONE, &note, ""),
            steps::releases(lane, &waiting),
            engine::insert(lane, &[&held], false) + &sql::hold(lane, TableId::Single, &[&held]),
        ];
        let parts = texts.iter().flat_map(|text| text.split("; ")).filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    }

    #[test]
    fn every_statement_of_an_engines_lane_has_its_name_and_is_about_it_alone() {
        let statements = statements(third_of_eight());
        assert_eq!(statements.len(), 6, "{statements:#?}");
        for sql in statements {
            let (_, rest) = sql.split_once(' ').unwrap();
            assert!(rest.starts_with("/* lane 60 */ "), "{sql}");
            // Rows of results have no such column: where they belong is their user's affair.
            assert!(sql.contains("X'60'") || sql.contains("INTO coupon_results "), "{sql}");
        }
    }

    #[test]
    fn statements_of_a_shard_that_is_run_by_hand_have_no_name() {
        for sql in statements(Lane::ONLY) {
            assert!(!sql.contains("/*"), "{sql}");
            assert!(sql.contains("X'00'") || sql.contains("INTO coupon_results "), "{sql}");
        }
    }
}
