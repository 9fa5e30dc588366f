//! MySQL as a shard's server.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use coupon_core::books::Behind;
use coupon_core::schema;
use coupon_core::{
    CouponId, GateCount, Money, RequestKey, ResultId, ShardId, TableId, Timestamp, UserId, VersionNumber,
};
use coupon_store::room_index::RoomPlaces;
use coupon_store::statements::{self, Numbers};
use futures_util::TryStreamExt as _;
use mysql_async::prelude::{FromRow, Queryable as _};
use mysql_async::{Conn, Row};

use super::steps::{self, begin_steps};
use super::storing::StoringOver;
use super::{Database, DatabaseError, FORGET, PATIENCE, code, has_code};
use crate::cluster::check_shard;
use crate::engine::{Bounds, is_switch};
use crate::lane::Lane;
use crate::seam::{
    GateEpochs, Hold, Look, OutboxEntry, ReadsHolds, ShardProgress, ShardServer, ShardState, Stepping,
    Storing, StoringError, Waiting,
};
use crate::sql;
use crate::values::get;

/// The longest that a database may be silent while it is read.
pub(super) const READING: Duration = Duration::from_secs(30);
/// The rows that are passed on together.
const PART: usize = 5_000;
/// The most rows that one statement deletes in an engine, which gives up one that deletes more than twice as many.
const DELETED: u64 = 5_000;
/// The time between two questions for figures that change slowly, or cost more.
const SLOWLY: Duration = Duration::from_secs(1);
/// MariaDB's versions begin where MySQL's are not yet.
const MARIADB: (u16, u16, u16) = (10, 0, 0);

/// The name under which a shard has the last epoch that was announced to it; of one of several gates, a dot and its number
/// follow.
const EPOCH: &str = "epoch";
/// The name under which it has the latest version of the layout that was announced to it.
pub(crate) const LAYOUT: &str = "layout";

/// A shard's database, of one data set.
#[derive(Debug, Clone)]
pub(crate) struct ShardDatabase {
    pub(super) database: Database,
    shard: ShardId,
    pub(super) dataset: String,
    pub(super) gates: GateCount,
    /// The room index that its rows are carried to, if there is one.
    pub(super) rooms: Option<RoomPlaces>,
    /// True where it decides grabs: it keeps their stock.
    pub(super) stock: bool,
    /// The lane of its small tables' rows.
    pub(super) lane: Lane,
    /// Whether the lane is on one shard, where an engine has it.
    bounds: Option<Arc<Bounds>>,
}

/// The columns of a row that a gate knows, in the order of [`statements::RESERVED`].
pub(crate) type HoldRow = (u64, u64, i64, Option<u8>, Option<i64>, Option<i64>, Option<i64>);

pub(crate) fn hold((coupon, user, id, slot, hold_until, request, state_time): HoldRow) -> Hold {
    let given_back = if slot.is_some() { None } else { state_time.map(Timestamp::from_millis) };
    Hold {
        coupon,
        user,
        id,
        slot: slot.unwrap_or(0),
        hold_until: hold_until.map(Timestamp::from_millis),
        request: request.and_then(RequestKey::from_number),
        given_back,
    }
}

impl ShardDatabase {
    pub(crate) fn new(database: &Database, shard: ShardId, dataset: &str) -> Self {
        Self {
            database: database.clone(),
            shard,
            dataset: dataset.to_owned(),
            gates: GateCount::ONE,
            rooms: None,
            stock: false,
            lane: Lane::ONLY,
            bounds: None,
        }
    }

    /// The same, of a data set with so many gates.
    pub(crate) fn of_gates(self, gates: GateCount) -> Self {
        Self { gates, ..self }
    }

    /// The same, for a data set that has this room index: a transaction that stores or changes rows writes entries for the index.
    pub(crate) fn telling(self, rooms: Option<RoomPlaces>) -> Self {
        Self { rooms, ..self }
    }

    /// The same, for a database that keeps the stock of grabs if that is said: what gives it back says so there.
    pub(crate) fn keeping_stock(self, stock: bool) -> Self {
        Self { stock, ..self }
    }

    /// The same, of a lane that an engine has.
    pub(crate) fn in_lane(self, lane: Lane, bounds: Option<&Arc<Bounds>>) -> Self {
        Self { lane, bounds: bounds.cloned(), ..self }
    }

    /// Refuses to begin a transaction in a lane that is not on one shard any more.
    pub(super) async fn ensure_on_one_shard(&self) -> Result<(), StoringError> {
        match &self.bounds {
            Some(bounds) => bounds.ensure().await.map_err(StoringError::Failed),
            None => Ok(()),
        }
    }

