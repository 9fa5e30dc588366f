//! A service of each test's own: a small catalogue, some history, four shards by `user_id % 4`.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coupon_core::{
    Coupon, CouponDetails, CouponId, CouponKind, CouponResult, CouponStatus, GrabTerms, Growth, LiveRoom,
    Money, Placement, Plan, ResultId, ResultQuery, RoomId, RoomStatus, RouteError, RowKey, ShardId,
    ShardingStrategy, Timestamp, User, UserId, UserLevel,
};
use coupon_service::api::{GrabRequest, GrabResponse, StockView};
use coupon_store::clock::Clock;
use coupon_store::embedded::bulk::Bulk;
use coupon_store::embedded::folder::Folder;
use tempfile::TempDir;

use crate::client::{self, Answer, Connection};
use crate::running::Running;

pub(crate) const NOW: &str = "2026-11-22T12:00:00.000Z";
pub(crate) const USERS: u64 = 40;
/// A user who is not active.
pub(crate) const INACTIVE: u64 = 50;
const SHARDS: NonZeroU16 = NonZeroU16::new(4).unwrap();
const HOUR: i64 = 3_600_000;

/// Room 1: three of it.
pub(crate) const SCARCE: u64 = 1;
/// Room 1: plenty.
pub(crate) const PLENTY: u64 = 2;
/// Room 2: over; users 1 to 30 hold one, grabbed 25, 55, 85, … minutes ago.
pub(crate) const ENDED: u64 = 4;
/// Room 2: begins tomorrow.
pub(crate) const EARLY: u64 = 5;
/// Room 2: withdrawn.
pub(crate) const WITHDRAWN: u64 = 6;
/// Room 1: three of it, each held for ten minutes, and two a user.
pub(crate) const HOLDING: u64 = 7;
/// Room 1: three of it, and users may hand them back.
pub(crate) const RETURNABLE: u64 = 8;
/// Room 3 has these five.
pub(crate) const OF_ROOM_3: [u64; 5] = [11, 12, 13, 14, 15];
/// Room 4, for which the strategy has no place.
pub(crate) const NOWHERE: u64 = 21;

/// Over four shards in the service, and over more once its layout is changed.
#[derive(Debug)]
pub(crate) struct ByUser(NonZeroU16);

pub(crate) const BY_USER: ByUser = ByUser(SHARDS);

impl ShardingStrategy for ByUser {
    fn name(&self) -> &str {
        "by-user"
    }

    fn shard_count(&self) -> NonZeroU16 {
        self.0
    }

    fn place(&self, row: &RowKey) -> Result<Placement, RouteError> {
        let nowhere = RoomId::new(4).unwrap();
        if row.room == nowhere {
            Err(RouteError::RoomOutOfRange(nowhere))
        } else {
            Ok(home(row.user, self.0))
        }
    }

    fn plan(&self, query: &ResultQuery) -> Plan {
        query.user.map_or(Plan::All, |user| Plan::One(home(user, self.0)))
    }

    fn growths(&self, shards: NonZeroU16) -> Vec<Growth> {
        vec![Growth { how: "user % n", after: Arc::new(Self(shards)) }]
    }

    fn is_even(&self, query: &ResultQuery) -> bool {
        query.user.is_none()
    }
}

fn home(user: UserId, shards: NonZeroU16) -> Placement {
    Placement::single(ShardId::new((user.get() % u64::from(shards.get())) as u16))
}

/// A running service. Dropping it stops it.
pub(crate) struct Api {
    // Dropped in this order: the service ends before its folder goes.
    running: Running,
    pub(crate) clock: Clock,
    dir: TempDir,
}

