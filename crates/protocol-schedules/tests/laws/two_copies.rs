//! Rows of which there are two copies, since they are being moved: a process goes by the one of which steps are taken.

use std::sync::Arc;
use std::time::Duration;

use coupon_core::{CouponResult, Placement, ResultState, ShardId, ShardingStrategy as _};
use coupon_store::servers::seam::{Epoch, GateState, Mark, Part, Process, Release, Servers, Unchecked};
use coupon_store::settings::Role;
use coupon_store::{Known, Layouts, PlacedResult, VersionRecord};
use protocol_schedules::ByUser;
use protocol_schedules::memory::{DATASET, State, reach};
use protocol_schedules::world::{ProcessId, World};
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep;

use crate::bench::{hold_of, noon, result, terms, user};
use crate::gate::filled;
use crate::layouts::next;
use crate::shard::TABLE;

const SHARDS: u16 = 2;
/// The shard that the row leaves.
const FROM: ShardId = ShardId::new(0);
/// The shard where it has arrived.
const TO: ShardId = ShardId::new(1);
const PART: Part = Part {
    role: Role::All,
    workers: 1,
    shard_backlog: 1_000,
    gate_patience: Duration::from_secs(1),
    publish_patience: Duration::from_secs(2),
    reconcile_every: Duration::from_secs(1),
    layout_lead: Duration::from_secs(10),
};

/// The row as it left.
fn row() -> CouponResult {
    result(2, 1)
}

/// Servers where the row is leaving for another shard, and gave its stock back after it had arrived there.
fn world() -> Arc<World> {
    let mut state = State::new(SHARDS, &[terms(1, 10)]);
    let second = VersionRecord { from: noon().plus_millis(5), layout: ByUser::Turned.layout(), receives: true, ..next(2) };
    state.main.catalogue.layouts.push(second);
    // The gate is offered its coupon by this version.
    state.main.catalogue.version = 3;
    state.main.gate = GateState { epoch: 1, open_epoch: 1 };
    let [from, to] = &mut state.shards[..] else { panic!("there are two") };
    let key = row().result_id.number();
    from.tables.entry(TABLE).or_default();
    from.leaving.insert(key, PlacedResult { placement: Placement::new(TO, TABLE), result: row() });
    (from.moves.batch, from.moves.moving_from) = (1, 1);
    let given_back =
        CouponResult { state: ResultState::Returned, slot: None, state_time: Some(noon().plus_millis(9)), ..row() };
    to.tables.entry(TABLE).or_default().insert(key, given_back);
    World::new(1, state, false)
}

fn servers(world: &Arc<World>, process: usize) -> Servers {
    let terms = [terms(1, 10)];
    let known = Known::offering((1..=20).map(user), [terms[0].room], &terms);
    reach(world, ProcessId(process), known, SHARDS)
}

/// Starts a process beside a gate that has the row for one that takes stock, once that has been prepared; it lets go of the row.
fn lets_go(prepare: impl AsyncFnOnce(&Servers, &Epoch), then: impl AsyncFnOnce(&World)) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(LocalSet::new().run_until(async {
        let world = world();
        let observer = servers(&world, 1);
        let (gate, epoch) = filled(&observer).await;
        prepare(&observer, &epoch).await;
        let held = async || gate.held(&epoch, &[Mark::of(&row())]).await.unwrap()[0];
        assert!(held().await.is_some());
        let layouts = Arc::new(Layouts::first(Arc::new(ByUser::First)));
        let process = Process::start(servers(&world, 0), PART, layouts, &world.clock.another()).await.unwrap();
        spawn_local(process.run());
        then(world.as_ref()).await;
        for _ in 0..200 {
            if held().await.is_none() {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("the gate holds what gave its stock back");
    }));
}

#[test]
fn the_second_look_finds_that_the_copy_which_has_arrived_gave_its_stock_back() {
    let row_at_first = Unchecked { shard: FROM, table: TABLE, release: Release::of(&row()) };
    lets_go(
        async |servers, epoch| {
            let gate = (servers.gate)(Duration::from_secs(30));
            assert_eq!(gate.restore(epoch, &[(row_at_first, hold_of(&row()))]).await, Ok(vec![true]));
        },
        async |_| {},
    );
}

#[test]
fn a_repeat_that_comes_late_is_let_go_of_where_the_copy_which_has_arrived_gave_its_stock_back() {
    let CouponResult { result_id, user_id, coupon_id, room_id, .. } = row();
    let message = format!(
        r#"{{"dataset":"{DATASET}","epoch":1,"sent":1,"rows":{{"{TABLE}":[[{result_id},{user_id},{coupon_id},{room_id}]]}}}}"#
    );
    lets_go(
        async |servers, epoch| {
            let gate = (servers.gate)(Duration::from_secs(30));
            assert_eq!(gate.hold(epoch, &[hold_of(&row())]).await, Ok(vec![true]));
        },
        async |world| {
            let sent = world.state().queues.put(FROM, message.into_bytes());
            assert!(sent, "its queue is there once a process has started");
        },
    );
}
