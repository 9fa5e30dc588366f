//! Customers who ask for what they were granted, and spend some of it, while a fault is there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use coupon_audit::{Claims, UseTold};
use coupon_core::Money;
use coupon_lab::wait::at_once;
use coupon_loadgen::http::{ask, get_json};
use coupon_loadgen::load::{GrabOutcome, GrabRecord};
use coupon_service::api::{ResultAnswer, ResultView};
use serde::Serialize;
use serde_json::json;

use super::service::Subject;

/// Of so many grants, one is asked for, and of so many of those, one is spent.
const ASKED_FOR: usize = 4;
const SPENT: usize = 2;
/// How many customers of a service ask at once.
const CUSTOMERS: usize = 4;
/// How long one waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often one who waits for a grant looks whether the load is over.
const LOOK: Duration = Duration::from_millis(50);
/// So many of what went otherwise than promised are told in full.
const TOLD: usize = 3;

/// What customers of one service were told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Acknowledged results that were asked for, and shown.
    pub shown: u64,
    /// Those of which the answer was that it cannot be told now.
    pub not_now: u64,
    /// Results that were spent, and acknowledged as spent.
    pub spent: u64,
    /// Those of which it is not known whether they were.
    pub perhaps_spent: u64,
}

/// What became of one result.
#[derive(Debug, Clone, Copy)]
enum Use {
    Kept,
    /// On an order of so many cents.
    Spent(i64),
    Perhaps(i64),
}

impl Use {
    /// How much it says: an acknowledged use more than one of which nothing is known, and that more than none.
    const fn certainty(self) -> u8 {
        match self {
            Self::Kept => 0,
            Self::Perhaps(_) => 1,
            Self::Spent(_) => 2,
        }
    }
}

/// A result that a customer asked for.
#[derive(Debug, Clone, Copy)]
struct Asker {
    user: u64,
    result: i64,
    used: Use,
}

#[derive(Debug, Default)]
struct Told {
    asked: Asked,
    uses: Vec<Asker>,
    broken: Vec<String>,
    breaks: usize,
}

impl Told {
    fn broken(&mut self, what: String) {
        self.breaks += 1;
        if self.broken.len() < TOLD {
            self.broken.push(what);
        }
    }
}

/// The customers of one service.
#[derive(Debug, Default)]
pub(super) struct Customers {
    told: Mutex<Told>,
}

