//! The transactions in which a database decides grabs, and puts coupons on offer.
//!
//! One takes as many grabs as a batch has: it reads the rows that their users have, sells each coupon by one
//! conditional UPDATE (of as many as are asked for or, where there are fewer, as are left), and stores what was granted
//! by one INSERT. Where attempts name a request, their users' rows are read again once the coupon's row is locked: the
//! request may have been answered meanwhile.

use std::collections::{BTreeMap, HashMap};

use coupon_core::{CouponId, CouponResult, GateCount, ResultId, RoomId, Timestamp, UserId};
use coupon_store::statements::Numbers;
use coupon_store::stock::{self, Mine, StockRow, TABLE, free_slot, remembered_since};
use coupon_store::terms::Terms;
use coupon_store::{Attempt, Decision, Reservation};
use mysql_async::TxOpts;
use mysql_async::prelude::Queryable;

use super::{StockGate, read_epoch};
use crate::lane::Lane;
use crate::mysql::{DatabaseError, HoldRow, code, has_code, hold_in, lock_state};
use crate::seam::{Hold, Release};
use crate::sql;

/// The number of times that a transaction is tried which meets another.
const TRIES: u32 = 5;
/// The most coupons of one statement.
const COUPONS: usize = 1_000;

/// The reason for which a transaction came to nothing.
pub(super) enum Failed {
    /// The stock is of another epoch.
    Forgot,
    Database(mysql_async::Error),
    /// Another attempt of the same user was decided meanwhile.
    Overtaken,
    Away(String),
}

impl From<mysql_async::Error> for Failed {
    fn from(error: mysql_async::Error) -> Self {
        Self::Database(error)
    }
}

impl From<DatabaseError> for Failed {
    fn from(error: DatabaseError) -> Self {
        Self::Away(error.to_string())
    }
}

impl Failed {
    /// True if another transaction was in its way, and is not any more.
    fn met_another(&self) -> bool {
        let of = [code::DUPLICATE, code::DEADLOCK];
        match self {
            Self::Overtaken => true,
            Self::Database(error) => of.into_iter().any(|code| has_code(error, code)),
            Self::Forgot | Self::Away(_) => false,
        }
    }
}

impl StockGate {
    /// Decides attempts, one for each user and coupon, and stores what it grants.
    pub(super) async fn transaction(
        &self,
        epoch: u64,
        attempts: &[&Attempt],
    ) -> Result<Vec<Decision>, Failed> {
        for _ in 1..TRIES {
            match self.try_transaction(epoch, attempts).await {
                Err(failed) if failed.met_another() => {}
                decided => return decided,
            }
        }
        self.try_transaction(epoch, attempts).await
    }

    async fn try_transaction(&self, epoch: u64, attempts: &[&Attempt]) -> Result<Vec<Decision>, Failed> {
        let rooms: Vec<Option<RoomId>> =
            self.offered.look(|known| attempts.iter().map(|attempt| known.room_of(attempt.coupon)).collect());
        let mut conn = self.database.connect().await?;
        let mine = rows_of_users(&mut conn, attempts).await?;
        let has_a_slot = |(attempt, room): (&&Attempt, &Option<RoomId>)| {
            let mine = mine.get(&(attempt.user, attempt.coupon)).map_or(&[][..], Vec::as_slice);
            match room {
                Some(_) => free_slot(attempt, mine).map_or_else(|decided| decided, Decision::Granted),
                None => Decision::NotLoaded,
            }
        };
        let mut decisions: Vec<Decision> = attempts.iter().zip(&rooms).map(has_a_slot).collect();
        if !decisions.iter().any(is_granted) {
            return Ok(decisions);
        }
        let mut transaction = conn.start_transaction(TxOpts::default()).await?;
        let mut rest = decisions.as_mut_slice();
        for of_coupon in attempts.chunk_by(|one, next| one.coupon == next.coupon) {
            let (decisions, others) = rest.split_at_mut(of_coupon.len().min(rest.len()));
            sell(&mut transaction, epoch, of_coupon, decisions).await?;
            rest = others;
        }
        ensure_first(&mut transaction, attempts, &decisions).await?;
        let results =
            attempts.iter().zip(&decisions).zip(&rooms).filter_map(|((attempt, decision), room)| {
                let Decision::Granted(slot) = *decision else { return None };
                Some(attempt.reservation(slot).result(attempt.user, attempt.coupon, (*room)?))
            });
        let results: Vec<CouponResult> = results.collect();
        if results.is_empty() {
            transaction.rollback().await?;
        } else {
            let insert = sql::insert(Lane::ONLY, TABLE, &results.iter().collect::<Vec<_>>(), false);
            transaction.query_drop(insert).await?;
            transaction.commit().await?;
        }
        Ok(decisions)
    }

