//! Fills a gate from what is stored and takes stock. Everything is read, or the gate stays shut.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use coupon_core::{CouponId, ResultId, ShardId, Timestamp, UserId};
use coupon_store::failpoints::{self, Mechanism, Point};
use coupon_store::terms::Terms;

use super::background::Background;
use super::handles::GateHandle;
use crate::gate::{Epoch, REMEMBERED};
use crate::seam::{Held, Hold, Mark, Offering, ReadsHolds, ShardServer};

/// The number of holders that are written at a time.
const CHUNK: usize = 5_000;

/// The keys of an epoch that is not in use yet, and what they are filled with.
pub(super) struct Filling<'a> {
    background: &'a Background,
    gate: &'a GateHandle,
    epoch: &'a Epoch,
    /// The coupons on offer there, by the terms that main had at that version.
    coupons: BTreeMap<CouponId, Terms>,
    version: u64,
    /// Those of them whose holders are being read.
    read: BTreeSet<CouponId>,
    now: Timestamp,
    holds: Vec<Hold>,
    holders: u64,
}

impl<'a> Filling<'a> {
    pub(super) fn new(background: &'a Background, epoch: &'a Epoch) -> Self {
        let now = background.time.mains();
        Self {
            background,
            gate: background.gate_of(epoch),
            epoch,
            coupons: BTreeMap::new(),
            version: 0,
            read: BTreeSet::new(),
            now,
            holds: Vec::new(),
            holders: 0,
        }
    }

    /// The version of the catalogue that it has reached.
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// The number of coupons on offer, and that of their holders.
    pub(super) fn contents(&self) -> (usize, u64) {
        (self.coupons.len(), self.holders)
    }

    /// Puts on offer what main has on offer now of the gate's coupons, and reads from the shards who holds it: of everything at
    /// first, and of what is new since when the catalogue has changed meanwhile.
    pub(super) async fn go_on(&mut self) -> anyhow::Result<()> {
        // By main's own word: a clock that was just set ahead would have requests forgotten that still have their answer.
        self.now = self.background.main.time().await?;
        let Offering { version, terms, layouts } = self.background.main.terms().await?;
        // Holders on shards that this process has not opened would be missing.
        self.background.gone_by(&layouts)?;
        // A coupon that was over for longer is not in the gate, and so is not granted. Should its end be moved, it is
        // added with its holders.
        let now = self.now;
        let all_that_is_over = failpoints::is_off(Mechanism::OverForADay);
        let forgotten = |terms: &Terms| {
            let from = if all_that_is_over { terms.over_from() } else { terms.forgotten_from() };
            from <= now && !self.coupons.contains_key(&terms.coupon)
        };
        let count = self.background.gates.count();
        let of_another = |terms: &Terms| count.of(terms.coupon) != self.gate.id;
        let offered: Vec<Terms> =
            terms.into_iter().filter(|terms| !of_another(terms) && !forgotten(terms)).collect();
        let new =
            offered.iter().map(|terms| terms.coupon).filter(|coupon| !self.coupons.contains_key(coupon));
        self.read = new.collect();
        self.gate.server.offer(self.epoch, version, &offered.iter().collect::<Vec<_>>()).await?;
        self.background.fence(self.epoch, version, &layouts).await?;
        self.coupons.extend(offered.into_iter().map(|terms| (terms.coupon, terms)));
        self.version = version;
        failpoints::hit(Point::Filling);
        for (_, holds) in self.background.deliver_what_leaves().await? {
            self.take(holds).await?;
        }
        for (shard, server) in self.background.shard_servers() {
            match self.shard(shard, server).await {
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
        Ok(())
    }

    /// Reads every table: which of them hold a coupon's results does not depend on what main says of the coupon now.
    async fn shard(&mut self, shard: ShardId, server: &dyn ShardServer) -> anyhow::Result<()> {
        let (Some(first), Some(last)) = (self.read.first().copied(), self.read.last().copied()) else {
            return Ok(());
        };
        let since = self.now.plus_millis(-i64::try_from(REMEMBERED.as_millis()).unwrap_or(i64::MAX));
        for table in server.tables().await? {
            let floor = self.background.floors.of(shard);
            let reached = server.read_holds(table, first..=last, since, self).await?;
            floor.check(reached.outbox_id, reached.commits)?;
        }
        self.flush().await?;
        // They hold their stock until a person decides.
        let mut parked = server.parked().await?;
        parked.retain(|hold| self.reads(hold));
        Ok(self.gate.server.hold_parked(self.epoch, &parked).await?)
    }

    fn reads(&self, hold: &Hold) -> bool {
        CouponId::new(hold.coupon).is_ok_and(|coupon| self.read.contains(&coupon))
    }

    /// Writes the holders gathered, and the requests of those who have given theirs back.
    async fn flush(&mut self) -> anyhow::Result<()> {
        let all_take_stock = failpoints::is_off(Mechanism::LiveRows);
        let (held, given_back): (Vec<Hold>, Vec<Hold>) = std::mem::take(&mut self.holds)
            .into_iter()
            .partition(|hold| all_take_stock || hold.given_back.is_none());
        let answered: Vec<(Hold, Duration)> = given_back
            .into_iter()
            .filter_map(|hold| Some((hold, remembered(hold.given_back?, self.now)?)))
            .collect();
        self.gate.server.remember(self.epoch, &answered).await?;
        self.hold(&held).await
    }

    /// Writes holders. A second result of one user in one slot takes stock as well, though it should not be there.
    async fn hold(&mut self, holds: &[Hold]) -> anyhow::Result<()> {
        let gate = &self.gate.server;
        let fresh = gate.hold(self.epoch, holds).await?;
        for (hold, _) in holds.iter().zip(fresh).filter(|(_, fresh)| !fresh) {
            let Hold { coupon, user, id, slot, .. } = *hold;
            let id = ResultId::from_number(id)?;
            let mark = Mark { user: UserId::new(user)?, coupon: CouponId::new(coupon)?, slot, id };
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
        self.holders += holds.len() as u64;
        Ok(())
    }
}

/// The time for which a request is still remembered whose result gave its stock back then; none if that was too long
/// ago.
pub(super) fn remembered(given_back: Timestamp, now: Timestamp) -> Option<Duration> {
    let ago = u64::try_from(now.millis() - given_back.millis()).unwrap_or(0);
    REMEMBERED.checked_sub(Duration::from_millis(ago)).filter(|left| !left.is_zero())
}

#[async_trait]
impl ReadsHolds for Filling<'_> {
    async fn take(&mut self, mut holds: Vec<Hold>) -> anyhow::Result<()> {
        holds.retain(|hold| self.reads(hold));
        self.holds.append(&mut holds);
        if self.holds.len() >= CHUNK { self.flush().await } else { Ok(()) }
    }
}
