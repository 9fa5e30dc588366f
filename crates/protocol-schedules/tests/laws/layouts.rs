//! Laws of a layout that changes: at the gate's server, and in main.

use std::num::NonZeroU16;

use coupon_core::{GateId, ShardingStrategy as _};
use coupon_servers::seam::{Epoch, Fence, GateServer, Mark, Opening, Servers};
use coupon_store::{Attempt, Decision, Reservation, VersionRecord};
use protocol_schedules::ByUser;

use crate::bench::{coupon, id, noon, result, user};
use crate::gate::filled;

fn fence(version: u32, after_ms: i64) -> Fence {
    Fence { version, from: noon().plus_millis(after_ms) }
}

async fn decide(gate: &dyn GateServer, epoch: &Epoch, knows: u32, by: u64, after_ms: i64) -> Decision {
    let attempt = Attempt::plain(user(by), coupon(1), id(after_ms));
    gate.decide(epoch, knows, &[&attempt]).await.unwrap().remove(0)
}

pub(crate) async fn who_does_not_know_a_version_is_refused_what_it_places(servers: &Servers) {
    let (gate, epoch) = filled(servers).await;
    let gate = &*gate;
    assert_eq!(gate.latest_layout(&epoch).await, Ok(1));
    gate.fence(&epoch, 5, &[fence(2, 1_000), fence(3, 5_000)]).await.unwrap();
    assert_eq!(gate.latest_layout(&epoch).await, Ok(3));
    assert_eq!(decide(gate, &epoch, 1, 1, 999).await, Decision::Granted(0));
    assert_eq!(decide(gate, &epoch, 1, 1, 1_000).await, Decision::OtherLayout, "whatever is held already");
    assert_eq!(decide(gate, &epoch, 1, 2, 6_000).await, Decision::OtherLayout);
    assert_eq!(decide(gate, &epoch, 2, 2, 5_000).await, Decision::OtherLayout);
    assert_eq!(decide(gate, &epoch, 2, 2, 4_999).await, Decision::Granted(0));
    assert_eq!(decide(gate, &epoch, 3, 3, 6_000).await, Decision::OutOfStock);
    // A version is no mark.
    let mut marks = gate.pending(&epoch).await.unwrap();
    marks.sort_unstable();
    assert_eq!(marks.len(), 2);
    assert_eq!(gate.pending_until(&epoch, noon().plus_millis(10_000)).await.unwrap().len(), 2);
}

pub(crate) async fn who_does_not_know_a_version_is_not_given_what_it_places_to_hand_over(servers: &Servers) {
    let (gate, epoch) = filled(servers).await;
    let gate = &*gate;
    gate.fence(&epoch, 5, &[fence(2, 1_000)]).await.unwrap();
    assert_eq!(decide(gate, &epoch, 2, 1, 6_000).await, Decision::Granted(0));
    let again = |knows| decide(gate, &epoch, knows, 1, 999);
    assert_eq!(again(1).await, Decision::OtherLayout, "it is pending, and its time is that of the version");
    assert_eq!(again(2).await, Decision::Pending(Reservation::plain(id(6_000))));
    gate.unmark(&epoch, &[Mark::of(&result(1, 6_000))]).await.unwrap();
    assert_eq!(again(1).await, Decision::Duplicate(id(6_000)), "it is stored, and not handed over any more");
}

pub(crate) async fn a_version_that_never_came_is_taken_back_and_an_earlier_word_changes_nothing(
    servers: &Servers,
) {
    let (gate, epoch) = filled(servers).await;
    let gate = &*gate;
    let told_by = async || gate.versions(&epoch).await.unwrap().unwrap();
    assert_eq!((told_by().await.layouts, told_by().await.of_main()), (0, 3));
    gate.fence(&epoch, 5, &[fence(2, 1_000)]).await.unwrap();
    gate.fence(&epoch, 4, &[]).await.unwrap();
    assert_eq!(decide(gate, &epoch, 1, 1, 1_000).await, Decision::OtherLayout);
    assert_eq!((told_by().await.layouts, told_by().await.of_main()), (5, 4), "it is told before main has it");
    gate.fence(&epoch, 6, &[]).await.unwrap();
    assert_eq!(gate.latest_layout(&epoch).await, Ok(1));
    assert_eq!(decide(gate, &epoch, 1, 1, 1_000).await, Decision::Granted(0));
}

pub(crate) fn next(number: u32) -> VersionRecord {
    VersionRecord {
        number,
        from: noon(),
        layout: format!("another, {number}"),
        receives: false,
        closed: false,
        announced: noon(),
        operator: "ann".to_owned(),
        what: "another one".to_owned(),
    }
}

pub(crate) async fn a_version_is_there_whole_once_it_commits_and_the_catalogue_goes_on_with_it(
    servers: &Servers,
) {
    let (main, shards) = (&servers.main, NonZeroU16::MIN);
    let layouts = main.layouts().await.unwrap();
    assert_eq!(layouts.len(), 1);
    assert_eq!((layouts[0].number, &*layouts[0].layout), (1, &*ByUser::First.layout()));
    drop(main.change_layout(shards).await.unwrap());
    let changing = main.change_layout(shards).await.unwrap();
    assert_eq!((changing.state().catalogue, changing.state().versions.len()), (0, 1));
    assert!(changing.state().open_epochs.is_empty());
    changing.commit(&[next(2)], None, "ann", "another one").await.unwrap();
    assert_eq!(main.version().await.unwrap(), 1);
    let layouts = main.layouts().await.unwrap();
    assert_eq!(layouts[1], next(2));
    assert_eq!(main.news(Some(0)).await.unwrap().layouts, layouts);
    assert_eq!(main.terms().await.unwrap().layouts, layouts);
    let changes = main.changes(1).await.unwrap();
    assert_eq!((&*changes[0].operator, &*changes[0].what), ("ann", "another one"));
    let closed = VersionRecord { closed: true, ..layouts[0].clone() };
    let changing = main.change_layout(shards).await.unwrap();
    changing.commit(std::slice::from_ref(&closed), None, "ann", "closed").await.unwrap();
    assert_eq!(main.layouts().await.unwrap(), [closed, next(2)]);
}

pub(crate) async fn an_epoch_does_not_open_without_a_version_that_was_announced_meanwhile(servers: &Servers) {
    let main = &servers.main;
    let mut lock = main.lock_gate(GateId::FIRST).await.unwrap().unwrap();
    assert!(lock.take_epoch(1, 0).await.unwrap());
    let filled_by = main.terms().await.unwrap().version;
    let changing = main.change_layout(NonZeroU16::MIN).await.unwrap();
    changing.commit(&[next(2)], None, "ann", "another one").await.unwrap();
    assert_eq!(lock.open(1, filled_by).await.unwrap(), Opening::Changed);
    assert_eq!(lock.open(1, filled_by + 1).await.unwrap(), Opening::Open);
    lock.end().await;
    let changing = main.change_layout(NonZeroU16::MIN).await.unwrap();
    assert_eq!(changing.state().open_epochs, [1]);
}
