//! The versions of the layout that a gate knows of: processes that do not know one are refused what it places.
//!
//! A version is a member `@number` among the pending reservations, so that the script sees it with the sentinel. Its score
//! is a time below zero, which no reservation has: from then on it counts.

use coupon_core::VersionNumber;
use deadpool_redis::redis::Pipeline;

use super::server::GateLink;
use super::{Epoch, SENTINEL};
use crate::seam::{Fence, GateError};

/// Writes them, unless those of a later version of the catalogue are there. What comes after the last of them never came to
/// be.
const FENCES: &str = "\
local version = tonumber(ARGV[1])
if version < tonumber(redis.call('HGET', KEYS[1], 'layouts') or -1) then
  return
end
redis.call('HSET', KEYS[1], 'layouts', ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[2])
for i = 3, #ARGV, 2 do
  redis.call('ZADD', KEYS[2], ARGV[i], ARGV[i + 1])
end";

/// The member of a version.
pub(super) fn member(version: VersionNumber) -> String {
    format!("{SENTINEL}{version}")
}

impl GateLink {
    pub(super) async fn write_fences(
        &self,
        epoch: &Epoch,
        catalogue: u64,
        fences: &[Fence],
    ) -> Result<(), GateError> {
        let last = fences.last().map_or(1, |fence| fence.version);
        let mut pipeline = Pipeline::with_capacity(1);
        let call = pipeline.cmd("EVAL").arg(FENCES).arg(2);
        call.arg(self.names.versions(epoch.number)).arg(self.names.pending(epoch.number));
        call.arg(catalogue).arg(member(last + 1));
        for Fence { version, from } in fences {
            call.arg(-from.millis()).arg(member(*version));
        }
        call.ignore();
        self.ask(epoch, &pipeline).await
    }

    pub(super) async fn read_latest(&self, epoch: &Epoch) -> Result<VersionNumber, GateError> {
        let mut ask = Pipeline::with_capacity(1);
        ask.cmd("ZRANGEBYSCORE").arg(self.names.pending(epoch.number)).arg("-inf").arg("(0");
        let (members,): (Vec<String>,) = self.ask(epoch, &ask).await?;
        let numbers = members.iter().filter_map(|member| member.strip_prefix(SENTINEL)?.parse().ok());
        Ok(numbers.max().unwrap_or(1))
    }
}
