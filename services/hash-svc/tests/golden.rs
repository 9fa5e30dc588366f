//! The hash is frozen: the vectors come from another implementation (see README.md beside this file).

use std::num::NonZeroU16;

use coupon_core::{Mix, Placement, RoomId, RowKey, ShardId, ShardingStrategy, Timestamp, UserId};
use hash_svc::HashSharding;

struct Vector {
    user: u64,
    hash: u64,
    slot: u16,
    shard_of_4: u16,
}

fn vectors() -> Vec<Vector> {
    let rows = include_str!("golden.csv").lines().skip(1);
    rows.map(|row| {
        let fields: Vec<&str> = row.split(',').collect();
        Vector {
            user: fields[0].parse().unwrap(),
            hash: u64::from_str_radix(fields[1], 16).unwrap(),
            slot: fields[2].parse().unwrap(),
            shard_of_4: fields[3].parse().unwrap(),
        }
    })
    .collect()
}

fn four_shards(mix: Mix) -> HashSharding {
    HashSharding::new(mix, NonZeroU16::new(4).unwrap())
}

fn row_of(user: u64) -> RowKey {
    RowKey {
        user: UserId::new(user).unwrap(),
        room: RoomId::new(1).unwrap(),
        time: Timestamp::from_millis(1_795_000_000_000),
    }
}

#[test]
fn the_vectors_cover_the_smallest_and_the_largest_id() {
    let users: Vec<u64> = vectors().iter().map(|vector| vector.user).collect();
    assert!(users.len() >= 60 && users.contains(&1) && users.contains(&coupon_core::MAX_ID), "{users:?}");
}

#[test]
fn hashes_and_slots_are_those_of_the_reference_implementation() {
    let strategy = four_shards(Mix::Xxh3);
    for vector in vectors() {
        let user = vector.user;
        assert_eq!(Mix::Xxh3.hash(user), vector.hash, "hash of user {user}");
        assert_eq!(strategy.slots().slot(user), vector.slot, "slot of user {user}");
    }
}

#[test]
fn a_result_lives_on_the_shard_the_vectors_name() {
    let strategy = four_shards(Mix::Xxh3);
    for vector in vectors() {
        let expected = Placement::single(ShardId::new(vector.shard_of_4));
        assert_eq!(strategy.place(&row_of(vector.user)), Ok(expected), "user {}", vector.user);
    }
}

#[test]
fn modulo_is_the_remainder_of_the_id() {
    let strategy = four_shards(Mix::Modulo);
    for vector in vectors() {
        let expected = Placement::single(ShardId::new((vector.user % 4) as u16));
        assert_eq!(strategy.place(&row_of(vector.user)), Ok(expected), "user {}", vector.user);
    }
}
