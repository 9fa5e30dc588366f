//! Queries on the shards of the embedded backend.

use std::sync::Arc;

use coupon_core::{Placement, ResultId, ResultQuery, ShardId, TableId};
use rusqlite::Connection;

use super::hand_over::Writers;
use super::reader::Readers;
use super::sql;
use super::state::ShardState;
use crate::{
    Change, Changed, Found, HeldByCoupon, LocalFuture, PageRequest, ShardReport, Shards, Summary, Totals,
    Unavailable, Visit, Visited,
};

/// Every shard's readers, and the writers for changes of results.
pub(super) struct EmbeddedShards {
    pub(super) readers: Vec<(Readers, Arc<ShardState>)>,
    pub(super) writers: Arc<Writers>,
}

impl EmbeddedShards {
    fn ask<T: Send + 'static>(
        &self,
        shard: ShardId,
        visit: Visit,
        read: impl FnOnce(&Connection, &[TableId]) -> rusqlite::Result<(T, u64)> + Send + 'static,
    ) -> LocalFuture<'_, Result<Visited<T>, Unavailable>> {
        match self.readers.get(shard.index()) {
            Some((readers, _)) => readers.ask(visit, read),
            None => Box::pin(std::future::ready(Err(unknown(shard)))),
        }
    }
}

fn unknown(shard: ShardId) -> Unavailable {
    Unavailable::new(format!("shard {shard}"), "there is no such shard")
}

impl Shards for EmbeddedShards {
    fn page(
        &self,
        shard: ShardId,
        visit: Visit,
        query: ResultQuery,
        page: PageRequest,
    ) -> LocalFuture<'_, Result<Visited<Vec<Found>>, Unavailable>> {
        self.ask(shard, visit, move |db, tables| read_page(db, tables, &query, page))
    }

    fn find(
        &self,
        shard: ShardId,
        visit: Visit,
        id: ResultId,
    ) -> LocalFuture<'_, Result<Visited<Option<Found>>, Unavailable>> {
        self.ask(shard, visit, move |db, tables| {
            let mut visited = 0;
            for table in tables {
                visited += 1;
                if let Some(result) = sql::find(db, *table, id)? {
                    return Ok((Some((*table, result)), visited));
                }
            }
            Ok((None, visited))
        })
    }

    fn summary(
        &self,
        shard: ShardId,
        visit: Visit,
        query: ResultQuery,
    ) -> LocalFuture<'_, Result<Visited<Summary>, Unavailable>> {
        self.ask(shard, visit, move |db, tables| {
            let mut sum = Summary::default();
            for table in tables {
                let part = sql::summary(db, *table, &query)?;
                sum.results += part.results;
                sum.last_grab = sum.last_grab.max(part.last_grab);
            }
            Ok((sum, tables.len() as u64))
        })
    }

    fn totals(&self, shard: ShardId, visit: Visit) -> LocalFuture<'_, Result<Visited<Totals>, Unavailable>> {
        self.ask(shard, visit, |db, tables| Ok((sum_totals(db, tables)?, tables.len() as u64)))
    }

    fn kept_totals(&self, shard: ShardId) -> LocalFuture<'_, Result<Visited<Totals>, Unavailable>> {
        let kept = self.readers.get(shard.index()).map(|(readers, _)| readers.answer(ShardState::totals));
        Box::pin(std::future::ready(kept.ok_or_else(|| unknown(shard))))
    }

    fn held(&self, shard: ShardId) -> LocalFuture<'_, Result<Visited<HeldByCoupon>, Unavailable>> {
        self.ask(shard, Visit::All, |db, tables| {
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
    found.sort_unstable_by_key(|(_, result)| std::cmp::Reverse(result.result_id));
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
