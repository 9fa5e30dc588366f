//! The mover over shards in memory, with kills between any two steps, while consumers, readers and users are at work.

mod world;

use std::cell::Cell;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use coupon_core::{CouponResult, Placement, ResultState, ShardId, TableId, UserId};

use self::world::{World, era, row, version};
use super::{Departure, Ended, MoveError, Mover, MovingShards, Pace, Progress, Slice, not_there};
use crate::PlacedResult;

fn run(seeds: std::ops::Range<u64>, play: &impl AsyncFn(&World)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.unwrap();
    for seed in seeds {
        let world = World::new(seed);
        runtime.block_on(play(&world));
    }
}

#[test]
fn rows_come_to_where_the_latest_version_puts_them_and_nobody_misses_one() {
    run(0..200, &async |world| {
        world.move_all(|| u32::MAX).await;
        world.assert_settled();
    });
}

#[test]
fn a_mover_that_is_killed_between_any_two_steps_is_followed_by_one_that_goes_on() {
    for lives in 1..60 {
        run(lives..lives + 3, &async |world| {
            let killed = Cell::new(false);
            world.move_all(|| if killed.replace(true) { u32::MAX } else { lives as u32 }).await;
            world.assert_settled();
        });
    }
    run(0..100, &async |world| {
        world.move_all(|| 8 + world.below(80) as u32).await;
        world.assert_settled();
    });
}

#[test]
fn what_comes_after_a_version_was_closed_is_stored_once_where_it_is_in_the_end() {
    run(0..100, &async |world| {
        world.move_all(|| u32::MAX).await;
        world.close_before(2);
        (0..50).for_each(|_| world.play());
        world.assert_settled();
    });
}

#[test]
fn a_layout_that_changes_once_more_while_rows_move_takes_them_along() {
    run(0..100, &async |world| {
        world.lives.set(60);
        let ended = world.run(&Progress::default()).await;
        assert!(ended.is_none_or(|ended| ended == Ok(Ended::Done)));
        world.announce(version(3, true, 3, 3));
        world.sell(3);
        world.move_all(|| 10 + world.below(100) as u32).await;
        world.assert_settled();
        world.close_before(3);
        world.assert_settled();
    });
}

#[test]
fn a_mover_that_was_frozen_does_no_harm_when_it_goes_on() {
    run(0..100, &async |world| {
        // One has a batch under way, and freezes. Another takes over, and does all there is.
        let shard = ShardId::new(0);
        let begun = world.begin(shard, 1).await.unwrap();
        let table = TableId::Part(0);
        let slice = Slice { after: None, before: era(2), most: 4 };
        let keys = world.scan(shard, table, slice).await.unwrap();
        let rows = super::slice_of(&world.versions.borrow(), Placement::new(shard, table), &keys).unwrap();
        let departure = Departure { number: begun.batch + 1, table, rows };
        if departure.rows.is_empty() {
            return;
        }
        world.leave(&(), shard, &departure, None).await.unwrap();
        let batch = world.leaving(shard).await.unwrap().unwrap();
        world.move_all(|| u32::MAX).await;
        for (to, rows) in batch.by_shard() {
            world.arrive(&(), to, shard, batch.number, &rows).await.unwrap();
        }
        world.forget(&(), shard, batch.number).await.unwrap();
        let next = Departure { number: batch.number, ..departure };
        let overtaken = world.leave(&(), shard, &next, Some(begun.batch)).await;
        assert_eq!(overtaken, Err(MoveError::Overtaken(shard)));
        world.assert_settled();
    });
}

#[test]
fn a_batch_that_cannot_arrive_for_a_while_arrives_while_other_shards_are_not_done() {
    run(0..20, &async |world| {
        world.refused.set(3);
        world.waits.set(true);
        let progress = Progress::default();
        let ended = tokio::time::timeout(Duration::from_secs(60), world.run(&progress)).await;
        assert_eq!(ended, Ok(Some(Ok(Ended::Done))));
        assert_eq!((world.refused.get(), progress.trouble()), (0, None));
        world.assert_settled();
    });
}

#[test]
fn a_mover_that_can_do_no_more_says_so_and_leaves_the_rest_to_another() {
    run(0..20, &async |world| {
        world.refused.set(u32::MAX);
        let progress = Progress::default();
        let failed = world.run(&progress).await.unwrap().unwrap_err();
        assert_eq!(progress.trouble(), Some(failed.to_string()));
        let closed = world.shards.borrow().iter().filter(|shard| shard.is_closed()).count();
        assert_eq!(closed, 4, "the others are empty");
        world.refused.set(0);
        world.move_all(|| u32::MAX).await;
        world.assert_settled();
    });
}

#[test]
fn a_mover_that_is_stopped_while_no_batch_has_a_turn_waits_for_none() {
    run(0..5, &async |world| {
        world.shut.set(true);
        let versions = Arc::new(world.versions.borrow().clone());
        let (pace, progress) = (Pace::new(NonZeroU32::MAX), Progress::default());
        let mover = Mover { shards: world, versions, pace: &pace, progress: &progress };
        let stop = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            pace.stop();
        };
        let (ended, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(60), mover.run()), stop);
        assert_eq!(ended, Ok(Err(MoveError::Shut)));
        world.shut.set(false);
        world.move_all(|| u32::MAX).await;
        world.assert_settled();
    });
}

#[test]
fn a_mover_that_is_overtaken_ends_though_other_shards_wait() {
    run(0..20, &async |world| {
        world.waits.set(true);
        world.other_mover.set(true);
        let progress = Progress::default();
        let ended = tokio::time::timeout(Duration::from_secs(60), world.run(&progress)).await;
        assert_eq!(ended, Ok(Some(Err(MoveError::Overtaken(ShardId::new(0))))));
        world.waits.set(false);
        world.move_all(|| u32::MAX).await;
        world.assert_settled();
    });
}

#[test]
fn a_row_that_is_where_it_goes_is_not_on_its_way_any_more() {
    let placement = Placement::new(ShardId::new(1), TableId::Part(0));
    let left = [0, 1, 2].map(|sequence| PlacedResult { placement, result: row(1, sequence) });
    let released = CouponResult { state: ResultState::Released, slot: None, ..left[0].result };
    let another = CouponResult { user_id: UserId::new(999).unwrap(), ..left[2].result };
    assert_eq!(not_there(&left, &[released, another]), [left[1].result, left[2].result]);
}

#[test]
fn a_mover_that_is_stopped_leaves_nothing_on_the_way() {
    run(0..20, &async |world| {
        let (pace, progress) = (Pace::new(NonZeroU32::MAX), Progress::default());
        pace.stop();
        let versions = Arc::new(world.versions.borrow().clone());
        let mover = Mover { shards: world, versions, pace: &pace, progress: &progress };
        assert_eq!(mover.run().await, Ok(Ended::Stopped));
        assert!(world.shards.borrow().iter().all(|shard| shard.leaving.is_empty()));
        world.move_all(|| u32::MAX).await;
        world.assert_settled();
    });
}
