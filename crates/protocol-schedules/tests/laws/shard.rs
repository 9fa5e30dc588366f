//! Laws of a shard's database.

use std::time::Duration;

use async_trait::async_trait;
use coupon_core::{GateCount, TableId, Timestamp};
use coupon_servers::seam::{
    Alike, GateEpochs, Hold, Inserted, Marker, Note, OutboxEntry, ReadsHolds, Servers, ShardServer, Storing,
};
use tokio::time::timeout;

use crate::bench::{PATIENCE, coupon, held, hold_of, id, noon, result};

pub(crate) const TABLE: TableId = TableId::Single;

pub(crate) fn shard(servers: &Servers) -> &dyn ShardServer {
    &*servers.shards[0]
}

/// A connection in a transaction.
pub(crate) async fn begun(servers: &Servers) -> Box<dyn Storing> {
    let mut storing = shard(servers).storing().await.unwrap();
    if !storing.tables().await.unwrap().contains(&TABLE) {
        storing.make_table(TABLE).await.unwrap();
    }
    storing.begin().await.unwrap().unwrap();
    storing
}

pub(crate) fn note<'a>(markers: &'a [Marker], entries: &'a [OutboxEntry], added: u64) -> Note<'a> {
    Note {
        now: noon(),
        markers,
        markers_from: noon().plus_millis(-1_000),
        entries,
        outbox_id: entries.last().map_or(0, |entry| entry.id),
        closed: GateEpochs::default(),
        sent: noon().millis(),
        added,
        late: 0,
        messages: 1,
        received: added,
    }
}

#[derive(Default)]
struct Rows(Vec<Hold>);

#[async_trait]
impl ReadsHolds for Rows {
    async fn take(&mut self, holds: Vec<Hold>) -> anyhow::Result<()> {
        self.0.extend(holds);
        Ok(())
    }
}

async fn rows(servers: &Servers) -> Vec<Hold> {
    rows_since(servers, noon()).await
}

/// The rows that take stock, and those that answer a request and gave theirs back since a moment.
pub(crate) async fn rows_since(servers: &Servers, since: Timestamp) -> Vec<Hold> {
    let mut rows = Rows::default();
    shard(servers).read_holds(TABLE, coupon(1)..=coupon(9), since, &mut rows).await.unwrap();
    rows.0.sort_unstable_by_key(|hold| hold.id);
    rows.0
}

fn hold(user: u64, after_ms: i64) -> Hold {
    hold_of(&result(user, after_ms))
}

pub(crate) async fn a_transaction_is_there_whole_once_it_commits(servers: &Servers) {
    let mut storing = begun(servers).await;
    let (one, two) = (result(1, 1), result(2, 2));
    assert_eq!(storing.insert(TABLE, &[&one, &two], false).await.unwrap(), Inserted::All);
    let named = held(1, 10, 2, 60_000);
    for contradicts in [result(1, 9), named] {
        storing.park(TABLE, &contradicts, "it contradicts", noon()).await.unwrap();
    }
    let marker = Marker { id: "m".repeat(32), closes: 3 };
    let entry = OutboxEntry { id: 1, deltas: "[[1,2]]".to_owned() };
    let (markers, entries) = ([marker], [entry.clone()]);
    storing.commit(&Note { closed: GateEpochs::all(3), ..note(&markers, &entries, 2) }).await.unwrap();
    let shard = shard(servers);
    assert_eq!(rows(servers).await, [hold(1, 1), hold(2, 2)]);
    assert_eq!(shard.rows_after(TABLE, id(1).number(), 5).await.unwrap().1, [hold(2, 2)]);
    assert_eq!(shard.rows_after(TABLE, 0, 1).await.unwrap().1, [hold(1, 1)]);
    let mut parked = shard.parked().await.unwrap();
    parked.sort_unstable_by_key(|hold| hold.id);
    assert_eq!(parked, [hold(1, 9), hold_of(&named)], "with all that it was granted");
    let asked = ["m".repeat(32), "n".repeat(32)];
    assert_eq!(shard.markers(&asked).await.unwrap(), asked[..1]);
    assert_eq!(shard.outbox_after(0, 5).await.unwrap(), [entry]);
    let state = shard.state().await.unwrap();
    assert_eq!((state.last_epochs.last(), state.outbox_id, state.untold_from, state.commits), (3, 1, 1, 1));
    assert!(state.is_known_to(0), "its entry is still there");
    shard.forget_outbox(1).await.unwrap();
    assert!(shard.outbox_after(0, 5).await.unwrap().is_empty());
    let state = shard.state().await.unwrap();
    assert_eq!((state.outbox_id, state.untold_from), (1, 2));
    assert!(state.is_known_to(1) && !state.is_known_to(0), "it had told a main that knew of it");
    let begun = storing.begin().await.unwrap().unwrap();
    assert_eq!((begun.outbox_id, begun.closed, begun.commits), (1, GateEpochs::all(3), 1));
    storing.close().await;
}

