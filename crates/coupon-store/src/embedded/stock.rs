//! Grabs that the shard's file decides: stock, one-per-user and the row in one transaction of its writer.

use std::collections::HashMap;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use coupon_core::schema::{self, Dialect};
use coupon_core::{CouponId, Placement, RoomId, UserId, VersionNumber};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::archive::TablePart;
use super::hand_over::{WriterHandle, on, on_blocking};
use super::sql;
use super::transaction::Store;
use super::work::Work;
use super::writer::Writer;
use crate::current::Current;
use crate::stock::{self, SHARD, StockRow, TABLE, free_slot};
use crate::terms::Terms;
use crate::{Attempt, Decided, Decision, Gate, GateStock, LocalFuture, PlacedResult, Unavailable};

/// The only epoch: sold stock is counted anew at each start.
const EPOCH: u64 = 0;

/// An attempt, and the room of its coupon, if that is known.
pub(super) type Wanted = (Attempt, Option<RoomId>);

/// The database in the place of a gate. Nothing is remembered of it: each grab asks.
pub(super) struct StockGate {
    pub(super) writers: Arc<[WriterHandle]>,
    pub(super) current: Arc<Current>,
}

impl StockGate {
    async fn decide(&self, attempts: &[Attempt]) -> Result<Decided, Unavailable> {
        if attempts.is_empty() {
            return Ok(Decided { decisions: Vec::new(), epoch: EPOCH });
        }
        let wanted: Vec<Wanted> = self
            .current
            .look(|known| attempts.iter().map(|attempt| (*attempt, known.room_of(attempt.coupon))).collect());
        let decisions = on(&self.writers, SHARD, move |writer| writer.grab(&wanted)).await??;
        Ok(Decided { decisions, epoch: EPOCH })
    }

    async fn counts(&self, coupon: CouponId) -> Result<Option<GateStock>, Unavailable> {
        let read = on(&self.writers, SHARD, move |writer| row(&writer.db, coupon)).await?;
        let row = read.map_err(|error| Unavailable::new(format!("shard {SHARD}"), error))?;
        Ok(row.map(|row| row.counts()))
    }
}

impl Gate for StockGate {
    fn reserve<'a>(
        &'a self,
        _: VersionNumber,
        attempts: &'a [Attempt],
    ) -> LocalFuture<'a, Result<Decided, Unavailable>> {
        Box::pin(self.decide(attempts))
    }

    fn ready(&self) -> Result<(), Unavailable> {
        Ok(())
    }

    fn epoch(&self, _: CouponId) -> Option<u64> {
        Some(EPOCH)
    }

    fn holders(&self, _: CouponId) -> LocalFuture<'_, Option<(u64, Vec<UserId>)>> {
        Box::pin(std::future::ready(None))
    }

    fn stock(&self, coupon: CouponId) -> LocalFuture<'_, Result<Option<GateStock>, Unavailable>> {
        Box::pin(self.counts(coupon))
    }
}

/// Sells a coupon by these terms from now on, after everything that its shard was sent before.
pub(super) fn offer(writers: &[WriterHandle], terms: &Terms) -> Result<(), Unavailable> {
    let terms = *terms;
    let offered = on_blocking(writers, SHARD, move |writer| put_on_offer(&writer.db, &terms))?;
    offered.map_err(|error| Unavailable::new(format!("shard {SHARD}"), error))
}

impl Writer {
    /// Counts what is sold of these coupons, before the first grab.
    pub(super) fn count_stock(&mut self, terms: &[Terms]) -> anyhow::Result<()> {
        // What a service before has left in its inbox is counted in the table.
        self.commit_to_tables(Work::default());
        self.all_stored()?;
        anyhow::ensure!(self.inbox.len() == 0, "its inbox cannot be sorted into its table");
        for sql in schema::stock(Dialect::Sqlite) {
            self.db.execute_batch(&sql)?;
        }
        let moment = self.db.unchecked_transaction()?;
        moment.execute("DELETE FROM stock", [])?;
        let sold = counted(&moment, "")?;
        for terms in terms {
            insert(&moment, terms, sold.get(&terms.coupon.get()).copied().unwrap_or(0))?;
        }
        moment.commit()?;
        self.keeps_stock = true;
        Ok(())
    }

