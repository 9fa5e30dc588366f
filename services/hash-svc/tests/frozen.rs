//! A process that is frozen while another one changes the catalogue, or the layout.

use std::net::TcpStream;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coupon_core::catalogue_change::{CatalogueChange, CouponPatch, Operator};
use coupon_core::{CouponId, CouponStatus, RoomId, RowKey, ShardId, ShardingStrategy, Timestamp, UserId};
use coupon_servers::cluster::Cluster;
use coupon_servers::mysql::Database;
use coupon_stack::{Stack, StackOptions};
use coupon_store::clock::Clock;
use coupon_store::settings::{NoSettings, ServersSettings, Sources, UnknownUsers};
use coupon_store::{Backend, NextLayout};
use mysql_async::prelude::Queryable as _;
use rustix::process::Signal;

use crate::process::{PATIENCE, Service, heard};

const GRANTED: &str = r#""grab_status":1"#;

impl Service {
    /// The decision about a grab that was asked for, or is asked for again since nothing was decided: when the process goes on it
    /// refuses with 408 what waited longer than a request's head may take, and with 503 while it has not heard from main.
    fn decided(&self, asked: TcpStream, user: u64, coupon: u64) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut answer = heard(asked);
        while ["HTTP/1.1 408", "HTTP/1.1 503"].iter().any(|undecided| answer.starts_with(undecided)) {
            assert!(Instant::now() < deadline, "it is not decided: {answer}");
            std::thread::sleep(Duration::from_millis(50));
            answer = heard(self.ask(user, coupon));
        }
        answer
    }

    fn grab(&self, user: u64, coupon: u64) -> String {
        self.decided(self.ask(user, coupon), user, coupon)
    }
}

/// Main and the other servers, and a process of this program's on them.
pub(crate) struct Place {
    pub(crate) settings: ServersSettings,
    strategy: Arc<dyn ShardingStrategy>,
    pub(crate) backend: Backend,
}

impl Place {
    pub(crate) fn open(flags: &[String]) -> Self {
        Self::try_to_open(flags).unwrap()
    }

    /// The same, or the reason why it cannot be opened.
    pub(crate) fn try_to_open(flags: &[String]) -> Result<Self, String> {
        let service_defaults = "listen = \"127.0.0.1:0\"".to_owned();
        let sources = Sources { flags: flags.to_vec(), service_defaults, ..Sources::default() };
        let (settings, NoSettings {}) = sources.read("own").unwrap();
        let strategy =
            (hash_svc::PROGRAM.strategy)(&hash_svc::HashSettings::default(), settings.shards).unwrap();
        let (servers, unknown_users) = (settings.servers.clone(), UnknownUsers::Refuse);
        let shards_prepared = settings.shards_prepared();
        let options = coupon_servers::Options {
            servers,
            workers: 1,
            shard_backlog: 1_000,
            shards_prepared,
            unknown_users,
            room_index: false,
        };
        let backend = coupon_servers::open(&options, Arc::clone(&strategy), &Clock::system());
        let backend = backend.map_err(|error| format!("{error:#}"))?;
        Ok(Self { settings: settings.servers, strategy, backend })
    }

    /// Makes a change, and asks for it again until the gate has it, and `wanted` accepts the processes that have not
    /// confirmed it.
    pub(crate) fn change(&self, coupon: u64, patch: &CouponPatch, wanted: impl Fn(&[String]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let change = CatalogueChange::ChangeCoupon(CouponId::new(coupon).unwrap(), patch.clone());
            let changed = self.backend.catalogue.change(change, Operator::new("olga").unwrap());
            let applied = block_on(changed).unwrap();
            if applied.gate && wanted(&applied.unconfirmed) {
                return;
            }
            assert!(Instant::now() < deadline, "{applied:?}");
        }
    }

    /// Has main take a process for one that it heard from so long ago, in milliseconds.
    pub(crate) fn heard_of(&self, process: &str, ago: i64) {
        let now = "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)";
        let sql = format!("UPDATE processes SET seen = {now} - {ago} WHERE name LIKE '{process}%'");
        assert_eq!(self.in_main(&sql), 1);
    }

    /// Changes rows of main by hand; returns how many.
    pub(crate) fn in_main(&self, sql: &str) -> u64 {
        by_hand(&Cluster::new(&self.settings, &*self.strategy).unwrap().main, sql)
    }

    /// Changes rows of a shard by hand; returns how many by the last statement.
    pub(crate) fn in_shard(&self, shard: ShardId, sql: &str) -> u64 {
        let cluster = Cluster::new(&self.settings, &*self.strategy).unwrap();
        let (_, database) = cluster.numbered().find(|(number, _)| *number == shard).unwrap();
        by_hand(database, sql)
    }
}

