//! Coupons on offer in Redis: their totals and windows, and the version of the catalogue that each has them from.

use coupon_core::CouponId;
use coupon_store::terms::Terms;
use deadpool_redis::redis::Pipeline;

use super::Epoch;
use super::server::{CHUNK, GateLink};
use crate::seam::{GateError, Versions};

/// Writes totals and windows, unless those of a later version are there.
const OFFER: &str = include_str!("offer.lua");
/// The number of coupons that one call of it writes.
const OFFERED: usize = 1_000;
/// The fields of the versions that are versions of no coupon: the first that was offered, the latest, and that of the layout's.
const FIELDS: [&str; 3] = ["first", "last", "layouts"];

/// The coupons of which terms are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Where {
    /// Every one.
    Everywhere,
    /// Those that are on offer.
    There,
}

impl GateLink {
    /// Writes the terms of coupons. Returns those that are not on offer, and stay so.
    pub(super) async fn write_terms(
        &self,
        epoch: &Epoch,
        version: u64,
        coupons: &[&Terms],
        to: Where,
    ) -> Result<Vec<CouponId>, GateError> {
        let mut lacking = Vec::new();
        for some in coupons.chunks(OFFERED) {
            let mut pipeline = Pipeline::with_capacity(1);
            let call = pipeline.cmd("EVAL").arg(OFFER).arg(2 + some.len());
            call.arg(self.names.versions(epoch.number)).arg(self.names.pending(epoch.number));
            for terms in some {
                call.arg(self.names.holders(epoch.number, terms.coupon));
            }
            call.arg(version).arg(u8::from(to == Where::There));
            for terms in some {
                call.arg(terms.coupon.get()).arg(terms.total);
                call.arg(terms.start.millis()).arg(terms.over_from().millis());
            }
            let (answer,): (Vec<u64>,) = self.ask(epoch, &pipeline).await?;
            match answer.split_first() {
                Some((1, coupons)) => lacking.extend(coupons.iter().filter_map(|id| CouponId::new(*id).ok())),
                _ => return Err(GateError::Forgot),
            }
        }
        Ok(lacking)
    }

    pub(super) async fn read_versions(&self, epoch: &Epoch) -> Result<Option<Versions>, GateError> {
        let mut ask = Pipeline::with_capacity(1);
        ask.cmd("HMGET").arg(self.names.versions(epoch.number)).arg(&FIELDS);
        let (fields,): ((Option<u64>, Option<u64>, Option<u64>),) = self.ask(epoch, &ask).await?;
        let (first, last, layouts) = fields;
        let layouts = layouts.unwrap_or(0);
        Ok(first.zip(last).map(|(first, last)| Versions { first, last, layouts }))
    }

    /// Says whether every coupon that was put on offer has its terms.
    pub(super) async fn has_all_terms(&self, epoch: &Epoch) -> Result<bool, GateError> {
        let mut ask = Pipeline::with_capacity(1);
        ask.cmd("HKEYS").arg(self.names.versions(epoch.number));
        let (fields,): (Vec<String>,) = self.ask(epoch, &ask).await?;
        let offered: Vec<CouponId> =
            fields.iter().filter_map(|field| CouponId::new(field.parse().ok()?).ok()).collect();
        for some in offered.chunks(CHUNK) {
            let mut pipeline = Pipeline::with_capacity(some.len());
            for coupon in some {
                let terms = pipeline.cmd("HMGET").arg(self.names.holders(epoch.number, *coupon));
                terms.arg("t").arg("s").arg("e");
            }
            let terms: Vec<Vec<Option<String>>> = self.ask(epoch, &pipeline).await?;
            if terms.into_iter().flatten().any(|field| field.is_none()) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