impl Customers {
    /// Asks for some of what is granted, until the load is over.
    pub(super) fn follow(&self, subject: &Subject, granted: Receiver<GrabRecord>, over: &AtomicBool) {
        let granted = Mutex::new((0_usize, granted));
        std::thread::scope(|scope| {
            for _ in 0..CUSTOMERS {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        let next = {
                            let mut granted = granted.lock().unwrap_or_else(PoisonError::into_inner);
                            match granted.1.recv_timeout(LOOK) {
                                Ok(grab) => {
                                    granted.0 += 1;
                                    (granted.0, grab)
                                }
                                Err(RecvTimeoutError::Timeout) => continue,
                                Err(RecvTimeoutError::Disconnected) => return,
                            }
                        };
                        if let (
                            number,
                            GrabRecord { outcome: GrabOutcome::Granted { result_id }, user_id, .. },
                        ) = next
                            && number.is_multiple_of(ASKED_FOR)
                        {
                            let spends = number.is_multiple_of(ASKED_FOR * SPENT);
                            self.ask_for(subject, result_id, user_id, spends);
                        }
                    }
                });
            }
        });
    }

    fn told<T>(&self, tell: impl FnOnce(&mut Told) -> T) -> T {
        tell(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ask_for(&self, subject: &Subject, id: i64, user_id: u64, spends: bool) {
        // With every process away there is nobody to ask.
        let Ok(target) = subject.one() else { return };
        let shown = ask(&target, "GET", &format!("/api/result/{id}"), &[], PATIENCE);
        self.told(|told| match &shown {
            Ok((200, body)) => {
                told.asked.shown += 1;
                let answer = serde_json::from_slice::<ResultAnswer>(body).map(|answer| answer.result);
                if !answer.as_ref().is_ok_and(|of| of.result_id == id.to_string() && of.user_id == user_id) {
                    told.broken(format!("result {id} of user {user_id} was shown as {answer:?}"));
                }
            }
            Ok((503, _)) | Err(_) => told.asked.not_now += 1,
            Ok((status, _)) => {
                told.broken(format!("GET /api/result/{id}, which was acknowledged, answered {status}"));
            }
        });
        let used = if spends { self.spend(subject, id, user_id) } else { Use::Kept };
        self.told(|told| told.uses.push(Asker { user: user_id, result: id, used }));
    }

    fn spend(&self, subject: &Subject, id: i64, user_id: u64) -> Use {
        let Ok(target) = subject.one() else { return Use::Kept };
        // No two alike.
        let cents = 1_000 + id.rem_euclid(100_000);
        let amount = Money::from_cents(cents).units();
        let body = json!({ "user_id": user_id, "result_id": id.to_string(), "order_amount": amount });
        let spent = ask(&target, "POST", "/api/coupon/use", body.to_string().as_bytes(), PATIENCE);
        self.told(|told| match spent {
            Ok((200, _)) => {
                told.asked.spent += 1;
                Use::Spent(cents)
            }
            // Below the least that an order must come to.
            Ok((422, _)) => Use::Kept,
            Ok((503, _)) | Err(_) => {
                told.asked.perhaps_spent += 1;
                Use::Perhaps(cents)
            }
            Ok((status, _)) => {
                told.broken(format!("spending result {id}, which was acknowledged, answered {status}"));
                Use::Perhaps(cents)
            }
        })
    }

    /// What they were told.
    pub(super) fn asked(&self) -> Asked {
        self.told(|told| told.asked)
    }

    /// Claims of the auditor what they were told of their uses.
    pub(super) fn claim(&self, claims: &mut Claims) {
        for Asker { user, result, used } in said_last(self.told(|told| told.uses.clone())) {
            match used {
                Use::Kept => {}
                Use::Spent(cents) => claims.add_use(user, result, UseTold::Used { cents, time: None }),
                Use::Perhaps(cents) => claims.add_use(user, result, UseTold::Unknown { cents }),
            }
        }
    }

    /// Asks once more for everything, now that all is settled, and says what is otherwise than they were told.
    pub(super) fn ask_again(&self, subject: &Subject) -> Result<Vec<String>> {
        let uses = said_last(self.told(|told| told.uses.clone()));
        let target = subject.one()?;
        at_once(uses.chunks(uses.len().div_ceil(CUSTOMERS).max(1)), |some| {
            some.iter().for_each(|&Asker { result, used, .. }| {
                let path = format!("/api/result/{result}");
                let broken = match get_json::<ResultAnswer>(&target, &path) {
                    Ok(answer) if agrees(&answer.result, used) => return,
                    Ok(answer) => format!("{used:?} is stored as {:?}", answer.result),
                    Err(error) => format!("a result that was acknowledged: {error:#}"),
                };
                self.told(|told| told.broken(broken));
            });
            Ok(())
        })?;
        Ok(self.told(|told| {
            let more = told.breaks.saturating_sub(told.broken.len());
            let rest = (more > 0).then(|| format!("and {more} more of what customers were told"));
            told.broken.iter().cloned().chain(rest).collect()
        }))
    }
}

/// What is known of each result in the end. A grab that is repeated while it is pending is granted twice, so that two
/// customers may hold one result: what one of them spent is not kept because the other only looked at it.
fn said_last(uses: Vec<Asker>) -> Vec<Asker> {
    let mut of_each = BTreeMap::<i64, Asker>::new();
    for asker in uses {
        let known = of_each.entry(asker.result).or_insert(asker);
        if asker.used.certainty() > known.used.certainty() {
            *known = asker;
        }
    }
    of_each.into_values().collect()
}

fn agrees(stored: &ResultView, used: Use) -> bool {
    match used {
        Use::Kept => stored.use_status == 0 && stored.order_amount.is_none(),
        Use::Spent(cents) => {
            stored.use_status == 1 && stored.order_amount == Some(Money::from_cents(cents).units())
        }
        Use::Perhaps(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_of_two_customers_spent_is_spent() {
        let asker = |result, used| Asker { user: 1, result, used };
        let last = said_last(vec![
            asker(7, Use::Spent(100)),
            asker(7, Use::Kept),
            asker(8, Use::Kept),
            asker(8, Use::Perhaps(200)),
            asker(9, Use::Kept),
        ]);
        let of: Vec<_> = last.iter().map(|asker| (asker.result, asker.used.certainty())).collect();
        assert_eq!(of, [(7, 2), (8, 1), (9, 0)]);
    }
}
