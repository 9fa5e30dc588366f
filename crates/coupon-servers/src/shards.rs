//! Queries on the shards of the servers' backend.

use std::sync::Arc;
use std::time::{Duration, Instant};

use coupon_core::{Place, Placement, ResultId, ResultQuery, ShardId, TableId, Timestamp, Versioned};
use coupon_store::{
    Change, Changed, Found, HeldByCoupon, LocalFuture, PageRequest, ResultSummary, ShardReport, Shards,
    Totals, Unavailable, Visit, Visited,
};
use mysql_async::{Conn, IsolationLevel, TxOpts};

use super::engine::{AllLanes, Bounds, past_switches};
use super::lane::{Lane, QueryRoute};
use super::mysql::{Database, ShardDatabase, code, has_code};
use super::per_thread::PerThread;
use super::seam::ShardProgress;
use super::sql::{self, FindOne, HeldOf, PageOf, Question, SummaryOf, TotalsOf};
use super::status::ShardStatus;
use super::tasks::{Background, Floor, GateLines, lines};

/// The most times that tables are listed anew for a question, since others came or went.
const TRIES: u32 = 5;

/// Every shard's database, and what is known of it.
pub(super) struct ServersShards {
    pub(super) databases: Vec<Database>,
    /// The lane of each.
    pub(super) lanes: Vec<Lane>,
    /// Whether each of these is on one shard, where an engine has them.
    pub(super) bounds: Option<Arc<Bounds>>,
    /// The way to all of them at once, where an engine has them.
    pub(super) whole: Option<AllLanes>,
    /// Each HTTP worker's own ways to them: a pool belongs to the runtime that first used it.
    pub(super) pools: PerThread<Vec<Database>>,
    /// And its way to all of them.
    pub(super) whole_pools: PerThread<Option<AllLanes>>,
    pub(super) status: Vec<Arc<ShardStatus>>,
    pub(super) background: Arc<Background>,
    /// Each HTTP worker's own connections to the gates, for stock that comes back.
    pub(super) gates: PerThread<GateLines>,
    /// The longest that a user waits for the gate to let go of a result.
    pub(super) gate_patience: Duration,
}

impl ServersShards {
    fn status(&self, shard: ShardId) -> Result<&ShardStatus, Unavailable> {
        self.status.get(shard.index()).map(|status| &**status).ok_or_else(|| unknown(shard.into()))
    }

    /// A shard's database, by this worker's own way there.
    fn database(&self, shard: ShardId) -> Result<Database, Unavailable> {
        // What it lacks must not be called absent.
        if self.status(shard)?.has_lost_data() {
            return Err(down(shard, &"it has lost data"));
        }
        let pools = self.pools.get(|| self.databases.iter().map(Database::with_own_pool).collect());
        pools.get(shard.index()).cloned().ok_or_else(|| unknown(shard.into()))
    }

    async fn connect(&self, shard: ShardId) -> Result<Conn, Unavailable> {
        self.database(shard)?.connect().await.map_err(|error| down(shard, &error))
    }

    /// Runs a query over the tables visited that exist. A table may go between the look and the query, when old days
    /// are retired: then the look is taken again.
    async fn ask<Q: Question>(
        &self,
        place: Place,
        visit: Visit,
        question: Q,
    ) -> Result<Visited<Q::Answer>, Unavailable> {
        let asked = Instant::now();
        let Some(shard) = place.lane() else { return self.ask_all(asked, question).await };
        let status = self.status(shard)?;
        // Before the tables: what is stored later may be more than is promised, never less.
        let (as_of, floor) = (status.look().as_of, self.background.floors.of(shard));
        let known = status.tables();
        let is_up = status.is_up();
        let mut conn = self.connect(shard).await?;
        // Behind the address there may be another server since the last look, with an earlier state. What is said of
        // one result may be final, so it is never believed unasked.
        if !is_up || Q::OF_ONE {
            self.has_what_was_seen(shard, floor, &mut conn).await?;
        }
        let answered = if self.background.layouts.look(Versioned::is_moving) {
            ask_while_rows_move(&mut conn, &visit, &question).await
        } else {
            let lane = self.lane(shard);
            past_switches(async || {
                ask_as_known(&mut conn, lane, status, known.clone(), &visit, &question).await
            })
            .await
        };
        let (value, tables) = answered.map_err(|error| down(shard, &error))?;
        let took = asked.elapsed();
        status.read.record(took);
        Ok(Visited { value, tables, took, as_of, missing: Vec::new() })
    }