fn by_hand(database: &Database, sql: &str) -> u64 {
    block_on(async {
        let mut conn = database.connect_alone().await.unwrap();
        conn.query_drop(sql).await.unwrap();
        let changed = conn.affected_rows();
        conn.disconnect().await.unwrap();
        changed
    })
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(crate) fn total(total: u32) -> CouponPatch {
    CouponPatch { total_stock: Some(total), ..CouponPatch::default() }
}

fn status(status: CouponStatus) -> CouponPatch {
    CouponPatch { status: Some(status), ..CouponPatch::default() }
}

pub(crate) fn nobody(unconfirmed: &[String]) -> bool {
    unconfirmed.is_empty()
}

#[test]
fn a_process_that_was_frozen_is_named_and_decides_nothing_by_the_older_catalogue_when_it_goes_on() {
    const LONG: i64 = 3_600_000;
    let stack = Stack::start(&StackOptions::default()).unwrap();
    let mut flags = stack.addresses().settings();
    flags.push("servers.namespace=frozen".to_owned());
    let place = Place::open(&flags);
    let frozen = Service::start(&flags);
    assert!(frozen.grab(1, 1).contains(GRANTED));
    place.change(2, &status(CouponStatus::Inactive), nobody);
    assert!(frozen.grab(1, 2).contains("invalid_time"));

    frozen.signal(Signal::STOP);
    let name = format!("process {} on ", frozen.id());
    // The machine may be busy: as far as main is concerned it lives all the while.
    place.heard_of(&name, -LONG);
    place.change(1, &total(1), |named| named.len() == 1 && named[0].starts_with(&name));
    // From now on main hears nothing from it, until it does not count it any more.
    place.heard_of(&name, 0);
    place.change(2, &status(CouponStatus::Active), nobody);
    // They wait for it from before it goes on.
    let (sold_out, on_offer) = (frozen.ask(2, 1), frozen.ask(3, 2));
    frozen.signal(Signal::CONT);
    let (sold_out, on_offer) = (frozen.decided(sold_out, 2, 1), frozen.decided(on_offer, 3, 2));
    assert!(sold_out.contains("out_of_stock"), "{sold_out}");
    assert!(on_offer.contains(GRANTED), "{on_offer}");
    place.change(1, &total(2), nobody);
    let raised = frozen.grab(2, 1);
    assert!(raised.contains(GRANTED), "{raised}");
    place.backend.lifecycle.close();
}

/// Waits for a time to come.
pub(crate) fn is_past(time: Timestamp) {
    let deadline = Instant::now() + PATIENCE;
    while Clock::system().now() < time {
        assert!(Instant::now() < deadline, "{time} does not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The strategy over four shards, as it goes on over so many.
pub(crate) fn over(shards: u16) -> Arc<dyn ShardingStrategy> {
    let of = |shards| {
        let shards = NonZeroU16::new(shards).unwrap();
        (hash_svc::PROGRAM.strategy)(&hash_svc::HashSettings::default(), shards).unwrap()
    };
    let (four, line) = (of(4), of(shards).layout());
    if line == four.layout() { four } else { four.of_layout(&line).unwrap() }
}

impl Place {
    /// Announces the strategy over so many shards, and returns the time from which it is in force.
    pub(crate) fn announce(&self, shards: u16) -> Timestamp {
        let next = NextLayout { after: 1, strategy: over(shards), what: format!("{shards} shards") };
        let announced = self.backend.growth.announce(next, Operator::new("olga").unwrap());
        block_on(announced).unwrap().version.from
    }

    /// The users with a result, each with the shard that it is on and the time of its grab.
    pub(crate) fn stored(&self) -> Vec<(UserId, ShardId, Timestamp)> {
        self.stored_over(8)
    }

    /// The same, while there are so many shards.
    pub(crate) fn stored_over(&self, shards: u16) -> Vec<(UserId, ShardId, Timestamp)> {
        let cluster = Cluster::new(&self.settings, &*over(shards)).unwrap();
        let mut rows = Vec::new();
        for (shard, database) in cluster.numbered() {
            let of_shard = block_on(async {
                let mut conn = database.connect_alone().await.unwrap();
                let sql = "SELECT user_id, grab_time FROM coupon_results";
                let rows: Vec<(u64, i64)> = conn.query(sql).await.unwrap();
                conn.disconnect().await.unwrap();
                rows
            });
            let row = |(user, time)| (UserId::new(user).unwrap(), shard, Timestamp::from_millis(time));
            rows.extend(of_shard.into_iter().map(row));
        }
        rows
    }
}

#[test]
fn a_process_that_was_frozen_while_the_layout_changed_puts_no_row_where_nobody_looks() {
    const USERS: std::ops::RangeInclusive<u64> = 10..=40;
    let stack = Stack::start(&StackOptions::default()).unwrap();
    let mut flags = stack.addresses().settings();
    flags.extend(["servers.namespace=layouts".to_owned(), "shards_prepared=8".to_owned()]);
    let place = Place::open(&flags);
    let frozen = Service::start(&flags);
    assert!(frozen.grab(1, 1).contains(GRANTED));

    frozen.signal(Signal::STOP);
    let from = place.announce(8);
    is_past(from.plus_millis(500));
    // They wait for it from before it goes on.
    let asked: Vec<(u64, TcpStream)> = USERS.map(|user| (user, frozen.ask(user, 1))).collect();
    frozen.signal(Signal::CONT);
    for (user, asked) in asked {
        let answer = frozen.decided(asked, user, 1);
        assert!(answer.contains(GRANTED), "{user}: {answer}");
    }
    block_on(place.backend.lifecycle.drain()).unwrap();

    let (first, second) = (over(4), over(8));
    let stored = place.stored();
    assert_eq!(stored.len(), 1 + USERS.count());
    for (user, shard, time) in stored {
        let key = RowKey { user, room: RoomId::new(1).unwrap(), time };
        let version = if time < from { &first } else { &second };
        assert_eq!(version.place(&key).unwrap().shard, shard, "user {user}, at {time}");
        assert_eq!(time < from, user.get() == 1);
    }
    place.backend.lifecycle.close();
    drop(frozen);

    // Main is put back to before all that.
    assert_eq!(place.in_main("DELETE FROM layouts WHERE version = 2"), 1);
    let refused = Place::try_to_open(&flags).err().unwrap();
    assert!(refused.contains("told of version 2"), "{refused}");
}