    async fn read<R, T>(&self, mut conn: Conn, sql: String, of: fn(R) -> T) -> Result<Vec<T>, DatabaseError>
    where
        R: FromRow + Send + 'static,
    {
        let rows: Vec<R> = self.database.patiently(READING, conn.query(sql)).await?;
        Ok(rows.into_iter().map(of).collect())
    }

    /// Has it remember a number under a name, unless it has a greater one.
    async fn remember(&self, name: &str, number: u64) -> Result<(), DatabaseError> {
        let mut conn = self.database.connect().await?;
        let sql = self.lane.insert(
            "INSERT INTO shard_meta (name, value) VALUES (?, ?) \
             ON DUPLICATE KEY UPDATE value = IF(CAST(value AS UNSIGNED) < ?, ?, value)",
        );
        let told = conn.exec_drop(sql, (name, number, number, number));
        self.database.patiently(PATIENCE, told).await
    }

    /// The shard's progress, as this connection sees it: what it reads afterwards is of the same server.
    pub(crate) async fn reached(&self, conn: &mut Conn) -> Result<ShardProgress, DatabaseError> {
        let sql = self.lane.only("SELECT outbox_id, commits FROM shard_state WHERE dataset = ?");
        let asked = conn.exec_first(sql, (&self.dataset,));
        let row: Option<(i64, u64)> = self.database.patiently(PATIENCE, asked).await?;
        let reached = row.map(|(outbox_id, commits)| ShardProgress { outbox_id, commits });
        reached.ok_or_else(|| self.of_another())
    }

    /// A connection for reading a whole table: an engine gives more than some thousand rows only over one that says so, and which
    /// is good for nothing else afterwards.
    async fn connect_to_read(&self) -> Result<Conn, DatabaseError> {
        if !self.lane.is_engines() {
            return self.database.connect().await;
        }
        let mut conn = self.database.connect_alone().await?;
        self.database.patiently(PATIENCE, conn.query_drop("SET workload = 'olap'")).await?;
        Ok(conn)
    }

    /// A hold, if it is of this lane: an engine's shard has the rows of others too.
    fn of_lane(&self, hold: Hold) -> Option<Hold> {
        let is_of_lane = || UserId::new(hold.user).is_ok_and(|user| self.lane.has(user));
        (!self.lane.is_engines() || is_of_lane()).then_some(hold)
    }

    /// True of the table of results that an engine has from the beginning. It would carry no other over to new shards, so that
    /// making one is refused.
    pub(super) fn has_always(&self, table: TableId) -> Result<bool, DatabaseError> {
        if self.lane.is_engines() && table != TableId::Single {
            let why = format!("{table} is to be made, and an engine has the tables that it had at first");
            return Err(self.database.failed(why, false));
        }
        Ok(self.lane.is_engines())
    }

    /// Makes sure that a lane belongs to the data set, and has written the entries of its outbox up to the last that main has
    /// applied.
    async fn check_lane(&self, told: i64) -> Result<(), DatabaseError> {
        let (mut conn, lane) = (self.database.connect().await?, self.lane);
        let asked = conn.query(lane.named(format!("SELECT name, value FROM shard_meta WHERE {lane}")));
        let meta: Vec<(String, String)> = self.database.patiently(PATIENCE, asked).await?;
        let shard = self.shard.to_string();
        let says = |name: &str, wanted: &str| meta.iter().any(|(at, value)| at == name && value == wanted);
        if !says("dataset", &self.dataset) || !says("shard", &shard) {
            return Err(self.of_another());
        }
        let ShardProgress { outbox_id, .. } = self.reached(&mut conn).await?;
        Behind::refuse(told, outbox_id).map_err(|behind| self.database.failed(behind.to_string(), false))
    }

    pub(super) fn of_another(&self) -> DatabaseError {
        self.database.failed(format!("it does not hold data set {}", self.dataset), false)
    }

    /// The error of a transaction whose row of state was locked, and then not there to be changed.
    pub(super) fn lost(&self, rows: u64) -> StoringError {
        let why = format!("its row of state was locked, and {rows} rows of it could be changed");
        StoringError::Failed(self.database.failed(why, false))
    }

    pub(super) fn storing_failed(&self, error: &mysql_async::Error) -> StoringError {
        let failed = self.database.error(error);
        if has_code(error, code::NO_TABLE) {
            StoringError::NoTable(failed)
        } else if has_code(error, code::DEADLOCK) || is_switch(error) {
            StoringError::Conflict(failed)
        } else {
            StoringError::Failed(failed)
        }
    }

