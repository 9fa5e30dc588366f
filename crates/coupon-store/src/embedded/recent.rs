//! Requests whose results gave their stock back lately: asked for again, they get the answer of the first time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use coupon_core::{RequestKey, Timestamp, UserId};

use crate::gate::REMEMBERED_MS;
use crate::{Grant, Reservation};

/// The requests of one coupon.
#[derive(Debug, Default)]
pub(super) struct Recent {
    answers: HashMap<(UserId, RequestKey), (Grant, Timestamp)>,
    /// The earliest first, to be forgotten in their turn.
    order: BinaryHeap<Reverse<(Timestamp, UserId, RequestKey)>>,
}

impl Recent {
    /// Remembers a result that gave its stock back at that time, if its request was named; forgets those of long before.
    pub(super) fn note(&mut self, user: UserId, reserved: &Reservation, time: Timestamp) {
        let Some(request) = reserved.request else { return };
        self.answers.insert((user, request), (reserved.grant(), time));
        self.order.push(Reverse((time, user, request)));
        while let Some(Reverse((earliest, user, request))) = self.order.peek().copied()
            && !is_remembered(earliest, time)
        {
            self.order.pop();
            if self.answers.get(&(user, request)).is_some_and(|(_, noted)| *noted == earliest) {
                self.answers.remove(&(user, request));
            }
        }
    }

    /// The result of a request, unless that is too long ago.
    pub(super) fn answer(&self, user: UserId, request: RequestKey, now: Timestamp) -> Option<Grant> {
        let (grant, time) = self.answers.get(&(user, request))?;
        is_remembered(*time, now).then_some(*grant)
    }

    /// The users whose requests are remembered.
    pub(super) fn users(&self) -> impl Iterator<Item = UserId> {
        self.answers.keys().map(|(user, _)| *user)
    }
}

fn is_remembered(time: Timestamp, now: Timestamp) -> bool {
    now.millis() - time.millis() < REMEMBERED_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use coupon_core::ResultId;

    #[test]
    fn a_request_is_remembered_for_an_hour_and_then_forgotten() {
        let mut recent = Recent::default();
        let (user, start) = (UserId::new(1).unwrap(), Timestamp::from_millis(1_795_000_000_000));
        let reserved = |name: &str, number| Reservation {
            request: Some(RequestKey::of(name)),
            ..Reservation::plain(ResultId::from_number(number).unwrap())
        };
        let (a, b) = (reserved("a", 1), reserved("b", 2));
        // Not in the order of time, as when a folder is read.
        recent.note(user, &b, start.plus_millis(5));
        recent.note(user, &a, start);
        let answer =
            |recent: &Recent, name, at: i64| recent.answer(user, RequestKey::of(name), start.plus_millis(at));
        assert_eq!(answer(&recent, "a", REMEMBERED_MS - 1), Some(a.grant()));
        assert_eq!(answer(&recent, "a", REMEMBERED_MS), None);
        recent.note(user, &reserved("c", 3), start.plus_millis(REMEMBERED_MS));
        assert_eq!((answer(&recent, "a", 0), answer(&recent, "b", 5)), (None, Some(b.grant())));
        assert_eq!(recent.answers.len(), 2);
        // Without a name there is nothing to remember.
        recent.note(user, &Reservation::plain(a.id), start);
        assert_eq!(recent.answers.len(), 2);
    }
}
