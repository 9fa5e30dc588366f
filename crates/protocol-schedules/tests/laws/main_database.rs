//! Laws of the main database.

use coupon_core::books::{Changes, Delta, Movement, post};
use coupon_core::{GateId, ShardId};
use coupon_servers::seam::{GateState, GatesRecord, Opening, Servers, WrittenPosting};

use crate::bench::{coupon, noon};

pub(crate) async fn an_epoch_is_taken_once_and_the_last_alone_opens(servers: &Servers) {
    let (dataset, record) = servers.main.record().await.unwrap();
    let none = GatesRecord { list: 0, gates: vec![GateState::default()] };
    assert_eq!((dataset.as_deref(), record), (Some(&*servers.dataset), none));
    let mut lock = servers.main.lock_gate(GateId::FIRST).await.unwrap().unwrap();
    assert!(lock.take_epoch(1, 0).await.unwrap());
    assert!(!lock.take_epoch(1, 0).await.unwrap(), "it was taken twice");
    assert_eq!(lock.state().await.unwrap(), GateState { epoch: 1, open_epoch: 0 });
    assert!(lock.take_epoch(2, 1).await.unwrap());
    let version = servers.main.terms().await.unwrap().version;
    assert_eq!(lock.open(1, version).await.unwrap(), Opening::Taken, "another was taken since");
    assert_eq!(lock.open(2, version + 1).await.unwrap(), Opening::Changed, "it was filled from another main");
    assert_eq!(lock.open(2, version).await.unwrap(), Opening::Open);
    lock.end().await;
    assert_eq!(servers.main.record().await.unwrap().1.open(), [2]);
}

pub(crate) async fn a_lock_is_one_process_s_until_it_ends(servers: &Servers) {
    let lock = servers.main.lock_gate(GateId::FIRST).await.unwrap().unwrap();
    assert!(servers.main.lock_gate(GateId::FIRST).await.unwrap().is_none());
    let other = servers.main.lock_reconciler(GateId::FIRST).await.unwrap().unwrap();
    assert!(servers.main.lock_reconciler(GateId::FIRST).await.unwrap().is_none());
    lock.end().await;
    other.end().await;
    // A server hears of a connection's end a moment later.
    let again = async {
        while servers.main.lock_gate(GateId::FIRST).await.unwrap().is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::bench::PATIENCE, again).await.unwrap();
}

pub(crate) async fn leases_do_not_overlap_and_are_renewed_by_their_holder_alone(servers: &Servers) {
    let main = &servers.main;
    let (ones, others) = (main.lease("one", 2).await.unwrap(), main.lease("other", 1).await.unwrap());
    let numbers: Vec<u16> = ones.iter().chain(&others).map(|term| term.worker).collect();
    assert_eq!(numbers, [0, 1, 2]);
    let renewed = main.renew("one", &numbers).await.unwrap();
    assert_eq!(renewed.ends.keys().copied().collect::<Vec<_>>(), [0, 1]);
    assert!(renewed.ends[&0] >= ones[0].end && renewed.now >= ones[0].start);
    assert!(main.time().await.unwrap() >= renewed.now);
    main.give_back("other", 0, noon()).await.unwrap();
    main.give_back("one", 1, renewed.now.plus_millis(-1)).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    assert_eq!(main.lease("third", 1).await.unwrap()[0].worker, 1, "0 is not the other's to give back");
}

pub(crate) async fn books_are_written_whole_or_not_at_all(servers: &Servers) {
    let (coupon, shard) = (coupon(1), ShardId::new(0));
    for commits in [false, true] {
        let mut books = servers.main.books().await.unwrap();
        assert_eq!(books.lock_position(shard).await.unwrap(), 0);
        let last = books.lock_logs().await.unwrap();
        assert!(books.parked().await.unwrap().is_empty());
        let before = books.stocks(&[coupon]).await.unwrap()[&coupon];
        let deltas = [Delta { shard, entry: 1, movement: Movement::Stored, rows: 1 }];
        let posting = post(Changes::default().word, Some(before), &deltas);
        let after = posting.after;
        assert_eq!(after.remaining, before.remaining - 1);
        books.write(&[WrittenPosting { coupon, posting, parks: false }], last, noon()).await.unwrap();
        books.reach(shard, 1).await.unwrap();
        if !commits {
            books.roll_back().await.unwrap();
            continue;
        }
        books.commit().await.unwrap();
        assert_eq!(servers.main.positions().await.unwrap().get(&shard), Some(&1));
        let mut books = servers.main.books().await.unwrap();
        assert_eq!(books.stocks(&[coupon]).await.unwrap()[&coupon], after);
        assert_eq!(books.lock_logs().await.unwrap(), last + 1);
        books.roll_back().await.unwrap();
    }
}

pub(crate) async fn stock_comes_back_and_what_there_is_no_room_for_is_parked_as_what_it_is(
    servers: &Servers,
) {
    let (coupon, shard) = (coupon(1), ShardId::new(0));
    let delta = |entry, movement, rows| Delta { shard, entry, movement, rows };
    let deltas = [
        delta(1, Movement::Stored, 2),
        delta(2, Movement::Released, 1),
        delta(3, Movement::Expired, 1),
        delta(4, Movement::Returned, 1),
    ];
    let mut books = servers.main.books().await.unwrap();
    books.lock_position(shard).await.unwrap();
    let last = books.lock_logs().await.unwrap();
    let before = books.stocks(&[coupon]).await.unwrap()[&coupon];
    let posting = post(Changes::default().word, Some(before), &deltas);
    assert_eq!((posting.after, posting.parked.as_slice()), (before, &deltas[3..]));
    books.write(&[WrittenPosting { coupon, posting, parks: true }], last, noon()).await.unwrap();
    books.commit().await.unwrap();
    let mut books = servers.main.books().await.unwrap();
    books.lock_logs().await.unwrap();
    assert_eq!(books.stocks(&[coupon]).await.unwrap()[&coupon], before);
    assert_eq!(books.parked().await.unwrap(), [(coupon, deltas[3..].to_vec())].into());
    books.roll_back().await.unwrap();
}

pub(crate) async fn the_gate_s_place_stays_where_it_was_filled(servers: &Servers) {
    servers.main.gate_seen(GateId::FIRST, "one").await.unwrap();
    servers.main.gate_seen(GateId::FIRST, "other").await.unwrap();
    let mut lock = servers.main.lock_gate(GateId::FIRST).await.unwrap().unwrap();
    let place = lock.place().await.unwrap().unwrap();
    assert!(place.is_at("one") && !place.allows("other") && place.allows("one"));
    lock.filled_at("other").await.unwrap();
    assert!(lock.place().await.unwrap().unwrap().is_at("other"));
    lock.end().await;
    let offering = servers.main.terms().await.unwrap();
    assert_eq!((offering.terms.is_empty(), offering.version), (false, servers.main.version().await.unwrap()));
}
