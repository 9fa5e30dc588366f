//! Several gates, each with a Redis of its own.

use std::num::NonZeroU16;
use std::sync::{Arc, LazyLock};

use anyhow::{Result, ensure};
use coupon_core::ShardingStrategy;
use coupon_servers::cluster::Cluster;
use coupon_stack::{Server, Stack, Topology};
use coupon_store::settings::{ServerUrl, ServersSettings};
use coupon_store::{Backend, Decision};
use mysql_async::prelude::Queryable as _;

use crate::bench::{
    Bench, PLENTY, ParityAndDay, SCARCE, attempt, coupon_id, decide, grab, held_by, open_process, options,
    placed, remaining, run, shard_of, until, verified,
};
use crate::{alone, drained, grab_at_last};

/// The gates, for all tests here.
static GATES: LazyLock<Stack> = LazyLock::new(|| {
    let (one, two) = (NonZeroU16::MIN, NonZeroU16::new(2).unwrap());
    Stack::start(&Topology { shards: one, redis: two, ..Topology::default() }.into()).unwrap()
});

/// A data set on the suite's databases and queues, with two gates: of the coupon that is scarce the first, and of the other the
/// second.
fn with_two_gates() -> Bench {
    Bench::servers_with(&[&format!("servers.redis={}", GATES.addresses().redis)])
}

/// The epoch in which a coupon's grabs are decided.
async fn epoch_of(backend: &Backend, coupon: u64) -> u64 {
    let epoch = || backend.gate.epoch(coupon_id(coupon));
    until("the gate is open", async || epoch().is_some()).await;
    epoch().unwrap()
}

/// Says whether a user's result of a coupon is stored.
async fn has(backend: &Backend, user: u64, coupon: u64) -> bool {
    held_by(backend, user).await.iter().any(|row| row.coupon_id == coupon_id(coupon))
}

/// Has a data set go by other gates, with no service on it.
fn change_gates(bench: &Bench, settings: &ServersSettings) -> Result<String> {
    let of_layout = |line: &str| -> Result<Arc<dyn ShardingStrategy>> {
        ensure!(line == ParityAndDay.layout(), "{line}");
        Ok(Arc::new(ParityAndDay))
    };
    // It has a runtime of its own, which a thread of another cannot enter.
    let change = || coupon_seeding::change_gates(settings, None, &of_layout, bench.clock());
    std::thread::scope(|scope| scope.spawn(change).join().unwrap()).map(|changed| changed.to_string())
}

#[test]
fn each_gate_decides_its_own_coupons_in_an_epoch_of_its_own() {
    let _alone = alone();
    run(&with_two_gates(), async |bench| {
        let backend = bench.open();
        let gates = backend.gate.count();
        let of = |coupon| gates.of(coupon_id(coupon));
        assert_eq!((gates.get(), of(SCARCE).number(), of(PLENTY).number()), (2, 0, 1));
        for coupon in [SCARCE, PLENTY] {
            assert_eq!(gates.of_epoch(epoch_of(&backend, coupon).await), of(coupon));
            assert_eq!(grab(&backend, bench, 1, coupon).await, Decision::Granted(0));
        }
        drained(&backend).await;
        assert!(has(&backend, 1, SCARCE).await && has(&backend, 1, PLENTY).await);
        let found = verified(bench);
        assert_eq!(found.count(), 0, "{found}");
        backend.lifecycle.close();
    });
}

#[test]
fn while_one_gate_is_frozen_the_other_decides_stores_and_follows_the_catalogue() {
    let _alone = alone();
    run(&with_two_gates(), async |bench| {
        let backend = bench.open();
        let (scarce, plenty) = (epoch_of(&backend, SCARCE).await, epoch_of(&backend, PLENTY).await);
        GATES.pause(Server::Gate(1)).unwrap();
        let frozen = attempt(&backend, bench, 1, PLENTY);
        assert!(backend.gate.reserve(1, &[frozen]).await.is_err());
        assert!(backend.gate.ready().is_ok(), "the other takes grabs");
        assert_eq!(grab(&backend, bench, 1, SCARCE).await, Decision::Granted(0));
        until("it is stored", async || has(&backend, 1, SCARCE).await).await;
        let again = attempt(&backend, bench, 1, SCARCE);
        let is_known = async || matches!(decide(&backend, &[again]).await[..], [Decision::Duplicate(_)]);
        until("its gate knows that it is stored", is_known).await;
        GATES.resume(Server::Gate(1)).unwrap();
        assert_eq!(grab_at_last(&backend, bench, 2, PLENTY).await, Decision::Granted(0));
        drained(&backend).await;
        assert_eq!((epoch_of(&backend, SCARCE).await, epoch_of(&backend, PLENTY).await), (scarce, plenty));
        backend.lifecycle.close();
    });
}

#[test]
fn a_gate_that_has_lost_its_memory_is_filled_anew_and_the_other_goes_on_in_its_epoch() {
    let _alone = alone();
    run(&with_two_gates(), async |bench| {
        let backend = bench.open();
        let (scarce, plenty) = (epoch_of(&backend, SCARCE).await, epoch_of(&backend, PLENTY).await);
        for coupon in [SCARCE, PLENTY] {
            assert_eq!(grab(&backend, bench, 1, coupon).await, Decision::Granted(0));
        }
        drained(&backend).await;
        // Twice: its epochs that are closed then include a later one than that of the other.
        let mut last = plenty;
        for _ in 0..2 {
            GATES.kill(Server::Gate(1)).unwrap();
            assert!(matches!(grab(&backend, bench, 1, SCARCE).await, Decision::Duplicate(_)));
            GATES.restart(Server::Gate(1)).unwrap();
            assert!(matches!(grab_at_last(&backend, bench, 1, PLENTY).await, Decision::Duplicate(_)));
            let filled = epoch_of(&backend, PLENTY).await;
            assert!(filled > last, "{filled}");
            last = filled;
        }
        assert!(plenty < scarce && scarce < last);
        assert_eq!(epoch_of(&backend, SCARCE).await, scarce);
        assert_eq!(grab(&backend, bench, 2, SCARCE).await, Decision::Granted(0));
        drained(&backend).await;
        assert!(has(&backend, 2, SCARCE).await, "it was stored, and not set aside");
        backend.lifecycle.close();
    });
}

