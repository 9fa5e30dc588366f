//! Shards in memory, and all that works with them but the mover: consumers, readers, users who confirm.

mod steps;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::{pending, poll_fn};
use std::num::{NonZeroU16, NonZeroU32};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use coupon_core::random::SplitMix64;
use coupon_core::{
    CouponId, CouponResult, LayoutVersion, Placement, Plan, ResultId, ResultQuery, ResultState, RoomId,
    RouteError, RowKey, ShardId, ShardingStrategy, TableId, Timestamp, UserId, VersionNumber, Versioned,
};

use crate::PlacedResult;
use crate::moving::{Arriving, Ended, MoveError, Mover, Pace, Progress, ShardMoves};

/// Users by the remainder of their number, over shards and then over a shard's tables.
#[derive(Debug)]
struct Scattered {
    shards: u16,
    tables: u32,
}

impl ShardingStrategy for Scattered {
    fn name(&self) -> &str {
        "remainder"
    }
    fn shard_count(&self) -> NonZeroU16 {
        NonZeroU16::new(self.shards).unwrap()
    }
    fn place(&self, row: &RowKey) -> Result<Placement, RouteError> {
        let user = row.user.get();
        let (shard, table) = (user % u64::from(self.shards), (user / 7) % u64::from(self.tables));
        Ok(Placement::new(ShardId::new(shard as u16), TableId::Part(table as u32)))
    }
    fn plan(&self, _query: &ResultQuery) -> Plan {
        Plan::All
    }
}

const SHARDS: u16 = 5;
/// Rows of each version.
const ROWS: u16 = 24;

pub(super) fn era(version: VersionNumber) -> Timestamp {
    Timestamp::from_millis(1_795_000_000_000 + i64::from(version) * 1_000)
}

pub(super) fn version(number: VersionNumber, receives: bool, shards: u16, tables: u32) -> LayoutVersion {
    LayoutVersion { number, from: era(number), receives, strategy: Arc::new(Scattered { shards, tables }) }
}

pub(super) fn row(version: VersionNumber, sequence: u16) -> CouponResult {
    let id = ResultId::from_parts(era(version).plus_millis(5), 0, sequence).unwrap();
    let user = UserId::new(u64::from(sequence) * 3 + u64::from(version)).unwrap();
    let granted = CouponResult::granted(id, user, CouponId::new(1).unwrap(), RoomId::new(1).unwrap());
    CouponResult { state: ResultState::Held, hold_until: Some(era(9)), ..granted }
}

#[derive(Default)]
pub(super) struct Shard {
    tables: BTreeMap<TableId, BTreeMap<ResultId, CouponResult>>,
    pub(super) leaving: Vec<PlacedResult>,
    moves: ShardMoves,
    arrivals: BTreeMap<ShardId, u64>,
}

impl Shard {
    pub(super) fn is_closed(&self) -> bool {
        self.moves.closed > 0
    }

    fn has(&self, table: TableId, id: ResultId) -> bool {
        self.tables.get(&table).is_some_and(|rows| rows.contains_key(&id))
            || self.leaving.iter().any(|row| row.result.result_id == id)
    }
}

/// A reader on the way through the places of a row.
pub(super) struct Reader {
    id: ResultId,
    places: Vec<Placement>,
}

