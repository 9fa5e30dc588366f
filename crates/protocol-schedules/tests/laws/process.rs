//! Laws of one process over servers in memory, in states that schedules seldom come to.

use std::sync::Arc;
use std::time::Duration;

use coupon_core::{
    CouponResult, GateCount, PerGate, Placement, ResultState, ShardId, ShardingStrategy as _, Timestamp,
};
use coupon_servers::seam::{
    Epoch, GateServer, GateState, Mark, Process, ProcessPart, Release, Servers, Unchecked,
};
use coupon_store::clock::Clock;
use coupon_store::{Known, Layouts, PlacedResult, VersionRecord};
use protocol_schedules::memory::{DATASET, State, reach};
use protocol_schedules::world::{Condition, ProcessId, Server, World};
use protocol_schedules::{ByUser, PROCESS_PART};
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep;

use crate::bench::{held, hold_of, noon, result, terms, user};
use crate::gate::filled;
use crate::layouts::next;
use crate::shard::TABLE;

const SHARDS: u16 = 2;
const FIRST: ShardId = ShardId::new(0);
const SECOND: ShardId = ShardId::new(1);
/// The part of a process in a schedule, but for the lead of a change of the layout, which is a service's own.
const SERVICE_PART: ProcessPart = ProcessPart { layout_lead: ProcessPart::LAYOUT_LEAD, ..PROCESS_PART };

/// Servers in memory with a gate that is open, and a test's own way to the gate.
struct TestedProcess {
    world: Arc<World>,
    gate: Box<dyn GateServer>,
    epoch: Epoch,
}

impl TestedProcess {
    async fn new(prepare: impl FnOnce(&mut State)) -> Self {
        let mut state = State::new(SHARDS, GateCount::ONE, &[terms(1, 10)]);
        state.main.gates = PerGate::one(GateState { epoch: 1, open_epoch: 1 });
        // The gate is offered its coupon by this version.
        state.main.catalogue.version = 3;
        prepare(&mut state);
        let world = World::new(1, state, false);
        let (gate, epoch) = filled(&servers(&world, ProcessId(1))).await;
        Self { world, gate, epoch }
    }

    /// Starts a process on them, with a clock of its own.
    async fn start(&self) -> Clock {
        let layouts = Arc::new(Layouts::first(Arc::new(ByUser::First)));
        let clock = self.world.clock.another();
        let process =
            Process::start(servers(&self.world, ProcessId(0)), SERVICE_PART, layouts, &clock).await.unwrap();
        spawn_local(process.run());
        clock
    }

    async fn holds(&self, row: &CouponResult) -> bool {
        self.gate.held(&self.epoch, &[Mark::of(row)]).await.unwrap()[0].is_some()
    }