    async fn read_look(
        &self,
        conn: &mut Conn,
        before: &Look,
    ) -> mysql_async::Result<Option<(Look, Option<Vec<TableId>>)>> {
        let lane = self.lane;
        let sql = lane.named(format!(
            "SELECT as_of, outbox_id, results, used, CAST(order_amount * 100 AS SIGNED), commits, messages, received, \
             (SELECT COUNT(*) FROM parked_results WHERE {lane}), given_back FROM shard_state WHERE {lane} AND dataset = ?"
        ));
        let row: Option<Row> = conn.exec_first(sql, (&self.dataset,)).await?;
        let Some(row) = row else { return Ok(None) };
        if !lane.is_engines() {
            self.database.follow(conn).await?;
        }
        let mut look = Look {
            as_of: Timestamp::from_millis(get(&row, 0)?),
            outbox_id: get(&row, 1)?,
            results: get(&row, 2)?,
            used: get(&row, 3)?,
            order_amount: Money::from_cents(get(&row, 4)?),
            commits: get(&row, 5)?,
            messages: get(&row, 6)?,
            received: get(&row, 7)?,
            parked: get(&row, 8)?,
            given_back: get(&row, 9)?,
            ..*before
        };
        if lane.is_engines() {
            // What a server does for one lane, its engine does not tell.
            look.bytes_written = Err("an engine does not tell it by lane");
            return Ok(Some((look, Some(vec![TableId::Single]))));
        }
        // After the row: what it promises to be stored is then in one of these tables.
        let moved = look.commits != before.commits || look.commits == 0;
        let tables = if moved { Some(sql::tables(conn).await?) } else { None };
        if look.server_asked.is_none_or(|asked| asked.elapsed() >= SLOWLY) {
            ask_server(conn, &mut look).await?;
        }
        Ok(Some((look, tables)))
    }
}

/// The server's counts of all that it does, for this shard or not.
async fn ask_server(conn: &mut Conn, look: &mut Look) -> mysql_async::Result<()> {
    look.server_asked = Some(std::time::Instant::now());
    let names = "'Innodb_data_written', 'Innodb_os_log_written', 'Threads_connected'";
    let status: Vec<(String, String)> =
        conn.query(format!("SHOW GLOBAL STATUS WHERE Variable_name IN ({names})")).await?;
    let value = |name: &str| {
        let found = status.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| value.parse::<u64>().ok())
    };
    // MariaDB counts its redo log apart; MySQL counts it with everything else.
    let log = if conn.server_version() >= MARIADB { value("Innodb_os_log_written") } else { Some(0) };
    let written = value("Innodb_data_written").zip(log).map(|(data, log)| data + log);
    look.bytes_written = written.ok_or("the server has no status Innodb_data_written");
    look.connections = value("Threads_connected").unwrap_or(0);
    Ok(())
}

#[async_trait]
impl ShardServer for ShardDatabase {
    fn name(&self) -> String {
        self.database.to_string()
    }

    fn keeps_stock(&self) -> bool {
        self.stock
    }

    async fn storing(&self) -> Result<Box<dyn Storing>, DatabaseError> {
        let generation = self.database.generation();
        let mut conn = self.database.connect_to_lock().await?;
        if self.lane.is_engines() {
            return Ok(Box::new(StoringOver::new(self.clone(), conn, generation)));
        }
        // Its first statement begins a transaction: one round trip less than to say so.
        conn.query_drop("SET SESSION autocommit = 0").await.map_err(|error| self.database.error(&error))?;
        Ok(Box::new(StoringOver::new(self.clone(), conn, generation)))
    }

    async fn tables(&self) -> Result<Vec<TableId>, DatabaseError> {
        if self.lane.is_engines() {
            return Ok(vec![TableId::Single]);
        }
        let mut conn = self.database.connect().await?;
        self.database.patiently(PATIENCE, sql::tables(&mut conn)).await
    }

    async fn make_table(&self, table: TableId) -> Result<(), DatabaseError> {
        if self.has_always(table)? {
            return Ok(());
        }
        let mut conn = self.database.connect().await?;
        self.database.patiently(PATIENCE, conn.query_drop(schema::results_table(table))).await
    }

    async fn look(&self, before: &Look) -> Result<(Look, Option<Vec<TableId>>), DatabaseError> {
        let mut conn = self.database.connect().await?;
        let read = self.read_look(&mut conn, before).await.map_err(|error| self.database.error(&error))?;
        read.ok_or_else(|| self.of_another())
    }

