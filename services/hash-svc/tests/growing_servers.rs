//! Services on servers that are killed, one after the other, while their rows move to more shards and users go on grabbing.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use coupon_audit::{Addresses, Data, Scope, Servers};
use coupon_core::catalogue_change::{CatalogueChange, NewUser, Operator, USERS_MAX};
use coupon_core::{CouponId, ResultState, RoomId, RowKey, UserId, UserLevel};
use coupon_stack::{Server, Stack, StackOptions};
use rustix::process::Signal;

use crate::frozen::{Place, block_on, is_past, nobody, over, total};
use crate::process::{PATIENCE, Service};

const COUPON: u64 = 1;
const NAMESPACE: &str = "growing";
/// Rows from before the change.
const ROWS: u64 = 2_000;
/// Users of a load that goes on meanwhile wait so long between two grabs each.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);
/// The first of the users who grab, and how many there are: more than a load gets to.
pub(crate) const FIRST_USER: u64 = 1_000_000;
pub(crate) const USERS: u64 = 20_000;

/// Users who grab, each once, and ask again until they get an answer that decides it.
pub(crate) struct Load {
    address: Mutex<String>,
    next: AtomicU64,
    pub(crate) granted: Mutex<BTreeSet<u64>>,
    pub(crate) stops: AtomicBool,
}

impl Load {
    pub(crate) fn new(service: &Service) -> Arc<Self> {
        Arc::new(Self {
            address: Mutex::new(service.address().to_owned()),
            next: AtomicU64::new(FIRST_USER),
            granted: Mutex::default(),
            stops: AtomicBool::new(false),
        })
    }

    fn goes_to(&self, service: &Service) {
        service.address().clone_into(&mut self.address.lock().unwrap());
    }