/// The shards, and all that works with them but the mover.
pub(super) struct World {
    pub(super) versions: RefCell<Versioned>,
    pub(super) shards: RefCell<Vec<Shard>>,
    random: RefCell<SplitMix64>,
    /// Messages that are still to come, each to the place of its version.
    messages: RefCell<Vec<CouponResult>>,
    stored: RefCell<BTreeSet<ResultId>>,
    confirmed: RefCell<BTreeSet<ResultId>>,
    /// The row that is to be confirmed, and the place where it was found.
    confirming: RefCell<Option<(CouponResult, Placement)>>,
    readers: RefCell<Vec<Reader>>,
    /// Steps of the mover until it is killed.
    pub(super) lives: Cell<u32>,
    /// The times that rows of the first shard do not arrive.
    pub(super) refused: Cell<u32>,
    /// True if the second shard does not say what tables it has before the first is empty.
    pub(super) waits: Cell<bool>,
    /// True while no batch has a turn.
    pub(super) shut: Cell<bool>,
    /// True if another mover has moved a batch from the first shard before the next leaves it.
    pub(super) other_mover: Cell<bool>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let versions = Versioned::new(vec![version(1, false, 2, 1), version(2, true, SHARDS, 2)]).unwrap();
        let world = Self {
            versions: RefCell::new(versions),
            shards: RefCell::new((0..SHARDS).map(|_| Shard::default()).collect()),
            random: RefCell::new(SplitMix64::new(seed)),
            messages: RefCell::default(),
            stored: RefCell::default(),
            confirmed: RefCell::default(),
            confirming: RefCell::default(),
            readers: RefCell::default(),
            lives: Cell::new(u32::MAX),
            refused: Cell::new(0),
            waits: Cell::new(false),
            shut: Cell::new(false),
            other_mover: Cell::new(false),
        };
        world.sell(1);
        world.sell(2);
        world
    }

    /// Grabs of a version: some are stored, some come later, and some come twice.
    pub(super) fn sell(&self, version: VersionNumber) {
        for sequence in 0..ROWS {
            let row = row(version, sequence);
            let times = self.below(3);
            if times != 1 {
                self.store(row);
            }
            (0..times).for_each(|_| self.messages.borrow_mut().push(row));
        }
    }

    pub(super) fn below(&self, end: u64) -> usize {
        self.random.borrow_mut().below(end) as usize
    }

    fn written(&self, row: &CouponResult) -> Placement {
        self.versions.borrow().place(&row.key()).unwrap()
    }

    /// Stores a row that comes to the place of its version, by the law that every shard goes by.
    fn store(&self, row: CouponResult) {
        let mut here = self.written(&row);
        loop {
            let moves = self.shards.borrow()[here.shard.index()].moves;
            let arriving = Arriving::of(&self.versions.borrow(), here, &row.key(), moves).unwrap();
            let look = |places: &[Placement]| {
                let shards = self.shards.borrow();
                let mut all = std::iter::once(&here).chain(places);
                all.any(|place| shards[place.shard.index()].has(place.table, row.result_id))
            };
            match arriving {
                Arriving::Here => self.insert(here, row),
                Arriving::LookFirst(places) if !look(&places) => {
                    self.insert(here, row);
                    self.shards.borrow_mut()[here.shard.index()].moves.late += 1;
                }
                Arriving::LookThenPass(places) if !look(&places) => {
                    here = *places.last().unwrap();
                    continue;
                }
                Arriving::LookFirst(_) | Arriving::LookThenPass(_) => {}
                Arriving::Pass(to) => {
                    here = to;
                    continue;
                }
            }
            self.stored.borrow_mut().insert(row.result_id);
            return;
        }
    }

    fn insert(&self, at: Placement, row: CouponResult) {
        let shard = &mut self.shards.borrow_mut()[at.shard.index()];
        shard.tables.entry(at.table).or_default().entry(row.result_id).or_insert(row);
    }

    /// Lets a consumer, a user or a reader do something.
    pub(super) fn play(&self) {
        match self.below(4) {
            0 => self.message(),
            1 => self.confirm(),
            _ => self.read(),
        }
    }

    fn message(&self) {
        let all = self.messages.borrow().len();
        if all > 0 {
            let row = self.messages.borrow_mut().swap_remove(self.below(all as u64));
            self.store(row);
        }
    }

    /// Confirms a row, in two steps: finds it, and changes it where it was found. It may have moved in between.
    fn confirm(&self) {
        if let Some((row, at)) = self.confirming.take() {
            let shard = &mut self.shards.borrow_mut()[at.shard.index()];
            let there = shard.tables.get_mut(&at.table).and_then(|rows| rows.get_mut(&row.result_id));
            if let Some(there) = there {
                there.state = ResultState::Owned;
                self.confirmed.borrow_mut().insert(row.result_id);
            }
            return;
        }
        let Some((row, places)) = self.some_row() else { return };
        let shards = self.shards.borrow();
        let at = places.into_iter().find(|place| {
            let tables = &shards[place.shard.index()].tables;
            tables.get(&place.table).is_some_and(|rows| rows.contains_key(&row.result_id))
        });
        self.confirming.replace(at.map(|at| (row, at)));
    }

    /// A row that is stored, and the places where queries look for it: where each version says, one after the other,
    /// also where a later one leads back.
    fn some_row(&self) -> Option<(CouponResult, Vec<Placement>)> {
        let stored: Vec<ResultId> = self.stored.borrow().iter().copied().collect();
        let id = *stored.get(self.below(stored.len().max(1) as u64))?;
        let version = ((id.time().millis() - era(0).millis()) / 1_000) as VersionNumber;
        let row = row(version, id.sequence());
        let versions = self.versions.borrow();
        let written = versions.at(row.key().time).number;
        let holds =
            |other: &&LayoutVersion| other.number == written || (other.receives && other.number > written);
        let places =
            versions.versions().iter().filter(holds).map(|of| of.strategy.place(&row.key()).unwrap());
        Some((row, places.collect()))
    }

    /// Begins to read a row, or lets a reader visit the next place: one statement about its table and what is leaving.
    fn read(&self) {
        let mut readers = self.readers.borrow_mut();
        if readers.len() < 3 {
            let begun = self.some_row();
            readers.extend(begun.map(|(row, places)| Reader { id: row.result_id, places }));
            return;
        }
        let turn = self.below(3);
        let Reader { id, places } = &mut readers[turn];
        let place = places.remove(0);
        if self.shards.borrow()[place.shard.index()].has(place.table, *id) {
            readers.remove(turn);
        } else {
            assert!(!places.is_empty(), "a reader has missed result {id}");
        }
    }

    /// Counts a step of the mover; at the last it is killed, before or after the step takes effect. Steps of batches
    /// that are under way at once come in any order.
    async fn step<T>(
        &self,
        take: impl FnOnce(&mut Vec<Shard>) -> Result<T, MoveError>,
    ) -> Result<T, MoveError> {
        for _ in 0..self.below(4) {
            tokio::task::yield_now().await;
        }
        self.play();
        let lives = self.lives.get();
        if lives == 0 || (lives == 1 && self.below(2) == 0) {
            self.lives.set(0);
            return pending().await;
        }
        let done = take(&mut self.shards.borrow_mut());
        self.lives.set(lives - 1);
        self.play();
        if lives == 1 { pending().await } else { done }
    }

    /// Lets a mover work to its end; none if it is killed.
    pub(super) async fn run(&self, progress: &Progress) -> Option<Result<Ended, MoveError>> {
        let pace = Pace::new(NonZeroU32::MAX);
        let versions = Arc::new(self.versions.borrow().clone());
        let mover = Mover { shards: self, versions, pace: &pace, progress };
        let mut run = pin!(mover.run());
        let ended = poll_fn(|context| match run.as_mut().poll(context) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if self.lives.get() == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        ended.await
    }

    /// Runs movers until one has done it, each of which may be killed.
    pub(super) async fn move_all(&self, lives: impl Fn() -> u32) {
        for _ in 0..200 {
            // A reader that began before all processes knew that a version receives rows has ended by now.
            self.lives.set(lives());
            if let Some(ended) = self.run(&Progress::default()).await {
                return assert_eq!(ended, Ok(Ended::Done));
            }
        }
        panic!("two hundred movers have not moved it");
    }

    /// Every row is there once, where it is in the end, in the state that it has.
    pub(super) fn assert_settled(&self) {
        while !self.messages.borrow().is_empty() {
            self.message();
        }
        let versions = self.versions.borrow();
        let mut seen = BTreeSet::new();
        for (number, shard) in (0..).zip(self.shards.borrow().iter()) {
            assert!(shard.leaving.is_empty());
            for (table, rows) in &shard.tables {
                for row in rows.values() {
                    let here = Placement::new(ShardId::new(number), *table);
                    assert_eq!(versions.home(&row.key()), Ok(here), "{}", row.result_id);
                    assert!(seen.insert(row.result_id), "{} is there twice", row.result_id);
                    let confirmed = self.confirmed.borrow().contains(&row.result_id);
                    assert_eq!(row.state == ResultState::Owned, confirmed, "{}", row.result_id);
                }
            }
        }
        assert_eq!(seen, *self.stored.borrow());
    }

    /// Every version before that one is closed.
    pub(super) fn close_before(&self, number: VersionNumber) {
        let versions = self.versions.borrow().versions().to_vec();
        let left = versions.into_iter().filter(|version| version.number >= number).collect();
        self.versions.replace(Versioned::new(left).unwrap());
        self.readers.borrow_mut().clear();
    }

    pub(super) fn announce(&self, next: LayoutVersion) {
        let mut versions = self.versions.borrow().versions().to_vec();
        versions.push(next);
        self.versions.replace(Versioned::new(versions).unwrap());
        self.readers.borrow_mut().clear();
    }
}
