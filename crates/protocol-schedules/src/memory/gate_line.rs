//! A process's connection to the gate's server in memory.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use coupon_core::{CouponId, CouponResult, GateId, Timestamp, UserId, VersionNumber};
use coupon_servers::seam::{
    CouponHolders, Epoch, Fence, GateError, GateServer, Held, Hold, Mark, Release, Remembers, Terms,
    Unchecked, Versions,
};
use coupon_store::{Attempt, Decision, GateStock, Reservation};
use tokio::time::timeout;

use super::gate::{CouponMemory, EpochMemory, GateMemory, HolderMemory};
use super::{State, seen_by};
use crate::world::{NoAnswer, ServerLine, World};

/// The connection.
pub(super) struct Gate {
    pub(super) id: GateId,
    pub(super) line: ServerLine,
    pub(super) patience: Duration,
}

impl Gate {
    async fn ask<T>(&self, read: impl FnOnce(&mut GateMemory) -> T) -> Result<T, GateError> {
        let process = self.line.process;
        let asked = self.line.ask(|state| read(state.gate_of_mut(process, self.id)));
        heard(timeout(self.patience, asked).await)
    }

    async fn order<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Arc<World>, &mut GateMemory) -> T + Send + 'static,
    ) -> Result<T, GateError> {
        let (process, id) = (self.line.process, self.id);
        let ordered = self.line.order(move |world| act(world, world.state().gate_of_mut(process, id)));
        heard(timeout(self.patience, ordered).await)
    }

    /// An order that concerns the memory of an epoch, and the time at its server.
    async fn change(
        &self,
        epoch: &Epoch,
        act: impl FnOnce(&mut EpochMemory, Timestamp) + Send + 'static,
    ) -> Result<(), GateError> {
        let number = epoch.number;
        self.order(move |world, gate| act(gate.epoch(number), world.clock.now())).await
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

impl Gate {
    async fn write_terms(
        &self,
        epoch: &Epoch,
        version: u64,
        coupons: &[&Terms],
        changes: bool,
    ) -> Result<Vec<CouponId>, GateError> {
        if coupons.is_empty() {
            return Ok(Vec::new());
        }
        let (number, process) = (epoch.number, self.line.process);
        let coupons: Vec<Terms> = coupons.iter().map(|terms| **terms).collect();
        self.order(move |world, gate| {
            if changes && !gate.remembers(number).sentinel {
                return Err(GateError::Forgot);
            }
            let lacking = gate.epoch(number).offer(version, &coupons, changes).ok_or(GateError::Forgot)?;
            world.tell(|| format!("gate, epoch {number}: {process} offers by version {version}"));
            Ok(lacking)
        })
        .await?
    }
}

fn heard<T>(answer: Result<Result<T, NoAnswer>, tokio::time::error::Elapsed>) -> Result<T, GateError> {
    let lost = match answer {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(lost)) => lost,
        Err(_) => NoAnswer::Unheard,
    };
    Err(GateError::Away { why: lost.to_string() })
}

#[async_trait]
impl GateServer for Gate {
    fn address(&self) -> String {
        self.line.world.state().gate_place(self.line.process, self.id)
    }

    async fn decide(
        &self,
        epoch: &Epoch,
        knows: VersionNumber,
        attempts: &[&Attempt],
    ) -> Result<Vec<Decision>, GateError> {
        let attempts: Vec<Attempt> = attempts.iter().map(|attempt| **attempt).collect();
        let (number, looks) = (epoch.number, epoch.looks_for_the_sentinel());
        let (process, id) = (self.line.process, self.id);
        let ordered = self.line.order(move |world| {
            let mut state = world.state();
            let State { gates, gate_before, main, answered, broken, .. } = &mut *state;
            let gate = seen_by(process, id, gates, gate_before);
            if !gate.scripts.contains(&number) {
                return Err(GateError::Forgot);
            }
            let memory = gate.epoch(number);
            let now = world.clock.now();
            // What an earlier epoch grants is handed over nowhere.
            let counts = main.gates.get(id).open() == Some(number);
            let decide = |attempt: &Attempt| {
                let fresh = counts && !memory.holds(attempt);
                let decision = memory.decide(attempt, knows, looks, now);
                let sold = memory.coupons.get(&attempt.coupon).map_or(0, CouponMemory::sold);
                broken.extend(answered.contradicts(attempt, decision, sold).filter(|_| fresh));
                decision
            };
            let decisions: Vec<Decision> = attempts.iter().map(decide).collect();
            for (Attempt { user, coupon, id, .. }, decision) in attempts.iter().zip(&decisions) {
                world.tell(|| {
                    format!("gate, epoch {number}: user {user} wants coupon {coupon} as {id} ({process}): {decision:?}")
                });
            }
            Ok(decisions)
        });
        heard(timeout(self.patience, ordered).await)?
    }