    /// Decides grabs, and stores what it grants, in one transaction.
    fn grab(&mut self, wanted: &[Wanted]) -> Result<Vec<Decision>, Unavailable> {
        let (began, applied) = (Instant::now(), self.state.applied.load(Ordering::Acquire));
        let grab = || -> rusqlite::Result<_> {
            let mut store = Store::begin(&self.db, self.clock.now())?;
            store.make_tables([TABLE].into_iter(), &self.known_tables)?;
            let decisions =
                wanted.iter().map(|wanted| store.grab(wanted)).collect::<rusqlite::Result<Vec<_>>>()?;
            self.leave_word(&mut store, applied)?;
            Ok((decisions, store.commit()?))
        };
        match grab() {
            Ok((decisions, mut done)) => {
                self.state.up.store(true, Ordering::Relaxed);
                self.storing.worked();
                self.state.work.write_took(began.elapsed());
                self.committed(&mut done, applied);
                Ok(decisions)
            }
            Err(error) => {
                self.state.up.store(false, Ordering::Relaxed);
                self.storing.failed(&error);
                Err(Unavailable::new(format!("shard {SHARD}"), error))
            }
        }
    }
}

impl Store<'_> {
    fn grab(&mut self, (attempt, room): &Wanted) -> rusqlite::Result<Decision> {
        let Some(room) = *room else { return Ok(Decision::NotLoaded) };
        let slot = match free_slot(attempt, &sql::mine(&self.db, attempt)?) {
            Ok(slot) => slot,
            Err(decided) => return Ok(decided),
        };
        let (coupon, time) = (attempt.coupon.get().cast_signed(), attempt.id.time().millis());
        let sold = self.db.prepare_cached(stock::SELL)?.execute(params![
            1,
            0,
            coupon,
            1,
            time,
            time,
            EPOCH.cast_signed()
        ])?;
        if sold == 0 {
            return Ok(match row(&self.db, attempt.coupon)? {
                None => Decision::NotLoaded,
                Some(row) if row.is_on_offer(attempt.id.time()) => Decision::OutOfStock,
                Some(_) => Decision::InvalidTime,
            });
        }
        let result = attempt.reservation(slot).result(attempt.user, attempt.coupon, room);
        self.store(slice::from_ref(&PlacedResult { placement: Placement::new(SHARD, TABLE), result }))?;
        let parked = self.done.parked.contains(&attempt.id);
        Ok(if parked { Decision::Parked } else { Decision::Granted(slot) })
    }

    /// Takes back the stock of what gave it back in this transaction.
    pub(super) fn take_stock_back(&self) -> rusqlite::Result<()> {
        self.done.given_back.iter().try_for_each(|result| self.take_back(result.coupon_id, 1))
    }

    /// Takes off the stock what an archive retires: those rows do not count as sold any more, as the shard's outbox says to main.
    pub(super) fn take_off_retired(&self, part: &TablePart) -> rusqlite::Result<()> {
        part.live().try_for_each(|(coupon, rows)| self.take_back(coupon, rows))
    }

    fn take_back(&self, coupon: CouponId, rows: i64) -> rusqlite::Result<()> {
        let numbers = [rows, coupon.get().cast_signed()];
        self.db.prepare_cached(stock::TAKE_BACK)?.execute(numbers).map(drop)
    }
}

fn row(db: &Connection, coupon: CouponId) -> rusqlite::Result<Option<StockRow>> {
    let read = |row: &rusqlite::Row<'_>| {
        let (total, sold, start, end) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(StockRow { total, sold, start, end, epoch: EPOCH })
    };
    db.prepare_cached(stock::OF_COUPON)?.query_row([coupon.get().cast_signed()], read).optional()
}

/// Goes by other terms; what is sold of a coupon that was not on offer here is counted.
fn put_on_offer(db: &Connection, terms: &Terms) -> rusqlite::Result<()> {
    let Terms { coupon, total, start, .. } = terms;
    let (coupon, end) = (coupon.get().cast_signed(), terms.over_from());
    let moment = db.unchecked_transaction()?;
    let known = moment.execute(
        "UPDATE stock SET total = ?2, start_time = ?3, end_time = ?4 WHERE coupon_id = ?1",
        params![coupon, total, start.millis(), end.millis()],
    )?;
    if known == 0 {
        let sold = counted(&moment, &format!("WHERE coupon_id = {coupon}"))?;
        insert(&moment, terms, sold.into_values().sum())?;
    }
    moment.commit()
}

fn insert(db: &Connection, terms: &Terms, sold: i64) -> rusqlite::Result<()> {
    let Terms { coupon, total, start, .. } = terms;
    let (coupon, end) = (coupon.get().cast_signed(), terms.over_from());
    let sql = "INSERT INTO stock (coupon_id, total, sold, start_time, end_time) VALUES (?1, ?2, ?3, ?4, ?5)";
    db.prepare_cached(sql)?.execute(params![coupon, total, sold, start.millis(), end.millis()]).map(drop)
}

/// The number of rows that take stock, by coupon.
fn counted(db: &Connection, condition: &str) -> rusqlite::Result<HashMap<u64, i64>> {
    let mut statement = db.prepare(&stock::counted(condition))?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?)))?;
    rows.collect()
}