impl Api {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// With settings, as flags spell them.
    pub(crate) fn with(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fill(&dir);
        let flags = flags.iter().map(|flag| (*flag).to_owned());
        let data = format!("embedded.data={:?}", dir.path());
        let flags = flags.chain([data, "workers=2".to_owned()]).collect();
        let clock = Clock::starting_at(NOW.parse().unwrap());
        let running = Running::start(BY_USER, flags, clock.clone());
        Self { running, clock, dir }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.address
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address())
    }

    pub(crate) fn send(&self, request: &[u8]) -> Answer {
        self.running.send(request)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(&client::request("GET", path, "", b""))
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.send(&client::post(path, body))
    }

    /// A grab that must be decided.
    pub(crate) fn grab(&self, user_id: u64, coupon_id: u64) -> GrabResponse {
        let request = GrabRequest { user_id, coupon_id, room_id: None, request_id: None };
        self.post("/api/coupon/grab", &serde_json::to_string(&request).unwrap()).json()
    }

    /// A grab by a request that is named, which must be decided.
    pub(crate) fn request(&self, user: u64, coupon: u64, request: &str) -> GrabResponse {
        let body = format!(r#"{{"user_id":{user},"coupon_id":{coupon},"request_id":"{request}"}}"#);
        self.post("/api/coupon/grab", &body).json()
    }

    /// A step of a user's result: the word is the path's.
    pub(crate) fn step(&self, word: &str, user: u64, id: &str) -> Answer {
        self.step_with("", word, user, id)
    }

    /// The same with a header line.
    pub(crate) fn step_with(&self, header: &str, word: &str, user: u64, id: &str) -> Answer {
        let amount = if word == "use" { r#","order_amount":99"# } else { "" };
        let body = format!(r#"{{"user_id":{user},"result_id":"{id}"{amount}}}"#);
        let headers = format!("Content-Type: application/json\r\n{header}");
        self.send(&client::request("POST", &format!("/api/coupon/{word}"), &headers, body.as_bytes()))
    }

    /// The stock that the gate says is left.
    pub(crate) fn left(&self, coupon: u64) -> u32 {
        self.get(&format!("/api/coupon/{coupon}/stock")).json::<StockView>().remaining_stock
    }

    /// A result that was granted before the service started, and what it is of.
    pub(crate) fn held_before(&self, user: u64, coupon: u64, room: u64) -> String {
        let time: Timestamp = NOW.parse().unwrap();
        let id = ResultId::from_parts(time.plus_millis(-1), 1_020, 1).unwrap().number();
        let columns = "result_id, user_id, coupon_id, room_id, grab_time, grab_status, use_status";
        let row = format!("{id}, {user}, {coupon}, {room}, {}, 1, 0", time.millis() - 1);
        let home = home(UserId::new(user).unwrap(), SHARDS).shard.number();
        self.on_shard(home, &format!("INSERT INTO coupon_results ({columns}) VALUES ({row})"));
        id.to_string()
    }

    /// Takes a shard's table away under the service's feet: neither reads nor writes work until it is back.
    pub(crate) fn break_shard(&self, shard: u16) {
        self.on_shard(shard, "ALTER TABLE coupon_results RENAME TO elsewhere");
    }

    pub(crate) fn mend_shard(&self, shard: u16) {
        self.on_shard(shard, "ALTER TABLE elsewhere RENAME TO coupon_results");
    }

    fn on_shard(&self, shard: u16, sql: &str) {
        let file: PathBuf = self.dir.path().join(format!("shard-{shard}.sqlite"));
        let database = rusqlite::Connection::open(file).unwrap();
        database.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
        database.execute_batch(sql).unwrap();
    }
}

fn fill(dir: &TempDir) {
    let folder = Folder::create(dir.path(), &BY_USER.layout(), SHARDS).unwrap();
    let now: Timestamp = NOW.parse().unwrap();
    let mut bulk = Bulk::new(folder).unwrap();
    let inactive = User { is_active: false, ..user(INACTIVE, now) };
    bulk.users(&(1..=USERS).map(|id| user(id, now)).chain([inactive]).collect::<Vec<_>>()).unwrap();
    bulk.rooms(&(1..=4).map(|id| room(id, now)).collect::<Vec<_>>()).unwrap();
    let mut coupons = vec![
        coupon(SCARCE, 1, 3, now),
        coupon(PLENTY, 1, 1_000, now),
        coupon(3, 2, 1_000, now),
        Coupon { end_time: now.plus_millis(-1), remaining_stock: 20, sold: 30, ..coupon(ENDED, 2, 50, now) },
        Coupon { start_time: now.plus_millis(24 * HOUR), ..coupon(EARLY, 2, 10, now) },
        Coupon { status: CouponStatus::Inactive, ..coupon(WITHDRAWN, 2, 10, now) },
    ];
    let holding = GrabTerms { hold_s: 600, user_limit: 2, returnable: false };
    coupons.push(Coupon { terms: holding, ..coupon(HOLDING, 1, 3, now) });
    let returnable = GrabTerms { returnable: true, ..GrabTerms::default() };
    coupons.push(Coupon { terms: returnable, ..coupon(RETURNABLE, 1, 3, now) });
    coupons.extend(OF_ROOM_3.map(|id| coupon(id, 3, 10, now)));
    coupons.push(coupon(NOWHERE, 4, 10, now));
    bulk.coupons(&coupons).unwrap();
    bulk.details(&coupons.iter().map(details).collect::<Vec<_>>()).unwrap();
    bulk.results(history(now)).unwrap();
    bulk.finish(&mut |_, _| {}).unwrap();
}

fn history(now: Timestamp) -> Vec<(Placement, CouponResult)> {
    let held = |user: u64| {
        let time = now.plus_millis(-(30 * user.cast_signed() - 5) * 60_000);
        let id = ResultId::from_parts(time, 1_020, 0).unwrap();
        let (user, coupon) = (UserId::new(user).unwrap(), CouponId::new(ENDED).unwrap());
        (home(user, SHARDS), CouponResult::granted(id, user, coupon, RoomId::new(2).unwrap()))
    };
    (1..=30).rev().map(held).collect()
}

fn user(id: u64, now: Timestamp) -> User {
    User {
        user_id: UserId::new(id).unwrap(),
        username: format!("user{id}"),
        phone: format!("+8613800{id:06}"),
        email: format!("user{id}@example.com"),
        register_time: now,
        last_login: None,
        user_level: UserLevel::Normal,
        is_active: true,
    }
}

fn room(id: u64, now: Timestamp) -> LiveRoom {
    LiveRoom {
        room_id: RoomId::new(id).unwrap(),
        room_name: format!("room {id}"),
        anchor_id: id,
        room_status: RoomStatus::Live,
        viewer_count: 10,
        start_time: now,
        end_time: None,
        create_time: now,
        is_hot: id == 1,
    }
}

fn coupon(id: u64, room: u64, total: u32, now: Timestamp) -> Coupon {
    Coupon {
        coupon_id: CouponId::new(id).unwrap(),
        room_id: RoomId::new(room).unwrap(),
        coupon_name: format!("coupon {id}"),
        coupon_type: CouponKind::AmountOff,
        discount_amount: Some(Money::from_cents(2_050)),
        discount_rate: None,
        min_purchase: Money::from_cents(9_900),
        total_stock: total,
        remaining_stock: total,
        sold: 0,
        start_time: now.plus_millis(-48 * HOUR),
        end_time: now.plus_millis(48 * HOUR),
        create_time: now.plus_millis(-72 * HOUR),
        update_time: now.plus_millis(-72 * HOUR),
        status: CouponStatus::Active,
        terms: GrabTerms::default(),
    }
}

fn details(coupon: &Coupon) -> CouponDetails {
    CouponDetails {
        coupon_id: coupon.coupon_id,
        description: "Anything in the shop.".to_owned(),
        usage_rules: "Once.".to_owned(),
        product_range: r#"{"categories":["tea"]}"#.to_owned(),
    }
}

/// Waits until it is so, for a minute at most.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "it never is so that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
