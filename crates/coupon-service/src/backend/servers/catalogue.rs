//! Users, rooms and coupons: what grabs need in memory, the rest from main.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use coupon_core::{Coupon, CouponId, RoomId, UserId};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Params, Row};

use super::mysql::Database;
use super::per_thread::PerThread;
use super::values::{self, COUPON, DETAILS, parsed};
use crate::backend::id_set::IdSet;
use crate::backend::{Catalogue, CouponAndDetails, Known, LocalFuture, Unavailable};

/// How long main may take to answer a query.
const PATIENCE: Duration = Duration::from_secs(5);

/// The catalogue as it was when the service started.
pub(super) struct ServersCatalogue {
    pub(super) known: Known,
    main: Database,
    /// Each HTTP worker's own way to main.
    pools: PerThread<Database>,
    /// Outbox entries that main has not applied, as far as is known.
    pub(super) lag: Arc<AtomicU64>,
}

impl ServersCatalogue {
    /// Reads what grabs need; later queries go through a pool of their own.
    pub(super) async fn load(main: &Database) -> anyhow::Result<Self> {
        let mut conn = main.connect().await?;
        let known = read(&mut conn).await.map_err(|error| main.error(&error))?;
        Ok(Self { known, main: main.clone(), pools: PerThread::default(), lag: Arc::default() })
    }

    async fn select(
        &self,
        details: bool,
        rest: &'static str,
        params: impl Into<Params> + Send,
    ) -> Result<Vec<CouponAndDetails>, Unavailable> {
        let main = self.pools.get(|| self.main.with_own_pool());
        let mut conn = main.connect().await?;
        let sql = if details {
            format!(
                "SELECT {COUPON}, {DETAILS} FROM coupons c LEFT JOIN coupon_details d ON d.coupon_id = c.coupon_id {rest}"
            )
        } else {
            format!("SELECT {COUPON} FROM coupons c {rest}")
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

async fn read(conn: &mut Conn) -> mysql_async::Result<Known> {
    let users: Vec<u64> = conn.query("SELECT user_id FROM users ORDER BY user_id").await?;
    let users: IdSet = users.into_iter().filter_map(|id| UserId::new(id).ok()).collect();
    let rooms: Vec<Row> = conn.query("SELECT room_id FROM live_rooms").await?;
    let rooms = rooms.iter().map(|row| parsed(row, 0, RoomId::new)).collect::<mysql_async::Result<_>>()?;
    Ok(Known::new(users, rooms, &all_coupons(conn).await?))
}

/// Every coupon, without its wide half.
pub(super) async fn all_coupons(conn: &mut Conn) -> mysql_async::Result<Vec<Coupon>> {
    let rows: Vec<Row> = conn.query(format!("SELECT {COUPON} FROM coupons c")).await?;
    rows.iter().map(values::coupon).collect()
}

impl Catalogue for Arc<ServersCatalogue> {
    fn known(&self) -> &Known {
        &self.known
    }

    fn coupon(
        &self,
        coupon: CouponId,
        details: bool,
    ) -> LocalFuture<'_, Result<Option<CouponAndDetails>, Unavailable>> {
        Box::pin(async move {
            let mut found = self.select(details, "WHERE c.coupon_id = ?", (coupon.get(),)).await?;
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
            "WHERE c.room_id = ? AND c.coupon_id > ? ORDER BY c.coupon_id LIMIT ?",
            params,
        ))
    }

    fn lag_entries(&self) -> u64 {
        self.lag.load(Ordering::Relaxed)
    }
}
