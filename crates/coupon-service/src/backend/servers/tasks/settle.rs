//! Tells the gate what is stored, while the next transaction is under way.

use std::sync::Arc;

use coupon_core::CouponResult;
use deadpool_redis::redis::{Pipeline, RedisError};

use super::super::gate::{Epoch, PARKED};
use super::super::names::Names;
use super::Background;
use super::store::{Arrived, Done, Work};

/// Tells the gate that these are stored: whoever asks again is answered at once. If it cannot be told, they stay
/// pending, and are found again.
pub(super) async fn settle(background: &Arc<Background>, work: &Work, done: &Done) -> Result<(), RedisError> {
    let Some(epoch) = background.epoch.open() else { return Ok(()) };
    let names = &background.names;
    let (mut stored, mut parked) = (Vec::with_capacity(work.results.len()), Vec::new());
    for Arrived { row, epoch: of } in &work.results {
        if done.parked.contains(&row.result.result_id) {
            parked.push(row.result);
        }
        // Keys of an epoch that is over are gone, and must not come back.
        if *of == epoch.number {
            stored.push(Names::reservation(row.result.user_id, row.result.coupon_id));
        }
    }
    hold_parked(background, &epoch, &parked).await?;
    if stored.is_empty() {
        return Ok(());
    }
    let mut forget = Pipeline::with_capacity(1);
    forget.cmd("ZREM").arg(names.pending(epoch.number)).arg(stored).ignore();
    background.redis.ask::<()>(&forget).await
}

/// Those that are parked take stock, of whatever epoch they are, and their users are not told that they hold one.
async fn hold_parked(
    background: &Arc<Background>,
    epoch: &Epoch,
    parked: &[CouponResult],
) -> Result<(), RedisError> {
    for CouponResult { result_id, coupon_id, user_id, .. } in parked {
        let key = background.names.holders(epoch.number, *coupon_id);
        let mut ask = Pipeline::new();
        ask.cmd("HMGET").arg(&key).arg("t").arg(user_id.get());
        let ((total, held),): ((Option<u32>, Option<String>),) = background.redis.ask(&ask).await?;
        // A coupon that the gate does not hold must not come to be by this.
        if total.is_none() || held.is_some_and(|held| held != result_id.to_string()) {
            continue;
        }
        let mut hold = Pipeline::new();
        hold.cmd("HSET").arg(key).arg(user_id.get()).arg(format!("{PARKED}{result_id}")).ignore();
        background.redis.ask::<()>(&hold).await?;
    }
    Ok(())
}
