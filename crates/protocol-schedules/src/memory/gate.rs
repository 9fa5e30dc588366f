//! The gate's server in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use coupon_core::{CouponId, CouponResult, ResultId, Timestamp, UserId};
use coupon_store::servers::seam::{
    Epoch, GateError, GateServer, Held, Hold, Holders, Mark, Remembers, Terms,
};
use coupon_store::{Attempt, Decision, Stock};
use tokio::time::timeout;

use std::sync::Arc;

use crate::world::{Line, Lost, World};

/// What the gate's server holds.
#[derive(Debug, Clone, Default)]
pub struct GateMemory {
    /// The epochs whose script is loaded. No copy of the memory has them.
    pub scripts: BTreeSet<u64>,
    /// Its memory of each epoch.
    pub epochs: BTreeMap<u64, EpochMemory>,
}

/// The memory of one epoch.
#[derive(Debug, Clone, Default)]
pub struct EpochMemory {
    /// The coupons on offer, and their holders.
    pub coupons: BTreeMap<CouponId, CouponMemory>,
    /// The pending marks, with the time of their grabs.
    pub pending: BTreeMap<Mark, Timestamp>,
    /// The sentinel among them.
    pub sentinel: bool,
}

/// The memory of one coupon.
#[derive(Debug, Clone, Default)]
pub struct CouponMemory {
    /// Total, start and end.
    pub terms: Option<(u32, Timestamp, Timestamp)>,
    /// Who holds it.
    pub holders: BTreeMap<u64, Held>,
    /// Further results of users who hold it.
    pub others: BTreeSet<i64>,
}

impl CouponMemory {
    fn sold(&self) -> usize {
        self.holders.len() + self.others.len()
    }
}

impl GateMemory {
    /// Forgets everything.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    fn epoch(&mut self, epoch: u64) -> &mut EpochMemory {
        self.epochs.entry(epoch).or_default()
    }

    fn remembers(&self, epoch: u64) -> Remembers {
        let sentinel = self.epochs.get(&epoch).is_some_and(|memory| memory.sentinel);
        Remembers { script: self.scripts.contains(&epoch), sentinel }
    }
}

impl EpochMemory {
    /// One step of the script, for one attempt.
    fn decide(&mut self, attempt: &Attempt, looks: bool) -> Decision {
        let whole = self.sentinel || !looks;
        let (user, mark) = (attempt.user.get(), Mark { user: attempt.user, coupon: attempt.coupon });
        let Some(coupon) = self.coupons.get_mut(&attempt.coupon) else { return Decision::NotLoaded };
        let Some((total, start, end)) = coupon.terms.filter(|_| whole) else { return Decision::NotLoaded };
        let time = attempt.id.time();
        match coupon.holders.get(&user) {
            Some(Held::Result(id)) if *id == attempt.id.number() => Decision::Granted,
            Some(Held::Parked(_)) => Decision::Parked,
            Some(Held::Result(id)) => match ResultId::from_number(*id) {
                Ok(id) if self.pending.contains_key(&mark) => Decision::Pending(id),
                Ok(id) => Decision::Duplicate(id),
                Err(_) => Decision::Parked,
            },
            None if time < start || time >= end => Decision::InvalidTime,
            None if coupon.sold() >= total as usize => Decision::OutOfStock,
            None => {
                coupon.holders.insert(user, Held::Result(attempt.id.number()));
                self.pending.insert(mark, time);
                Decision::Granted
            }
        }
    }
}

/// A process's connection to it.
pub(super) struct Gate {
    pub(super) line: Line,
    pub(super) address: &'static str,
    pub(super) patience: Duration,
}

impl Gate {
    async fn ask<T>(&self, read: impl FnOnce(&mut GateMemory) -> T) -> Result<T, GateError> {
        heard(timeout(self.patience, self.line.ask(|state| read(&mut state.gate))).await)
    }

    async fn order<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Arc<World>, &mut GateMemory) -> T + Send + 'static,
    ) -> Result<T, GateError> {
        let ordered = self.line.order(|world| act(world, &mut world.state().gate));
        heard(timeout(self.patience, ordered).await)
    }

    /// An order that concerns one coupon of an epoch, for each of these holds.
    async fn each<T: Send + 'static>(
        &self,
        epoch: u64,
        holds: &[Hold],
        act: impl Fn(&mut CouponMemory, &Hold) -> T + Send + 'static,
    ) -> Result<Vec<T>, GateError> {
        let holds = holds.to_vec();
        self.order(move |_, gate| {
            let memory = gate.epoch(epoch);
            let coupon = |hold: &Hold| CouponId::new(hold.coupon).ok();
            let known = holds.iter().filter_map(|hold| Some((coupon(hold)?, hold)));
            known.map(|(coupon, hold)| act(memory.coupons.entry(coupon).or_default(), hold)).collect()
        })
        .await
    }
}

