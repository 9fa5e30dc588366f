//! The laws of sharding, over every variant of the hash strategy.

use std::num::NonZeroU16;
use std::sync::Arc;

use coupon_core::{
    LayoutChange, LayoutChangeError, Mix, Plan, ResultQuery, RoomId, ShardingStrategy, UserId, laws,
};
use hash_svc::{HashSettings, HashSharding};

fn shards(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}

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
    let strategy = HashSharding::from_settings(&HashSettings::default(), NonZeroU16::MIN).unwrap();
    assert_eq!(strategy.slots().mix(), Mix::Xxh3);
}

/// The layouts one after the other.
fn changed(counts: &[u16]) -> Vec<Arc<dyn ShardingStrategy>> {
    let (first, rest) = counts.split_first().unwrap();
    let mut all: Vec<Arc<dyn ShardingStrategy>> = vec![Arc::new(strategy(Mix::Xxh3, *first))];
    for count in rest {
        let after = LayoutChange::Shards(shards(*count)).of(&**all.last().unwrap()).unwrap();
        all.push(after);
    }
    all
}

fn layouts(counts: &[u16]) -> Vec<String> {
    changed(counts).iter().map(|strategy| strategy.layout()).collect()
}

#[test]
fn a_table_that_slots_were_moved_in_says_so() {
    assert_eq!(
        layouts(&[4, 6, 5])[1..],
        [
            "hash of user_id, mix xxh3, grown from 4, 6 shards",
            "hash of user_id, mix xxh3, grown from 4, 6, 5 shards",
        ]
    );
    for strategy in changed(&[4, 6, 5, 7]) {
        assert_eq!(
            strategy.of_layout("hash of user_id, mix xxh3, 4 shards").unwrap().shard_count(),
            shards(4)
        );
        laws::check(&*strategy, 1).unwrap();
    }
}

#[test]
fn a_multiple_of_the_shards_of_a_plain_table_needs_no_history() {
    let plain = ["hash of user_id, mix xxh3, 4 shards", "hash of user_id, mix xxh3, 8 shards"];
    assert_eq!(layouts(&[4, 8]), plain);
    assert_eq!(layouts(&[8, 4]), [plain[1], plain[0]]);
}

#[test]
fn shards_that_were_only_added_are_taken_away_as_if_they_had_never_been() {
    assert_eq!(layouts(&[4, 6, 7, 4])[3], "hash of user_id, mix xxh3, 4 shards");
    assert_eq!(layouts(&[4, 6, 7, 6])[3], "hash of user_id, mix xxh3, grown from 4, 6 shards");
    assert_eq!(layouts(&[4, 6, 5, 4])[3], "hash of user_id, mix xxh3, grown from 4, 6, 5, 4 shards");
}

#[test]
fn every_change_of_the_number_of_shards_moves_as_few_slots_as_an_even_split_allows() {
    for counts in [&[4_u16, 6][..], &[4, 8], &[8, 4], &[4, 6, 4], &[4, 6, 7, 4], &[3, 5, 6, 8, 5], &[1, 2, 3]]
    {
        let (mut table, [first, rest @ ..]) = (strategy(Mix::Xxh3, counts[0]), counts) else { panic!() };
        let mut before = *first;
        for count in rest {
            let after = table.resharded(shards(*count));
            let most = usize::from(before.max(*count));
            let moved = coupon_core::SLOTS as usize * usize::from(before.abs_diff(*count)) / most;
            let few = moved.saturating_sub(most)..=moved + most;
            let moved = table.slots().moved(after.slots());
            assert!(few.contains(&moved), "{counts:?}: {before} to {count}: {moved}, not {few:?}");
            (table, before) = (after, *count);
        }
    }
}

#[test]
fn lists_of_versions_keep_the_laws() {
    for seed in 0..20 {
        let first = Arc::new(strategy(Mix::Xxh3, 1 + (seed % 5) as u16));
        let versions = laws::random_versions(first, seed);
        laws::check_versions(&versions, seed).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
}

#[test]
fn what_a_hash_cannot_change_is_refused() {
    let hash = strategy(Mix::Xxh3, 4);
    let error = |change: LayoutChange| change.of(&hash).unwrap_err();
    let rooms = LayoutChange::Split(vec![RoomId::new(3).unwrap()]);
    assert_eq!(error(rooms).to_string(), "the strategy hash cannot give ranges of their own to rooms 3");
    assert!(matches!(error(LayoutChange::Spread(shards(2))), LayoutChangeError::NotOf { .. }));
    assert!(matches!(error(LayoutChange::Shards(shards(4))), LayoutChangeError::AlreadySo(_)));
}

#[test]
fn a_history_without_a_change_is_refused() {
    for grown in [vec![shards(4)], vec![shards(3), shards(3)]] {
        let settings = HashSettings { grown, ..HashSettings::default() };
        let error = HashSharding::from_settings(&settings, shards(4)).unwrap_err().to_string();
        assert!(error.starts_with("hash.grown: "), "{error}");
    }
}
