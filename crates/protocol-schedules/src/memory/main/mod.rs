//! The main database in memory.

mod books;
mod locks;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use coupon_core::books::{DeltasByCoupon, Stock};
use coupon_core::{CouponId, GateCount, GateId, PerGate, ShardId, Timestamp};
use coupon_servers::seam::{
    BatchLock, Books, DatabaseError, GateLock, GateState, GatesRecord, MainLock, MainServer, NUMBERS,
    Renewed, TERM_MS, Term, Terms,
};
use coupon_store::Moving;
use tokio::sync::Mutex;

use self::books::Transaction;
use self::locks::LockedGates;
pub(super) use self::locks::{Lock, Locked};
use super::catalogue::CatalogueMemory;
use super::{DATASET, unanswered};
use crate::world::{NoAnswer, ServerLine, World};

/// The memory of the main database.
#[derive(Debug, Clone, Default)]
pub struct MainMemory {
    /// Its record of each gate.
    pub gates: PerGate<GateState>,
    places: PerGate<Option<(String, Timestamp)>>,
    /// The last entry of each shard's outbox that it has applied.
    pub positions: BTreeMap<ShardId, i64>,
    /// The coupons' stocks.
    pub stocks: BTreeMap<CouponId, Stock>,
    /// The stock log.
    pub log: Vec<LogLine>,
    /// Deltas that no row has room for.
    pub parked: DeltasByCoupon,
    /// Its catalogue.
    pub catalogue: CatalogueMemory,
    /// The last movement of rows.
    pub movement: Option<Moving>,
    leases: BTreeMap<u16, (String, Term)>,
    /// The owners of the locks.
    locks: BTreeMap<Lock, u64>,
    owners: u64,
    books: Arc<Mutex<()>>,
}

/// A line of the stock log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLine {
    /// Its number.
    pub id: i64,
    /// The coupon.
    pub coupon: CouponId,
    /// The stock before.
    pub before: i64,
    /// The stock after.
    pub after: i64,
}

impl MainMemory {
    pub(super) fn new(gates: GateCount, terms: &[Terms]) -> Self {
        let stock = |terms: &Terms| {
            let total = i64::from(terms.total);
            (terms.coupon, Stock::of(total, total))
        };
        let catalogue = CatalogueMemory::new(terms);
        Self {
            gates: gates.each(|_| GateState::default()),
            places: gates.each(|_| None),
            stocks: terms.iter().map(stock).collect(),
            catalogue,
            ..Self::default()
        }
    }

    /// The turn of the one that writes the stock log.
    pub(super) fn books(&self) -> Arc<Mutex<()>> {
        Arc::clone(&self.books)
    }

    /// Says whether no user gives a coupon back that they got.
    #[must_use]
    pub fn is_kept(&self, coupon: CouponId) -> bool {
        let grab = self.catalogue.terms.iter().find(|terms| terms.coupon == coupon).map(|terms| terms.grab);
        grab.is_some_and(|grab| grab.hold_s == 0 && !grab.returnable)
    }

    /// Every connection ends, and with each what it had locked.
    pub fn cut(&mut self) {
        self.locks.clear();
    }
}

/// A process's way to main.
#[derive(Clone)]
pub(super) struct Main {
    pub(super) line: ServerLine,
}

impl Main {
    pub(super) async fn ask<T>(&self, read: impl FnOnce(&mut MainMemory) -> T) -> Result<T, DatabaseError> {
        self.line.ask(|state| read(&mut state.main)).await.map_err(|lost| self.failed(lost))
    }

    pub(super) async fn order<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Arc<World>, &mut MainMemory) -> T + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let ordered = self.line.order(|world| act(world, &mut world.state().main)).await;
        ordered.map_err(|lost| self.failed(lost))
    }

    fn failed(&self, lost: NoAnswer) -> DatabaseError {
        unanswered(self.line.server, lost)
    }

    fn now(&self) -> Timestamp {
        self.line.world.clock.now()
    }

    fn cuts(&self) -> u64 {
        self.line.world.cuts(self.line.server)
    }

    /// The error of a caller that asks for what another process has locked.
    pub(super) fn busy(&self) -> DatabaseError {
        let server = self.line.server.to_string();
        DatabaseError::new(&server, &server, "memory", "it waited too long for a lock", true)
    }
}

