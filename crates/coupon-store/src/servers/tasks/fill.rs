//! Fills a gate from what is stored and takes stock. Everything is read, or the gate stays shut.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use coupon_core::{CouponId, ResultId, Timestamp, UserId};

use super::Background;
use crate::failpoints::{self, Mechanism, Point};
use crate::servers::gate::{Epoch, REMEMBERED};
use crate::servers::seam::{Held, Hold, Mark, ReadsHolds, ShardServer};
use crate::terms::Terms;

const DAY_MS: i64 = 86_400_000;
/// The number of holders that are written at a time.
const CHUNK: usize = 5_000;

/// The contents of a gate that was filled.
#[derive(Debug, Default)]
pub(in crate::servers) struct Filled {
    pub(in crate::servers) coupons: usize,
    pub(in crate::servers) holders: u64,
}

/// Fills the keys of an epoch that is not in use yet.
pub(in crate::servers) async fn fill(background: &Background, epoch: &Epoch) -> anyhow::Result<Filled> {
    let coupons = to_fill(background).await?;
    let now = background.time.mains();
    let mut filling =
        Filling { background, epoch, coupons: &coupons, now, holds: Vec::new(), filled: Filled::default() };
    filling.coupons().await?;
    failpoints::hit(Point::Filling);
    for (_, server) in background.shard_servers() {
        match filling.shard(server).await {
            Err(error) if failpoints::is_off(Mechanism::WholeFill) => {
                tracing::warn!(
                    database = server.name(),
                    error = format!("{error:#}"),
                    "the gate is filled without this shard"
                );
            }
            read => read?,
        }
    }
    filling.filled.coupons = coupons.len();
    Ok(filling.filled)
}

/// The coupons that a gate must have, by main's present terms: those that can be grabbed, and those that some process
/// may still take for such, since they were withdrawn or cut short while it ran.
pub(super) async fn to_fill(background: &Background) -> anyhow::Result<BTreeMap<CouponId, Terms>> {
    let lately = background.time.clock.now().plus_millis(-DAY_MS);
    let all = background.main.terms().await?;
    // A coupon that was over for longer is not in the gate, and so is not granted. Should its end be moved, it is
    // found missing, and the gate is filled anew.
    let matters = all.into_iter().filter(|terms| terms.end > lately);
    Ok(matters.map(|terms| (terms.coupon, terms)).collect())
}

struct Filling<'a> {
    background: &'a Background,
    epoch: &'a Epoch,
    coupons: &'a BTreeMap<CouponId, Terms>,
    now: Timestamp,
    holds: Vec<Hold>,
    filled: Filled,
}

impl Filling<'_> {
    /// Totals and windows. One that is withdrawn is over.
    async fn coupons(&mut self) -> anyhow::Result<()> {
        let all: Vec<&Terms> = self.coupons.values().collect();
        Ok(self.background.gate.server.offer(self.epoch, &all).await?)
    }

    /// Reads every table: which of them hold a coupon's results does not depend on what main says of the coupon now.
    async fn shard(&mut self, server: &dyn ShardServer) -> anyhow::Result<()> {
        let (first, last) = (self.coupons.keys().next(), self.coupons.keys().next_back());
        let (Some(first), Some(last)) = (first.copied(), last.copied()) else { return Ok(()) };
        let since = self.now.plus_millis(-i64::try_from(REMEMBERED.as_millis()).unwrap_or(i64::MAX));
        for table in server.tables().await? {
            server.read_holds(table, first..=last, since, self).await?;
        }
        self.flush().await?;
        // They hold their stock until a person decides.
        let mut parked = server.parked().await?;
        parked.retain(|hold| self.is_on_offer(hold));
        Ok(self.background.gate.server.hold_parked(self.epoch, &parked).await?)
    }

    fn is_on_offer(&self, hold: &Hold) -> bool {
        CouponId::new(hold.coupon).is_ok_and(|coupon| self.coupons.contains_key(&coupon))
    }

    /// Writes the holders gathered, and the requests of those who have given theirs back.
    async fn flush(&mut self) -> anyhow::Result<()> {
        let (held, given_back): (Vec<Hold>, Vec<Hold>) =
            std::mem::take(&mut self.holds).into_iter().partition(|hold| hold.given_back.is_none());
        let answered: Vec<(Hold, Duration)> = given_back
            .into_iter()
            .filter_map(|hold| Some((hold, remembered(hold.given_back?, self.now)?)))
            .collect();
        self.background.gate.server.remember(self.epoch, &answered).await?;
        self.hold(&held).await
    }

    /// Writes holders. A second result of one user in one slot takes stock as well, though it should not be there.
    async fn hold(&mut self, holds: &[Hold]) -> anyhow::Result<()> {
        let gate = &self.background.gate.server;
        let fresh = gate.hold(self.epoch, holds).await?;
        for (hold, _) in holds.iter().zip(fresh).filter(|(_, fresh)| !fresh) {
            let Hold { coupon, user, id, slot, .. } = *hold;
            let id = ResultId::from_number(id)?;
            let mark =
                Mark { user: UserId::new(user)?, coupon: CouponId::new(coupon)?, slot, time: id.time() };
            match gate.held(self.epoch, &[mark]).await?.first() {
                Some(Some(Held::Result(held))) if held.id == id => {}
                // One that is stored counts, whatever is parked beside it.
                Some(Some(Held::Parked(_))) => gate.hold_instead(self.epoch, *hold).await?,
                _ => {
                    tracing::error!(coupon, user, slot, "this user holds this coupon more than once");
                    gate.hold_beside(self.epoch, *hold).await?;
                }
            }
        }
        self.filled.holders += holds.len() as u64;
        Ok(())
    }
}

/// The time for which a request is still remembered whose result gave its stock back then; none if that was too long
/// ago.
fn remembered(given_back: Timestamp, now: Timestamp) -> Option<Duration> {
    let ago = u64::try_from(now.millis() - given_back.millis()).unwrap_or(0);
    REMEMBERED.checked_sub(Duration::from_millis(ago)).filter(|left| !left.is_zero())
}

#[async_trait]
impl ReadsHolds for Filling<'_> {
    async fn take(&mut self, mut holds: Vec<Hold>) -> anyhow::Result<()> {
        holds.retain(|hold| self.is_on_offer(hold));
        self.holds.append(&mut holds);
        if self.holds.len() >= CHUNK { self.flush().await } else { Ok(()) }
    }
}