fn heard<T>(answer: Result<Result<T, Lost>, tokio::time::error::Elapsed>) -> Result<T, GateError> {
    let lost = match answer {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(lost)) => lost,
        Err(_) => Lost::Unheard,
    };
    Err(GateError::Away { why: lost.to_string() })
}

#[async_trait]
impl GateServer for Gate {
    fn address(&self) -> &str {
        self.address
    }

    async fn decide(&self, epoch: &Epoch, attempts: &[&Attempt]) -> Result<Vec<Decision>, GateError> {
        let attempts: Vec<Attempt> = attempts.iter().map(|attempt| **attempt).collect();
        let (number, looks, process) = (epoch.number, epoch.looks_for_the_sentinel(), self.line.process);
        self.order(move |world, gate| {
            if !gate.scripts.contains(&number) {
                return Err(GateError::Forgot);
            }
            let memory = gate.epoch(number);
            let decisions: Vec<Decision> =
                attempts.iter().map(|attempt| memory.decide(attempt, looks)).collect();
            for (Attempt { user, coupon, id }, decision) in attempts.iter().zip(&decisions) {
                world.tell(|| {
                    format!("gate, epoch {number}: user {user} wants coupon {coupon} as {id} ({process}): {decision:?}")
                });
            }
            Ok(decisions)
        })
        .await?
    }

    async fn stock(&self, epoch: &Epoch, coupon: CouponId) -> Result<Option<Stock>, GateError> {
        let number = epoch.number;
        self.ask(|gate| {
            let memory = gate.epochs.get(&number)?.coupons.get(&coupon)?;
            let (total, ..) = memory.terms?;
            Some(Stock { total, sold: u32::try_from(memory.sold()).unwrap_or(u32::MAX) })
        })
        .await
    }

    async fn holders(&self, epoch: &Epoch, coupon: CouponId) -> Result<Holders, GateError> {
        let number = epoch.number;
        self.ask(|gate| {
            let memory = gate.epochs.get(&number).and_then(|memory| memory.coupons.get(&coupon));
            memory.map_or_else(Holders::default, |memory| Holders {
                users: memory.holders.keys().filter_map(|user| UserId::new(*user).ok()).collect(),
                others: memory.others.len(),
            })
        })
        .await
    }

    async fn remembers(&self, epoch: &Epoch) -> Result<Remembers, GateError> {
        self.ask(|gate| gate.remembers(epoch.number)).await
    }

    async fn pending_at(&self, epoch: &Epoch, time: Timestamp) -> Result<(Remembers, Vec<Mark>), GateError> {
        self.ask(|gate| {
            let remembers = gate.remembers(epoch.number);
            let memory = gate.epoch(epoch.number);
            let marks = memory.pending.iter().filter(|(_, of)| **of == time).map(|(mark, _)| *mark);
            (remembers, marks.collect())
        })
        .await
    }

    async fn pending_until(&self, epoch: &Epoch, time: Timestamp) -> Result<Vec<Mark>, GateError> {
        self.ask(|gate| {
            let memory = gate.epoch(epoch.number);
            memory.pending.iter().filter(|(_, of)| **of <= time).map(|(mark, _)| *mark).collect()
        })
        .await
    }

    async fn pending(&self, epoch: &Epoch) -> Result<Vec<Mark>, GateError> {
        self.ask(|gate| gate.epoch(epoch.number).pending.keys().copied().collect()).await
    }

    async fn are_pending(&self, epoch: &Epoch, marks: &[Mark]) -> Result<Vec<bool>, GateError> {
        self.ask(|gate| {
            let memory = gate.epoch(epoch.number);
            marks.iter().map(|mark| memory.pending.contains_key(mark)).collect()
        })
        .await
    }

    async fn unmark(&self, epoch: &Epoch, marks: &[Mark]) -> Result<(), GateError> {
        if marks.is_empty() {
            return Ok(());
        }
        let (number, marks) = (epoch.number, marks.to_vec());
        self.order(move |_, gate| {
            let memory = gate.epoch(number);
            for mark in &marks {
                memory.pending.remove(mark);
            }
        })
        .await
    }