    /// Sells coupons by these terms from now on, unless there are some of a later version. What is sold of those that were not on
    /// offer in this epoch is counted: no row of theirs is stored or gives its stock back meanwhile.
    pub(super) async fn put_on_offer(
        &self,
        epoch: u64,
        version: u64,
        terms: &[&Terms],
    ) -> Result<(), Failed> {
        let mut conn = self.database.connect().await?;
        let mut transaction = conn.start_transaction(TxOpts::default()).await?;
        let locked = lock_state(&mut transaction, Lane::ONLY, &self.dataset, GateCount::ONE).await?;
        if locked.is_none() {
            return Err(Failed::Away(format!("{} does not hold data set {}", self.database, self.dataset)));
        }
        if read_epoch(&mut transaction).await? != Some(epoch) {
            return Err(Failed::Forgot);
        }
        for some in terms.chunks(COUPONS) {
            let ids: Vec<String> = some.iter().map(|terms| terms.coupon.to_string()).collect();
            let condition = format!("WHERE coupon_id IN ({})", ids.join(","));
            let there = format!("SELECT epoch FROM stock {condition} FOR UPDATE");
            let there: Vec<u64> = transaction.query(there).await?;
            let is_new = there.iter().filter(|of| **of == epoch).count() < some.len();
            let sold: Vec<(u64, i64)> =
                if is_new { transaction.query(stock::counted(&condition)).await? } else { Vec::new() };
            let sold: HashMap<u64, i64> = sold.into_iter().collect();
            let row = |terms: &&Terms| {
                let Terms { coupon, total, start, .. } = terms;
                let (end, sold) = (terms.over_from(), sold.get(&coupon.get()).copied().unwrap_or(0));
                format!("({coupon},{total},{},{},{sold},{version},{epoch})", start.millis(), end.millis())
            };
            let rows: Vec<String> = some.iter().map(row).collect();
            transaction.query_drop(OFFER.replace("{rows}", &rows.join(","))).await?;
        }
        Ok(transaction.commit().await?)
    }
}

/// Puts coupons on offer. Of what a row has already the epoch counts first, and then the version.
const OFFER: &str = "INSERT INTO stock (coupon_id, total, start_time, end_time, sold, version, epoch) VALUES {rows} \
     ON DUPLICATE KEY UPDATE \
     total = IF(epoch = VALUES(epoch) AND version > VALUES(version), total, VALUES(total)), \
     start_time = IF(epoch = VALUES(epoch) AND version > VALUES(version), start_time, VALUES(start_time)), \
     end_time = IF(epoch = VALUES(epoch) AND version > VALUES(version), end_time, VALUES(end_time)), \
     sold = IF(epoch = VALUES(epoch), sold, VALUES(sold)), \
     version = IF(epoch = VALUES(epoch), GREATEST(version, VALUES(version)), VALUES(version)), \
     epoch = VALUES(epoch)";

const fn is_granted(decision: &Decision) -> bool {
    matches!(decision, Decision::Granted(_))
}

/// Sells a coupon to as many of those who have a slot as there are left, in their order.
async fn sell(
    conn: &mut impl Queryable,
    epoch: u64,
    attempts: &[&Attempt],
    decisions: &mut [Decision],
) -> Result<(), Failed> {
    let Some(coupon) = attempts.first().map(|attempt| attempt.coupon.get()) else { return Ok(()) };
    let mut open: Vec<(Timestamp, &mut Decision)> = attempts
        .iter()
        .zip(decisions)
        .filter(|(_, decision)| is_granted(decision))
        .map(|(attempt, decision)| (attempt.id.time(), decision))
        .collect();
    let mut most = open.len();
    loop {
        let times = || open.iter().take(most).map(|(time, _)| time.millis());
        let (Some(first), Some(last)) = (times().min(), times().max()) else { break };
        let sold = conn.exec_iter(stock::SELL, (most, most, coupon, most, first, last, epoch)).await?;
        let enough = sold.affected_rows() == 1;
        sold.drop_result().await?;
        if enough {
            break;
        }
        // Locked, which it is already where it is there: a plain read would have the transaction see from then on what
        // there is now.
        let Some(row) = read_row(conn, coupon, " FOR UPDATE").await? else {
            open.into_iter().for_each(|(_, decision)| *decision = Decision::NotLoaded);
            return Ok(());
        };
        if row.epoch != epoch {
            return Err(Failed::Forgot);
        }
        let before = open.len();
        open.retain_mut(|(time, decision)| {
            let in_time = row.is_on_offer(*time);
            if !in_time {
                **decision = Decision::InvalidTime;
            }
            in_time
        });
        let at_most = if open.len() < before { open.len() } else { most - 1 };
        most = row.left().min(at_most);
    }
    open.into_iter().skip(most).for_each(|(_, decision)| *decision = Decision::OutOfStock);
    Ok(())
}

