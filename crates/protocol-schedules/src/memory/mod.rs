//! Servers in memory, which answer the protocol's questions as Redis, RabbitMQ and MySQL do.

mod answered;
mod catalogue;
mod gate;
mod gate_line;
mod layouts;
mod main;
mod moving;
mod queue;
mod session;
mod shard;
mod stepping;
mod storing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coupon_core::{CouponId, GateCount, GateId, PerGate, ShardId};
use coupon_servers::seam::{
    ConnectGate, DatabaseError, GateServer, GateState, MainServer, QueueServer, Servers, ShardServer, Terms,
};
use coupon_store::Known;

pub use answered::AnsweredTerms;
pub use catalogue::CatalogueMemory;
pub use gate::{CouponMemory, EpochMemory, GateMemory, HolderMemory, Slot};
pub use main::{LogLine, MainMemory};
pub use queue::QueuesMemory;
pub use shard::{ParkedRow, ShardMemory};

use crate::world::{NoAnswer, ProcessId, Server, ServerLine, World};

/// The name of the data set of every schedule.
pub const DATASET: &str = "d1";

/// The contents of all servers.
#[derive(Debug)]
pub struct State {
    /// The Redis of each gate.
    pub gates: PerGate<GateMemory>,
    /// The Redis of the first gate whose place another took, and the process that has not heard of it.
    pub gate_before: Option<(ProcessId, GateMemory)>,
    /// The times that another took its place.
    pub fail_overs: u64,
    /// RabbitMQ.
    pub queues: QueuesMemory,
    /// Each shard's MySQL.
    pub shards: Vec<ShardMemory>,
    /// Full copies of shards that a stale one stands in for.
    pub set_aside: BTreeMap<ShardId, ShardMemory>,
    /// Main's MySQL.
    pub main: MainMemory,
    /// Coupons that the gate's memory of an epoch has lost, and nothing else of it.
    pub lost_coupons: BTreeSet<(u64, CouponId)>,
    /// The answers that operators got.
    pub answered: AnsweredTerms,
    /// Promises that were found broken on the way.
    pub broken: Vec<String>,
}

impl State {
    /// Servers of a data set with these coupons, of which none has been grabbed yet.
    #[must_use]
    pub fn new(shards: u16, gates: GateCount, coupons: &[Terms]) -> Self {
        Self {
            gates: gates.each(|_| GateMemory::default()),
            gate_before: None,
            fail_overs: 0,
            queues: QueuesMemory::default(),
            shards: (0..shards).map(|_| ShardMemory::default()).collect(),
            set_aside: BTreeMap::new(),
            main: MainMemory::new(gates, coupons),
            lost_coupons: BTreeSet::new(),
            answered: AnsweredTerms::default(),
            broken: Vec::new(),
        }
    }

    /// The Redis that is a gate to a process.
    #[must_use]
    pub fn gate_of(&self, process: ProcessId, gate: GateId) -> &GateMemory {
        let before = self.gate_before.as_ref();
        let before = before.filter(|(unaware, _)| *unaware == process && gate == GateId::FIRST);
        before.map_or(self.gates.get(gate), |(_, memory)| memory)
    }

    /// The same, to change it.
    pub fn gate_of_mut(&mut self, process: ProcessId, gate: GateId) -> &mut GateMemory {
        seen_by(process, gate, &mut self.gates, &mut self.gate_before)
    }

    /// The place of that Redis, as Sentinels would have it.
    fn gate_place(&self, process: ProcessId, gate: GateId) -> String {
        if gate != GateId::FIRST {
            return Server::Gate(gate).to_string();
        }
        let is_unaware = self.gate_before.as_ref().is_some_and(|(unaware, _)| *unaware == process);
        let fail_over = self.fail_overs - u64::from(is_unaware);
        format!("gate:{fail_over} of gate since fail-over {fail_over}")
    }

    /// Every shard in full, though a stale copy may stand in for it.
    pub fn full_shards(&self) -> impl Iterator<Item = &ShardMemory> {
        let numbered = (0..).map(ShardId::new).zip(&self.shards);
        numbered.map(|(shard, memory)| self.set_aside.get(&shard).unwrap_or(memory))
    }

    /// Says whether something is held or moves, a gate is shut, or one is to let go of something or to look at it again.
    #[must_use]
    pub fn has_to_settle(&self) -> bool {
        let waits = |shard: &ShardMemory| {
            !shard.holds.is_empty() || !shard.releases.is_empty() || !shard.leaving.is_empty()
        };
        if self.main.movement.as_ref().is_some_and(|moving| moving.runs) {
            return true;
        }
        let has_to_check = |(state, gate): (&GateState, &GateMemory)| {
            let Some(epoch) = state.open() else { return true };
            gate.epochs.get(&epoch).is_some_and(|memory| !memory.unchecked.is_empty())
        };
        self.shards.iter().any(waits) || self.main.gates.iter().zip(self.gates.iter()).any(has_to_check)
    }
}

/// The Redis that is a gate to a process: that of before, if it has not heard of the other.
fn seen_by<'a>(
    process: ProcessId,
    gate: GateId,
    gates: &'a mut PerGate<GateMemory>,
    before: &'a mut Option<(ProcessId, GateMemory)>,
) -> &'a mut GateMemory {
    match before {
        Some((unaware, memory)) if *unaware == process && gate == GateId::FIRST => memory,
        _ => gates.get_mut(gate),
    }
}

/// The servers, as a process reaches them.
#[must_use]
pub fn reach(world: &Arc<World>, process: ProcessId, known: Known, shards: u16) -> Servers {
    let line = |server| ServerLine { world: Arc::clone(world), process, server };
    let queues: Box<dyn QueueServer> = Box::new(queue::Queues { line: line(Server::Queues) });
    let shard = |number| -> Box<dyn ShardServer> {
        let shard = ShardId::new(number);
        Box::new(shard::Shard { line: line(Server::Shard(shard)), shard })
    };
    let main: Arc<dyn MainServer> = Arc::new(main::Main { line: line(Server::Main) });
    let gate = |id| -> ConnectGate {
        let line = line(Server::Gate(id));
        Box::new(move |patience| -> Box<dyn GateServer> {
            Box::new(gate_line::Gate { id, line: line.clone(), patience })
        })
    };
    let gates = world.state().gates.count();
    Servers::new(DATASET, known, gates.each(gate), queues, (0..shards).map(shard).collect(), main)
}

fn unanswered(server: Server, lost: NoAnswer) -> DatabaseError {
    DatabaseError::new(&server.to_string(), "memory", "memory", &lost.to_string(), true)
}
