//! Wakes the dispatcher when the next request is due.
//!
//! The runtime's own timers tick in milliseconds, which at 1,000 requests a second would send every request late and
//! in clumps. Linux has timers as file descriptors, precise to microseconds; elsewhere the runtime's must do, and the
//! generator's lateness in the summary shows it.

use std::io;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
pub(super) struct Alarm {
    timer: tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>,
}

#[cfg(target_os = "linux")]
impl Alarm {
    #[expect(
        deprecated,
        reason = "its successor is unsafe, for descriptors that change under it; this one is owned and never replaced"
    )]
    pub(super) fn new() -> io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        use tokio::io::{Interest, unix::AsyncFd};
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Self { timer: AsyncFd::with_interest(timer, Interest::READABLE)? })
    }

    /// Returns at `moment`, or a little later; may return earlier, so that the caller looks at the clock.
    pub(super) async fn until(&mut self, moment: Instant, now: Instant) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        // A value of zero would disarm the timer.
        let wait = moment.saturating_duration_since(now).max(Duration::from_nanos(1));
        let value = Timespec {
            tv_sec: wait.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        };
        let once = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(
            &self.timer,
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: once, it_value: value },
        )?;
        // The expiry need not be read: setting the timer again forgets it, and each expiry is reported once.
        self.timer.readable().await?.clear_ready();
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) struct Alarm;

#[cfg(not(target_os = "linux"))]
impl Alarm {
    #[expect(clippy::unnecessary_wraps, reason = "making the precise timer of Linux can fail")]
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    /// Returns at `moment`, or up to some milliseconds later.
    pub(super) async fn until(&mut self, moment: Instant, _now: Instant) -> io::Result<()> {
        tokio::time::sleep_until(moment.into()).await;
        Ok(())
    }
}
