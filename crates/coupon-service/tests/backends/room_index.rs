//! Laws of the room index.

use std::cmp::Reverse;

use coupon_core::after_grab::Action;
use coupon_core::{CouponResult, Money, ResultQuery, ResultState, RoomId, ShardId, Timestamp};
use coupon_service::queries::Queries;
use coupon_store::{Backend, PageRequest, PlacedResult, Visit};

use crate::bench::{Bench, PLENTY, attempt, change, grab, granted, holding, queries};

fn room(id: u64) -> RoomId {
    RoomId::new(id).unwrap()
}

/// The rows that all shards together have of a query, the latest first: as without an index.
async fn stored(backend: &Backend, query: ResultQuery) -> Vec<CouponResult> {
    let page = PageRequest { before: None, limit: 1_000 };
    let mut all = Vec::new();
    for shard in [0, 1].map(ShardId::new) {
        let visited = backend.shards.page(shard.into(), Visit::All, query, page).await.unwrap();
        all.extend(visited.value.into_iter().map(|(_, result)| result));
    }
    all.sort_by_key(|result| Reverse(result.result_id));
    all
}

/// Checks that the index answers everything that can be asked of a room as all shards would.
async fn check_rooms(backend: &Backend, queries: &Queries, now: Timestamp) {
    let index = backend.room_index.as_ref().unwrap();
    for room in [1, 2].map(room) {
        let states = ResultState::ALL.into_iter().map(Some).chain([None]);
        for query in states.map(|state| ResultQuery { state, ..ResultQuery::of_room(room) }) {
            let expected = stored(backend, query).await;
            let (mut read, mut before) = (Vec::new(), None);
            loop {
                let page = queries.page(query, PageRequest { before, limit: 7 }, now).await.unwrap();
                assert_eq!(page.answered.shards, [index.places().of(room)], "{query:?}");
                assert!(!page.answered.is_partial(), "{query:?}");
                before = page.next;
                read.extend(page.items);
                if before.is_none() {
                    break;
                }
            }
            assert_eq!(read, expected, "{query:?}");
            let (summary, answered) = queries.summary(query, now).await.unwrap();
            assert_eq!(answered.shards.len(), 1);
            assert_eq!(summary.results, expected.len() as u64, "{query:?}");
            assert_eq!(summary.last_grab, expected.first().map(|result| result.grab_time), "{query:?}");
        }
    }
}

async fn grabbed(backend: &Backend, bench: &Bench, user: u64) -> PlacedResult {
    granted(backend, &attempt(backend, bench, user, PLENTY)).await
}

pub(crate) async fn what_is_asked_of_a_room_is_answered_by_one_shard_as_all_would_answer(bench: &Bench) {
    bench.build_room_index();
    let (backend, queries) = queries(bench.open_indexed().unwrap());
    let now = bench.clock().now().plus_millis(1_000);
    for user in 1..=9 {
        grab(&backend, bench, user, PLENTY).await;
    }
    let (used, returned) = (grabbed(&backend, bench, 10).await, grabbed(&backend, bench, 11).await);
    change(&backend, &used, Action::Use(Money::from_cents(10_050)), now).await;
    change(&backend, &returned, Action::Return, now).await;
    for (user, action) in [(12, None), (13, Some(Action::Confirm)), (14, Some(Action::Release))] {
        let held = granted(&backend, &holding(&backend, bench, user, PLENTY, "a request")).await;
        if let Some(action) = action {
            change(&backend, &held, action, now).await;
        }
    }
    backend.lifecycle.drain().await.unwrap();
    check_rooms(&backend, &queries, now).await;
    let states = stored(&backend, ResultQuery::of_room(room(1))).await;
    assert_eq!(states.iter().filter(|result| result.state == ResultState::Owned).count(), 10);
    // A room's results of one user are the user's, and asked for as ever.
    let query = ResultQuery { user: Some(used.result.user_id), ..ResultQuery::of_room(room(1)) };
    let page = queries.page(query, PageRequest { before: None, limit: 10 }, now).await.unwrap();
    assert_eq!((page.items.len(), page.answered.shards.len()), (1, 2));
}

pub(crate) async fn what_the_index_was_not_told_before_the_end_it_is_told_after_the_next_start(
    bench: &Bench,
) {
    bench.build_room_index();
    for first in [1, 11, 21] {
        let (backend, queries) = queries(bench.open_indexed().unwrap());
        for user in first..first + 10 {
            grab(&backend, bench, user, PLENTY).await;
        }
        if first == 21 {
            backend.lifecycle.drain().await.unwrap();
            check_rooms(&backend, &queries, bench.clock().now().plus_millis(1_000)).await;
        }
        backend.lifecycle.close();
    }
}

pub(crate) async fn the_setting_and_the_index_that_is_there_must_agree(bench: &Bench) {
    let error = format!("{:#}", bench.open_indexed().err().unwrap());
    assert!(error.contains("seeder room-index build"), "{error}");
    bench.build_room_index();
    let error = format!("{:#}", bench.try_open().err().unwrap());
    assert!(error.contains("room_index = true") && error.contains("seeder room-index drop"), "{error}");
    let backend = bench.open_indexed().unwrap();
    backend.lifecycle.close();
}

pub(crate) async fn an_index_that_was_put_back_is_refused_and_can_be_made_anew(bench: &Bench) {
    bench.build_room_index();
    let backend = bench.open_indexed().unwrap();
    // Entries that the index has taken in are deleted at the latest when it takes in the next ones.
    for first in [1, 11] {
        for user in first..first + 10 {
            grab(&backend, bench, user, PLENTY).await;
        }
        backend.lifecycle.drain().await.unwrap();
    }
    let at = backend.room_index.as_ref().unwrap().places().of(room(1));
    if let Bench::Servers { .. } = bench {
        bench.damage_shard(at, "UPDATE room_positions SET entry_id = 0").await;
        let error = backend.lifecycle.drain().await.unwrap_err().to_string();
        assert!(error.contains("has lost data") && error.contains("room-index build"), "{error}");
        backend.lifecycle.close();
        drop(backend);
    } else {
        backend.lifecycle.close();
        drop(backend);
        bench.damage_shard(at, "UPDATE room_positions SET entry_id = 0").await;
        let error = format!("{:#}", bench.open_indexed().err().unwrap());
        assert!(error.contains("has lost data") && error.contains("room-index build"), "{error}");
    }
    bench.build_room_index();
    let (backend, queries) = queries(bench.open_indexed().unwrap());
    grab(&backend, bench, 21, PLENTY).await;
    backend.lifecycle.drain().await.unwrap();
    check_rooms(&backend, &queries, bench.clock().now().plus_millis(1_000)).await;
}