    /// Asks for the coupon; none if there is no answer.
    pub(crate) fn ask(&self, user: u64) -> Option<String> {
        let address = self.address.lock().unwrap().clone();
        let body = format!(r#"{{"user_id":{user},"coupon_id":{COUPON}}}"#);
        let mut stream = TcpStream::connect(&address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let length = body.len();
        write!(
            stream,
            "POST /api/coupon/grab HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// The decision about a user's grab, however often it must be asked for.
    pub(crate) fn decided(&self, user: u64) -> String {
        let undecided =
            |answer: &String| ["HTTP/1.1 408", "HTTP/1.1 503"].iter().any(|head| answer.starts_with(head));
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = self.ask(user).filter(|answer| !undecided(answer)) {
                return answer;
            }
            assert!(Instant::now() < deadline, "nothing is decided for user {user}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// One user grabs, however often they must ask.
    fn grab(&self) {
        let user = self.next.fetch_add(1, Ordering::Relaxed);
        let deadline = Instant::now() + 2 * PATIENCE;
        // A user who got no answer the first time, or one that decides nothing, may have it by then.
        while !self.stops.load(Ordering::Relaxed) {
            let has = self
                .ask(user)
                .is_some_and(|answer| answer.contains(r#""grab_status":1"#) || answer.contains("duplicate"));
            if has {
                self.granted.lock().unwrap().insert(user);
                return;
            }
            assert!(Instant::now() < deadline, "user {user} is never granted a coupon");
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn run(
        self: &Arc<Self>,
        threads: usize,
        pause: Duration,
        until: impl Fn(&Self) -> bool + Send + Sync,
    ) {
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while !until(self) {
                        self.grab();
                        thread::sleep(pause);
                    }
                });
            }
        });
    }
}

fn add_users(place: &Place) {
    let user = |number: u64| NewUser {
        user_id: UserId::new(number).unwrap(),
        username: format!("user_{number}"),
        phone: number.to_string(),
        email: format!("{number}@example.com"),
        user_level: UserLevel::Normal,
        is_active: true,
    };
    let all: Vec<NewUser> = (FIRST_USER..FIRST_USER + USERS).map(user).collect();
    for some in all.chunks(USERS_MAX) {
        let change = CatalogueChange::AddUsers(some.to_vec());
        block_on(place.backend.catalogue.change(change, Operator::new("olga").unwrap())).unwrap();
    }
}

/// The settings of a service on servers, in a namespace, which opens eight shards.
pub(crate) fn settings(stack: &Stack) -> Vec<String> {
    let mut flags = stack.addresses().settings();
    flags.extend([format!("servers.namespace={NAMESPACE}"), "shards_prepared=8".to_owned()]);
    flags
}

/// Makes a data set with a coupon that does not sell out, and its users.
pub(crate) fn make(flags: &[String]) {
    let place = Place::open(flags);
    place.change(COUPON, &total(1_000_000), nobody);
    add_users(&place);
    place.backend.lifecycle.close();
}

/// Finds nothing wrong with the servers as they are.
pub(crate) fn audit(stack: &Stack, drained: bool) {
    let stack = stack.addresses();
    let addresses = Addresses {
        main: stack.main.clone(),
        shards: stack.shards.clone(),
        engine: String::new(),
        redis: vec![stack.redis.clone()],
        ca_file: None,
        reconcile: Duration::from_secs(1),
    };
    let data = Data::Servers(Box::new(Servers::new(addresses, NAMESPACE).unwrap()));
    let report = data.audit(&Scope { drained, ..Scope::default() }).unwrap();
    assert_eq!(report.violations(), 0, "{report:#?}");
}

#[test]
fn services_that_are_killed_while_rows_move_to_more_shards_lose_none_and_store_none_twice() {
    let stack = Stack::start(&StackOptions::default()).unwrap();
    let flags = settings(&stack);
    make(&flags);
    let mut service = Service::start(&flags);
    let load = Load::new(&service);
    load.run(4, Duration::ZERO, |load| load.next.load(Ordering::Relaxed) >= FIRST_USER + ROWS);
    service.until_done("POST /admin/layout", r#"{"shards":8}"#);
    let going_on = {
        let load = Arc::clone(&load);
        thread::spawn(move || load.run(2, PAUSE, |load| load.stops.load(Ordering::Relaxed)))
    };
    service.until_done("POST /admin/rebalance", r#"{"rows_per_s":200}"#);
    for round in 1..4_u64 {
        // It goes on by itself.
        service.moved_until(|rebalance| {
            rebalance["moved"].as_u64() >= Some(round * 150) || rebalance["runs"] == false
        });
        drop(service);
        audit(&stack, false);
        service = Service::start(&flags);
        load.goes_to(&service);
    }
    // On a machine that was away for long it may be done already.
    service.asked("POST /admin/rebalance", r#"{"rows_per_s":10000000}"#);
    service.moved_until(|rebalance| rebalance["runs"] == false);
    load.stops.store(true, Ordering::Relaxed);
    going_on.join().unwrap();
    service.until_done("POST /admin/drain", "");
    drop(service);

    let place = Place::open(&flags);
    block_on(place.backend.lifecycle.drain()).unwrap();
    let eight = over(8);
    assert_eq!(place.backend.layouts.now().versions().len(), 1, "the version before is closed");
    let mut stored = BTreeSet::new();
    for (user, shard, time) in place.stored() {
        let key = RowKey { user, room: RoomId::new(1).unwrap(), time };
        assert_eq!(eight.place(&key).unwrap().shard, shard, "user {user}, at {time}");
        assert!(stored.insert(user.get()), "user {user} has it twice");
    }
    // A user who got no answer before the load stopped may have it.
    let granted = load.granted.lock().unwrap();
    assert!(granted.len() as u64 >= ROWS && granted.is_subset(&stored));
    assert!(stored.len() <= granted.len() + 2);
    place.backend.lifecycle.close();
    audit(&stack, true);
}

#[test]
fn another_process_goes_on_with_rows_whose_mover_was_killed_and_each_says_how_far_they_are() {
    let stack = Stack::start(&StackOptions::default()).unwrap();
    let flags = settings(&stack);
    make(&flags);
    // For now there is no other process that could move them.
    let mover = Service::start(&flags);
    let load = Load::new(&mover);
    load.run(4, Duration::ZERO, |load| load.next.load(Ordering::Relaxed) >= FIRST_USER + ROWS / 2);
    mover.until_done("POST /admin/layout", r#"{"shards":8}"#);
    mover.until_done("POST /admin/rebalance", r#"{"rows_per_s":50}"#);
    mover.moved_until(|rebalance| rebalance["moved"].as_u64() > Some(0));
    let other = Service::start(&flags);
    other.moved_until(|rebalance| {
        rebalance["rows_per_s"].as_f64() > Some(0.0) && rebalance["seconds_left"].is_f64()
    });
    let faster = other.until_done("POST /admin/rebalance", r#"{"rows_per_s":60}"#);
    assert_eq!(faster["rows_per_s_most"], 60);
    let moved = faster["moved"].as_u64().unwrap();
    drop(mover);
    other.moved_until(|rebalance| rebalance["moved"].as_u64() > Some(moved + 60));

    let stopped = other.until_done("POST /admin/rebalance/stop", "")["rebalance"].clone();
    assert_eq!(stopped["runs"], false);
    audit(&stack, false);
    let still = other.until_done("GET /admin/rebalance", "")["rebalance"]["moved"].clone();
    assert_eq!(still, stopped["moved"]);
    // A process that comes later does not go on with what was stopped, and begins again when it is asked.
    let later = Service::start(&flags);
    assert_eq!(later.until_done("GET /admin/rebalance", "")["rebalance"]["runs"], false);
    later.until_done("POST /admin/rebalance", r#"{"rows_per_s":100000}"#);
    other.moved_until(|rebalance| rebalance["runs"] == false);
    let layout = later.until_done("GET /admin/layout", "");
    assert_eq!((&layout["shards"], &layout["versions"][0]["closed"]), (&8.into(), &true.into()));
    drop((later, other));

    // Main is put back to before all that.
    let place = Place::open(&flags);
    assert_eq!(place.in_main("DELETE FROM layouts WHERE version = 2; UPDATE layouts SET closed = 0"), 1);
    until("the process that knows better does not go by it", || {
        let change = CatalogueChange::ChangeCoupon(CouponId::new(COUPON).unwrap(), total(2_000_000));
        let changed =
            block_on(place.backend.catalogue.change(change, Operator::new("olga").unwrap())).unwrap();
        changed.unconfirmed.len() == 1 && !changed.gate
    });
    let forgotten = Place::try_to_open(&flags).err().unwrap();
    assert!(forgotten.contains("main is of an earlier time than the shards"), "{forgotten}");
    place.backend.lifecycle.close();
}

#[test]
fn a_process_that_cannot_go_by_a_layout_is_named_calls_nothing_absent_and_has_rows_wait_until_it_is_gone() {
    const LONG: i64 = 3_600_000;
    let stack = Stack::start(&StackOptions::default()).unwrap();
    let mut flags = settings(&stack);
    let eight = flags.pop().unwrap();
    make(&flags);
    let narrow = Service::start(&flags);
    let name = format!("process {} on ", narrow.id());
    let load = Load::new(&narrow);
    load.run(4, Duration::ZERO, |load| load.next.load(Ordering::Relaxed) >= FIRST_USER + ROWS / 10);
    flags.push(eight);
    let place = Place::open(&flags);
    // Main does not hear from it while the layout goes on over more shards than it has opened.
    narrow.signal(Signal::STOP);
    place.heard_of(&name, LONG);
    is_past(place.announce(8));
    narrow.signal(Signal::CONT);

    let is_named = |unconfirmed: &[String]| unconfirmed.len() == 1 && unconfirmed[0].starts_with(&name);
    place.change(COUPON, &total(1_000_001), is_named);
    until("it says that rows may be missing", || {
        narrow.asked("GET /api/statistics/global", "").1["partial"] == true
    });
    let moving = || block_on(place.backend.growth.moving()).unwrap().unwrap();
    let rate = NonZeroU32::new(100_000).unwrap();
    block_on(place.backend.growth.start_moving(rate, Operator::new("olga").unwrap())).unwrap();
    until("the movement names it", || moving().trouble.is_some_and(|why| why.contains(&name)));
    assert_eq!((moving().runs, moving().moved), (true, 0));
    drop(narrow);
    until("rows have moved", || !moving().runs);
    assert!(moving().moved > 0 && moving().trouble.is_none());
    place.backend.lifecycle.close();
    audit(&stack, false);
}

#[test]
fn a_gate_that_is_filled_takes_a_row_that_has_arrived_as_it_is_there_by_now() {
    let stack = Stack::start(&StackOptions::default()).unwrap();
    let flags = settings(&stack);
    make(&flags);
    let service = Service::start(&flags);
    let load = Load::new(&service);
    load.run(2, Duration::ZERO, |load| load.next.load(Ordering::Relaxed) >= FIRST_USER + 40);
    service.until_done("POST /admin/drain", "");
    let place = Place::open(&flags);
    let stored = place.stored_over(4);
    let shard = stored[0].1;
    let mut there = stored.iter().filter(|(_, at, _)| *at == shard).map(|(user, ..)| user.get());
    let (gave_back, other, stuck) = (there.next().unwrap(), there.next().unwrap(), FIRST_USER + USERS - 1);
    // Of a batch that cannot arrive as a whole, since one row's id is another's by now, one has arrived, and was given
    // back there.
    let columns = "result_id, user_id, coupon_id, room_id, grab_status, grab_time, state, slot";
    let (table, returned) = ("coupon_results", ResultState::Returned.code());
    let done = place.in_shard(
        shard,
        &format!(
            "INSERT INTO leaving ({columns}, from_table, to_shard, to_table) \
             SELECT {columns}, '{table}', {shard}, '{table}' FROM {table} WHERE user_id IN ({gave_back}, {other}); \
             UPDATE leaving SET user_id = {stuck} WHERE user_id = {other}; \
             REPLACE INTO move_state (id, batch, moving_from, closed, late) VALUES (1, 1, 0, 0, 0); \
             UPDATE {table} SET state = {returned}, slot = NULL, state_time = grab_time + 1 WHERE user_id = {gave_back}"
        ),
    );
    assert_eq!(done, 1);
    place.backend.lifecycle.close();

    stack.restart(Server::Redis).unwrap();
    let (has_it_again, has_it) = (load.decided(gave_back), load.decided(stuck));
    assert!(has_it_again.contains(r#""grab_status":1"#), "{has_it_again}");
    assert!(has_it.contains("duplicate"), "{has_it}");
}

/// Waits until something is so.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}
