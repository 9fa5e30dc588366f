//! Main's catalogue in memory: of what can change, totals, windows and status of coupons, and new ones.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use coupon_core::books::{Stock, retotal};
use coupon_core::catalogue_change::{
    CatalogueChange, ChangeRecord, CouponPatch, NewCoupon, Operator, Refused, Thing,
};
use coupon_core::{CouponId, CouponStatus, RESULT_ID_EPOCH, ShardingStrategy as _, Timestamp};
use coupon_servers::seam::{
    CatalogueServer, DatabaseError, Edit, LIVES_MS, Living, Made, News, Offering, Terms,
};
use coupon_store::{ChangeError, VersionRecord};

use super::main::{LogLine, Main, MainMemory};
use crate::process::ByUser;
use crate::world::World;

/// Main's catalogue beside the coupons' stocks.
#[derive(Debug, Clone, Default)]
pub struct CatalogueMemory {
    /// The version that it has reached.
    pub version: u64,
    /// Every coupon's terms.
    pub terms: Vec<Terms>,
    /// Every version of the layout, from the first on.
    pub layouts: Vec<VersionRecord>,
    changes: Vec<ChangeRecord>,
    /// Coupons that were made, and by which version.
    made: BTreeMap<CouponId, u64>,
    /// True of a main that was found to have been put back.
    put_back: bool,
    processes: BTreeMap<String, Listed>,
}

/// A process that lives.
#[derive(Debug, Clone)]
struct Listed {
    name: String,
    seen: Timestamp,
    version: u64,
    /// The number of shards that it has opened.
    shards: u16,
}

impl CatalogueMemory {
    pub(super) fn new(terms: &[Terms]) -> Self {
        let first = VersionRecord {
            number: 1,
            from: RESULT_ID_EPOCH,
            layout: ByUser::First.layout(),
            receives: false,
            closed: false,
            announced: World::beginning(),
            operator: String::new(),
            what: "the layout at first".to_owned(),
        };
        Self { terms: terms.to_vec(), layouts: vec![first], ..Self::default() }
    }

    /// The names of the processes that live of which that is so: by the shards that they have opened, and the version that
    /// they go by.
    pub(super) fn living(&self, now: Timestamp, is_so: impl Fn(u16, u64) -> bool) -> Vec<String> {
        let lives = |listed: &&Listed| listed.seen > now.plus_millis(-LIVES_MS);
        let living = self.processes.values().filter(lives);
        living
            .filter(|listed| is_so(listed.shards, listed.version))
            .map(|listed| listed.name.clone())
            .collect()
    }

    /// Writes versions of the layout, each in place of what there is of it, and records it.
    pub(super) fn lay_out(
        &mut self,
        versions: &[VersionRecord],
        operator: String,
        what: String,
        time: Timestamp,
    ) {
        for version in versions {
            self.layouts.retain(|known| known.number != version.number);
            self.layouts.push(version.clone());
        }
        self.layouts.sort_by_key(|version| version.number);
        self.version += 1;
        let version = self.version;
        self.changes.push(ChangeRecord { version, time, operator, what, coupon: None, room: None });
    }

    fn find(&mut self, coupon: CouponId) -> Option<&mut Terms> {
        self.terms.iter_mut().find(|terms| terms.coupon == coupon)
    }

    fn news(&self, since: Option<u64>) -> News {
        let version = self.version;
        let Some(since) = since.filter(|since| *since <= version) else {
            let rooms: BTreeSet<_> = self.terms.iter().map(|terms| terms.room).collect();
            let rooms = rooms.into_iter().collect();
            let (terms, layouts) = (self.terms.clone(), self.layouts.clone());
            return News { version, terms, whole: true, rooms, layouts, ..News::default() };
        };
        let changed: BTreeSet<CouponId> = self
            .changes
            .iter()
            .filter(|change| change.version > since)
            .filter_map(|change| change.coupon)
            .collect();
        let terms = self.terms.iter().filter(|terms| changed.contains(&terms.coupon));
        let layouts = self.layouts.clone();
        News { version, terms: terms.copied().collect(), layouts, ..News::default() }
    }

    /// Records a change of a coupon.
    fn record(&mut self, coupon: CouponId, operator: &str, what: String, time: Timestamp) -> u64 {
        self.version += 1;
        let version = self.version;
        let operator = operator.to_owned();
        self.changes.push(ChangeRecord { version, time, operator, what, coupon: Some(coupon), room: None });
        version
    }
}

impl MainMemory {
    fn change(
        &mut self,
        change: &CatalogueChange,
        operator: &Operator,
        now: Timestamp,
    ) -> Result<Made, Refused> {
        let what = match change {
            CatalogueChange::ChangeCoupon(coupon, patch) => self.change_coupon(*coupon, patch)?,
            CatalogueChange::CreateCoupon(new) => self.create_coupon(new),
            _ => return Err(Refused::Conflict("there are coupons alone in memory".to_owned())),
        };
        let unchanged = Made { version: self.catalogue.version, changed: false, added: 0 };
        let (Some(what), Some(coupon)) = (what, change.coupon()) else { return Ok(unchanged) };
        let version = self.catalogue.record(coupon, operator.as_str(), what, now);
        if let CatalogueChange::CreateCoupon(_) = change {
            self.catalogue.made.insert(coupon, version);
        }
        Ok(Made { version, changed: true, ..unchanged })
    }

