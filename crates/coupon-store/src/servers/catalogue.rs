//! Users, rooms and coupons: what grabs need in memory, the rest from main.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use coupon_core::catalogue_change::{CatalogueChange, ChangeRecord, Operator};
use coupon_core::{CouponId, RoomId, UserId};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Params, Row};

use super::mysql::Database;
use super::per_thread::PerThread;
use super::values::{self, COUPON, DETAILS, parsed};
use crate::current::Current;
use crate::id_set::IdSet;
use crate::known::Users;
use crate::set_aside::{Place, SetAside};
use crate::terms::{self, AllTerms};
use crate::{Applied, Catalogue, ChangeError, CouponAndDetails, Known, LocalFuture, Unavailable};

/// The longest that main may take to answer a query.
const PATIENCE: Duration = Duration::from_secs(5);

/// The part of the catalogue that grabs and tasks need, and main's books as this process sees them.
pub(super) struct Offered {
    pub(super) current: Current,
    /// Outbox entries that main has not applied, as far as is known.
    pub(super) lag: AtomicU64,
    pub(super) set_aside: SetAside,
}

impl Offered {
    pub(super) fn new(known: Known) -> Self {
        Self { current: Current::new(known, 0), lag: AtomicU64::new(0), set_aside: SetAside::default() }
    }

    /// What is known of the catalogue now.
    pub(super) fn known(&self) -> Arc<Known> {
        self.current.known()
    }

    /// The version that this process works by.
    pub(super) fn version(&self) -> u64 {
        self.current.version()
    }

    /// Reads it from main.
    pub(super) async fn load(main: &Database) -> anyhow::Result<Self> {
        let mut conn = main.connect().await?;
        let set_aside = SetAside::default();
        let known = read(&mut conn, &set_aside).await.map_err(|error| main.error(&error))?;
        Ok(Self { set_aside, ..Self::new(known) })
    }
}

/// The catalogue: what is offered from memory, the rest from main.
pub(super) struct ServersCatalogue {
    offered: Arc<Offered>,
    main: Database,
    /// Each HTTP worker's own way to main.
    pools: PerThread<Database>,
}

impl ServersCatalogue {
    pub(super) fn new(offered: Arc<Offered>, main: &Database) -> Self {
        Self { offered, main: main.clone(), pools: PerThread::default() }
    }

    async fn select(
        &self,
        details: bool,
        rest: &'static str,
        params: impl Into<Params> + Send,
    ) -> Result<Vec<CouponAndDetails>, Unavailable> {
        let main = self.pools.get(|| self.main.with_own_pool());
        let mut conn = main.connect().await?;
        // A row that does not say what its coupon is, or is of no room, is none that could be shown.
        let shown = terms::SHOWN;
        let sql = if details {
            format!(
                "SELECT {COUPON}, {DETAILS} FROM coupons c LEFT JOIN coupon_details d ON d.coupon_id = c.coupon_id \
                 WHERE {shown} AND {rest}"
            )
        } else {
            format!("SELECT {COUPON} FROM coupons c WHERE {shown} AND {rest}")
        };
        let rows: Vec<Row> = main.patiently(PATIENCE, conn.exec(sql, params.into())).await?;
        let read = |row: &Row| -> mysql_async::Result<CouponAndDetails> {
            let narrow = values::coupon(row)?;
            let wide = if details { values::details(row, narrow.coupon_id)? } else { None };
            Ok((narrow, wide))
        };
        rows.iter()
            .map(read)
            .collect::<mysql_async::Result<_>>()
            .map_err(|error| self.main.error(&error).into())
    }
}

async fn read(conn: &mut Conn, set_aside: &SetAside) -> mysql_async::Result<Known> {
    let users = Users {
        all: users(conn, "").await?,
        inactive: users(conn, "WHERE is_active = 0").await?,
        ..Users::default()
    };
    let rooms: Vec<Row> = conn.query("SELECT room_id FROM live_rooms").await?;
    let rooms =
        rooms.iter().map(|row| parsed(row, 0, RoomId::new)).collect::<mysql_async::Result<HashSet<_>>>()?;
    keep_rooms(conn).await?;
    let AllTerms { terms, found } = all_terms(conn, Some(&rooms)).await?;
    set_aside.tell(Place::Catalogue, found);
    Ok(Known::new(users, rooms, &terms))
}

/// The ids of the users that a condition holds for.
async fn users(conn: &mut Conn, condition: &str) -> mysql_async::Result<IdSet> {
    let users: Vec<u64> =
        conn.query(format!("SELECT user_id FROM users {condition} ORDER BY user_id")).await?;
    Ok(users.into_iter().filter_map(|id| UserId::new(id).ok()).collect())
}

/// From now on a coupon's results go to the room that it has now, whatever its row says later.
async fn keep_rooms(conn: &mut Conn) -> mysql_async::Result<()> {
    let new = "SELECT c.coupon_id, c.room_id FROM coupons c LEFT JOIN coupon_rooms r ON r.coupon_id = c.coupon_id \
               WHERE r.coupon_id IS NULL AND c.room_id > 0";
    let new: Vec<(i64, i64)> = conn.query(new).await?;
    for some in new.chunks(1_000) {
        let rows: Vec<String> = some.iter().map(|(coupon, room)| format!("({coupon},{room})")).collect();
        // Another process that starts at the same moment has kept them already.
        conn.query_drop(format!(
            "INSERT IGNORE INTO coupon_rooms (coupon_id, room_id) VALUES {}",
            rows.join(",")
        ))
        .await?;
    }
    Ok(())
}

/// Every coupon's terms, as main has them now.
pub(super) async fn all_terms(
    conn: &mut Conn,
    rooms: Option<&HashSet<RoomId>>,
) -> mysql_async::Result<AllTerms> {
    let rows: Vec<Row> = conn.query(format!("SELECT {}", terms::columns("SIGNED"))).await?;
    let read = |row: &Row| -> mysql_async::Result<terms::Row> {
        let mut numbers = terms::Row::default();
        for (column, number) in numbers.iter_mut().enumerate() {
            *number = values::get(row, column)?;
        }
        Ok(numbers)
    };
    Ok(AllTerms::read(rows.iter().map(read).collect::<mysql_async::Result<Vec<_>>>()?, rooms))
}

impl Catalogue for ServersCatalogue {
    fn known(&self) -> Arc<Known> {
        self.offered.known()
    }

    fn version(&self) -> u64 {
        self.offered.version()
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
        Box::pin(async move {
            let mut found = self.select(details, "c.coupon_id = ?", (coupon.get(),)).await?;
            Ok(found.pop())
        })
    }

    fn room_coupons(
        &self,
        room: RoomId,
        after: Option<CouponId>,
        limit: usize,
        details: bool,
    ) -> LocalFuture<'_, Result<Vec<CouponAndDetails>, Unavailable>> {
        let params = (room.get(), after.map_or(0, CouponId::get), limit as u64);
        Box::pin(self.select(
            details,
            "c.room_id = ? AND c.coupon_id > ? ORDER BY c.coupon_id LIMIT ?",
            params,
        ))
    }

    fn lag_entries(&self) -> u64 {
        self.offered.lag.load(Ordering::Relaxed)
    }

    fn set_aside(&self) -> (usize, Vec<(i64, String)>) {
        self.offered.set_aside.all()
    }
}
