//! The engine's strategy, held to the laws of sharding and to golden vectors.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::num::NonZeroU16;
use std::sync::Arc;

use coupon_core::{
    LayoutChange, LayoutChangeError, Plan, ResultQuery, RoomId, RowKey, ShardId, ShardingStrategy, TableId,
    Timestamp, UserId, Whole, laws,
};
use coupon_service::NoSettings;
use engine_svc::{EngineSharding, PROGRAM};

fn count(lanes: u16) -> NonZeroU16 {
    NonZeroU16::new(lanes).unwrap()
}

fn strategy(lanes: u16) -> EngineSharding {
    EngineSharding::new(coupon_core::Lanes::new(count(lanes)).unwrap())
}

#[test]
fn lanes_keep_the_laws() {
    for lanes in [1, 2, 8, 16] {
        for seed in 1..=3 {
            laws::check(&strategy(lanes), seed)
                .unwrap_or_else(|broken| panic!("{lanes} lanes, seed {seed}: {broken}"));
        }
    }
}

/// A user, their keyspace id, and their lane where there are eight.
type Vector = (u64, String, u16);

#[test]
fn a_result_lives_in_the_lane_that_the_vectors_name() {
    let golden = include_str!("../../../crates/coupon-core/golden/keyspace.json");
    let mut seen = 0;
    for (user, _, lane) in serde_json::from_str::<Vec<Vector>>(golden).unwrap() {
        // The last is no user's, but the engine's own vector.
        let Ok(user) = UserId::new(user) else { continue };
        let row =
            RowKey { user, room: RoomId::new(1).unwrap(), time: Timestamp::from_millis(1_795_000_000_000) };
        let place = strategy(8).place(&row).unwrap();
        assert_eq!((place.shard, place.table), (ShardId::new(lane), TableId::Single), "user {user}");
        assert_eq!(strategy(8).plan(&ResultQuery::of_user(user)), Plan::One(place), "user {user}");
        seen += 1;
    }
    assert!(seen >= 15);
}

#[test]
fn what_is_not_about_a_user_is_one_visit() {
    let strategy = strategy(8);
    assert_eq!(strategy.whole(), Whole::Planned(count(8)));
    for query in [ResultQuery::everything(), ResultQuery::of_room(RoomId::new(3).unwrap())] {
        assert_eq!(strategy.plan(&query), Plan::All);
        assert_eq!(strategy.plan(&query).places(strategy.whole()).len(), 1);
    }
}

#[test]
fn its_number_of_lanes_is_for_ever() {
    let strategy: Arc<dyn ShardingStrategy> = Arc::new(strategy(8));
    let refused = |change: LayoutChange| change.of(&*strategy).map(drop).unwrap_err();
    assert!(matches!(refused(LayoutChange::Spread(count(2))), LayoutChangeError::NotOf { .. }));
    let shards = refused(LayoutChange::Shards(count(16))).to_string();
    assert!(shards.contains("coupon-stack engine reshard --shards 16"), "{shards}");
    let read = strategy.of_layout(&strategy.layout()).unwrap();
    assert_eq!((read.layout(), read.shard_count()), (strategy.layout(), count(8)));
}

#[test]
fn a_number_of_lanes_that_cuts_no_byte_evenly_is_refused() {
    for lanes in [3, 6, 512] {
        let error = (PROGRAM.strategy)(&NoSettings {}, count(lanes)).unwrap_err();
        assert!(error.to_string().contains("`shards`"), "{error}");
    }
}
