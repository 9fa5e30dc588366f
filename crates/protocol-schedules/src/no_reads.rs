//! The parts of a backend that no grab asks: schedules have none.

use std::sync::Arc;

use coupon_core::catalogue_change::{CatalogueChange, ChangeRecord, Operator};
use coupon_core::{CouponId, Place, Placement, ResultId, ResultQuery, RoomId, ShardId};
use coupon_store::metrics::Exposition;
use coupon_store::{
    Applied, Catalogue, Change, ChangeError, Changed, CouponAndDetails, Found, Known, Lifecycle, LocalFuture,
    OwnMetrics, PageRequest, Repairs, ResultSummary, ShardReport, Shards, Totals, Unavailable, Visit,
    Visited,
};

/// Answers no question.
pub(crate) struct NoReads;

/// Counts nothing.
pub(crate) struct NoMetrics;

type Answer<'a, T> = LocalFuture<'a, Result<T, Unavailable>>;

fn none<'a, T: 'a>() -> Answer<'a, T> {
    Box::pin(std::future::ready(Err(Unavailable::new("reads", "schedules have none"))))
}

impl Shards for NoReads {
    fn page(&self, _: Place, _: Visit, _: ResultQuery, _: PageRequest) -> Answer<'_, Visited<Vec<Found>>> {
        none()
    }

    fn find(&self, _: Place, _: Visit, _: ResultId) -> Answer<'_, Visited<Option<Found>>> {
        none()
    }

    fn summary(&self, _: Place, _: Visit, _: ResultQuery) -> Answer<'_, Visited<ResultSummary>> {
        none()
    }

    fn totals(&self, _: Place, _: Visit) -> Answer<'_, Visited<Totals>> {
        none()
    }

    fn kept_totals(&self, _: ShardId) -> Answer<'_, Visited<Totals>> {
        none()
    }

    fn held(&self, _: ShardId) -> Answer<'_, Visited<Vec<(CouponId, u64)>>> {
        none()
    }

    fn change(&self, _: Placement, _: Change) -> Answer<'_, Changed> {
        none()
    }

    fn report(&self, _: ShardId) -> LocalFuture<'_, Option<ShardReport>> {
        Box::pin(std::future::ready(None))
    }
}

impl Catalogue for NoReads {
    fn known(&self) -> Arc<Known> {
        Arc::default()
    }

    fn version(&self) -> u64 {
        0
    }

    fn change(&self, _: CatalogueChange, _: Operator) -> LocalFuture<'_, Result<Applied, ChangeError>> {
        Box::pin(async { none().await.map_err(ChangeError::from) })
    }

    fn changes(&self, _: usize) -> Answer<'_, Vec<ChangeRecord>> {
        none()
    }

    fn coupon(&self, _: CouponId, _: bool) -> Answer<'_, Option<CouponAndDetails>> {
        none()
    }

    fn coupons(
        &self,
        _: Option<RoomId>,
        _: Option<CouponId>,
        _: usize,
        _: bool,
    ) -> Answer<'_, Vec<CouponAndDetails>> {
        none()
    }

    fn lag_entries(&self) -> u64 {
        0
    }

    fn set_aside(&self) -> (usize, Vec<(i64, String)>) {
        (0, Vec::new())
    }
}

impl Lifecycle for NoReads {
    fn make_tables(&self, _: &[Placement]) {}

    fn drain(&self) -> Answer<'_, ()> {
        none()
    }

    fn close(&self) {}
}

impl OwnMetrics for NoMetrics {
    fn repairs(&self) -> Repairs {
        Repairs { reconciled: 0, restored: 0 }
    }

    fn expose(&self, _: &mut Exposition) {}
}