    async fn fence(&self, epoch: &Epoch, catalogue: u64, fences: &[Fence]) -> Result<(), GateError> {
        let fences = fences.to_vec();
        self.change(epoch, move |memory, _| memory.fence(catalogue, &fences)).await
    }

    async fn latest_layout(&self, epoch: &Epoch) -> Result<VersionNumber, GateError> {
        self.ask(|gate| gate.epoch(epoch.number).latest_layout()).await
    }

    async fn stock(&self, epoch: &Epoch, coupon: CouponId) -> Result<Option<GateStock>, GateError> {
        let number = epoch.number;
        self.ask(|gate| {
            let memory = gate.epochs.get(&number)?.coupons.get(&coupon)?;
            let (total, ..) = memory.terms?;
            Some(GateStock { total, sold: u32::try_from(memory.sold()).unwrap_or(u32::MAX) })
        })
        .await
    }

    async fn holders(&self, epoch: &Epoch, coupon: CouponId) -> Result<CouponHolders, GateError> {
        let number = epoch.number;
        let now = self.line.world.clock.now();
        self.ask(|gate| {
            let memory = gate.epoch(number);
            let of = memory.coupons.get(&coupon);
            let holders = of.into_iter().flat_map(|of| of.holders.keys());
            let holders = holders.filter_map(|(user, _)| UserId::new(*user).ok());
            let users: BTreeSet<UserId> = holders.chain(memory.answered(coupon, now)).collect();
            CouponHolders { users: users.into_iter().collect(), holds: of.map_or(0, CouponMemory::sold) }
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
            (remembers, memory.marks().filter(|mark| mark.time() == time).collect())
        })
        .await
    }

    async fn pending_until(&self, epoch: &Epoch, time: Timestamp) -> Result<Vec<Mark>, GateError> {
        self.ask(|gate| {
            let memory = gate.epoch(epoch.number);
            memory.marks().filter(|mark| mark.time() <= time).collect()
        })
        .await
    }

    async fn pending(&self, epoch: &Epoch) -> Result<Vec<Mark>, GateError> {
        self.ask(|gate| gate.epoch(epoch.number).marks().collect()).await
    }

    async fn are_pending(&self, epoch: &Epoch, marks: &[Mark]) -> Result<Vec<bool>, GateError> {
        self.ask(|gate| {
            let memory = gate.epoch(epoch.number);
            marks.iter().map(|mark| memory.has(mark)).collect()
        })
        .await
    }

    async fn unmark(&self, epoch: &Epoch, marks: &[Mark]) -> Result<(), GateError> {
        if marks.is_empty() {
            return Ok(());
        }
        let marks = marks.to_vec();
        self.change(epoch, move |memory, _| marks.iter().for_each(|mark| memory.unmark(mark))).await
    }

    async fn held(&self, epoch: &Epoch, marks: &[Mark]) -> Result<Vec<Option<Held>>, GateError> {
        self.ask(|gate| {
            let memory = gate.epoch(epoch.number);
            let held = |mark: &Mark| {
                let coupon = memory.coupons.get(&mark.coupon)?;
                coupon.holders.get(&(mark.user.get(), mark.slot)).map(HolderMemory::shown)
            };
            marks.iter().map(held).collect()
        })
        .await
    }

