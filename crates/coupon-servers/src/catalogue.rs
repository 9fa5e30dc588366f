//! Users, rooms and coupons: what grabs need in memory, the rest from main.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use coupon_core::catalogue_change::{CatalogueChange, ChangeRecord, Operator};
use coupon_core::schema::Dialect;
use coupon_core::{CouponId, RoomId, UserId};
use coupon_store::current::Current;
use coupon_store::id_set::IdSet;
use coupon_store::known::Users;
use coupon_store::set_aside::{self, Place, SetAside};
use coupon_store::settings::UnknownUsers;
use coupon_store::terms::{self, AllTerms, Terms};
use coupon_store::{
    Applied, Catalogue, ChangeError, CouponAndDetails, Known, LocalFuture, Offer, Unavailable,
};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Row};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::mysql::Database;
use super::per_thread::PerThread;
use super::seam::{CatalogueServer, LIVES_MS, News};
use super::tasks::Background;
use super::values::{self, COUPON, DETAILS, parsed};

/// The longest that main may take to answer a query.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time for which a process relies on its catalogue after it has heard from main: less than main counts a process among those
/// that live without hearing from it.
const CURRENT: Duration = Duration::from_millis(LIVES_MS.cast_unsigned() / 2);

/// Main was not asked yet.
const NEVER: u64 = u64::MAX;

/// The part of the catalogue that grabs and tasks need, and main's books as this process sees them.
pub(super) struct OfferedCatalogue {
    current: Current,
    /// The last time that main was asked and had nothing newer to say: in milliseconds after `began`, or [`NEVER`].
    heard_ms: AtomicU64,
    began: Instant,
    /// Outbox entries that main has not applied, as far as is known.
    pub(super) lag: AtomicU64,
    pub(super) set_aside: SetAside,
}

impl OfferedCatalogue {
    pub(super) fn new(known: Known, version: u64) -> Self {
        Self {
            current: Current::new(known, version),
            heard_ms: AtomicU64::new(NEVER),
            began: Instant::now(),
            lag: AtomicU64::new(0),
            set_aside: SetAside::default(),
        }
    }

    /// The catalogue as it is known now.
    pub(super) fn known(&self) -> Arc<Known> {
        self.current.known()
    }

    /// Looks at what is known of the catalogue now, without a lock that other threads take.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        self.current.look(look)
    }

    /// The version that this process works by.
    pub(super) fn version(&self) -> u64 {
        self.current.version()
    }

    /// Says whether what is known can be relied on: a process that was away for long may go by terms that no change waits for
    /// any more.
    pub(super) fn is_current(&self) -> bool {
        let heard = self.heard_ms.load(Ordering::Relaxed);
        heard != NEVER && self.began.elapsed() < Duration::from_millis(heard) + CURRENT
    }

    /// Takes note that what is known was all there was when main was asked.
    pub(super) fn was_current(&self, asked: Instant) {
        let heard = asked.saturating_duration_since(self.began).as_millis();
        self.heard_ms.store(u64::try_from(heard).unwrap_or(NEVER), Ordering::Relaxed);
    }

    /// Goes by another version from now on, with these coupons, rooms and users.
    pub(super) fn go_by(
        &self,
        version: u64,
        coupons: &[Terms],
        rooms: Vec<RoomId>,
        users: &[(UserId, bool)],
    ) {
        let known = self.known();
        let mut next = Known::clone(&known);
        if !coupons.is_empty() {
            next = next.with_coupons(coupons);
        }
        let made: Vec<RoomId> = rooms.into_iter().filter(|room| !known.knows_room(*room)).collect();
        if !made.is_empty() {
            next = next.with_rooms(made);
        }
        if !users.is_empty() {
            let inactive = users.iter().filter(|(_, active)| !active);
            let (all, inactive) =
                (users.iter().map(|(user, _)| *user).collect(), inactive.map(|(user, _)| *user).collect());
            next = next.with_users(&all, &inactive);
        }
        self.current.swap(next, version);
    }

    /// Reads it from main.
    pub(super) async fn load(
        main: &Database,
        catalogue: &dyn CatalogueServer,
        unknown_users: UnknownUsers,
    ) -> anyhow::Result<Self> {
        let accepts_unknown = unknown_users == UnknownUsers::Accept;
        if accepts_unknown {
            catalogue.accept_unknown_users().await?;
        }
        let News { version, terms, found, rooms, .. } = catalogue.news(None).await?;
        // Users who are added from now on come with a later version.
        let mut conn = main.connect().await?;
        let users = async {
            name_left_out(&mut conn).await?;
            let all = users(&mut conn, "").await?;
            Ok(Users { all, inactive: users(&mut conn, "AND is_active = 0").await?, accepts_unknown })
        };
        let users = users.await.map_err(|error| main.error(&error))?;
        let offered = Self::new(Known::new(users, rooms.into_iter().collect(), &terms), version);
        offered.set_aside.tell(Place::Catalogue, found);
        Ok(offered)
    }
}

/// The catalogue: what is offered from memory, the rest from main.
pub(super) struct ServersCatalogue {
    offered: Arc<OfferedCatalogue>,
    /// The tasks, which make changes and follow them, and their thread.
    background: Arc<Background>,
    runtime: Handle,
    main: Database,
    /// Each HTTP worker's own way to main.
    pools: PerThread<Database>,
}

