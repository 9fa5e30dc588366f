//! Tells the gate what is stored, while the next transaction is under way.

use std::sync::Arc;

use coupon_core::CouponResult;
use deadpool_redis::redis::{Pipeline, RedisError};

use super::Background;
use super::store::{Arrived, Done, Work};
use crate::servers::gate::{Epoch, PARKED};
use crate::servers::names::Names;

/// Marks these as stored at the gate: a user who asks again is answered at once. If the gate cannot be reached, they
/// stay pending, and are found again.
pub(super) async fn settle(background: &Arc<Background>, work: &Work, done: &Done) -> Result<(), RedisError> {
    let Some(epoch) = background.gate.epoch.open() else { return Ok(()) };
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
    background.gate.redis.ask::<()>(&forget).await
}

/// Makes the user of a parked result its holder, unless they hold another one, or the gate does not hold the coupon.
const PARK: &str = "\
local held = redis.call('HMGET', KEYS[1], 't', ARGV[1])
if held[1] and (not held[2] or held[2] == ARGV[2]) then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3] .. ARGV[2])
end";

/// Parked results take stock, of whatever epoch they are, and their users do not get "duplicate". Each in one step:
/// between a look and a deed, the gate may grant the user another.
async fn hold_parked(
    background: &Arc<Background>,
    epoch: &Epoch,
    parked: &[CouponResult],
) -> Result<(), RedisError> {
    if parked.is_empty() {
        return Ok(());
    }
    let mut hold = Pipeline::with_capacity(parked.len());
    for CouponResult { result_id, coupon_id, user_id, .. } in parked {
        let key = background.names.holders(epoch.number, *coupon_id);
        let call = hold.cmd("EVAL").arg(PARK).arg(1).arg(key);
        call.arg(user_id.get()).arg(result_id.number()).arg(PARKED).ignore();
    }
    background.gate.redis.ask::<()>(&hold).await
}
