//! The versions of the layout as this process goes by them now, and the shards that it has opened.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use coupon_core::{ShardId, ShardingStrategy, Versioned};

use crate::swapped::Swapped;

/// A list of versions, behind a pointer that only the callers of [`Layouts::now`] share with it: a reader that only looks shares
/// the list around it.
#[derive(Debug)]
struct List(Arc<Versioned>);

/// The versions of the layout as this process goes by them now: swapped whole when main has another list.
#[derive(Debug)]
pub struct Layouts {
    versions: Swapped<List>,
    /// The shards that are open, whether or not a version uses them yet.
    prepared: NonZeroU16,
    /// The time for which it is relied on that there is no other list, once main or the gate had none; for ever where no process
    /// but this one changes it.
    good_for: Option<Duration>,
    /// The last moment at which that was so, in milliseconds after `began`.
    heard_ms: AtomicU64,
    /// True if main had another list when it was last heard of.
    outdated: AtomicBool,
    began: Instant,
}

impl Layouts {
    /// These versions, where so many shards are open, which are at least those that a version uses.
    #[must_use]
    pub fn new(versions: Versioned, prepared: NonZeroU16) -> Self {
        let prepared = prepared.max(versions.shard_count());
        Self {
            versions: Swapped::new(List(Arc::new(versions))),
            prepared,
            good_for: None,
            heard_ms: AtomicU64::new(0),
            outdated: AtomicBool::new(false),
            began: Instant::now(),
        }
    }

    /// The same, where other processes change them too, and each is announced for longer than that before it is in force.
    #[must_use]
    pub fn good_for(self, time: Duration) -> Self {
        Self { good_for: Some(time), ..self }
    }

    /// Takes note whether main had no other list when it was asked.
    pub fn was_asked(&self, asked: Instant, is_current: bool) {
        self.outdated.store(!is_current, Ordering::Relaxed);
        if is_current {
            self.heard(asked);
        }
    }

    /// Takes note that the gate knew of no later version when it was asked. That is no word against main's.
    pub fn no_later_at_the_gate(&self, asked: Instant) {
        if !self.outdated.load(Ordering::Relaxed) {
            self.heard(asked);
        }
    }

    fn heard(&self, asked: Instant) {
        let heard = asked.saturating_duration_since(self.began).as_millis();
        self.heard_ms.fetch_max(u64::try_from(heard).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// True if the list can change only by a version that is announced first: where there is one version, or rows are
    /// moved to the latest already.
    #[must_use]
    pub fn changes_by_announcement_alone(&self) -> bool {
        self.look(|versions| versions.versions().len() == 1 || versions.latest().receives)
    }

    /// The time for which nothing was heard of the list.
    #[must_use]
    pub fn unheard(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.heard_ms.load(Ordering::Relaxed)))
    }

    /// False once nothing was heard of the list for so long that there may be another one, which is in force.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.good_for.is_none_or(|good| self.unheard() < good)
    }

    /// A layout that has never changed, and no more shards than it uses.
    #[must_use]
    pub fn first(strategy: Arc<dyn ShardingStrategy>) -> Self {
        let prepared = strategy.shard_count();
        Self::new(Versioned::first(strategy), prepared)
    }

    /// The versions now. A reader who goes from place to place by them keeps them until the last: rows begin to move once no one
    /// has those of before any more.
    #[must_use]
    pub fn now(&self) -> Arc<Versioned> {
        Arc::clone(&self.versions.now().0)
    }

    /// Looks at the versions now, without a lock that other threads take. What looks must not look again meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(&Versioned) -> T) -> T {
        self.versions.look(|List(versions)| look(versions))
    }

    /// Every shard that is open, whether or not a version uses it yet.
    pub fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.prepared.get()).map(ShardId::new)
    }

    /// The number of shards that are open.
    #[must_use]
    pub const fn prepared(&self) -> NonZeroU16 {
        self.prepared
    }

    /// Goes by another list from now on: once this has returned, no grab is placed by the one before, which it returns.
    pub fn swap(&self, versions: Versioned) -> Previous {
        Previous(self.versions.swap(List(Arc::new(versions))))
    }
}

/// A list of versions that was replaced: only readers that took it before still go by it.
#[derive(Debug)]
pub struct Previous(Arc<List>);

impl Previous {
    /// True while a reader still goes from place to place by it.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        let List(versions) = &*self.0;
        Arc::strong_count(versions) > 1
    }
}

#[cfg(test)]
mod tests {
    use coupon_core::{LayoutVersion, Timestamp};

    use super::*;
    use crate::embedded::tests::Parity;

    #[test]
    fn versions_are_relied_on_for_as_long_as_no_other_can_be_in_force() {
        let good_for = |time| Layouts::first(Arc::new(Parity)).good_for(time);
        assert!(good_for(Duration::from_secs(3_600)).is_current());
        let unheard = good_for(Duration::ZERO);
        assert!(!unheard.is_current());
        let soon = Instant::now() + Duration::from_secs(3_600);
        // A heard time ahead stands for one that was just heard.
        let heard = |hear: &dyn Fn(&Layouts)| {
            let layouts = good_for(Duration::from_millis(1));
            hear(&layouts);
            std::thread::sleep(Duration::from_millis(2));
            layouts.is_current()
        };
        assert!(!heard(&|_| {}));
        assert!(heard(&|layouts| layouts.was_asked(soon, true)));
        assert!(heard(&|layouts| layouts.no_later_at_the_gate(soon)));
        assert!(!heard(&|layouts| layouts.was_asked(soon, false)));
        assert!(!heard(&|layouts| {
            layouts.was_asked(soon, false);
            layouts.no_later_at_the_gate(soon);
        }));
        assert!(Layouts::first(Arc::new(Parity)).is_current(), "nobody else changes them");
    }

    #[test]
    fn a_version_that_receives_no_rows_yet_may_come_to_do_so_without_another_one() {
        let version = |number, receives| LayoutVersion {
            number,
            from: Timestamp::from_millis(i64::from(number)),
            receives,
            strategy: Arc::new(Parity),
        };
        let layouts = |receives| {
            let versions = Versioned::new(vec![version(1, false), version(2, receives)]).unwrap();
            Layouts::new(versions, NonZeroU16::MIN)
        };
        assert!(Layouts::first(Arc::new(Parity)).changes_by_announcement_alone());
        assert!(layouts(true).changes_by_announcement_alone());
        assert!(!layouts(false).changes_by_announcement_alone());
    }

    #[test]
    fn versions_are_in_use_while_somebody_goes_by_them_and_not_because_somebody_looked() {
        let layouts = Layouts::first(Arc::new(Parity));
        layouts.look(|versions| assert_eq!(versions.latest().number, 1));
        let reading = layouts.now();
        let before = layouts.swap(Versioned::first(Arc::new(Parity)));
        assert!(before.is_in_use());
        drop(reading);
        assert!(!before.is_in_use());
    }
}