    /// Asks an engine about all lanes at once.
    async fn ask_all<Q: Question>(
        &self,
        asked: Instant,
        question: Q,
    ) -> Result<Visited<Q::Answer>, Unavailable> {
        let down = |error: &dyn std::fmt::Display| Unavailable::new(Place::Whole.to_string(), error);
        let pools = self.whole_pools.get(|| self.whole.as_ref().map(AllLanes::with_own_pool));
        let lanes = (*pools).as_ref().ok_or_else(|| unknown(Place::Whole))?;
        // Before the rows: what is stored later may be more than is promised, never less.
        let promised: Vec<Timestamp> = self.status.iter().map(|status| status.look().as_of).collect();
        let (value, tables, missing) = lanes.ask(&question).await.map_err(|error| down(&error))?;
        let answering = (0..).map(ShardId::new).zip(promised).filter(|(lane, _)| !missing.contains(lane));
        let as_of = answering.map(|(_, as_of)| as_of).min().unwrap_or(Timestamp::from_millis(0));
        Ok(Visited { value, tables, took: asked.elapsed(), as_of, missing })
    }

    fn lane(&self, shard: ShardId) -> Lane {
        self.lanes.get(shard.index()).copied().unwrap_or(Lane::ONLY)
    }

    /// A shard's database as its server, by this worker's own way there.
    fn server(&self, shard: ShardId) -> Result<ShardDatabase, Unavailable> {
        let server = ShardDatabase::new(&self.database(shard)?, shard, &self.background.dataset);
        let server = server.of_gates(self.background.gates.count());
        Ok(server.in_lane(self.lane(shard), self.bounds.as_ref()))
    }

    /// Refuses the server behind a connection if it has less than was seen of its shard.
    async fn has_what_was_seen(
        &self,
        shard: ShardId,
        floor: Floor,
        conn: &mut Conn,
    ) -> Result<(), Unavailable> {
        let server = self.server(shard)?;
        let ShardProgress { outbox_id, commits } =
            server.reached(conn).await.map_err(|error| down(shard, &error))?;
        floor.check(outbox_id, commits).map_err(|lost| down(shard, &lost))
    }

    async fn change_there(&self, placement: Placement, wanted: Change) -> Result<Changed, Unavailable> {
        let Placement { shard, .. } = placement;
        let Self { background, .. } = self;
        let places = background.rooms.as_ref().map(|rooms| rooms.places);
        let keeps_stock = background.databases.get(shard.index()).is_some_and(|server| server.keeps_stock());
        let server = self.server(shard)?.telling(places).keeping_stock(keeps_stock);
        background.change(Some(&self.gates()), &server, placement, &wanted).await
    }

    fn gates(&self) -> Arc<GateLines> {
        self.gates.get(|| lines(&self.background.gates, self.gate_patience))
    }
}

/// Asks about the tables that are known, or those that there are if that is not known, or not true any more.
async fn ask_as_known<Q: Question>(
    conn: &mut Conn,
    lane: Lane,
    status: &ShardStatus,
    known: Option<Arc<[TableId]>>,
    visit: &Visit,
    question: &Q,
) -> mysql_async::Result<(Q::Answer, u64)> {
    let route = QueryRoute::Lane(lane);
    // A shard that was down from the start on may answer before its tables have been listed.
    let known = match known {
        Some(known) => known,
        None if lane.is_engines() => [TableId::Single].into(),
        None => sql::tables(conn).await?.into(),
    };
    match question.ask(conn, route, &existing(&known, visit), false).await {
        Err(error) if has_code(&error, code::NO_TABLE) => {
            let listed = sql::tables(conn).await?;
            let tables = existing(&listed, visit);
            status.set_tables(listed);
            question.ask(conn, route, &tables, false).await
        }
        answered => answered,
    }
}

