//! The main database in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use coupon_core::books::Stock;
use coupon_core::{CouponId, ShardId, Timestamp};
use coupon_store::Moving;
use coupon_store::servers::seam::{
    Books, DatabaseError, GateLock, GateState, MainServer, NUMBERS, Opening, Parked, Place, Renewed, TERM_MS,
    Term, Terms, Turn, Written,
};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::catalogue::CatalogueMemory;
use super::{DATASET, unanswered};
use crate::check::half_full;
use crate::world::{Line, Lost, World};

/// What the main database holds.
#[derive(Debug, Clone, Default)]
pub struct MainMemory {
    /// Its record of the gate.
    pub gate: GateState,
    place: Option<(String, Timestamp)>,
    /// The last entry of each shard's outbox that it has applied.
    pub positions: BTreeMap<ShardId, i64>,
    /// The coupons' stocks.
    pub stocks: BTreeMap<CouponId, Stock>,
    /// The stock log.
    pub log: Vec<LogLine>,
    /// Deltas that no row has room for.
    pub parked: Parked,
    /// Its catalogue.
    pub catalogue: CatalogueMemory,
    /// The last movement of rows.
    pub movement: Option<Moving>,
    leases: BTreeMap<u16, (String, Term)>,
    /// Who has the lock of the gate, and of the reconciler.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lock {
    Gate,
    Layout,
    Mover,
    Reconciler,
}

