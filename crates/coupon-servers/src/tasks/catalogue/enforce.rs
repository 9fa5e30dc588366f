//! Makes a change that an operator asks for, and answers once the gate decides by it and every process knows.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use coupon_core::CouponId;
use coupon_core::catalogue_change::{CatalogueChange, Operator};
use coupon_store::failpoints::{self, Mechanism, Point};
use coupon_store::{Applied, ChangeError, Unavailable};
use tokio::time::{Instant, timeout_at};

use super::LOOK;
use crate::gate::Epoch;
use crate::seam::Made;
use crate::tasks::background::Background;
use crate::tasks::handles::GateHandle;

/// The longest that a change waits for the gate and for every process.
const WAITS: Duration = Duration::from_secs(2);

/// The moment until which a change waits that main has now.
pub(in crate::tasks) fn deadline() -> Instant {
    Instant::now() + WAITS
}

impl Background {
    /// Makes a change, and sees to it that the gate enforces it and every process knows.
    pub(crate) async fn change_the_catalogue(
        self: Arc<Self>,
        change: CatalogueChange,
        operator: Operator,
    ) -> Result<Applied, ChangeError> {
        change.check()?;
        let began = Instant::now();
        let made = self.main.change(&change, &operator).await?;
        failpoints::hit(Point::Changed);
        if failpoints::is_off(Mechanism::Enforced) {
            let Made { version, changed, added } = made;
            return Ok(Applied { version, changed, added, unconfirmed: Vec::new(), gate: true });
        }
        // A change that main had already may not be known everywhere: the process that made it may be gone since.
        let deadline = deadline();
        let gate = self.enforced(made.version, change.coupon(), deadline).await;
        let unconfirmed = self.confirmed(made.version, deadline).await?;
        if made.changed && gate && unconfirmed.is_empty() {
            self.counts.catalogue.took(began.elapsed());
        }
        Ok(Applied { version: made.version, changed: made.changed, added: made.added, unconfirmed, gate })
    }

    /// Says whether the gate that is open has been brought to that version, and has the coupon that it is about; not so while
    /// there is none. Other coupons that it lacks do not matter, nor do other gates where it is about a coupon.
    pub(in crate::tasks) async fn enforced(
        &self,
        version: u64,
        coupon: Option<CouponId>,
        deadline: Instant,
    ) -> bool {
        loop {
            let tried = timeout_at(deadline, self.enforce(version, coupon)).await;
            match tried.unwrap_or_else(|_| Err(anyhow!("it takes longer than a change waits"))) {
                Ok(enforced) => return enforced,
                Err(error) if Instant::now() >= deadline => {
                    let error = format!("{error:#}");
                    tracing::warn!(version, error, "the gate is brought to the catalogue later");
                    return false;
                }
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Brings the gates that are open to that version. One that is opened later has been: opening it looks for the version.
    async fn enforce(&self, version: u64, coupon: Option<CouponId>) -> anyhow::Result<bool> {
        loop {
            let (_, record) = self.main.record().await?;
            let open = self.gates.iter().filter_map(|gate| {
                let number = record.of(gate.id).open().filter(|_| gate.may_answer())?;
                Some(Arc::new(Epoch::new(&self.dataset, number)))
            });
            let epochs: Vec<Arc<Epoch>> = open.collect();
            let concerned = |gate: &&GateHandle| coupon.is_none_or(|of| self.gates.of(of).id == gate.id);
            let concerned: Vec<&GateHandle> = self.gates.iter().filter(concerned).collect();
            let epoch_of = |gate: &GateHandle| epochs.iter().find(|epoch| self.gate_of(epoch).id == gate.id);
            let mut followed = self.following.0.lock().await;
            let looked = followed.look(self, &epochs).await;
            if concerned.iter().any(|gate| epoch_of(gate).is_none()) {
                return looked.map(|()| false);
            }
            let lacking = coupon.filter(|of| followed.gates.of(*of).lacking.contains_key(of));
            if let Some(epoch) = lacking.and_then(|of| epoch_of(self.gates.of(of))) {
                drop(followed);
                self.add_lacking(epoch).await?;
                continue;
            }
            let (_, now) = self.main.record().await?;
            let is_open = |gate: &GateHandle| {
                let open = now.of(gate.id).open();
                epoch_of(gate).is_some_and(|epoch| open == Some(epoch.number))
            };
            // A main that was put back has no such version any more.
            if concerned.iter().all(|gate| is_open(gate)) {
                let brought = concerned.iter().all(|gate| {
                    let wanted = epoch_of(gate).map(|epoch| (epoch.number, version));
                    followed.gates.get(gate.id).done >= wanted
                });
                // The gate may be brought to what this process cannot go by itself.
                return if brought { Ok(true) } else { looked.map(|()| false) };
            }
        }
    }

    /// Waits until every process that lives goes by that version. Returns those that do not when it was long enough.
    pub(in crate::tasks) async fn confirmed(
        &self,
        version: u64,
        deadline: Instant,
    ) -> Result<Vec<String>, Unavailable> {
        loop {
            let behind = self.main.behind(version).await?;
            if behind.is_empty() || Instant::now() >= deadline {
                return Ok(behind);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