    async fn state(&self) -> Result<ShardState, DatabaseError> {
        let (mut conn, lane) = (self.database.connect().await?, self.lane);
        let of = |name: &str| {
            format!(
                "COALESCE((SELECT CAST(value AS UNSIGNED) FROM shard_meta WHERE {lane} AND name = '{name}'), 0)"
            )
        };
        let (epoch, layout) = (of(EPOCH), of(LAYOUT));
        let of_several = if self.gates.is_several() {
            format!(
                "closed_epochs, (SELECT GROUP_CONCAT(SUBSTRING(name, 7), '=', value) FROM shard_meta \
                 WHERE {lane} AND name LIKE 'epoch.%')"
            )
        } else {
            "'', ''".to_owned()
        };
        let asked = conn.query_first(lane.named(format!(
            "SELECT GREATEST(closed_epoch, {epoch}), {of_several}, {layout}, outbox_id, \
             COALESCE((SELECT o.outbox_id FROM outbox o WHERE o.{lane} ORDER BY o.outbox_id LIMIT 1), outbox_id + 1), commits \
             FROM shard_state WHERE {lane}"
        )));
        let state: Option<(u64, String, Option<String>, VersionNumber, i64, i64, u64)> =
            self.database.patiently(PATIENCE, asked).await?;
        let (all, closed, announced, layout, outbox_id, untold_from, commits) = state.unwrap_or_default();
        let announced = GateEpochs::read(all, &announced.unwrap_or_default());
        let last_epochs = GateEpochs::read(all, &closed).max(announced);
        Ok(ShardState { last_epochs, layout, outbox_id, untold_from, commits })
    }

    async fn check(&self, told: i64) -> Result<(), DatabaseError> {
        if self.lane.is_engines() {
            return self.check_lane(told).await;
        }
        check_shard(&self.database, self.shard, &self.dataset, told).await
    }

    async fn announce(&self, gates: GateCount, epoch: u64) -> Result<(), DatabaseError> {
        if !gates.is_several() {
            return self.remember(EPOCH, epoch).await;
        }
        self.remember(&format!("{EPOCH}.{}", gates.of_epoch(epoch)), epoch).await
    }

    async fn announce_layout(&self, version: VersionNumber) -> Result<(), DatabaseError> {
        self.remember(LAYOUT, version.into()).await
    }

    async fn markers(&self, among: &[String]) -> Result<Vec<String>, DatabaseError> {
        let listed: Vec<String> = among.iter().map(|id| format!("'{id}'")).collect();
        let (lane, listed) = (self.lane, listed.join(","));
        let sql =
            lane.named(format!("SELECT marker_id FROM markers WHERE {lane} AND marker_id IN ({listed})"));
        let mut conn = self.database.connect().await?;
        self.database.patiently(PATIENCE, conn.query(sql)).await
    }

    async fn read_holds(
        &self,
        table: TableId,
        coupons: RangeInclusive<CouponId>,
        since: Timestamp,
        reader: &mut dyn ReadsHolds,
    ) -> anyhow::Result<ShardProgress> {
        let (first, last) = coupons.into_inner();
        let reserved = statements::reserved(table, Numbers::Written, since);
        let sql = self.lane.named(format!("{reserved} AND coupon_id BETWEEN {first} AND {last}"));
        let mut conn = self.connect_to_read().await?;
        let reached = self.reached(&mut conn).await?;
        let mut rows = self.database.patiently(READING, conn.query_stream::<HoldRow, _>(sql)).await?;
        let mut part = Vec::new();
        while let Some(row) = self.database.patiently(READING, rows.try_next()).await? {
            part.extend(self.of_lane(hold(row)));
            if part.len() >= PART {
                reader.take(std::mem::take(&mut part)).await?;
            }
        }
        reader.take(part).await?;
        Ok(reached)
    }

    async fn parked(&self) -> Result<Vec<Hold>, DatabaseError> {
        let sql = self.lane.named(format!("{} WHERE {}", statements::PARKED, self.lane));
        self.read(self.connect_to_read().await?, sql, hold).await
    }