impl MainMemory {
    pub(super) fn new(terms: &[Terms]) -> Self {
        let stock = |terms: &Terms| {
            let total = i64::from(terms.total);
            (terms.coupon, Stock::of(total, total))
        };
        let catalogue = CatalogueMemory::new(terms);
        Self { stocks: terms.iter().map(stock).collect(), catalogue, ..Self::default() }
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
    pub(super) line: Line,
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

    fn failed(&self, lost: Lost) -> DatabaseError {
        unanswered(self.line.server, lost)
    }

    fn now(&self) -> Timestamp {
        self.line.world.clock.now()
    }

    fn cuts(&self) -> u64 {
        self.line.world.cuts(self.line.server)
    }

    /// Somebody else has what is asked for.
    pub(super) fn busy(&self) -> DatabaseError {
        let server = self.line.server.to_string();
        DatabaseError::new(&server, &server, "memory", "it waited too long for a lock", true)
    }

    pub(super) async fn lock(&self, lock: Lock) -> Result<Option<Locked>, DatabaseError> {
        let (main, cuts) = (self.clone(), self.cuts());
        // Made where the lock is taken: whoever does not wait for the answer lets go of it.
        self.ask(move |memory| {
            if memory.locks.contains_key(&lock) {
                return None;
            }
            memory.owners += 1;
            memory.locks.insert(lock, memory.owners);
            Some(Locked { main, lock, owner: memory.owners, cuts })
        })
        .await
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

    async fn record(&self) -> Result<(Option<String>, GateState), DatabaseError> {
        self.ask(|memory| (Some(DATASET.to_owned()), memory.gate)).await
    }

    async fn positions(&self) -> Result<BTreeMap<ShardId, i64>, DatabaseError> {
        self.ask(|memory| memory.positions.clone()).await
    }

    async fn gate_seen(&self, address: &str) -> Result<(), DatabaseError> {
        let address = address.to_owned();
        self.order(move |world, memory| {
            let now = world.clock.now();
            memory.place.get_or_insert((address, now)).1 = now;
        })
        .await
    }

    async fn lock_gate(&self) -> Result<Option<Box<dyn GateLock>>, DatabaseError> {
        Ok(self.lock(Lock::Gate).await?.map(|locked| Box::new(locked) as Box<dyn GateLock>))
    }

    async fn lock_gate_for_a_batch(&self) -> Result<Option<Box<dyn GateLock>>, DatabaseError> {
        self.lock_gate().await
    }

    async fn lock_reconciler(&self) -> Result<Option<Box<dyn Turn>>, DatabaseError> {
        Ok(self.lock(Lock::Reconciler).await?.map(|locked| Box::new(locked) as Box<dyn Turn>))
    }

    async fn books(&self) -> anyhow::Result<Box<dyn Books>> {
        self.ask(|_| ()).await?;
        Ok(Box::new(Transaction { main: self.clone(), cuts: self.cuts(), turn: None, staged: Vec::new() }))
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

/// A lock, which goes with its connection.
pub(super) struct Locked {
    pub(super) main: Main,
    lock: Lock,
    owner: u64,
    cuts: u64,
}

impl Locked {
    fn has(&self, memory: &MainMemory) -> bool {
        memory.locks.get(&self.lock) == Some(&self.owner)
    }

    /// Does something over the lock's connection, unless that was cut.
    pub(super) async fn order<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Arc<World>, &mut MainMemory) -> T + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let (cuts, server) = (self.cuts, self.main.line.server);
        let acted =
            self.main.order(move |world, memory| (world.cuts(server) == cuts).then(|| act(world, memory)));
        acted.await?.ok_or_else(|| self.main.failed(Lost::Refused))
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let mut state = self.main.line.world.state();
        if self.has(&state.main) {
            state.main.locks.remove(&self.lock);
        }
    }
}

#[async_trait]
impl Turn for Locked {
    async fn end(self: Box<Self>) {}
}

#[async_trait]
impl GateLock for Locked {
    async fn state(&mut self) -> anyhow::Result<GateState> {
        Ok(self.order(|_, memory| memory.gate).await?)
    }

    async fn place(&mut self) -> anyhow::Result<Option<Place>> {
        let now = self.main.now();
        let place = self.order(move |_, memory| {
            let (address, seen) = memory.place.as_ref()?;
            Some(Place { address: address.clone(), age_ms: now.millis() - seen.millis() })
        });
        Ok(place.await?)
    }

    async fn take_epoch(&mut self, epoch: u64, last: u64) -> anyhow::Result<bool> {
        let process = self.main.line.process;
        let taken = self.order(move |world, memory| {
            let taken = memory.gate.epoch == last;
            if taken {
                memory.gate.epoch = epoch;
                world.tell(|| format!("main: {process} takes epoch {epoch}"));
            }
            taken
        });
        Ok(taken.await?)
    }

    async fn filled_at(&mut self, address: &str) -> anyhow::Result<()> {
        let address = address.to_owned();
        Ok(self.order(move |world, memory| memory.place = Some((address, world.clock.now()))).await?)
    }

    async fn open(&mut self, epoch: u64, version: u64) -> anyhow::Result<Opening> {
        let (process, cuts, server) = (self.main.line.process, self.cuts, self.main.line.server);
        let opened = self.main.line.order(move |world| {
            let mut state = world.state();
            if world.cuts(server) != cuts || state.main.gate.epoch != epoch {
                return Opening::Taken;
            }
            // Who changes the layout has what is asked for here until the change is in.
            let changes = state.main.locks.contains_key(&Lock::Layout);
            if changes || state.main.catalogue.version != version {
                return Opening::Changed;
            }
            state.main.gate.open_epoch = epoch;
            world.tell(|| format!("main: {process} opens epoch {epoch}"));
            let broken = half_full(&state, epoch);
            state.broken.extend(broken);
            Opening::Open
        });
        opened.await.map_err(|lost| self.main.failed(lost).into())
    }
}

/// A change of the books that is not committed.
enum Change {
    Posted(Box<Written>, i64),
    Reached(ShardId, i64),
}

/// A transaction on the books.
struct Transaction {
    main: Main,
    cuts: u64,
    turn: Option<OwnedMutexGuard<()>>,
    staged: Vec<Change>,
}

impl Transaction {
    async fn take_turn(&mut self) -> anyhow::Result<()> {
        if self.turn.is_none() {
            let books = self.main.ask(|memory| memory.books()).await?;
            self.turn = Some(books.lock_owned().await);
        }
        Ok(())
    }

    async fn ask<T>(&self, read: impl FnOnce(&mut MainMemory) -> T) -> anyhow::Result<T> {
        let answer = self.main.ask(read).await?;
        anyhow::ensure!(self.main.cuts() == self.cuts, "the connection was lost");
        Ok(answer)
    }
}

#[async_trait]
impl Books for Transaction {
    async fn lock_position(&mut self, shard: ShardId) -> anyhow::Result<i64> {
        self.take_turn().await?;
        self.ask(|memory| memory.positions.get(&shard).copied().unwrap_or(0)).await
    }

    async fn lock_logs(&mut self) -> anyhow::Result<i64> {
        self.take_turn().await?;
        self.ask(|memory| memory.log.last().map_or(0, |line| line.id)).await
    }

    async fn parked(&mut self) -> anyhow::Result<Parked> {
        self.ask(|memory| memory.parked.clone()).await
    }

    async fn stocks(&mut self, coupons: &[CouponId]) -> anyhow::Result<BTreeMap<CouponId, Stock>> {
        self.ask(|memory| {
            let known = |coupon: &CouponId| Some((*coupon, *memory.stocks.get(coupon)?));
            coupons.iter().filter_map(known).collect()
        })
        .await
    }

    async fn write(&mut self, postings: &[Written], last: i64, _: Timestamp) -> anyhow::Result<()> {
        self.ask(|_| ()).await?;
        let mut last = last;
        for written in postings {
            self.staged.push(Change::Posted(Box::new(written.clone()), last));
            last += i64::try_from(written.posting.lines.len()).unwrap_or(0);
        }
        Ok(())
    }

    async fn reach(&mut self, shard: ShardId, position: i64) -> anyhow::Result<()> {
        self.ask(|_| ()).await?;
        self.staged.push(Change::Reached(shard, position));
        Ok(())
    }

    async fn commit(self: Box<Self>) -> anyhow::Result<()> {
        let Self { main, cuts, turn, staged } = *self;
        let server = main.line.server;
        let committed = main.order(move |world, memory| {
            let whole = world.cuts(server) == cuts;
            if whole {
                staged.into_iter().for_each(|change| change.write(memory));
            }
            drop(turn);
            whole
        });
        anyhow::ensure!(committed.await?, "the connection was lost");
        Ok(())
    }

    async fn roll_back(self: Box<Self>) -> anyhow::Result<()> {
        Ok(())
    }
}

impl Change {
    fn write(self, memory: &mut MainMemory) {
        match self {
            Self::Reached(shard, position) => {
                memory.positions.insert(shard, position);
            }
            Self::Posted(written, last) => {
                let Written { coupon, posting, parks } = *written;
                if !posting.lines.is_empty() {
                    memory.stocks.insert(coupon, posting.after);
                }
                let lines = (last + 1..).zip(&posting.lines);
                memory.log.extend(lines.map(|(id, line)| LogLine {
                    id,
                    coupon,
                    before: line.before,
                    after: line.after,
                }));
                if parks {
                    memory.parked.remove(&coupon);
                    if !posting.parked.is_empty() {
                        memory.parked.insert(coupon, posting.parked);
                    }
                }
            }
        }
    }
}