    /// Waits until the gate does not hold a row any more.
    async fn lets_go_of(&self, row: &CouponResult) {
        for _ in 0..200 {
            if !self.holds(row).await {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("the gate holds what gave its stock back");
    }

    async fn wait_until(&self, moment: Timestamp) {
        let left = moment.millis() - self.world.clock.now().millis();
        sleep(Duration::from_millis(left.try_into().unwrap())).await;
    }

    fn main_goes_away(&self) {
        self.world.set(Server::Main, Condition { down: true, ..Condition::default() });
    }

    fn state_of(&self, row: &CouponResult) -> ResultState {
        self.world.state().shards[0].tables[&TABLE][&row.result_id.number()].state
    }
}

fn servers(world: &Arc<World>, process: ProcessId) -> Servers {
    let terms = [terms(1, 10)];
    reach(world, process, Known::offering((1..=20).map(user), [terms[0].room], &terms), SHARDS)
}

fn run(law: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(LocalSet::new().run_until(law));
}

fn after(millis: i64) -> Timestamp {
    noon().plus_millis(millis)
}

/// A row that is leaving a shard for another, where it has arrived, and gave its stock back since.
fn in_two_copies() -> CouponResult {
    result(2, 1)
}

fn with_two_copies(state: &mut State) {
    let second = VersionRecord { from: after(5), layout: ByUser::Turned.layout(), receives: true, ..next(2) };
    state.main.catalogue.layouts.push(second);
    let (row, key) = (in_two_copies(), in_two_copies().result_id.number());
    let from = &mut state.shards[FIRST.index()];
    from.tables.entry(TABLE).or_default();
    from.leaving.insert(key, PlacedResult { placement: Placement::new(SECOND, TABLE), result: row });
    (from.moves.batch, from.moves.moving_from) = (1, 1);
    let given_back =
        CouponResult { state: ResultState::Returned, slot: None, state_time: Some(after(9)), ..row };
    state.shards[SECOND.index()].tables.entry(TABLE).or_default().insert(key, given_back);
}

#[test]
fn the_second_look_finds_that_the_copy_which_has_arrived_gave_its_stock_back() {
    run(async {
        let (tested, row) = (TestedProcess::new(with_two_copies).await, in_two_copies());
        let before = Unchecked { shard: FIRST, table: TABLE, release: Release::of(&row) };
        let restored = tested.gate.restore(&tested.epoch, &[(before, hold_of(&row))]).await;
        assert_eq!(restored, Ok(vec![true]));
        tested.start().await;
        tested.lets_go_of(&row).await;
    });
}

#[test]
fn a_repeat_that_comes_late_is_let_go_of_where_the_copy_which_has_arrived_gave_its_stock_back() {
    run(async {
        let (tested, row) = (TestedProcess::new(with_two_copies).await, in_two_copies());
        assert_eq!(tested.gate.hold(&tested.epoch, &[hold_of(&row)]).await, Ok(vec![true]));
        tested.start().await;
        // It goes by the epoch that is open by then.
        tested.wait_until(after(5_000)).await;
        let CouponResult { result_id, user_id, coupon_id, room_id, .. } = row;
        let repeat = format!(
            r#"{{"dataset":"{DATASET}","epoch":1,"sent":1,"rows":{{"{TABLE}":[[{result_id},{user_id},{coupon_id},{room_id}]]}}}}"#
        );
        let sent = tested.world.state().queues.put(FIRST, repeat.into_bytes());
        assert!(sent, "its queue is there");
        tested.lets_go_of(&row).await;
    });
}

const UNTIL: i64 = 60_000;

/// A row that is held for a minute, and was not confirmed.
fn held_for_a_minute() -> CouponResult {
    held(2, 1, 0, UNTIL)
}

fn with_a_hold(state: &mut State) {
    let (row, key) = (held_for_a_minute(), held_for_a_minute().result_id.number());
    let shard = &mut state.shards[FIRST.index()];
    shard.tables.entry(TABLE).or_default().insert(key, row);
    shard.holds.insert((after(UNTIL), key), TABLE);
}

#[test]
fn what_is_held_expires_while_main_is_away_and_never_early() {
    run(async {
        let (tested, row) = (TestedProcess::new(with_a_hold).await, held_for_a_minute());
        assert_eq!(tested.gate.hold(&tested.epoch, &[hold_of(&row)]).await, Ok(vec![true]));
        tested.start().await;
        tested.wait_until(after(5_000)).await;
        tested.main_goes_away();
        // By as much as the clock of a server that takes main's place may be behind.
        tested.wait_until(after(UNTIL + 9_500)).await;
        assert_eq!(tested.state_of(&row), ResultState::Held);
        tested.wait_until(after(UNTIL + 12_000)).await;
        assert_eq!(tested.state_of(&row), ResultState::Expired);
        tested.lets_go_of(&row).await;
    });
}

#[test]
fn a_clock_that_is_set_ahead_while_main_is_away_ends_no_hold() {
    run(async {
        let (tested, row) = (TestedProcess::new(with_a_hold).await, held_for_a_minute());
        let clock = tested.start().await;
        tested.wait_until(after(5_000)).await;
        tested.main_goes_away();
        clock.set_wrong_by(3_600_000);
        tested.wait_until(after(UNTIL)).await;
        assert_eq!(tested.state_of(&row), ResultState::Held);
    });
}