    fn change_coupon(&mut self, coupon: CouponId, patch: &CouponPatch) -> Result<Option<String>, Refused> {
        let unknown = || Refused::Unknown(Thing::Coupon(coupon));
        let stock = *self.stocks.get(&coupon).ok_or_else(unknown)?;
        let terms = self.catalogue.find(coupon).ok_or_else(unknown)?;
        let before = *terms;
        if let Some(total) = patch.total_stock.filter(|total| i64::from(*total) != stock.total) {
            let nonsense = |why| Refused::Conflict(format!("coupon {coupon}: {why}"));
            let (after, line) = retotal(stock, i64::from(total)).map_err(nonsense)?;
            terms.total = total;
            terms.taken_back = u32::try_from(after.taken_back).unwrap_or(u32::MAX);
            self.stocks.insert(coupon, after);
            let id = self.log.last().map_or(0, |line| line.id) + 1;
            self.log.push(LogLine { id, coupon, before: line.before, after: line.after });
        }
        terms.start = patch.start_time.unwrap_or(terms.start);
        terms.end = patch.end_time.unwrap_or(terms.end);
        terms.active = patch.status.map_or(terms.active, |status| status == CouponStatus::Active);
        let after = *terms;
        Ok(before.differences(&after))
    }

    fn create_coupon(&mut self, new: &NewCoupon) -> Option<String> {
        let coupon = new.coupon_id;
        if self.stocks.contains_key(&coupon) {
            return None;
        }
        let total = i64::from(new.total_stock);
        self.stocks.insert(coupon, Stock::of(total, total));
        self.catalogue.terms.push(Terms {
            coupon,
            room: new.room_id,
            total: new.total_stock,
            taken_back: 0,
            start: new.start_time,
            end: new.end_time,
            active: new.status == CouponStatus::Active,
            min_purchase: new.min_purchase,
            grab: new.terms,
        });
        Some(format!("coupon {coupon} made"))
    }
}

#[async_trait]
impl CatalogueServer for Main {
    async fn version(&self) -> Result<u64, DatabaseError> {
        self.ask(|memory| memory.catalogue.version).await
    }

    async fn terms(&self) -> Result<Offering, DatabaseError> {
        let read = |memory: &mut MainMemory| {
            let CatalogueMemory { version, terms, layouts, .. } = &memory.catalogue;
            Offering { version: *version, terms: terms.clone(), layouts: layouts.clone() }
        };
        self.ask(read).await
    }

    async fn news(&self, since: Option<u64>) -> Result<News, DatabaseError> {
        self.ask(|memory| memory.catalogue.news(since)).await
    }

    async fn change(&self, change: &CatalogueChange, operator: &Operator) -> Result<Made, ChangeError> {
        let (change, operator) = (change.clone(), operator.clone());
        let unavailable = |error: DatabaseError| ChangeError::Unavailable(error.into());
        // It locks the log, as a transaction on the books does.
        let books = self.ask(|memory| memory.books()).await.map_err(unavailable)?;
        let turn = books.lock_owned().await;
        let changed = self.order(move |world, memory| {
            let made = memory.change(&change, &operator, world.clock.now());
            world.tell(|| format!("main: {operator} changes the catalogue: {made:?}"));
            drop(turn);
            made
        });
        let made = changed.await.map_err(unavailable)?;
        Ok(made?)
    }

    async fn record_edits(&self, version: u64, edits: &[Edit]) -> Result<bool, DatabaseError> {
        let edits = edits.to_vec();
        self.order(move |world, memory| {
            let now = world.clock.now();
            let known = memory.catalogue.version == version;
            if known {
                for Edit { before, what, .. } in edits {
                    memory.catalogue.record(before.coupon, "by hand", what, now);
                }
            }
            known
        })
        .await
    }

    async fn accept_unknown_users(&self) -> Result<(), DatabaseError> {
        self.ask(|_| ()).await
    }

    async fn changes(&self, limit: usize) -> Result<Vec<ChangeRecord>, DatabaseError> {
        self.ask(|memory| memory.catalogue.changes.iter().rev().take(limit).cloned().collect()).await
    }

    async fn note_put_back(&self) -> Result<(), DatabaseError> {
        self.order(|_, memory| memory.catalogue.put_back = true).await
    }

    async fn made_since(&self, version: u64, coupons: &[CouponId]) -> Result<Vec<CouponId>, DatabaseError> {
        self.ask(|memory| {
            let made =
                |coupon: &&CouponId| memory.catalogue.made.get(*coupon).is_some_and(|by| *by > version);
            if memory.catalogue.put_back {
                return Vec::new();
            }
            coupons.iter().filter(made).copied().collect()
        })
        .await
    }

    async fn goes_by(&self, process: &Living, version: u64) -> Result<(), DatabaseError> {
        let Living { holder, name, shards } = process.clone();
        self.order(move |world, memory| {
            let seen = world.clock.now();
            memory.catalogue.processes.insert(holder, Listed { name, seen, version, shards });
        })
        .await
    }

    async fn behind(&self, version: u64) -> Result<Vec<String>, DatabaseError> {
        let now = self.line.world.clock.now();
        self.ask(|memory| memory.catalogue.living(now, |_, by| by < version)).await
    }

    async fn ended(&self, process: &Living) -> Result<(), DatabaseError> {
        let holder = process.holder.clone();
        self.order(move |_, memory| drop(memory.catalogue.processes.remove(&holder))).await
    }
}
