//! Two shards whose rows are moved while they are asked, and an index beside them.

use std::num::NonZeroU16;
use std::sync::{Mutex, MutexGuard};

use coupon_core::{ResultState, TableId};
use coupon_store::{
    Change, Changed, Found, HeldByCoupon, PageRequest, RoomIndex, RoomPlaces, ShardReport, Shards,
};

use super::{later, now};
use crate::queries::*;

/// An event while shards are asked: before so many visits.
pub(super) type Event = Box<dyn Fn(&mut [Vec<CouponResult>; 2]) + Send + Sync>;

/// Two shards, or two lanes of an engine, and what happens to them.
#[derive(Default)]
pub(super) struct Two {
    pub(super) rows: Mutex<[Vec<CouponResult>; 2]>,
    pub(super) visits: Mutex<usize>,
    pub(super) events: Vec<(usize, Event)>,
    /// One that does not answer.
    pub(super) down: Option<ShardId>,
    /// Those that an answer of all together lacks.
    pub(super) lacks: Vec<ShardId>,
}

impl Two {
    /// The rows, once what happens before this visit has happened.
    fn visit(&self) -> MutexGuard<'_, [Vec<CouponResult>; 2]> {
        let mut rows = self.rows.lock().unwrap();
        let mut visits = self.visits.lock().unwrap();
        for (_, event) in self.events.iter().filter(|(at, _)| at == &*visits) {
            event(&mut rows);
        }
        *visits += 1;
        rows
    }

    fn visited<'a, T: 'a>(
        &self,
        place: Place,
        read: impl FnOnce(&[CouponResult]) -> T,
    ) -> LocalFuture<'a, Result<Visited<T>, Unavailable>> {
        let rows = self.visit();
        let value = match place {
            Place::Lane(shard) => read(&rows[shard.index()]),
            Place::Whole => read(&rows.concat()),
        };
        if self.down.is_some_and(|down| place.lane().is_none_or(|shard| shard == down)) {
            return Box::pin(std::future::ready(Err(Unavailable::new(place.to_string(), "down"))));
        }
        Box::pin(std::future::ready(Ok(of_one_table(value, later(), self.lacks.clone()))))
    }
}

pub(super) fn moved(rows: &mut [Vec<CouponResult>; 2]) {
    let [from, to] = rows;
    to.append(from);
}

impl Shards for Two {
    fn page(
        &self,
        place: Place,
        _visit: Visit,
        _query: ResultQuery,
        page: PageRequest,
    ) -> LocalFuture<'_, Result<Visited<Vec<Found>>, Unavailable>> {
        self.visited(place, |rows| {
            let before = |row: &&CouponResult| page.before.is_none_or(|before| row.result_id < before);
            let mut found: Vec<CouponResult> = rows.iter().filter(before).copied().collect();
            found.sort_by_key(|row| std::cmp::Reverse(row.result_id));
            found.truncate(page.limit);
            found.into_iter().map(|row| (TableId::Single, row)).collect()
        })
    }

    fn find(
        &self,
        place: Place,
        _visit: Visit,
        id: ResultId,
    ) -> LocalFuture<'_, Result<Visited<Option<Found>>, Unavailable>> {
        self.visited(place, |rows| {
            rows.iter().find(|row| row.result_id == id).map(|row| (TableId::Single, *row))
        })
    }

    fn summary(
        &self,
        place: Place,
        _visit: Visit,
        _query: ResultQuery,
    ) -> LocalFuture<'_, Result<Visited<ResultSummary>, Unavailable>> {
        self.visited(place, |rows| ResultSummary { results: rows.len() as u64, last_grab: None })
    }

    fn totals(&self, place: Place, _visit: Visit) -> LocalFuture<'_, Result<Visited<Totals>, Unavailable>> {
        self.visited(place, |rows| Totals { results: rows.len() as u64, ..Totals::default() })
    }

    fn kept_totals(&self, shard: ShardId) -> LocalFuture<'_, Result<Visited<Totals>, Unavailable>> {
        self.visited(shard.into(), |rows| Totals { results: rows.len() as u64, ..Totals::default() })
    }

    fn held(&self, shard: ShardId) -> LocalFuture<'_, Result<Visited<HeldByCoupon>, Unavailable>> {
        self.visited(shard.into(), |_| Vec::new())
    }

    fn change(&self, placement: Placement, change: Change) -> LocalFuture<'_, Result<Changed, Unavailable>> {
        let changed =
            match self.visit()[placement.shard.index()].iter_mut().find(|row| row.result_id == change.id) {
                None => Changed::NotFound,
                Some(row) => {
                    row.state = ResultState::Returned;
                    Changed::Now(*row)
                }
            };
        Box::pin(std::future::ready(Ok(changed)))
    }

    fn report(&self, _shard: ShardId) -> LocalFuture<'_, Option<ShardReport>> {
        Box::pin(std::future::ready(None))
    }
}

pub(super) fn two(rows: [Vec<CouponResult>; 2], events: Vec<(usize, Event)>) -> Two {
    Two { rows: Mutex::new(rows), events, ..Two::default() }
}

/// An answer that one table was read for.
fn of_one_table<T>(value: T, as_of: Timestamp, missing: Vec<ShardId>) -> Visited<T> {
    Visited { value, tables: 1, took: Duration::ZERO, as_of, missing }
}

/// An index that has one row, or does not answer.
pub(super) struct Index(pub(super) Option<CouponResult>);

impl Index {
    fn visited<'a, T: 'a>(
        &self,
        read: impl FnOnce(CouponResult) -> T,
    ) -> LocalFuture<'a, Result<Visited<T>, Unavailable>> {
        let visited = |row| of_one_table(read(row), now(), Vec::new());
        let answer = self.0.map(visited).ok_or_else(|| Unavailable::new("the room index", "down"));
        Box::pin(std::future::ready(answer))
    }
}

impl RoomIndex for Index {
    fn places(&self) -> RoomPlaces {
        RoomPlaces::over(NonZeroU16::MIN)
    }

    fn page(
        &self,
        _room: RoomId,
        _query: ResultQuery,
        _page: PageRequest,
    ) -> LocalFuture<'_, Result<Visited<Vec<CouponResult>>, Unavailable>> {
        self.visited(|row| vec![row])
    }

    fn summary(
        &self,
        _room: RoomId,
        _query: ResultQuery,
    ) -> LocalFuture<'_, Result<Visited<ResultSummary>, Unavailable>> {
        self.visited(|row| ResultSummary { results: 1, last_grab: Some(row.grab_time) })
    }

    fn as_of(&self, _shard: ShardId) -> LocalFuture<'_, Option<Timestamp>> {
        Box::pin(std::future::ready(None))
    }
}
