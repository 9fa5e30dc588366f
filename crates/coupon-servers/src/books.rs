//! Main's books: the entries of the shards' outboxes, applied by the law of [`coupon_core::books`].
//!
//! Any number of processes may apply entries at once: a row of main's makes them take turns.

use anyhow::{Context as _, ensure};
use coupon_core::books::{Changes, Gap, Moved, post};
use coupon_core::{CouponId, ShardId, Timestamp};
use coupon_store::failpoints::{self, Mechanism};
use coupon_store::set_aside::{self, SetAsideCoupons};

use super::mysql::{Database, ShardDatabase, begin_books};
use super::seam::{Books, OutboxEntry, ShardServer, WrittenPosting};

/// The most entries that one transaction applies.
pub const ENTRIES: usize = 2_000;

/// The outcome of a turn.
#[derive(Debug, Default)]
pub struct Settled {
    /// The number of entries it applied: as many as it may, or all there were.
    pub entries: usize,
    /// Coupons that have no room for their changes, and why. Of no meaning when no entries were applied.
    pub found: SetAsideCoupons,
}

/// Applies what a shard's outbox holds beyond main's position, at most [`ENTRIES`] of it, and takes it off the outbox.
///
/// # Errors
/// When a server refuses, or main has lost data.
pub async fn settle(
    main: &Database,
    at_shard: &Database,
    dataset: &str,
    shard: ShardId,
    now: Timestamp,
) -> anyhow::Result<Settled> {
    let books: Box<dyn Books> = Box::new(begin_books(main).await?);
    tell(books, &ShardDatabase::new(at_shard, shard, dataset), shard, now).await
}

/// Does so by one transaction of main's.
pub(super) async fn tell(
    mut books: Box<dyn Books>,
    at_shard: &dyn ShardServer,
    shard: ShardId,
    now: Timestamp,
) -> anyhow::Result<Settled> {
    let position = books.lock_position(shard).await?;
    let entries = at_shard.outbox_after(position, ENTRIES).await?;
    let Some(last) = entries.last().map(|entry| entry.id) else {
        // There may be none because a main that was put back since had all of them.
        let state = at_shard.state().await?;
        // Callers that wait for the position go on at once.
        books.roll_back().await?;
        ensure!(state.is_known_to(position), Gap { shard, position, next: state.untold_from });
        return Ok(Settled::default());
    };
    let found = apply(&mut *books, changes(shard, position, &entries)?, now).await?;
    books.commit().await?;
    // Main has them for good; if this fails, the next time does it.
    at_shard.forget_outbox(last).await?;
    Ok(Settled { entries: entries.len(), found })
}

fn changes(shard: ShardId, position: i64, entries: &[OutboxEntry]) -> anyhow::Result<Changes> {
    let mut read: Vec<(i64, Vec<Moved>)> = Vec::with_capacity(entries.len());
    for OutboxEntry { id, deltas } in entries {
        let damaged = || format!("outbox entry {id} of shard {shard} is damaged");
        read.push((*id, serde_json::from_str(deltas).with_context(damaged)?));
    }
    let mut changes = Changes::default();
    changes.take(shard, position, read.iter().map(|(id, deltas)| (*id, &**deltas)))?;
    Ok(changes)
}

/// Applies what is parked, as far as main has room for it by now. Says what it has none for.
pub(super) async fn tell_parked(
    mut books: Box<dyn Books>,
    now: Timestamp,
) -> anyhow::Result<SetAsideCoupons> {
    if books.parked().await?.is_empty() {
        books.roll_back().await?;
        return Ok(SetAsideCoupons::new());
    }
    let found = apply(&mut *books, Changes::default(), now).await?;
    books.commit().await?;
    Ok(found)
}

/// Applies changes to main. A few questions for all coupons: a flash sale's entries speak of hundreds.
pub(super) async fn apply(
    books: &mut dyn Books,
    mut changes: Changes,
    now: Timestamp,
) -> anyhow::Result<SetAsideCoupons> {
    let last = books.lock_logs().await?;
    let parked = books.parked().await?;
    for (coupon, deltas) in &parked {
        changes.put_before(*coupon, deltas.iter().copied());
    }
    let coupons: Vec<CouponId> = changes.coupons.keys().copied().collect();
    let stocks = books.stocks(&coupons).await?;
    let (mut written, mut found) = (Vec::with_capacity(coupons.len()), SetAsideCoupons::new());
    for (coupon, deltas) in &changes.coupons {
        let posting = post(changes.word, stocks.get(coupon).copied(), deltas);
        if let (Some(why), false) = (posting.why, posting.parked.is_empty()) {
            found.insert(set_aside::number(*coupon), why.to_string());
        }
        let parks = parked.get(coupon).map_or(&[][..], Vec::as_slice) != posting.parked;
        written.push(WrittenPosting { coupon: *coupon, posting, parks });
    }
    books.write(&written, last, now).await?;
    for (shard, position) in &changes.positions {
        if !failpoints::is_off(Mechanism::Positions) {
            books.reach(*shard, *position).await?;
        }
    }
    Ok(found)
}