/// Asks about the tables that there are and what is leaving them, all at one moment: each row is in one of them, or, where it
/// has come to another table of the shard and is not known to have, in two.
async fn ask_while_rows_move<Q: Question>(
    conn: &mut Conn,
    visit: &Visit,
    question: &Q,
) -> mysql_async::Result<(Q::Answer, u64)> {
    let mut moment = TxOpts::default();
    moment
        .with_isolation_level(IsolationLevel::RepeatableRead)
        .with_consistent_snapshot(true)
        .with_readonly(true);
    let mut tries = 0;
    loop {
        tries += 1;
        let mut transaction = conn.start_transaction(moment.clone()).await?;
        // Names are those of now, not of the moment: a table that was made since has nothing to show, and one that is gone since
        // has to be asked for at a later moment.
        let tables = sql::tables(&mut transaction).await?;
        let tables = existing(&tables, visit);
        let answered = question.ask(&mut transaction, QueryRoute::Lane(Lane::ONLY), &tables, true).await;
        transaction.rollback().await?;
        match answered {
            Err(error) if tries < TRIES && is_of_another_moment(&error) => {}
            answered => return answered,
        }
    }
}

/// True if a table is gone, or was made or changed after the moment that it was asked about.
fn is_of_another_moment(error: &mysql_async::Error) -> bool {
    has_code(error, code::NO_TABLE) || has_code(error, code::TABLE_CHANGED)
}

fn existing(tables: &[TableId], visit: &Visit) -> Vec<TableId> {
    match visit {
        Visit::All => tables.to_vec(),
        Visit::Tables(wanted) => tables.iter().filter(|table| wanted.contains(table)).copied().collect(),
    }
}

fn unknown(place: Place) -> Unavailable {
    Unavailable::new(place.to_string(), "there is no such shard")
}

fn down(shard: ShardId, why: &dyn std::fmt::Display) -> Unavailable {
    Unavailable::new(format!("shard {shard}"), why)
}

impl Shards for ServersShards {
    fn page(
        &self,
        place: Place,
        visit: Visit,
        query: ResultQuery,
        page: PageRequest,
    ) -> LocalFuture<'_, Result<Visited<Vec<Found>>, Unavailable>> {
        Box::pin(self.ask(place, visit, PageOf(query, page)))
    }

    fn find(
        &self,
        place: Place,
        visit: Visit,
        id: ResultId,
    ) -> LocalFuture<'_, Result<Visited<Option<Found>>, Unavailable>> {
        Box::pin(self.ask(place, visit, FindOne(id)))
    }

    fn summary(
        &self,
        place: Place,
        visit: Visit,
        query: ResultQuery,
    ) -> LocalFuture<'_, Result<Visited<ResultSummary>, Unavailable>> {
        Box::pin(self.ask(place, visit, SummaryOf(query)))
    }

    fn totals(&self, place: Place, visit: Visit) -> LocalFuture<'_, Result<Visited<Totals>, Unavailable>> {
        Box::pin(self.ask(place, visit, TotalsOf))
    }

    fn kept_totals(&self, shard: ShardId) -> LocalFuture<'_, Result<Visited<Totals>, Unavailable>> {
        let kept = self.status(shard).and_then(|status| {
            // What was kept when the shard last answered is no answer of a shard that is down.
            if !status.is_up() {
                return Err(down(shard, &"it does not answer"));
            }
            let as_of = status.look().as_of;
            let (value, took) = (status.totals(), Duration::ZERO);
            Ok(Visited { value, tables: 0, took, as_of, missing: Vec::new() })
        });
        Box::pin(std::future::ready(kept))
    }

    fn held(&self, shard: ShardId) -> LocalFuture<'_, Result<Visited<HeldByCoupon>, Unavailable>> {
        Box::pin(self.ask(shard.into(), Visit::All, HeldOf(self.lane(shard))))
    }

    fn change(&self, placement: Placement, change: Change) -> LocalFuture<'_, Result<Changed, Unavailable>> {
        Box::pin(self.change_there(placement, change))
    }

    fn report(&self, shard: ShardId) -> LocalFuture<'_, Option<ShardReport>> {
        let report = self.status.get(shard.index()).map(|status| status.report());
        Box::pin(std::future::ready(report))
    }
}
