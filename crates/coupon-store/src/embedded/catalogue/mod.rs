//! Users, rooms and coupons: what grabs need in memory, the rest from the main database's file.

mod change;
mod rows;

use std::collections::HashSet;
use std::sync::Arc;

use coupon_core::catalogue_change::{CatalogueChange, ChangeRecord, Operator};
use coupon_core::{CouponId, RoomId, UserId};
use rusqlite::{Connection, Row};
use tokio::sync::oneshot;

pub(super) use self::change::{Effect, MadeChange, make, note, note_archive, note_unknown_users};
use super::applier::{ApplierNote, Asked, ToMain};
use super::reader::Readers;
use super::sql::{SQLITE, parsed};
use crate::current::Current;
use crate::id_set::IdSet;
use crate::known::Users;
use crate::set_aside::{self, SetAside};
use crate::settings::UnknownUsers;
use crate::terms::{self, AllTerms, Terms};
use crate::{
    Applied, Catalogue, ChangeError, CouponAndDetails, Known, LocalFuture, Offer, Unavailable, Visit,
};

/// The catalogue. It changes by this process alone: the folder is locked.
pub(super) struct EmbeddedCatalogue {
    pub(super) current: Arc<Current>,
    pub(super) main: Arc<Readers>,
    pub(super) to_main: ToMain,
    pub(super) set_aside: SetAside,
}

/// Reads what is known, and its version.
pub(super) fn read_current(
    db: &Connection,
    coupons: &[Terms],
    unknown_users: UnknownUsers,
) -> rusqlite::Result<Current> {
    for of in set_aside::LEFT_OUT {
        let mut left_out = db.prepare(&set_aside::left_out(SQLITE, of))?;
        let ids = left_out.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
        set_aside::warn_of_left_out(of, &ids);
    }
    let users = Users {
        all: users(db, "")?,
        inactive: users(db, "AND is_active = 0")?,
        accepts_unknown: unknown_users == UnknownUsers::Accept,
    };
    Ok(Current::new(Known::new(users, rooms(db)?, coupons), change::version(db)?))
}

/// The ids of the users that a further condition holds for.
fn users(db: &Connection, condition: &str) -> rusqlite::Result<IdSet> {
    let has_an_id = set_aside::has_an_id(SQLITE, "user_id");
    let sql = format!("SELECT user_id FROM users WHERE {has_an_id} {condition} ORDER BY user_id");
    let mut users = db.prepare(&sql)?;
    users.query_map([], |row| parsed(row, 0, UserId::new))?.collect()
}

/// Every coupon's terms. From now on a coupon's results go to the room that it has now, whatever its row says later.
pub(super) fn all_terms(db: &Connection) -> rusqlite::Result<AllTerms> {
    db.execute(
        "INSERT OR IGNORE INTO coupon_rooms (coupon_id, room_id) SELECT coupon_id, room_id FROM coupons WHERE room_id > 0",
        [],
    )?;
    terms_where(db, "", [])
}

/// The terms of one coupon.
fn terms_of(db: &Connection, coupon: CouponId) -> rusqlite::Result<AllTerms> {
    terms_where(db, "WHERE c.coupon_id = ?1", [coupon.get()])
}

fn terms_where(
    db: &Connection,
    condition: &str,
    values: impl rusqlite::Params,
) -> rusqlite::Result<AllTerms> {
    let mut statement = db.prepare(&format!("SELECT {} {condition}", terms::columns("INTEGER")))?;
    // SQLite holds in a column whatever was put there: what is no number counts as none.
    let number = |row: &Row<'_>, column| row.get::<_, i64>(column).unwrap_or(-1);
    let row = |row: &Row<'_>| -> rusqlite::Result<terms::TermNumbers> {
        Ok(std::array::from_fn(|column| number(row, column)))
    };
    let rows = statement.query_map(values, row)?.collect::<rusqlite::Result<Vec<terms::TermNumbers>>>()?;
    Ok(AllTerms::read(rows, Some(&rooms(db)?)))
}

fn rooms(db: &Connection) -> rusqlite::Result<HashSet<RoomId>> {
    let has_an_id = set_aside::has_an_id(SQLITE, "room_id");
    let mut rooms = db.prepare(&format!("SELECT room_id FROM live_rooms WHERE {has_an_id}"))?;
    rooms.query_map([], |row| parsed(row, 0, RoomId::new))?.collect()
}

impl Catalogue for EmbeddedCatalogue {
    fn known(&self) -> Arc<Known> {
        self.current.known()
    }

    fn offer(&self, user: UserId, coupon: CouponId) -> Offer {
        self.current.look(|known| known.offer(user, coupon))
    }

    fn version(&self) -> u64 {
        self.current.version()
    }

    fn change(
        &self,
        change: CatalogueChange,
        operator: Operator,
    ) -> LocalFuture<'_, Result<Applied, ChangeError>> {
        let (reply, answer) = oneshot::channel();
        let sent = change.check().map_err(ChangeError::from).and_then(|()| {
            let asked = Asked { change, operator, reply };
            Ok(self.to_main.send(ApplierNote::Change(Box::new(asked)))?)
        });
        Box::pin(async move {
            sent?;
            answer.await.map_err(|_| Unavailable::new("the main database", "its writer has stopped"))?
        })
    }

    fn changes(&self, limit: usize) -> LocalFuture<'_, Result<Vec<ChangeRecord>, Unavailable>> {
        let asked = self.main.ask(Visit::All, move |db, _| Ok((change::latest(db, limit)?, 1)));
        Box::pin(async move { Ok(asked.await?.value) })
    }

    fn coupon(
        &self,
        coupon: CouponId,
        details: bool,
    ) -> LocalFuture<'_, Result<Option<CouponAndDetails>, Unavailable>> {
        let asked = self.main.ask(Visit::All, move |db, _| {
            let sql = rows::select(details, "c.coupon_id = ?1");
            Ok((rows::rows(db, &sql, &[&coupon.get()], details)?.pop(), 1))
        });
        Box::pin(async move { Ok(asked.await?.value) })
    }

    fn coupons(
        &self,
        room: Option<RoomId>,
        after: Option<CouponId>,
        limit: usize,
        details: bool,
    ) -> LocalFuture<'_, Result<Vec<CouponAndDetails>, Unavailable>> {
        let asked = self.main.ask(Visit::All, move |db, _| {
            let (after, limit) = (after.map_or(0, CouponId::get), i64::try_from(limit).unwrap_or(i64::MAX));
            let page = "c.coupon_id > ?1 ORDER BY c.coupon_id LIMIT ?2";
            let found = match room.map(RoomId::get) {
                Some(room) => {
                    let sql = rows::select(details, &format!("c.room_id = ?3 AND {page}"));
                    rows::rows(db, &sql, &[&after, &limit, &room], details)
                }
                None => rows::rows(db, &rows::select(details, page), &[&after, &limit], details),
            };
            Ok((found?, 1))
        });
        Box::pin(async move { Ok(asked.await?.value) })
    }

    fn lag_entries(&self) -> u64 {
        self.to_main.lag()
    }

    fn set_aside(&self) -> (usize, Vec<(i64, String)>) {
        self.set_aside.all()
    }
}