    async fn rows_after(
        &self,
        table: TableId,
        id: i64,
        most: usize,
    ) -> Result<(ShardProgress, Vec<Hold>), DatabaseError> {
        let (columns, live) = (statements::RESERVED, statements::LIVE);
        let mut conn = self.database.connect().await?;
        let reached = self.reached(&mut conn).await?;
        let (mut holds, mut after) = (Vec::new(), id);
        // Once, but where an engine's shard has rows of other lanes between these.
        while holds.len() < most {
            let sql = self.lane.named(format!(
                "SELECT {columns} FROM {table} WHERE result_id > {after} AND {live} ORDER BY result_id LIMIT {most}"
            ));
            let rows: Vec<HoldRow> = self.database.patiently(READING, conn.query(sql)).await?;
            let found: Vec<Hold> = rows.into_iter().map(hold).collect();
            let last = found.last().map(|hold| hold.id).filter(|_| found.len() == most);
            holds.extend(found.into_iter().filter_map(|hold| self.of_lane(hold)));
            let Some(last) = last else { break };
            after = last;
        }
        holds.truncate(most);
        Ok((reached, holds))
    }

    async fn take_stock(
        &self,
        table: TableId,
        ids: &[ResultId],
    ) -> Result<(ShardProgress, Vec<(ResultId, bool)>), DatabaseError> {
        let listed: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let sql = self.lane.named(format!(
            "SELECT result_id, {} FROM {table} WHERE result_id IN ({})",
            statements::LIVE,
            listed.join(",")
        ));
        let mut conn = self.database.connect().await?;
        let reached = self.reached(&mut conn).await?;
        let asked = self.database.patiently(PATIENCE, async {
            match conn.query::<(i64, bool), _>(sql).await {
                // It was retired meanwhile.
                Err(error) if has_code(&error, code::NO_TABLE) => Ok(Vec::new()),
                rows => rows,
            }
        });
        let rows = asked.await?.into_iter();
        let known = rows.filter_map(|(id, live)| Some((ResultId::from_number(id).ok()?, live)));
        Ok((reached, known.collect()))
    }

    async fn stepping(&self) -> Result<Box<dyn Stepping>, StoringError> {
        Ok(Box::new(begin_steps(self).await?))
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, DatabaseError> {
        let mut conn = self.database.connect().await?;
        // In the order of the key, which a minimum would not be looked for in.
        let sql = format!("SELECT hold_until FROM holds WHERE {} ORDER BY hold_until LIMIT 1", self.lane);
        let sql = self.lane.named(sql);
        let next: Option<i64> = self.database.patiently(PATIENCE, conn.query_first(sql)).await?;
        Ok(next.map(Timestamp::from_millis))
    }

    async fn releases(&self, after: Option<Waiting>, most: usize) -> Result<Vec<Waiting>, DatabaseError> {
        let after = after.map_or_else(String::new, |last| {
            format!(" AND (outbox_id, result_id) > ({},{})", last.outbox_id, last.release.id)
        });
        let (columns, lane) =
            ("outbox_id, result_id, user_id, coupon_id, slot, request, closed_epoch", self.lane);
        let sql = format!(
            "SELECT {columns} FROM releases WHERE {lane}{after} ORDER BY outbox_id, result_id LIMIT {most}"
        );
        let rows: Vec<Option<Waiting>> =
            self.read(self.database.connect().await?, lane.named(sql), steps::waiting).await?;
        Ok(rows.into_iter().flatten().collect())
    }

    async fn forget_releases(&self, gone: &[Waiting]) -> Result<(), DatabaseError> {
        if gone.is_empty() {
            return Ok(());
        }
        let key = |waiting: &Waiting| format!("{},{}", waiting.outbox_id, waiting.release.id);
        let gone = self.lane.keys("outbox_id, result_id", gone.iter().map(key));
        let sql = self.lane.named(format!("DELETE FROM releases WHERE {gone}"));
        let mut conn = self.database.connect().await?;
        self.database.patiently(PATIENCE, conn.query_drop(sql)).await
    }

    async fn outbox_after(&self, id: i64, most: usize) -> Result<Vec<OutboxEntry>, DatabaseError> {
        let mut conn = self.database.connect().await?;
        let asked = sql::outbox_after(&mut conn, self.lane, &self.dataset, id, most);
        self.database.patiently(READING, asked).await
    }

    async fn forget_outbox(&self, up_to: i64) -> Result<(), DatabaseError> {
        let mut conn = self.database.connect().await?;
        let limit = if self.lane.is_engines() { format!(" LIMIT {DELETED}") } else { String::new() };
        let sql = self.lane.only(&format!("{FORGET}{limit}"));
        loop {
            self.database.patiently(PATIENCE, conn.exec_drop(sql.as_str(), (up_to,))).await?;
            if limit.is_empty() || conn.affected_rows() < DELETED {
                return Ok(());
            }
        }
    }
}