pub(crate) async fn a_transaction_that_is_dropped_leaves_nothing(servers: &Servers) {
    let mut storing = begun(servers).await;
    storing.insert(TABLE, &[&result(1, 1)], false).await.unwrap();
    drop(storing);
    let mut next = timeout(PATIENCE, begun(servers)).await.unwrap();
    assert_eq!(next.insert(TABLE, &[&result(1, 1)], false).await.unwrap(), Inserted::All);
    next.close().await;
    assert!(rows(servers).await.is_empty());
}

pub(crate) async fn rows_go_in_all_or_none_and_those_alike_are_read_back(servers: &Servers) {
    let mut storing = begun(servers).await;
    let (one, same_user, same_id) = (result(1, 1), result(1, 2), result(3, 1));
    storing.insert(TABLE, &[&one], false).await.unwrap();
    storing.commit(&note(&[], &[], 1)).await.unwrap();
    storing.begin().await.unwrap();
    let (fresh, twice) = (result(4, 4), result(4, 5));
    for refused in [[&fresh, &same_user], [&fresh, &same_id], [&fresh, &twice]] {
        assert_eq!(storing.insert(TABLE, &refused, false).await.unwrap(), Inserted::Duplicate);
    }
    let stored = Alike { id: id(1).number(), user: 1, coupon: 1, room: 1, slot: Some(0) };
    for like in [&one, &same_user, &same_id] {
        assert_eq!(storing.alike(TABLE, &[like]).await.unwrap(), [stored]);
    }
    assert!(storing.alike(TABLE, &[&fresh]).await.unwrap().is_empty());
    assert_eq!(storing.insert(TABLE, &[&fresh, &same_user], true).await.unwrap(), Inserted::All);
    storing.commit(&note(&[], &[], 1)).await.unwrap();
    assert_eq!(rows(servers).await, [hold(1, 1), hold(4, 4)]);
}

pub(crate) async fn transactions_take_turns(servers: &Servers) {
    let mut first = begun(servers).await;
    let mut second = shard(servers).storing().await.unwrap();
    assert!(timeout(Duration::from_millis(300), second.begin()).await.is_err(), "two began at once");
    drop(second);
    first.commit(&note(&[], &[], 0)).await.unwrap();
    let begun = timeout(PATIENCE, begun(servers)).await.unwrap();
    begun.close().await;
}

pub(crate) async fn what_was_announced_is_remembered_and_less_than_main_was_told_is_refused(
    servers: &Servers,
) {
    let shard = shard(servers);
    shard.announce(GateCount::ONE, 5).await.unwrap();
    shard.announce(GateCount::ONE, 4).await.unwrap();
    assert_eq!(shard.state().await.unwrap().last_epochs.last(), 5);
    assert_eq!(shard.state().await.unwrap().layout, 0);
    shard.announce_layout(3).await.unwrap();
    shard.announce_layout(2).await.unwrap();
    assert_eq!(shard.state().await.unwrap().layout, 3);
    shard.check(0).await.unwrap();
    assert!(shard.check(1).await.unwrap_err().to_string().contains("lost data"));
    shard.make_table(TABLE).await.unwrap();
    shard.make_table(TABLE).await.unwrap();
    assert!(shard.tables().await.unwrap().contains(&TABLE));
}
