//! Brings faults about, and lifts them.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use coupon_core::catalogue_change::{CatalogueChange, CouponPatch};
use coupon_core::{CouponId, CouponResult, CouponStatus, GateId, PerGate, ResultId, ShardId, TableId};
use coupon_servers::seam::GateState;
use tokio::time::sleep;

use crate::memory::{GateMemory, MainMemory, ShardMemory, State};
use crate::plan::{Altered, Fault, FaultKind};
use crate::process::Running;
use crate::schedule::Processes;
use crate::world::{Condition, ProcessId, Server, World};

/// The bodies that cannot be read begin with this.
pub(crate) const UNREADABLE: &[u8] = b"\xffnobody can read this";
/// A worker number that is never leased.
const NOBODY: u16 = ResultId::WORKERS - 1;

/// The time from the beginning until which a window is extended.
const EXTENDED_MS: i64 = 10_800_000;
/// A process must have seen for so long what a copy lacks: what it asks of the shard with less in mind may be on its way.
const SEEN_MS: u64 = 600;

/// The most times that an operator asks for what is refused for now, and the time between two of them.
const TRIES: u32 = 10;
const AGAIN_MS: u64 = 400;

/// Copies of the servers' contents, as they were a moment ago.
#[derive(Clone, Default)]
pub(crate) struct Copies {
    gates: PerGate<GateMemory>,
    shards: Vec<ShardMemory>,
    main: MainMemory,
}

impl Copies {
    /// Copies that trail by what was stored since.
    pub(crate) fn of(world: &World) -> Self {
        let state = world.state();
        Self { gates: state.gates.clone(), shards: state.shards.clone(), main: state.main.clone() }
    }
}

/// Brings a fault about at its time, and lifts it again. `copies` were made a while before.
pub(crate) async fn inject(world: Arc<World>, processes: Rc<Processes>, fault: Fault) {
    let Some(copies) = trailing(&world, &processes, fault).await else {
        world.tell(|| "not every process has seen what a copy would lack".to_owned());
        return;
    };
    world.tell(|| format!("FAULT {}", fault.kind));
    match fault.kind {
        FaultKind::Crash(process, ms) => {
            processes.kill(process);
            pause(ms).await;
            world.tell(|| format!("{process} is started again"));
            processes.start(process);
        }
        FaultKind::Turns(process) => {
            if let Some(running) = processes.get(process) {
                let turned = running.turn().await;
                world.tell(|| format!("another layout by {process}: {turned:?}"));
            }
        }
        FaultKind::Moves(process) => {
            if move_rows(&world, &processes, process).await {
                return;
            }
        }
        FaultKind::Changes(process, coupon, altered) => {
            if let (Some(running), Ok(coupon)) = (processes.get(process), CouponId::new(coupon)) {
                change(&world, &running, coupon, altered).await;
            }
        }
        FaultKind::Freeze(process, ms) => {
            world.freeze(process);
            pause(ms).await;
            world.thaw(process);
        }
        FaultKind::Down(server, ms) => {
            for_a_while(&world, server, ms, Condition { down: true, ..Condition::default() }).await;
        }
        FaultKind::Slow(server, ms) => {
            for_a_while(&world, server, ms, Condition { slow: true, ..Condition::default() }).await;
        }
        FaultKind::Loses(server, ms, loses) => {
            for_a_while(&world, server, ms, Condition { loses, ..Condition::default() }).await;
        }
        FaultKind::Stale(shard, ms) => stale(&world, shard, &copies, ms).await,
        FaultKind::FailsOver(unaware, ms) => {
            let before = {
                let mut state = world.state();
                state.fail_overs += 1;
                let copy = without_scripts(copies.gates.get(GateId::FIRST));
                std::mem::replace(state.gates.get_mut(GateId::FIRST), copy)
            };
            world.state().gate_before = Some((unaware, before));
            pause(ms).await;
            world.state().gate_before = None;
        }
        FaultKind::Wrong(process, by, ms) => {
            processes.set_wrong_by(process, by);
            pause(ms).await;
            processes.set_wrong_by(process, 0);
        }
        // It was made so.
        FaultKind::Ends(_) => {}
        other => at_once(&world, other, &copies),
    }
    world.tell(|| format!("over: {}", fault.kind));
}

