//! The laws of sharding, over every variant of the hash strategy.

use std::num::NonZeroU16;

use coupon_core::{Mix, Plan, ResultQuery, ShardingStrategy, UserId, laws};
use hash_svc::{HashSettings, HashSharding};

fn strategy(mix: Mix, shards: u16) -> HashSharding {
    HashSharding::new(mix, NonZeroU16::new(shards).unwrap())
}

fn assert_lawful(mix: Mix) {
    for shards in [1, 3, 4, 16] {
        for seed in 1..=3 {
            laws::check(&strategy(mix, shards), seed)
                .unwrap_or_else(|broken| panic!("{shards} shards, seed {seed}: {broken}"));
        }
    }
}

#[test]
fn hashing_with_xxh3_keeps_the_laws() {
    assert_lawful(Mix::Xxh3);
}

#[test]
fn hashing_with_modulo_keeps_the_laws() {
    assert_lawful(Mix::Modulo);
}

#[test]
fn a_users_coupons_are_in_one_place_and_everything_else_is_everywhere() {
    let strategy = strategy(Mix::Xxh3, 4);
    assert!(matches!(strategy.plan(&ResultQuery::of_user(UserId::new(123).unwrap())), Plan::One(_)));
    assert_eq!(strategy.plan(&ResultQuery::everything()), Plan::All);
}

#[test]
fn a_layout_tells_apart_what_places_rows_differently() {
    let layouts = [strategy(Mix::Xxh3, 4), strategy(Mix::Modulo, 4), strategy(Mix::Xxh3, 5)];
    let mut layouts: Vec<String> = layouts.iter().map(ShardingStrategy::layout).collect();
    layouts.sort();
    layouts.dedup();
    assert_eq!(layouts.len(), 3, "{layouts:?}");
}

#[test]
fn the_default_mix_is_a_real_hash() {
    let strategy = HashSharding::from_settings(&HashSettings::default(), NonZeroU16::MIN);
    assert_eq!(strategy.slots().mix(), Mix::Xxh3);
}
