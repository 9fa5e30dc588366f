//! Confirm against expire, ten thousand times: many holds are due at the moment at which their users confirm them.

use std::collections::BTreeMap;

use coupon_core::after_grab::Action;
use coupon_core::{CouponResult, RequestKey, ResultId, ResultQuery, ResultState, Timestamp, UserId};
use coupon_store::ids::IdGenerator;
use coupon_store::{Attempt, Backend, Change, Changed, Decision, PageRequest, PlacedResult, Visit};
use futures_util::{StreamExt as _, stream};

use crate::bench::{
    Bench, PLENTY, coupon_id, eventually, held_by, row, run, settles_at, shard_of, sold, until, verified,
};

/// Rounds, and the holds of each that are contested, all from one moment on.
const ROUNDS: u64 = 10;
const CONTESTED: usize = 1_000;
/// The confirms that are under way at a time.
const AT_ONCE: usize = 32;
/// The confirms that come before the moment, and those that come once some have expired.
const BEFORE: usize = 100;
const AFTER: usize = 100;
/// The holds of a round.
const HOLDS: u64 = (BEFORE + CONTESTED + AFTER) as u64;
const MINUTE: i64 = 60_000;
const STOCK: u32 = 20_000;

#[test]
fn of_confirm_and_expire_one_wins_ten_thousand_times_between_two_processes() {
    run(&Bench::servers(), async |bench| {
        with_stock(bench).await;
        let processes = [bench.open(), bench.open()];
        race(bench, &processes).await;
        assert_eq!(verified(bench).count(), 0);
        processes.iter().for_each(|process| process.lifecycle.close());
    });
}

#[test]
fn of_confirm_and_expire_one_wins_ten_thousand_times_on_files() {
    run(&Bench::embedded(), async |bench| {
        with_stock(bench).await;
        let processes = [bench.open()];
        race(bench, &processes).await;
        processes[0].lifecycle.close();
    });
}

async fn with_stock(bench: &Bench) {
    let sql = format!(
        "UPDATE coupons SET total_stock = {STOCK}, remaining_stock = {STOCK} WHERE coupon_id = {PLENTY}"
    );
    bench.edit_main(&sql).await;
}

/// Holds every round's results, and has the processes confirm them in turns while they let them expire.
async fn race(bench: &Bench, processes: &[Backend]) {
    let (mut owned, mut expired, mut contested) = (0, 0, 0);
    let mut ids = processes[0].ids.generator(bench.clock(), 0);
    for round in 0..ROUNDS {
        let due = bench.clock().now().plus_millis(MINUTE);
        let rows = held(&processes[0], &mut ids, round, due).await;
        let sold_before = sold(&processes[0], PLENTY).await;
        // In every other round the confirms come late: so some holds expire, whichever of the two is quicker here.
        let winners = confirmed_and_expired(bench, processes, &rows, due, round % 2 == 1).await;
        let stored = latest(&processes[0], rows.len()).await;
        for (row, confirmed) in rows.iter().zip(&winners) {
            let stored = stored[&row.result.result_id];
            let wanted = if *confirmed { ResultState::Owned } else { ResultState::Expired };
            assert_eq!((stored.state, stored.slot.is_some()), (wanted, *confirmed), "{stored:?}");
        }
        let confirmed = |some: &[bool]| some.iter().filter(|confirmed| **confirmed).count();
        let won = confirmed(&winners);
        contested += confirmed(&winners[BEFORE..BEFORE + CONTESTED]);
        let back = u32::try_from(rows.len() - won).unwrap();
        until("what expired is free", async || sold(&processes[0], PLENTY).await + back == sold_before).await;
        owned += won;
        expired += rows.len() - won;
    }
    let races = usize::try_from(ROUNDS).unwrap() * CONTESTED;
    assert_eq!(races, 10_000);
    assert!(contested > 0 && contested < races, "one side won all: {contested} of {races} were confirmed");
    settles_at(&processes[0], PLENTY, STOCK - u32::try_from(owned).unwrap()).await;
    let lines = bench.log_of(PLENTY).await;
    let moved = |word| lines.iter().filter(|line| line.3 == word).map(|line| line.2 - line.1).sum::<i64>();
    let all = i64::try_from(ROUNDS * HOLDS).unwrap();
    assert_eq!((moved("grab"), moved("expire")), (-all, i64::try_from(expired).unwrap()));
    assert_eq!(processes[0].catalogue.set_aside().0, 0);
}

