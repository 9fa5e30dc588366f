//! Limits on how often one user does something.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use coupon_core::UserId;
use coupon_store::settings::LimitSettings;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

/// Workers meet at these, and a sweep holds one at a time.
const PARTS: u64 = 16;
/// The longest that a user may take to regain a whole burst, and so the longest that one is remembered.
const MEMORY: Duration = Duration::from_secs(3_600);

type Part<C> = RateLimiter<UserId, HashMapStateStore<UserId>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// A limit on how often each user does something, as far as that counts.
///
/// It remembers users who exist and have tried lately, and no others: to be asked once a user is known to exist.
pub struct UserLimit<C: Clock = DefaultClock> {
    parts: Vec<Part<C>>,
    clock: C,
    refused: AtomicU64,
}

impl UserLimit {
    /// The limit on attempts to grab; `None` when the settings set none.
    ///
    /// # Errors
    /// When they would have users remembered for ever; the message names the setting.
    pub fn of_grabs(settings: &LimitSettings) -> anyhow::Result<Option<Self>> {
        let Ok(rate) = settings.user_grabs_per_s.try_into() else { return Ok(None) };
        let quota = Quota::per_second(rate).allow_burst(settings.user_grab_burst);
        anyhow::ensure!(
            quota.burst_size_replenished_in() <= MEMORY,
            "setting `limits.user_grab_burst` must be at most what `limits.user_grabs_per_s` gives back in an hour"
        );
        Ok(Some(Self::with_clock(quota, DefaultClock::default())))
    }

    /// The limit on what a user gives back, a whole hour's at once; `None` when the settings set none. Each time leaves a row
    /// behind, and the user may grab anew.
    #[must_use]
    pub fn of_returns(settings: &LimitSettings) -> Option<Self> {
        let an_hour = settings.user_returns_per_h.try_into().ok()?;
        Some(Self::with_clock(Quota::per_hour(an_hour), DefaultClock::default()))
    }
}

impl<C: Clock + Clone> UserLimit<C> {
    fn with_clock(quota: Quota, clock: C) -> Self {
        let part = |_| RateLimiter::new(quota, HashMapStateStore::default(), clock.clone());
        Self { parts: (0..PARTS).map(part).collect(), clock, refused: AtomicU64::new(0) }
    }

    /// Counts an attempt.
    ///
    /// # Errors
    /// When it is one too many: how long the user must wait before the next.
    pub fn count(&self, user: UserId) -> Result<(), Duration> {
        let at = usize::try_from(user.get() % PARTS).unwrap_or_default();
        let Some(part) = self.parts.get(at) else { return Ok(()) };
        part.check_key(&user).map_err(|early| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            early.wait_time_from(self.clock.now())
        })
    }

    /// Forgets the users who have their whole burst back.
    pub fn sweep(&self) {
        for part in &self.parts {
            part.retain_recent();
            part.shrink_to_fit();
        }
    }

    /// Attempts refused so far.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The number of users it remembers.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.parts.iter().map(RateLimiter::len).sum()
    }
}

impl<C: Clock> std::fmt::Debug for UserLimit<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UserLimit")
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn user(id: u64) -> UserId {
        UserId::new(id).unwrap()
    }

    /// Two a second, three at once.
    fn limit() -> (UserLimit<FakeRelativeClock>, FakeRelativeClock) {
        let (rate, burst) = (NonZeroU32::new(2).unwrap(), NonZeroU32::new(3).unwrap());
        let clock = FakeRelativeClock::default();
        (UserLimit::with_clock(Quota::per_second(rate).allow_burst(burst), clock.clone()), clock)
    }

    #[test]
    fn a_user_has_a_burst_and_then_a_rate() {
        let (limit, clock) = limit();
        for _ in 0..3 {
            assert_eq!(limit.count(user(7)), Ok(()));
        }
        assert_eq!(limit.count(user(7)), Err(Duration::from_millis(500)));
        clock.advance(Duration::from_millis(499));
        assert_eq!(limit.count(user(7)), Err(Duration::from_millis(1)));
        clock.advance(Duration::from_millis(1));
        assert_eq!(limit.count(user(7)), Ok(()));
        assert_eq!(limit.refused(), 2);
    }

    #[test]
    fn users_do_not_count_for_each_other() {
        let (limit, _) = limit();
        for id in [1, 17, 33] {
            for _ in 0..3 {
                assert_eq!(limit.count(user(id)), Ok(()), "{id}");
            }
        }
    }

    #[test]
    fn those_who_have_their_burst_back_are_forgotten_and_others_are_not() {
        let (limit, clock) = limit();
        (1..=1_000).for_each(|id| limit.count(user(id)).unwrap());
        assert_eq!(limit.remembered(), 1_000);
        clock.advance(Duration::from_secs(2));
        for _ in 0..3 {
            limit.count(user(1)).unwrap();
        }
        limit.sweep();
        assert_eq!(limit.remembered(), 1);
        assert!(limit.count(user(1)).is_err());
    }
}