    async fn park(&self, epoch: &Epoch, results: &[CouponResult]) -> Result<(), GateError> {
        if results.is_empty() {
            return Ok(());
        }
        let results = results.to_vec();
        self.change(epoch, move |memory, _| {
            for result in &results {
                let Some(coupon) = memory.coupons.get_mut(&result.coupon_id) else { continue };
                let reserved = Reservation::of(result);
                let holder = coupon.holders.entry((result.user_id.get(), reserved.slot));
                let parked = HolderMemory { reserved, parked: true };
                if coupon.terms.is_none() {
                    continue;
                }
                let held = holder.or_insert(parked);
                if held.reserved == reserved {
                    *held = parked;
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

    async fn offer(&self, epoch: &Epoch, version: u64, coupons: &[&Terms]) -> Result<(), GateError> {
        self.write_terms(epoch, version, coupons, false).await.map(drop)
    }

    async fn change_terms(
        &self,
        epoch: &Epoch,
        version: u64,
        coupons: &[&Terms],
    ) -> Result<Vec<CouponId>, GateError> {
        self.write_terms(epoch, version, coupons, true).await
    }

    async fn versions(&self, epoch: &Epoch) -> Result<Option<Versions>, GateError> {
        self.ask(|gate| gate.epochs.get(&epoch.number)?.versions()).await
    }

    async fn offers_all(&self, epoch: &Epoch) -> Result<bool, GateError> {
        self.ask(|gate| gate.epochs.get(&epoch.number).is_none_or(EpochMemory::offers_all)).await
    }

    async fn hold(&self, epoch: &Epoch, holds: &[Hold]) -> Result<Vec<bool>, GateError> {
        if holds.is_empty() {
            return Ok(Vec::new());
        }
        self.each(epoch.number, holds, |coupon, hold| coupon.hold(hold, false)).await
    }

    async fn hold_instead(&self, epoch: &Epoch, hold: Hold) -> Result<(), GateError> {
        self.each(epoch.number, &[hold], CouponMemory::hold_instead).await.map(drop)
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
        self.each(epoch.number, holds, |coupon, hold| coupon.hold(hold, true)).await.map(drop)
    }

    async fn lacking(&self, epoch: &Epoch, holds: &[Hold]) -> Result<Vec<Hold>, GateError> {
        if holds.is_empty() {
            return Ok(Vec::new());
        }
        self.ask(|gate| {
            let memory = gate.epoch(epoch.number);
            let lacks = |hold: &&Hold| {
                let coupon = CouponId::new(hold.coupon).ok().and_then(|id| memory.coupons.get(&id));
                coupon.is_some_and(|coupon| {
                    coupon.terms.is_some() && !coupon.holders.contains_key(&(hold.user, hold.slot))
                })
            };
            holds.iter().filter(lacks).copied().collect()
        })
        .await
    }

    async fn remember(&self, epoch: &Epoch, answered: &[(Hold, Duration)]) -> Result<(), GateError> {
        if answered.is_empty() {
            return Ok(());
        }
        let answered = answered.to_vec();
        self.change(epoch, move |memory, now| {
            answered.iter().for_each(|(hold, left)| memory.remember(hold, *left, now));
        })
        .await
    }

    async fn let_go(&self, epoch: &Epoch, releases: &[Release]) -> Result<(), GateError> {
        if releases.is_empty() {
            return Ok(());
        }
        let (number, looks, process) = (epoch.number, epoch.looks_for_the_sentinel(), self.line.process);
        let releases = releases.to_vec();
        self.order(move |world, gate| {
            let Remembers { script, sentinel } = gate.remembers(number);
            if !script || (looks && !sentinel) {
                return Err(GateError::Forgot);
            }
            let now = world.clock.now();
            for release in &releases {
                gate.epoch(number).let_go(release, now);
                let Release { coupon, user, id, .. } = release;
                world.tell(|| {
                    format!("gate, epoch {number}: {process} lets go of {id}, coupon {coupon} of user {user}")
                });
            }
            Ok(())
        })
        .await?
    }

    async fn restore(&self, epoch: &Epoch, rows: &[(Unchecked, Hold)]) -> Result<Vec<bool>, GateError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let (number, rows) = (epoch.number, rows.to_vec());
        self.order(move |_, gate| {
            let memory = gate.epoch(number);
            rows.iter().map(|(row, hold)| memory.restore(row, hold)).collect()
        })
        .await
    }

    async fn unchecked(&self, epoch: &Epoch) -> Result<Vec<Unchecked>, GateError> {
        self.ask(|gate| gate.epoch(epoch.number).unchecked.clone()).await
    }

    async fn checked(&self, epoch: &Epoch, rows: &[Unchecked]) -> Result<(), GateError> {
        if rows.is_empty() {
            return Ok(());
        }
        let rows = rows.to_vec();
        self.change(epoch, move |memory, _| memory.unchecked.retain(|row| !rows.contains(row))).await
    }

    async fn forget_before(&self, epoch: u64) -> Result<(), GateError> {
        self.order(move |_, gate| gate.epochs.retain(|of, _| *of >= epoch)).await
    }
}