#[test]
fn several_gates_of_the_format_before_stay_those_that_they_are() {
    let _alone = alone();
    run(&with_two_gates(), async |bench| {
        let backend = bench.open();
        let before = [epoch_of(&backend, SCARCE).await, epoch_of(&backend, PLENTY).await];
        for coupon in [SCARCE, PLENTY] {
            assert_eq!(grab(&backend, bench, 1, coupon).await, Decision::Granted(0));
        }
        drained(&backend).await;
        backend.lifecycle.close();
        drop(backend);
        bench.to_the_format_before().await;
        for _ in 0..2 {
            let backend = bench.open();
            for (coupon, before) in [SCARCE, PLENTY].into_iter().zip(before) {
                let again = grab_at_last(&backend, bench, 1, coupon).await;
                assert!(matches!(again, Decision::Duplicate(_)), "{again:?}");
                assert_eq!(
                    epoch_of(&backend, coupon).await,
                    before,
                    "a gate of the format before is one of this"
                );
            }
            drained(&backend).await;
            backend.lifecycle.close();
        }
        let main = Cluster::new(bench.settings(), &ParityAndDay).unwrap().main;
        let mut main = main.connect_alone().await.unwrap();
        let format = "SELECT value FROM meta WHERE name = 'format'";
        assert_eq!(main.query_first(format).await.unwrap(), Some("108".to_owned()));
        main.disconnect().await.unwrap();
        let found = verified(bench);
        assert_eq!(found.count(), 0, "{found}");
    });
}

#[test]
fn a_changed_list_is_refused_until_all_gates_are_closed_and_filled_anew() {
    let _alone = alone();
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let before = epoch_of(&backend, SCARCE).await;
        for coupon in [SCARCE, PLENTY] {
            assert_eq!(grab(&backend, bench, 1, coupon).await, Decision::Granted(0));
        }
        let late = attempt(&backend, bench, 2, PLENTY);
        drained(&backend).await;
        let two = GATES.addresses().redis.split(',').map(ServerUrl::new).collect();
        let two = ServersSettings { redis: two, ..bench.settings().clone() };
        let refused = |settings: &ServersSettings| {
            let refused = open_process(bench, &options(settings)).map(|backend| backend.lifecycle.close());
            format!("{:#}", refused.unwrap_err())
        };
        assert!(refused(&two).contains("seeder gates"), "{}", refused(&two));
        let at_work = change_gates(bench, &two).unwrap_err().to_string();
        assert!(at_work.contains("services are at work"), "{at_work}");
        backend.lifecycle.close();
        let dataset = backend.dataset.clone();
        drop(backend);

        let told = change_gates(bench, &two).unwrap();
        assert!(
            told.starts_with("before: one gate\nnow: 127.0.0.1:") && told.contains("filled anew in"),
            "{told}"
        );
        assert!(refused(bench.settings()).contains("seeder gates"), "the list of before");
        let turned = ServersSettings { redis: two.redis.iter().rev().cloned().collect(), ..two.clone() };
        assert!(refused(&turned).contains("seeder gates"), "another order");
        // A list that cannot be filled closes nothing: that of now goes on, below.
        let first = two.redis.first().unwrap().expose();
        for (second, why) in [
            ("redis://127.0.0.1:1".to_owned(), "127.0.0.1:1"),
            (first.replace("127.0.0.1", "localhost"), "the same Redis"),
        ] {
            let redis = [first, &*second].map(ServerUrl::new).to_vec();
            let error = change_gates(bench, &ServersSettings { redis, ..two.clone() }).unwrap_err();
            assert!(format!("{error:#}").contains(why), "{error:#}");
        }
        let backend: Backend =
            coupon_servers::open(&options(&two), Arc::new(ParityAndDay), bench.clock()).unwrap();
        assert_eq!(backend.dataset, dataset);
        for coupon in [SCARCE, PLENTY] {
            assert!(epoch_of(&backend, coupon).await > before);
            let again = grab_at_last(&backend, bench, 1, coupon).await;
            assert!(matches!(again, Decision::Duplicate(_)), "{again:?}");
        }
        // What was granted before there were these gates leads nowhere.
        let rows = vec![placed(2, PLENTY, 1, late.id)];
        assert!(backend.hand_over.hand_over(shard_of(2), before, rows).await.is_err());
        assert_eq!(grab_at_last(&backend, bench, 4, SCARCE).await, Decision::Granted(0));
        drained(&backend).await;
        assert_eq!(remaining(&backend, SCARCE).await, 0);
        backend.lifecycle.close();
        drop(backend);

        // And back to one.
        change_gates(bench, bench.settings()).unwrap();
        let backend = bench.open();
        assert_eq!(grab_at_last(&backend, bench, 5, SCARCE).await, Decision::OutOfStock);
        assert!(matches!(grab_at_last(&backend, bench, 4, SCARCE).await, Decision::Duplicate(_)));
        let found = verified(bench);
        assert_eq!(found.count(), 0, "{found}");
        backend.lifecycle.close();
    });
}