/// The latest results of each shard, so many.
async fn latest(process: &Backend, most: usize) -> BTreeMap<ResultId, CouponResult> {
    let mut all = BTreeMap::new();
    for shard in [0, 1].map(shard_of) {
        let page = PageRequest { before: None, limit: most };
        let visited =
            process.shards.page(shard.into(), Visit::All, ResultQuery::everything(), page).await.unwrap();
        all.extend(visited.value.into_iter().map(|(_, result)| (result.result_id, result)));
    }
    all
}

/// The results of a round, each of a user of its own, all held until that moment and stored.
async fn held(process: &Backend, ids: &mut IdGenerator, round: u64, due: Timestamp) -> Vec<PlacedResult> {
    let users = 1_000 + round * HOLDS..1_000 + (round + 1) * HOLDS;
    let wish = |user| Attempt {
        hold_until: Some(due),
        request: Some(RequestKey::of("the only one")),
        ..Attempt::plain(UserId::new(user).unwrap(), coupon_id(PLENTY), ids.make().unwrap())
    };
    let wishes: Vec<Attempt> = users.map(wish).collect();
    let decided = process.gate.reserve(1, &wishes).await.unwrap();
    assert!(decided.decisions.iter().all(|decision| *decision == Decision::Granted(0)));
    let rows: Vec<PlacedResult> = wishes.iter().map(|wish| row(wish, wish.reservation(0))).collect();
    for shard in [0, 1].map(shard_of) {
        let of_shard = rows.iter().filter(|row| row.placement.shard == shard).copied().collect();
        process.hand_over.hand_over(shard, decided.epoch, of_shard).await.unwrap();
    }
    process.lifecycle.drain().await.unwrap();
    rows
}

/// Confirms every result in time by its process's clock, while all of them come to be due, or late: once the first of those that
/// are contested has expired. Says of each whether it was confirmed.
async fn confirmed_and_expired(
    bench: &Bench,
    processes: &[Backend],
    rows: &[PlacedResult],
    due: Timestamp,
    late: bool,
) -> Vec<bool> {
    let (before, rest) = rows.split_at(BEFORE);
    let (contested, after) = rest.split_at(CONTESTED);
    let mut winners = confirm_all(processes, before, due).await;
    assert!(winners.iter().all(|confirmed| *confirmed), "nothing was due yet");
    bench.clock().set(due);
    if late {
        expires(&processes[0], &contested[0]).await;
    }
    winners.extend(confirm_all(processes, contested, due).await);
    for row in after {
        expires(&processes[0], row).await;
    }
    winners.extend(confirm_all(processes, after, due).await);
    winners
}

async fn expires(process: &Backend, row: &PlacedResult) {
    let user = row.result.user_id.get();
    until("it expires", async || held_by(process, user).await[0].state == ResultState::Expired).await;
}

async fn confirm_all(processes: &[Backend], rows: &[PlacedResult], due: Timestamp) -> Vec<bool> {
    let confirms = rows.iter().zip(processes.iter().cycle());
    let confirms = confirms.map(|(row, process)| confirm(process, row, due.plus_millis(-1)));
    stream::iter(confirms).buffered(AT_ONCE).collect().await
}

/// Confirms a result, and says whether it was confirmed: a confirm that comes second is answered with the state that stands.
async fn confirm(process: &Backend, row: &PlacedResult, time: Timestamp) -> bool {
    let change = Change { user: row.result.user_id, id: row.result.result_id, action: Action::Confirm, time };
    eventually("the confirm has a clear answer", async || {
        match process.shards.change(row.placement, change).await {
            Ok(Changed::Now(now)) => {
                assert_eq!(now.state, ResultState::Owned);
                Ok(true)
            }
            Ok(Changed::Stands(stands)) => match stands.state {
                // An answer that was not clear, and the step was taken all the same.
                ResultState::Owned => Ok(true),
                ResultState::Expired => Ok(false),
                state => panic!("{state}"),
            },
            Ok(Changed::NotFound) => panic!("it is stored"),
            Err(unavailable) => Err(unavailable),
        }
    })
    .await
}
