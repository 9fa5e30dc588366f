//! Users, rooms and coupons: what grabs need in memory, the rest from the main database's file.

use std::collections::HashSet;
use std::sync::Arc;

use coupon_core::catalogue_change::{CatalogueChange, ChangeRecord, Operator};
use coupon_core::{
    Coupon, CouponDetails, CouponId, CouponKind, CouponStatus, GrabTerms, Money, RoomId, Timestamp, UserId,
};
use rusqlite::{Connection, Row, ToSql};

use super::applier::ToMain;
use super::reader::Readers;
use super::sql::parsed;
use crate::current::Current;
use crate::id_set::IdSet;
use crate::known::Users;
use crate::set_aside::SetAside;
use crate::settings::UnknownUsers;
use crate::terms::{self, AllTerms, Terms};
use crate::{Applied, Catalogue, ChangeError, CouponAndDetails, Known, LocalFuture, Unavailable, Visit};

const NARROW: &str = "c.coupon_id, c.room_id, c.coupon_name, c.coupon_type, c.discount_amount, c.discount_rate, \
     c.min_purchase, c.total_stock, c.remaining_stock, c.start_time, c.end_time, c.create_time, c.update_time, c.status, c.hold_s, c.user_limit, \
     c.returnable";
/// The first column behind those.
const FIRST_DETAIL: usize = 17;

/// The catalogue. It changes by this process alone: the folder is locked.
pub(super) struct EmbeddedCatalogue {
    current: Arc<Current>,
    main: Readers,
    to_main: ToMain,
    set_aside: SetAside,
}

impl EmbeddedCatalogue {
    pub(super) fn load(
        db: &Connection,
        coupons: &[Terms],
        main: Readers,
        to_main: ToMain,
        set_aside: SetAside,
        unknown_users: UnknownUsers,
    ) -> rusqlite::Result<Self> {
        let users = Users {
            all: users(db, "")?,
            inactive: users(db, "WHERE is_active = 0")?,
            accepts_unknown: unknown_users == UnknownUsers::Accept,
        };
        let current = Arc::new(Current::new(Known::new(users, rooms(db)?, coupons), 0));
        Ok(Self { current, main, to_main, set_aside })
    }
}

/// The ids of the users that a condition holds for.
fn users(db: &Connection, condition: &str) -> rusqlite::Result<IdSet> {
    let mut users = db.prepare(&format!("SELECT user_id FROM users {condition} ORDER BY user_id"))?;
    users.query_map([], |row| parsed(row, 0, UserId::new))?.collect()
}

/// Every coupon's terms. From now on a coupon's results go to the room that it has now, whatever its row says later.
pub(super) fn all_terms(db: &Connection) -> rusqlite::Result<AllTerms> {
    db.execute(
        "INSERT OR IGNORE INTO coupon_rooms (coupon_id, room_id) SELECT coupon_id, room_id FROM coupons WHERE room_id > 0",
        [],
    )?;
    let mut statement = db.prepare(&format!("SELECT {}", terms::columns("INTEGER")))?;
    // SQLite holds in a column whatever was put there: what is no number counts as none.
    let number = |row: &Row<'_>, column| row.get::<_, i64>(column).unwrap_or(-1);
    let row = |row: &Row<'_>| -> rusqlite::Result<terms::Row> {
        Ok(std::array::from_fn(|column| number(row, column)))
    };
    let rows = statement.query_map([], row)?.collect::<rusqlite::Result<Vec<terms::Row>>>()?;
    Ok(AllTerms::read(rows, Some(&rooms(db)?)))
}

fn rooms(db: &Connection) -> rusqlite::Result<HashSet<RoomId>> {
    let mut rooms = db.prepare("SELECT room_id FROM live_rooms")?;
    rooms.query_map([], |row| parsed(row, 0, RoomId::new))?.collect()
}

impl Catalogue for EmbeddedCatalogue {
    fn known(&self) -> Arc<Known> {
        self.current.known()
    }

    fn version(&self) -> u64 {
        self.current.version()
    }

