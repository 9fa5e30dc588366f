//! The callers that wait for messages' confirmations, and the queues for which none has come in time.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::PublishError;

/// The time for which a queue that did not confirm in time is spared. A late confirmation ends it sooner; this is for a
/// message that the broker has forgotten.
const SPARED: Duration = Duration::from_secs(15);

/// The time for which messages by one route may be refused one after the other on a channel. A channel that first sent something
/// while the queue had no leader goes on refusing once there is one (RabbitMQ 3.10), and another one does not.
const REFUSING: Duration = Duration::from_secs(1);

/// The fate of a message.
pub(super) type Outcome = Result<(), PublishError>;

/// The callers that wait for messages' confirmations, on one channel.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    state: Mutex<State>,
    /// The channel is gone, or of no more use.
    pub(super) lost: Notify,
}

#[derive(Debug, Default)]
struct State {
    by_tag: BTreeMap<u64, Waiter>,
    /// Routes by which a message went that is overdue, and since when.
    overdue: BTreeMap<String, Instant>,
    /// Routes by which every message was refused, and since when.
    refused: BTreeMap<String, Instant>,
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
        let now = Instant::now();
        let mut is_of_use = true;
        for Waiter { route, .. } in settled.values() {
            state.overdue.remove(route);
            is_of_use &= state.is_of_use(route, outcome, now);
        }
        drop(state);
        if !is_of_use {
            self.lost.notify_one();
        }
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

impl State {
    /// Takes note of a message's outcome. False once the channel has refused every message by its route for too long.
    fn is_of_use(&mut self, route: &str, outcome: Outcome, now: Instant) -> bool {
        if outcome != Err(PublishError::Refused) {
            self.refused.remove(route);
            return true;
        }
        let since = *self.refused.entry(route.to_owned()).or_insert(now);
        now.saturating_duration_since(since) < REFUSING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_that_goes_on_refusing_by_one_route_is_of_no_more_use() {
        let (mut state, now) = (State::default(), Instant::now());
        let refused = Err(PublishError::Refused);
        assert!(state.is_of_use("1.0", refused, now));
        assert!(state.is_of_use("1.1", Ok(()), now + REFUSING));
        assert!(state.is_of_use("1.0", refused, now + REFUSING / 2));
        assert!(!state.is_of_use("1.0", refused, now + REFUSING));
        assert!(state.is_of_use("1.0", Ok(()), now + REFUSING));
        assert!(state.is_of_use("1.0", refused, now + REFUSING));
    }

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
