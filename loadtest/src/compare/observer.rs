//! The observer of contestants that are under load.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use coupon_lab::growth::ChangeEvent;
use coupon_loadgen::load::LoadProgress;
use coupon_report::model::{AuditResult, Reading};
use coupon_service::api::{AdminStats, HotResults};

use super::sampler::Sample;

/// An observer of a comparison. Each call comes from the thread that did the work, which waits meanwhile.
pub trait Observer: Debug + Send + Sync {
    /// A step of the comparison begins: `what` names it in words for people.
    fn stage(&self, what: &str);
    /// A contestant is up, and says of itself what it is. Contestants are counted in the order of the options.
    fn started(&self, contestant: usize, stats: &AdminStats);
    /// The progress of its load, once a second.
    fn load(&self, contestant: usize, progress: &LoadProgress<'_>);
    /// The work of its shards, in every sample so far, the latest last.
    fn shards(&self, contestant: usize, samples: &[Sample]);
    /// The rooms, coupons and users with the most results of the last minute, as often as the work of its shards.
    fn hot(&self, contestant: usize, hot: &HotResults);
    /// A step of the change of its layout, whose load began at that moment.
    fn growth(&self, contestant: usize, began: Instant, event: &ChangeEvent<'_>);
    /// Its load is over, and what it left behind is stored.
    fn drained(&self, contestant: usize);
    /// The audit of its turn has ended.
    fn audited(&self, contestant: usize, audit: &Reading<AuditResult>);
}

/// Shows one contestant to an observer.
#[derive(Debug, Clone)]
pub(super) struct Watcher {
    pub(super) observer: Arc<dyn Observer>,
    pub(super) contestant: usize,
    /// Others are under load at the same time.
    pub(super) has_company: bool,
}

impl Watcher {
    pub(super) fn load(&self, progress: &LoadProgress<'_>) {
        self.observer.load(self.contestant, progress);
    }

    pub(super) fn shards(&self, samples: &[Sample]) {
        self.observer.shards(self.contestant, samples);
    }

    pub(super) fn hot(&self, hot: &HotResults) {
        self.observer.hot(self.contestant, hot);
    }

    pub(super) fn growth(&self, began: Instant, event: &ChangeEvent<'_>) {
        self.observer.growth(self.contestant, began, event);
    }

    pub(super) fn drained(&self) {
        self.observer.drained(self.contestant);
    }

    pub(super) fn audited(&self, audit: &Reading<AuditResult>) {
        self.observer.audited(self.contestant, audit);
    }
}