#[async_trait]
impl MainServer for Main {
    fn name(&self) -> String {
        self.line.server.to_string()
    }

    async fn time(&self) -> Result<Timestamp, DatabaseError> {
        let clock = self.line.world.clock.clone();
        self.ask(|_| clock.now()).await
    }

    async fn record(&self) -> Result<(Option<String>, GatesRecord), DatabaseError> {
        self.ask(|memory| {
            let gates = memory.gates.iter().copied().collect();
            (Some(DATASET.to_owned()), GatesRecord { list: 0, gates })
        })
        .await
    }

    async fn positions(&self) -> Result<BTreeMap<ShardId, i64>, DatabaseError> {
        self.ask(|memory| memory.positions.clone()).await
    }

    async fn gate_seen(&self, gate: GateId, address: &str) -> Result<(), DatabaseError> {
        let address = address.to_owned();
        self.order(move |world, memory| {
            let now = world.clock.now();
            memory.places.get_mut(gate).get_or_insert((address, now)).1 = now;
        })
        .await
    }

    async fn lock_gate(&self, gate: GateId) -> Result<Option<Box<dyn GateLock>>, DatabaseError> {
        Ok(self.lock(Lock::Gate(gate)).await?.map(|locked| Box::new(locked) as Box<dyn GateLock>))
    }

    async fn lock_gates_for_a_batch(&self) -> Result<Option<Box<dyn BatchLock>>, DatabaseError> {
        let gates = self.line.world.state().gates.count();
        let mut locked = Vec::new();
        for gate in gates.all() {
            let Some(lock) = self.lock(Lock::Gate(gate)).await? else { return Ok(None) };
            locked.push(lock);
        }
        Ok(Some(Box::new(LockedGates(locked))))
    }

    async fn lock_reconciler(&self, gate: GateId) -> Result<Option<Box<dyn MainLock>>, DatabaseError> {
        Ok(self.lock(Lock::Reconciler(gate)).await?.map(|locked| Box::new(locked) as Box<dyn MainLock>))
    }

    async fn books(&self) -> anyhow::Result<Box<dyn Books>> {
        self.ask(|_| ()).await?;
        Ok(Box::new(Transaction::begin(self)))
    }

    async fn lease(&self, holder: &str, count: usize) -> anyhow::Result<Vec<Term>> {
        let holder = holder.to_owned();
        let leased = self.order(move |world, memory| {
            let start = world.clock.now();
            let free = |worker: &u16| memory.leases.get(worker).is_none_or(|(_, term)| term.end < start);
            let free: Vec<u16> = (0..NUMBERS).filter(free).take(count).collect();
            let lease = |worker| Term { worker, start, end: start.plus_millis(TERM_MS) };
            let terms: Vec<Term> = free.into_iter().map(lease).collect();
            memory.leases.extend(terms.iter().map(|term| (term.worker, (holder.clone(), *term))));
            terms
        });
        Ok(leased.await?)
    }

    async fn renew(&self, holder: &str, workers: &[u16]) -> anyhow::Result<Renewed> {
        let (holder, workers) = (holder.to_owned(), workers.to_vec());
        let renewed = self.order(move |world, memory| {
            let now = world.clock.now();
            let mut ends = BTreeMap::new();
            for worker in workers {
                if let Some((of, term)) = memory.leases.get_mut(&worker)
                    && *of == holder
                {
                    term.end = term.end.max(now.plus_millis(TERM_MS));
                    ends.insert(worker, term.end);
                }
            }
            Renewed { ends, now }
        });
        Ok(renewed.await?)
    }

    async fn give_back(&self, holder: &str, worker: u16, end: Timestamp) -> anyhow::Result<()> {
        let holder = holder.to_owned();
        let given = self.order(move |_, memory| {
            if let Some((of, term)) = memory.leases.get_mut(&worker)
                && *of == holder
            {
                term.end = end;
            }
        });
        Ok(given.await?)
    }
}