    async fn held(&self, epoch: &Epoch, marks: &[Mark]) -> Result<Vec<Option<Held>>, GateError> {
        self.ask(|gate| {
            let memory = gate.epoch(epoch.number);
            let held = |mark: &Mark| memory.coupons.get(&mark.coupon)?.holders.get(&mark.user.get()).copied();
            marks.iter().map(held).collect()
        })
        .await
    }

    async fn park(&self, epoch: &Epoch, results: &[CouponResult]) -> Result<(), GateError> {
        if results.is_empty() {
            return Ok(());
        }
        let (number, results) = (epoch.number, results.to_vec());
        self.order(move |_, gate| {
            let memory = gate.epoch(number);
            for CouponResult { result_id, coupon_id, user_id, .. } in &results {
                let Some(coupon) = memory.coupons.get_mut(coupon_id) else { continue };
                let id = result_id.number();
                let free = coupon.holders.get(&user_id.get()).is_none_or(|held| *held == Held::Result(id));
                if free && coupon.terms.is_some() {
                    coupon.holders.insert(user_id.get(), Held::Parked(id));
                }
            }
        })
        .await
    }

    async fn probe(&self) -> Result<(), GateError> {
        self.ask(|_| ()).await
    }

    async fn begin(&self, epoch: &Epoch) -> Result<(), GateError> {
        let (number, process) = (epoch.number, self.line.process);
        self.order(move |world, gate| {
            gate.scripts.insert(number);
            gate.epoch(number).sentinel = true;
            world.tell(|| format!("gate: {process} loads the script of epoch {number}"));
        })
        .await
    }

    async fn offer(&self, epoch: &Epoch, coupons: &[&Terms]) -> Result<(), GateError> {
        let number = epoch.number;
        let coupons: Vec<Terms> = coupons.iter().map(|terms| **terms).collect();
        self.order(move |_, gate| {
            let memory = gate.epoch(number);
            for terms in &coupons {
                let coupon = memory.coupons.entry(terms.coupon).or_default();
                coupon.terms = Some((terms.total, terms.start, terms.over_from()));
            }
        })
        .await
    }

    async fn offers_all(&self, epoch: &Epoch, coupons: &[CouponId]) -> Result<bool, GateError> {
        self.ask(|gate| {
            let memory = gate.epoch(epoch.number);
            let has = |coupon| memory.coupons.get(coupon).is_some_and(|memory| memory.terms.is_some());
            coupons.iter().all(has)
        })
        .await
    }

    async fn hold(&self, epoch: &Epoch, holds: &[Hold]) -> Result<Vec<bool>, GateError> {
        if holds.is_empty() {
            return Ok(Vec::new());
        }
        self.each(epoch.number, holds, |coupon, hold| {
            let free = !coupon.holders.contains_key(&hold.user);
            coupon.holders.entry(hold.user).or_insert(Held::Result(hold.id));
            free
        })
        .await
    }

    async fn hold_instead(&self, epoch: &Epoch, hold: Hold) -> Result<(), GateError> {
        let put = |coupon: &mut CouponMemory, hold: &Hold| {
            coupon.holders.insert(hold.user, Held::Result(hold.id));
        };
        self.each(epoch.number, &[hold], put).await.map(drop)
    }

    async fn hold_beside(&self, epoch: &Epoch, hold: Hold) -> Result<(), GateError> {
        let put = |coupon: &mut CouponMemory, hold: &Hold| {
            coupon.others.insert(hold.id);
        };
        self.each(epoch.number, &[hold], put).await.map(drop)
    }

    async fn hold_parked(&self, epoch: &Epoch, holds: &[Hold]) -> Result<(), GateError> {
        if holds.is_empty() {
            return Ok(());
        }
        let put = |coupon: &mut CouponMemory, hold: &Hold| {
            coupon.holders.entry(hold.user).or_insert(Held::Parked(hold.id));
        };
        self.each(epoch.number, holds, put).await.map(drop)
    }

    async fn lacking(&self, epoch: &Epoch, holds: &[Hold]) -> Result<Vec<Hold>, GateError> {
        if holds.is_empty() {
            return Ok(Vec::new());
        }
        self.ask(|gate| {
            let memory = gate.epoch(epoch.number);
            let lacks = |hold: &&Hold| {
                let coupon = CouponId::new(hold.coupon).ok().and_then(|id| memory.coupons.get(&id));
                coupon
                    .is_some_and(|coupon| coupon.terms.is_some() && !coupon.holders.contains_key(&hold.user))
            };
            holds.iter().filter(lacks).copied().collect()
        })
        .await
    }

    async fn forget_before(&self, epoch: u64) -> Result<(), GateError> {
        self.order(move |_, gate| gate.epochs.retain(|of, _| *of >= epoch)).await
    }
}