/// Has a process move rows, again while it is refused; false if it never was let.
async fn move_rows(world: &World, processes: &Processes, process: ProcessId) -> bool {
    for _ in 0..TRIES {
        let Some(running) = processes.get(process) else { return true };
        let moves = running.moves().await;
        world.tell(|| format!("rows are moved by {process}: {moves:?}"));
        if let Some(Ok(_)) = moves {
            return true;
        }
        pause(AGAIN_MS).await;
    }
    false
}

/// Has a process change a coupon, and takes note of what the operator was answered.
async fn change(world: &World, running: &Running, coupon: CouponId, altered: Altered) {
    let plain = CouponPatch::default();
    let patch = match altered {
        Altered::Withdrawn => CouponPatch { status: Some(CouponStatus::Inactive), ..plain },
        Altered::Offered => CouponPatch { status: Some(CouponStatus::Active), ..plain },
        Altered::Ended => CouponPatch { end_time: Some(world.clock.now()), ..plain },
        Altered::Extended => {
            let later = World::beginning().plus_millis(EXTENDED_MS);
            CouponPatch { end_time: Some(later), ..plain }
        }
        Altered::Total(total) => CouponPatch { total_stock: Some(total), ..plain },
    };
    world.state().answered.begins(coupon);
    let answer = running.change(CatalogueChange::ChangeCoupon(coupon, patch)).await;
    world.tell(|| format!("the operator is answered about coupon {coupon}: {answer:?}"));
    // Without an answer it may still be made.
    if let Some(Ok(applied)) = answer {
        let mut state = world.state();
        let terms = state.main.catalogue.terms.iter().find(|terms| terms.coupon == coupon).copied();
        state.answered.ends(coupon, terms.filter(|_| applied.gate));
    }
}

/// Waits until it is time for a fault, and returns copies that trail by a while then; none where a shard's would lack
/// nothing that every process has seen.
async fn trailing(world: &World, processes: &Processes, fault: Fault) -> Option<Copies> {
    const TRAILS_MS: u64 = 400;
    let FaultKind::Stale(shard, _) = fault.kind else {
        sleep(Duration::from_millis(fault.at.saturating_sub(TRAILS_MS))).await;
        let copies = Copies::of(world);
        pause(TRAILS_MS.min(fault.at)).await;
        return Some(copies);
    };
    pause(fault.at.saturating_sub(TRAILS_MS + SEEN_MS)).await;
    let copies = Copies::of(world);
    let copied = copies.shards.get(shard.index())?.commits;
    pause(TRAILS_MS).await;
    let seen_before = processes.have_seen_more(shard, copied);
    pause(SEEN_MS).await;
    // A process that was started anew meanwhile knows of a shard what main has applied, and no more.
    (seen_before && processes.have_seen_more(shard, copied)).then_some(copies)
}

async fn pause(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}

/// Puts a server into a condition, and back into its usual one.
async fn for_a_while(world: &World, server: Server, ms: u64, condition: Condition) {
    set(world, server, condition);
    pause(ms).await;
    set(world, server, Condition::default());
}

/// Puts a server into a condition, and cuts its connections if it is down.
fn set(world: &World, server: Server, condition: Condition) {
    world.set(server, condition);
    if condition.down {
        cut(world, server);
    }
}

fn cut(world: &World, server: Server) {
    world.cut(server);
    let mut state = world.state();
    match server {
        Server::Queues => state.queues.cut(),
        Server::Main => state.main.cut(),
        Server::Gate(_) | Server::Shard(_) => {}
    }
}