    fn change(&self, _: CatalogueChange, _: Operator) -> LocalFuture<'_, Result<Applied, ChangeError>> {
        let none = Unavailable::new("the catalogue", "changes are not built yet");
        Box::pin(std::future::ready(Err(none.into())))
    }

    fn changes(&self, _: usize) -> LocalFuture<'_, Result<Vec<ChangeRecord>, Unavailable>> {
        let none = Unavailable::new("the catalogue", "changes are not built yet");
        Box::pin(std::future::ready(Err(none)))
    }

    fn coupon(
        &self,
        coupon: CouponId,
        details: bool,
    ) -> LocalFuture<'_, Result<Option<CouponAndDetails>, Unavailable>> {
        let asked = self.main.ask(Visit::All, move |db, _| {
            let sql = select(details, "c.coupon_id = ?1");
            Ok((rows(db, &sql, &[&coupon.get()], details)?.pop(), 1))
        });
        Box::pin(async move { Ok(asked.await?.value) })
    }

    fn room_coupons(
        &self,
        room: RoomId,
        after: Option<CouponId>,
        limit: usize,
        details: bool,
    ) -> LocalFuture<'_, Result<Vec<CouponAndDetails>, Unavailable>> {
        let asked = self.main.ask(Visit::All, move |db, _| {
            let sql = select(details, "c.room_id = ?1 AND c.coupon_id > ?2 ORDER BY c.coupon_id LIMIT ?3");
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            Ok((rows(db, &sql, &[&room.get(), &after.map_or(0, CouponId::get), &limit], details)?, 1))
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

/// A row that does not say what its coupon is, or is of no room, is none that could be shown.
fn select(details: bool, rest: &str) -> String {
    let shown = terms::SHOWN;
    if details {
        format!(
            "SELECT {NARROW}, d.description, d.usage_rules, d.product_range \
             FROM coupons c LEFT JOIN coupon_details d ON d.coupon_id = c.coupon_id WHERE {shown} AND {rest}"
        )
    } else {
        format!("SELECT {NARROW} FROM coupons c WHERE {shown} AND {rest}")
    }
}

fn rows(
    db: &Connection,
    sql: &str,
    values: &[&dyn ToSql],
    details: bool,
) -> rusqlite::Result<Vec<CouponAndDetails>> {
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map(values, |row| {
        let narrow = coupon(row)?;
        let wide = if details { wide(row, narrow.coupon_id)? } else { None };
        Ok((narrow, wide))
    })?;
    rows.collect()
}

fn coupon(row: &Row<'_>) -> rusqlite::Result<Coupon> {
    let time = |column| row.get(column).map(Timestamp::from_millis);
    let money = |column| -> rusqlite::Result<Option<Money>> {
        Ok(row.get::<_, Option<f64>>(column)?.and_then(Money::from_units))
    };
    Ok(Coupon {
        coupon_id: parsed(row, 0, CouponId::new)?,
        room_id: parsed(row, 1, RoomId::new)?,
        coupon_name: row.get(2)?,
        coupon_type: parsed(row, 3, CouponKind::from_code)?,
        discount_amount: money(4)?,
        discount_rate: row.get::<_, Option<i64>>(5)?.and_then(|rate| u8::try_from(rate).ok()),
        min_purchase: money(6)?.unwrap_or_default(),
        total_stock: terms::shown(row.get(7)?),
        remaining_stock: terms::shown(row.get(8)?),
        start_time: time(9)?,
        end_time: time(10)?,
        create_time: time(11)?,
        update_time: time(12)?,
        status: parsed(row, 13, CouponStatus::from_code)?,
        terms: GrabTerms {
            hold_s: terms::shown(row.get(14)?),
            user_limit: terms::shown_limit(row.get(15)?),
            returnable: row.get::<_, i64>(16)? != 0,
        },
    })
}

fn wide(row: &Row<'_>, coupon_id: CouponId) -> rusqlite::Result<Option<CouponDetails>> {
    let description: Option<String> = row.get(FIRST_DETAIL)?;
    let Some(description) = description else { return Ok(None) };
    let (usage_rules, product_range) = (row.get(FIRST_DETAIL + 1)?, row.get(FIRST_DETAIL + 2)?);
    Ok(Some(CouponDetails { coupon_id, description, usage_rules, product_range }))
}
