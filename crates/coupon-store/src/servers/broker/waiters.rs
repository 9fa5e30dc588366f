//! The callers that wait for messages' confirmations, and the queues for which none has come in time.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::PublishError;

/// The time for which a queue that did not confirm in time is spared. A late confirmation ends it sooner; this is for a
/// message that the broker has forgotten.
const SPARED: Duration = Duration::from_secs(15);

/// The fate of a message.
pub(super) type Outcome = Result<(), PublishError>;

/// The callers that wait for messages' confirmations, on one channel.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    state: Mutex<State>,
    /// The channel is gone.
    pub(super) lost: Notify,
}

#[derive(Debug, Default)]
struct State {
    by_tag: BTreeMap<u64, Waiter>,
    /// Routes by which a message went that is overdue, and since when.
    overdue: BTreeMap<String, Instant>,
}

#[derive(Debug)]
struct Waiter {
    route: String,
    reply: oneshot::Sender<Outcome>,
    returned: bool,
}

impl Waiters {
    pub(super) fn add(&self, tag: u64, route: &str) -> oneshot::Receiver<Outcome> {
        let (reply, confirmation) = oneshot::channel();
        let waiter = Waiter { route: route.to_owned(), reply, returned: false };
        self.state().by_tag.insert(tag, waiter);
        confirmation
    }

    /// Forgets the caller that waits for this message. It stays the probe that shows when the broker takes messages
    /// again: the driver does not advertise `connection.blocked`, so RabbitMQ does not announce to it that it is
    /// short of memory.
    pub(super) fn overdue(&self, tag: u64) {
        let state = &mut *self.state();
        if let Some(waiter) = state.by_tag.get(&tag) {
            state.overdue.insert(waiter.route.clone(), Instant::now());
        }
    }

    /// True if a message sent this way would wait for one that is overdue.
    pub(super) fn is_stuck(&self, route: &str) -> bool {
        self.state().overdue.get(route).is_some_and(|since| since.elapsed() < SPARED)
    }

    /// A message that no queue takes is returned first, and confirmed all the same.
    pub(super) fn returned(&self, tag: u64) {
        if let Some(waiter) = self.state().by_tag.get_mut(&tag) {
            waiter.returned = true;
        }
    }

    pub(super) fn settle(&self, tag: u64, multiple: bool, outcome: Outcome) {
        let mut state = self.state();
        let settled = if multiple {
            let later = state.by_tag.split_off(&(tag + 1));
            std::mem::replace(&mut state.by_tag, later)
        } else {
            state.by_tag.remove(&tag).map(|waiter| (tag, waiter)).into_iter().collect()
        };
        for waiter in settled.values() {
            state.overdue.remove(&waiter.route);
        }
        drop(state);
        for waiter in settled.into_values() {
            let outcome = if waiter.returned { Err(PublishError::NoRoute) } else { outcome };
            // A caller that does not wait any more has the answer that the outcome is unknown.
            let _ = waiter.reply.send(outcome);
        }
    }

    pub(super) fn fail(&self) {
        for (_, waiter) in std::mem::take(&mut *self.state()).by_tag {
            let _ = waiter.reply.send(Err(PublishError::Lost));
        }
        self.lost.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_confirmation_may_stand_for_all_before_it() {
        let waiters = Waiters::default();
        let mut all: Vec<_> = (1..=4).map(|tag| waiters.add(tag, "1.0")).collect();
        waiters.settle(3, true, Ok(()));
        let known: Vec<bool> = all.iter_mut().map(|one| one.try_recv().is_ok()).collect();
        assert_eq!(known, [true, true, true, false]);
    }

    #[test]
    fn a_message_that_was_returned_is_not_stored_though_it_is_confirmed() {
        let waiters = Waiters::default();
        let mut confirmation = waiters.add(1, "1.0");
        waiters.returned(1);
        waiters.settle(1, false, Ok(()));
        assert_eq!(confirmation.try_recv().unwrap(), Err(PublishError::NoRoute));
    }

    #[test]
    fn when_the_channel_is_gone_nobody_waits_for_ever() {
        let waiters = Waiters::default();
        let mut confirmation = waiters.add(1, "1.0");
        waiters.fail();
        assert_eq!(confirmation.try_recv().unwrap(), Err(PublishError::Lost));
    }

    #[test]
    fn a_queue_is_spared_from_its_first_overdue_message_to_the_next_confirmation() {
        let waiters = Waiters::default();
        let _unheard = [waiters.add(1, "1.0"), waiters.add(2, "1.1"), waiters.add(3, "1.0")];
        waiters.overdue(1);
        assert!(waiters.is_stuck("1.0") && !waiters.is_stuck("1.1"));
        waiters.settle(2, false, Ok(()));
        assert!(waiters.is_stuck("1.0"));
        waiters.settle(3, false, Ok(()));
        assert!(!waiters.is_stuck("1.0"));
    }

    #[test]
    fn a_message_that_was_confirmed_at_the_last_moment_is_not_overdue() {
        let waiters = Waiters::default();
        let _unheard = waiters.add(1, "1.0");
        waiters.settle(1, false, Ok(()));
        waiters.overdue(1);
        assert!(!waiters.is_stuck("1.0"));
    }
}