impl ServersCatalogue {
    pub(super) fn new(background: &Arc<Background>, runtime: Handle, main: &Database) -> Self {
        let (offered, background) = (Arc::clone(&background.offered), Arc::clone(background));
        Self { offered, background, runtime, main: main.clone(), pools: PerThread::default() }
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

/// Names the rows of rooms and users that are left out whenever they are read.
async fn name_left_out(conn: &mut Conn) -> mysql_async::Result<()> {
    for of in set_aside::LEFT_OUT {
        let ids: Vec<String> = conn.query(set_aside::left_out(Dialect::MySql, of)).await?;
        set_aside::warn_of_left_out(of, &ids);
    }
    Ok(())
}

/// The ids of the users that a further condition holds for.
async fn users(conn: &mut Conn, condition: &str) -> mysql_async::Result<IdSet> {
    let has_an_id = set_aside::has_an_id(Dialect::MySql, "user_id");
    let sql = format!("SELECT user_id FROM users WHERE {has_an_id} {condition} ORDER BY user_id");
    let users: Vec<u64> = conn.query(sql).await?;
    Ok(users.into_iter().filter_map(|id| UserId::new(id).ok()).collect())
}

/// Every room.
pub(super) async fn all_rooms(conn: &mut impl Queryable) -> mysql_async::Result<HashSet<RoomId>> {
    let has_an_id = set_aside::has_an_id(Dialect::MySql, "room_id");
    let rooms: Vec<Row> = conn.query(format!("SELECT room_id FROM live_rooms WHERE {has_an_id}")).await?;
    rooms.iter().map(|row| parsed(row, 0, RoomId::new)).collect()
}

/// Has a coupon's results go to the room that it has now, whatever its row says later.
pub(super) async fn keep_rooms(conn: &mut Conn) -> mysql_async::Result<()> {
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
    conn: &mut impl Queryable,
    rooms: Option<&HashSet<RoomId>>,
) -> mysql_async::Result<AllTerms> {
    read_terms(conn, "", rooms).await
}

/// The terms of these coupons, as main has them now.
pub(super) async fn terms_of(
    conn: &mut impl Queryable,
    coupons: &[CouponId],
) -> mysql_async::Result<AllTerms> {
    if coupons.is_empty() {
        return Ok(AllTerms::default());
    }
    let ids: Vec<String> = coupons.iter().map(ToString::to_string).collect();
    read_terms(conn, &format!(" WHERE c.coupon_id IN ({})", ids.join(",")), None).await
}

async fn read_terms(
    conn: &mut impl Queryable,
    condition: &str,
    rooms: Option<&HashSet<RoomId>>,
) -> mysql_async::Result<AllTerms> {
    let rows: Vec<Row> = conn.query(format!("SELECT {}{condition}", terms::columns("SIGNED"))).await?;
    let read = |row: &Row| -> mysql_async::Result<terms::TermNumbers> {
        let mut numbers = terms::TermNumbers::default();
        for (column, number) in numbers.iter_mut().enumerate() {
            *number = values::get(row, column)?;
        }
        Ok(numbers)
    };
    Ok(AllTerms::read(rows.iter().map(read).collect::<mysql_async::Result<Vec<_>>>()?, rooms))
}

fn stopping() -> Unavailable {
    Unavailable::new("the service", "it is stopping")
}

impl Catalogue for ServersCatalogue {
    fn known(&self) -> Arc<Known> {
        self.offered.known()
    }

    fn offer(&self, user: UserId, coupon: CouponId) -> Offer {
        self.offered.look(|known| known.offer(user, coupon))
    }

    fn version(&self) -> u64 {
        self.offered.version()
    }

    fn change(
        &self,
        change: CatalogueChange,
        operator: Operator,
    ) -> LocalFuture<'_, Result<Applied, ChangeError>> {
        let changed = self.runtime.spawn(Arc::clone(&self.background).change_the_catalogue(change, operator));
        Box::pin(async move { changed.await.unwrap_or_else(|_| Err(stopping().into())) })
    }

    fn changes(&self, limit: usize) -> LocalFuture<'_, Result<Vec<ChangeRecord>, Unavailable>> {
        let main = Arc::clone(&self.background.main);
        let read = self.runtime.spawn(async move { main.changes(limit).await });
        Box::pin(async move {
            match read.await {
                Ok(changes) => Ok(changes?),
                Err(_) => Err(stopping()),
            }
        })
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

    fn coupons(
        &self,
        room: Option<RoomId>,
        after: Option<CouponId>,
        limit: usize,
        details: bool,
    ) -> LocalFuture<'_, Result<Vec<CouponAndDetails>, Unavailable>> {
        let (after, limit) = (after.map_or(0, CouponId::get), limit as u64);
        let (page, params) = match room {
            Some(room) => (
                "c.room_id = ? AND c.coupon_id > ? ORDER BY c.coupon_id LIMIT ?",
                Params::from((room.get(), after, limit)),
            ),
            None => ("c.coupon_id > ? ORDER BY c.coupon_id LIMIT ?", Params::from((after, limit))),
        };
        Box::pin(self.select(details, page, params))
    }

    fn lag_entries(&self) -> u64 {
        self.offered.lag.load(Ordering::Relaxed)
    }

    fn set_aside(&self) -> (usize, Vec<(i64, String)>) {
        self.offered.set_aside.all()
    }
}
