//! What Redis keeps of results that gave their stock back, and of rows that are to be looked at again.

use std::time::Duration;

use coupon_core::{CouponId, UserId};
use coupon_store::gate::REMEMBERED_MS;
use deadpool_redis::redis::Pipeline;

use super::server::{CHUNK, GateLink};
use super::{Epoch, text};
use crate::names::Names;
use crate::seam::{GateError, Hold, Mark, Release, Unchecked};

/// The time for which a request is remembered after its result gave its stock back.
pub(crate) const REMEMBERED: Duration = Duration::from_millis(REMEMBERED_MS.cast_unsigned());

/// The results that one call of a script lets go of: grabs wait meanwhile.
const AT_ONCE: usize = 100;

/// Makes a user the holder of a row that is to be looked at again, unless its slot is taken.
const RESTORE: &str = "\
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then
  return 0
end
redis.call('SADD', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1";

impl GateLink {
    /// The ends of the keys of the users whose requests are remembered: of those that are written now, and those of before.
    async fn endings(&self) -> Result<[u64; 2], GateError> {
        let mut ask = Pipeline::with_capacity(1);
        ask.cmd("TIME");
        let ((seconds, _),): ((u64, u64),) = self.link.ask(&ask).await?;
        let now = seconds * 1_000 / millis(REMEMBERED);
        Ok([now, now.saturating_sub(1)])
    }

    /// The users whose requests about a coupon are remembered, and maybe some whose are not any more.
    pub(super) async fn users_with_answers(
        &self,
        epoch: &Epoch,
        coupon: CouponId,
    ) -> Result<Vec<UserId>, GateError> {
        let key = self.names.answered(epoch.number, coupon);
        let keys = self.endings().await?.map(|ending| format!("{key}.{ending}"));
        let mut ask = Pipeline::with_capacity(1);
        ask.cmd("SUNION").arg(&keys[..]);
        let (users,): (Vec<u64>,) = self.ask(epoch, &ask).await?;
        Ok(users.into_iter().filter_map(|user| UserId::new(user).ok()).collect())
    }

    pub(super) async fn remember_answers(
        &self,
        epoch: &Epoch,
        answered: &[(Hold, Duration)],
    ) -> Result<(), GateError> {
        let [now, _] = self.endings().await?;
        for some in answered.chunks(CHUNK) {
            let mut pipeline = Pipeline::with_capacity(3 * some.len());
            for (hold, left) in some {
                let (Ok(coupon), Ok(user)) = (CouponId::new(hold.coupon), UserId::new(hold.user)) else {
                    continue;
                };
                let Some(request) = hold.request else { continue };
                let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
                let (answer, value) =
                    (self.names.answer(epoch.number, coupon, user, request), text::value_of(hold));
                pipeline.cmd("SET").arg(answer).arg(value).arg("PX").arg(left.max(1)).ignore();
                let users = format!("{}.{now}", self.names.answered(epoch.number, coupon));
                pipeline.cmd("SADD").arg(&users).arg(hold.user).ignore();
                pipeline.cmd("PEXPIRE").arg(users).arg(2 * millis(REMEMBERED)).ignore();
            }
            self.ask::<()>(epoch, &pipeline).await?;
        }
        Ok(())
    }

    pub(super) async fn let_go_of(&self, epoch: &Epoch, releases: &[Release]) -> Result<(), GateError> {
        for some in releases.chunks(AT_ONCE) {
            let whole: (bool,) = self.ask(epoch, &release(&self.names, epoch, some)).await?;
            if !whole.0 {
                return Err(GateError::Forgot);
            }
        }
        Ok(())
    }

    pub(super) async fn restore_to_be_checked(
        &self,
        epoch: &Epoch,
        rows: &[(Unchecked, Hold)],
    ) -> Result<Vec<bool>, GateError> {
        let mut restored = Vec::with_capacity(rows.len());
        for some in rows.chunks(CHUNK) {
            let mut pipeline = Pipeline::with_capacity(some.len());
            self.note_slots(&mut pipeline, epoch, some.iter().map(|(_, hold)| hold))?;
            for (row, hold) in some {
                let call = pipeline.cmd("EVAL").arg(RESTORE).arg(2);
                call.arg(self.names.unchecked(epoch.number)).arg(self.holders_key(epoch, hold.coupon)?);
                call.arg(text::field(hold.user, hold.slot))
                    .arg(text::value_of(hold))
                    .arg(text::unchecked(row));
            }
            restored.extend(self.ask::<Vec<bool>>(epoch, &pipeline).await?);
        }
        Ok(restored)
    }
}

/// One call of the script that lets go.
fn release(names: &Names, epoch: &Epoch, releases: &[Release]) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(1);
    let call = pipeline.cmd("EVALSHA").arg(epoch.releases.sha()).arg(1 + releases.len());
    call.arg(names.pending(epoch.number));
    for release in releases {
        call.arg(names.holders(epoch.number, release.coupon));
    }
    call.arg(millis(REMEMBERED));
    for Release { coupon, user, id, slot, request } in releases {
        let mark = Mark { user: *user, coupon: *coupon, slot: *slot, id: *id };
        call.arg(user.get()).arg(text::field(user.get(), *slot)).arg(text::member(&mark)).arg(id.number());
        match request {
            Some(request) => call
                .arg(names.answer(epoch.number, *coupon, *user, *request))
                .arg(names.answered(epoch.number, *coupon)),
            None => call.arg("").arg(""),
        };
    }
    pipeline
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
