//! Queries on the shards of the embedded backend.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use coupon_core::{Place, Placement, ResultId, ResultQuery, ShardId, TableId};
use rusqlite::Connection;

use super::hand_over::Writers;
use super::reader::Readers;
use super::state::SharedShard;
use super::{moves, sql};
use crate::statements::LEAVING;
use crate::{
    Change, Changed, Found, HeldByCoupon, LocalFuture, PageRequest, ResultSummary, ShardReport, Shards,
    Totals, Unavailable, Visit, Visited,
};

/// Every shard's readers, and the writers for changes of results.
pub(super) struct EmbeddedShards {
    pub(super) readers: Arc<[(Readers, Arc<SharedShard>)]>,
    pub(super) writers: Arc<Writers>,
}

impl EmbeddedShards {
    fn at(&self, place: Place) -> Option<&(Readers, Arc<SharedShard>)> {
        self.readers.get(place.lane()?.index())
    }

    /// Says, when a query is read, whether rows may be leaving the shard.
    fn leaves(&self, place: Place) -> impl Fn() -> bool + Send + use<> {
        let state = self.at(place).map(|(_, state)| Arc::clone(state));
        move || state.as_ref().is_some_and(|state| state.leaves.load(Ordering::Acquire))
    }

    fn ask<T: Send + 'static>(
        &self,
        place: Place,
        visit: Visit,
        read: impl Fn(&Connection, &[TableId]) -> rusqlite::Result<(T, u64)> + Send + 'static,
    ) -> LocalFuture<'_, Result<Visited<T>, Unavailable>> {
        match self.at(place) {
            Some((readers, _)) => readers.ask(visit, read),
            None => Box::pin(std::future::ready(Err(unknown(place)))),
        }
    }
}

/// Reads tables, and where rows may be leaving also what leaves, all at one moment then: each row is in one of the two.
///
/// Whether rows leave is asked once more after the tables: should the first have left meanwhile, all is read again.
fn with_leaving<T>(
    db: &Connection,
    leaves: impl Fn() -> bool,
    read: impl Fn(&Connection, bool) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    if !leaves() {
        let tables = read(db, false);
        if !leaves() {
            return tables;
        }
    }
    let moment = db.unchecked_transaction()?;
    read(&moment, true)
}

fn unknown(place: Place) -> Unavailable {
    Unavailable::new(place.to_string(), "there is no such shard")
}

impl Shards for EmbeddedShards {
    fn page(
        &self,
        place: Place,
        visit: Visit,
        query: ResultQuery,
        page: PageRequest,
    ) -> LocalFuture<'_, Result<Visited<Vec<Found>>, Unavailable>> {
        let leaves = self.leaves(place);
        self.ask(place, visit, move |db, tables| {
            with_leaving(db, &leaves, |db, leaves| read_page(db, tables, leaves, &query, page))
        })
    }

    fn find(
        &self,
        place: Place,
        visit: Visit,
        id: ResultId,
    ) -> LocalFuture<'_, Result<Visited<Option<Found>>, Unavailable>> {
        let leaves = self.leaves(place);
        self.ask(place, visit, move |db, tables| {
            with_leaving(db, &leaves, |db, leaves| {
                let mut visited = 0;
                for table in tables {
                    visited += 1;
                    if let Some(result) = sql::find(db, *table, id)? {
                        return Ok((Some((*table, result)), visited));
                    }
                }
                let leaving = if leaves { moves::find(db, id)? } else { None };
                Ok((leaving, visited))
            })
        })
    }

    fn summary(
        &self,
        place: Place,
        visit: Visit,
        query: ResultQuery,
    ) -> LocalFuture<'_, Result<Visited<ResultSummary>, Unavailable>> {
        let leaves = self.leaves(place);
        self.ask(place, visit, move |db, tables| {
            with_leaving(db, &leaves, |db, leaves| {
                let mut sum = ResultSummary::default();
                let mut add = |part: ResultSummary| {
                    sum.results += part.results;
                    sum.last_grab = sum.last_grab.max(part.last_grab);
                };
                tables.iter().try_for_each(|table| sql::summary(db, *table, &query).map(&mut add))?;
                if leaves {
                    add(sql::summary(db, LEAVING, &query)?);
                }
                Ok((sum, tables.len() as u64))
            })
        })
    }

    fn totals(&self, place: Place, visit: Visit) -> LocalFuture<'_, Result<Visited<Totals>, Unavailable>> {
        let leaves = self.leaves(place);
        self.ask(place, visit, move |db, tables| {
            with_leaving(db, &leaves, |db, leaves| {
                let mut sum = sum_totals(db, tables)?;
                if leaves {
                    sum += moves::leaving_totals(db)?;
                }
                Ok((sum, tables.len() as u64))
            })
        })
    }

    fn kept_totals(&self, shard: ShardId) -> LocalFuture<'_, Result<Visited<Totals>, Unavailable>> {
        let kept = self.readers.get(shard.index()).map(|(readers, _)| readers.answer(SharedShard::totals));
        Box::pin(std::future::ready(kept.ok_or_else(|| unknown(shard.into()))))
    }

    fn held(&self, shard: ShardId) -> LocalFuture<'_, Result<Visited<HeldByCoupon>, Unavailable>> {
        self.ask(shard.into(), Visit::All, |db, tables| {
            let (mut held, holding) = (Vec::new(), sql::holding(db)?);
            for table in tables.iter().filter(|table| holding.contains(table)) {
                held.extend(sql::held(db, *table)?);
            }
            Ok((held, holding.len() as u64))
        })
    }

    fn change(&self, placement: Placement, change: Change) -> LocalFuture<'_, Result<Changed, Unavailable>> {
        Box::pin(self.writers.change(placement, change))
    }

    fn report(&self, shard: ShardId) -> LocalFuture<'_, Option<ShardReport>> {
        let report = self.readers.get(shard.index()).map(|(readers, state)| state.report(readers.now()));
        Box::pin(std::future::ready(report))
    }
}

/// The latest results of all tables. Tables come latest first, so once a page of a day (or hour) is full, earlier
/// days hold nothing for it.
fn read_page(
    db: &Connection,
    tables: &[TableId],
    leaves: bool,
    query: &ResultQuery,
    page: PageRequest,
) -> rusqlite::Result<(Vec<Found>, u64)> {
    let mut found: Vec<Found> = Vec::new();
    let mut visited = 0;
    for table in tables {
        if found.len() >= page.limit && table.day().is_some() {
            break;
        }
        visited += 1;
        found.extend(sql::page(db, *table, query, page)?.into_iter().map(|result| (*table, result)));
    }
    if leaves {
        found.extend(moves::page(db, query, page)?);
    }
    // Where a row has come to another table of this shard and is still among those that leave, the table's counts.
    found.sort_by_key(|(_, result)| std::cmp::Reverse(result.result_id));
    found.dedup_by_key(|(_, result)| result.result_id);
    found.truncate(page.limit);
    Ok((found, visited))
}

pub(super) fn sum_totals(db: &Connection, tables: &[TableId]) -> rusqlite::Result<Totals> {
    let mut sum = Totals::default();
    for table in tables {
        sum += sql::totals(db, *table)?;
    }
    Ok(sum)
}