/// Faults that are done at once.
fn at_once(world: &World, kind: FaultKind, copies: &Copies) {
    match kind {
        FaultKind::Forgets(gate) => world.state().gates.get_mut(gate).forget(),
        FaultKind::ForgetsMarks(gate) => {
            for memory in world.state().gates.get_mut(gate).epochs.values_mut() {
                memory.forget_marks();
            }
        }
        FaultKind::ForgetsCoupon(coupon) => {
            let mut state = world.state();
            let State { gates, lost_coupons, .. } = &mut *state;
            for (epoch, memory) in gates.iter_mut().flat_map(|gate| &mut gate.epochs) {
                let lost = memory.coupons.extract_if(.., |id, _| id.get() == coupon);
                lost_coupons.extend(lost.map(|(id, _)| (*epoch, id)));
            }
        }
        FaultKind::PutBack(gate) => {
            *world.state().gates.get_mut(gate) = without_scripts(copies.gates.get(gate));
        }
        FaultKind::Cut(server) => cut(world, server),
        FaultKind::Deleted(shard) => {
            let messages = world.state().queues.delete(shard);
            world.tell(|| format!("{messages} messages went with it"));
        }
        FaultKind::Purged(shard) => {
            let messages = world.state().queues.purge(shard);
            world.tell(|| format!("{messages} messages went"));
        }
        FaultKind::Unreadable(shard) => {
            world.state().queues.put(shard, UNREADABLE.to_vec());
        }
        FaultKind::Contradiction => contradict(world),
        FaultKind::EpochForgotten(gate) => {
            let mut state = world.state();
            let gates = &mut state.main.gates;
            let (count, known) = (u64::from(gates.count().get()), gates.get_mut(gate));
            let before = *copies.main.gates.get(gate);
            *known = if before.epoch < known.open_epoch { before } else { earlier(known.open_epoch, count) };
            let last = known.epoch;
            drop(state);
            world.tell(|| format!("main knows epoch {last} of gate {gate} as its last again"));
        }
        _ => {}
    }
}

/// A copy of the gate, as a replica has it.
fn without_scripts(gate: &GateMemory) -> GateMemory {
    let mut copy = gate.clone();
    copy.scripts.clear();
    copy
}

/// Main's record of one of so many gates before an epoch was taken.
fn earlier(open: u64, gates: u64) -> GateState {
    let before = open.saturating_sub(gates);
    GateState { epoch: before, open_epoch: before }
}

/// Has a copy stand in for a shard, unless one does already.
async fn stale(world: &World, shard: ShardId, copies: &Copies, ms: u64) {
    let Some(copy) = copies.shards.get(shard.index()).cloned() else { return };
    if world.state().set_aside.contains_key(&shard) {
        return;
    }
    if let Some(full) = swap(world, shard, copy) {
        world.state().set_aside.insert(shard, full);
    }
    pause(ms).await;
    let full = world.state().set_aside.remove(&shard);
    if let Some(full) = full {
        swap(world, shard, full);
    }
}

/// Puts another copy into a shard's place, and returns the one that was there.
fn swap(world: &World, shard: ShardId, other: ShardMemory) -> Option<ShardMemory> {
    // Whatever is under way ends with the server that it was under way on.
    world.cut(Server::Shard(shard));
    world.state().shards.get_mut(shard.index()).map(|memory| std::mem::replace(memory, other))
}

/// Hands over a second result of a user who holds a coupon for good: what only a mistake of the gate's could bring about.
fn contradict(world: &World) {
    let found = {
        let state = world.state();
        let rows = state.shards.iter().zip(0..).map(|(memory, shard)| (ShardId::new(shard), memory.rows()));
        let kept = |row: &&CouponResult| state.main.is_kept(row.coupon_id);
        rows.into_iter().find_map(|(shard, mut rows)| Some((shard, *rows.find(kept)?)))
    };
    let Some((shard, row)) = found else { return };
    let Ok(other) = ResultId::from_parts(row.grab_time, NOBODY, 0) else { return };
    let open = world.state().main.gates.iter().map(|gate| gate.open_epoch).max().unwrap_or(0);
    let body = format!(
        r#"{{"dataset":"{}","epoch":{},"sent":{},"rows":{{"{}":[[{other},{},{},{}]]}}}}"#,
        crate::memory::DATASET,
        open + 1_000,
        world.clock.now().millis(),
        TableId::Single,
        row.user_id,
        row.coupon_id,
        row.room_id,
    );
    world.state().queues.put(shard, body.into_bytes());
}