pub(super) async fn row(conn: &mut impl Queryable, coupon: u64) -> mysql_async::Result<Option<StockRow>> {
    read_row(conn, coupon, "").await
}

async fn read_row(
    conn: &mut impl Queryable,
    coupon: u64,
    lock: &str,
) -> mysql_async::Result<Option<StockRow>> {
    let sql = format!("{}{lock}", stock::OF_COUPON);
    let row: Option<(i64, i64, i64, i64, u64)> = conn.exec_first(sql, (coupon,)).await?;
    Ok(row.map(|(total, sold, start, end, epoch)| StockRow { total, sold, start, end, epoch }))
}

/// Makes sure that the requests which attempts name have no answer but theirs. A transaction that grants one of a coupon has the
/// row of its stock, so that what others have granted, and users have given back since, is seen from now on.
async fn ensure_first(
    conn: &mut impl Queryable,
    attempts: &[&Attempt],
    decisions: &[Decision],
) -> Result<(), Failed> {
    let granted = attempts.iter().copied().zip(decisions).filter(|(_, decision)| is_granted(decision));
    let (named, granted): (Vec<&Attempt>, Vec<&Decision>) =
        granted.filter(|(attempt, _)| attempt.request.is_some()).unzip();
    let mine = rows_of_users(conn, &named).await?;
    let stands = |(attempt, granted): (&&Attempt, &&Decision)| {
        let mine = mine.get(&(attempt.user, attempt.coupon)).map_or(&[][..], Vec::as_slice);
        free_slot(attempt, mine).is_ok_and(|slot| **granted == Decision::Granted(slot))
    };
    if named.iter().zip(&granted).all(stands) { Ok(()) } else { Err(Failed::Overtaken) }
}

/// The rows that users have of the coupons that they ask for, and what is parked of them.
async fn rows_of_users(
    conn: &mut impl Queryable,
    attempts: &[&Attempt],
) -> mysql_async::Result<HashMap<(UserId, CouponId), Vec<Mine>>> {
    let since = attempts.iter().map(|attempt| remembered_since(attempt)).min();
    let wanted: Vec<String> =
        attempts.iter().map(|attempt| format!("({},{})", attempt.user, attempt.coupon)).collect();
    let Some(since) = since else { return Ok(HashMap::new()) };
    let condition = format!("(user_id, coupon_id) IN ({})", wanted.join(","));
    let rows: Vec<HoldRow> = conn.query(stock::mine(Numbers::Written, since, &condition)).await?;
    let mut mine: HashMap<(UserId, CouponId), Vec<Mine>> = HashMap::new();
    for Hold { coupon, user, id, slot, hold_until, request, given_back } in rows.into_iter().map(hold_in) {
        let ids = (UserId::new(user), CouponId::new(coupon), ResultId::from_number(id));
        // No grab has made a row without ids of ours.
        let (Ok(user), Ok(coupon), Ok(id)) = ids else { continue };
        let reserved = Reservation { id, slot, hold_until, request };
        mine.entry((user, coupon)).or_default().push((reserved, given_back));
    }
    Ok(mine)
}

/// Results that are stored and that no outbox entry counts yet, by coupon; they pass for counted from now on, if the transaction
/// commits.
pub(crate) async fn take_untold(conn: &mut impl Queryable) -> mysql_async::Result<Vec<(CouponId, i64)>> {
    let untold: Vec<(u64, i64)> =
        conn.query("SELECT coupon_id, untold FROM stock WHERE untold > 0 ORDER BY coupon_id").await?;
    for some in untold.chunks(COUPONS) {
        let cases: Vec<String> =
            some.iter().map(|(coupon, rows)| format!("WHEN {coupon} THEN {rows}")).collect();
        let ids: Vec<String> = some.iter().map(|(coupon, _)| coupon.to_string()).collect();
        conn.query_drop(format!(
            "UPDATE stock SET untold = untold - CASE coupon_id {} END WHERE coupon_id IN ({})",
            cases.join(" "),
            ids.join(",")
        ))
        .await?;
    }
    Ok(untold.into_iter().filter_map(|(coupon, rows)| Some((CouponId::new(coupon).ok()?, rows))).collect())
}

/// The statements that take back the stock of what gave it back, each with its end.
pub(crate) fn take_back<'a>(gone: impl Iterator<Item = &'a Release>) -> String {
    let mut by_coupon: BTreeMap<CouponId, u32> = BTreeMap::new();
    gone.for_each(|release| *by_coupon.entry(release.coupon).or_default() += 1);
    let take = |(coupon, rows): (CouponId, u32)| {
        format!("UPDATE stock SET sold = sold - {rows} WHERE coupon_id = {coupon}; ")
    };
    by_coupon.into_iter().map(take).collect()
}
