//! Customers who ask for results that they were granted, and spend some of them, while a fault is there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use coupon_audit::{Claims, UseAnswer};
use coupon_core::Money;
use coupon_lab::wait::at_once;
use coupon_loadgen::http::{ask, get_json};
use coupon_loadgen::load::{GrabOutcome, GrabRecord};
use coupon_loadgen::workload::order_of;
use coupon_service::api::{ResultAnswer, ResultView};
use serde::Serialize;
use serde_json::json;

use super::load::ANSWER;
use super::service::TestedService;

/// The number of grants of which one is asked for, and of those of which one is spent.
const ASKED_FOR: usize = 4;
const SPENT: usize = 2;
/// The number of customers of a service who ask at once.
const CUSTOMERS: usize = 4;
/// The interval at which a customer who waits for a grant looks whether the load is over.
const LOOK: Duration = Duration::from_millis(50);
/// The number of broken promises that are shown in full.
const SHOWN_IN_FULL: usize = 3;

/// Counts of the answers that customers of one service got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CustomerCounts {
    /// Acknowledged results that were asked for, and shown.
    pub shown: u64,
    /// Acknowledged results that could not be shown at that moment.
    pub not_now: u64,
    /// Results that were spent, and acknowledged as spent.
    pub spent: u64,
    /// Results that may or may not have been spent.
    pub perhaps_spent: u64,
}

/// The state of a result, by the answers to its customer.
#[derive(Debug, Clone, Copy)]
enum UseState {
    Kept,
    /// On an order of so many cents.
    Spent(i64),
    Unknown(i64),
    /// As the load wants it: it takes the result's steps itself.
    Elsewhere,
}

impl UseState {
    /// A rank of the knowledge in it: an acknowledged use more than one of which nothing is known, and that more than
    /// none.
    const fn certainty(self) -> u8 {
        match self {
            Self::Kept | Self::Elsewhere => 0,
            Self::Unknown(_) => 1,
            Self::Spent(_) => 2,
        }
    }
}

/// A result that a customer asked for.
#[derive(Debug, Clone, Copy)]
struct ResultUse {
    user: u64,
    result: i64,
    used: UseState,
}

#[derive(Debug, Default)]
struct CustomerLog {
    counts: CustomerCounts,
    uses: Vec<ResultUse>,
    broken: Vec<String>,
    breaks: usize,
}

impl CustomerLog {
    fn broken(&mut self, what: String) {
        self.breaks += 1;
        if self.broken.len() < SHOWN_IN_FULL {
            self.broken.push(what);
        }
    }
}

/// The customers of one service.
#[derive(Debug, Default)]
pub(super) struct Customers {
    log: Mutex<CustomerLog>,
}

impl Customers {
    /// Asks for some of what is granted, until the load is over.
    pub(super) fn follow(&self, service: &TestedService, granted: Receiver<GrabRecord>, over: &AtomicBool) {
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
                        if next.0.is_multiple_of(ASKED_FOR) {
                            self.ask_for(service, &next.1, next.0.is_multiple_of(ASKED_FOR * SPENT));
                        }
                    }
                });
            }
        });
    }

    fn with_log<T>(&self, work: impl FnOnce(&mut CustomerLog) -> T) -> T {
        work(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks for what a grab was granted, and spends it if its user does and the load takes no steps of it.
    fn ask_for(&self, service: &TestedService, grab: &GrabRecord, spends: bool) {
        let GrabRecord { outcome: GrabOutcome::Granted { result_id: id }, user_id, request, .. } = *grab
        else {
            return;
        };
        // With every process away there is none to ask.
        let Ok(target) = service.answering() else { return };
        let shown = ask(&target, "GET", &format!("/api/result/{id}"), &[], ANSWER);
        self.with_log(|log| match &shown {
            Ok((200, body)) => {
                log.counts.shown += 1;
                let answer = serde_json::from_slice::<ResultAnswer>(body).map(|answer| answer.result);
                if !answer.as_ref().is_ok_and(|of| of.result_id == id.to_string() && of.user_id == user_id) {
                    log.broken(format!("result {id} of user {user_id} was shown as {answer:?}"));
                }
            }
            Ok((503, _)) | Err(_) => log.counts.not_now += 1,
            Ok((status, _)) => {
                log.broken(format!("GET /api/result/{id}, which was acknowledged, answered {status}"));
            }
        });
        let used = match request {
            Some(_) => UseState::Elsewhere,
            None if spends => self.spend(service, id, user_id),
            None => UseState::Kept,
        };
        self.with_log(|log| log.uses.push(ResultUse { user: user_id, result: id, used }));
    }

    fn spend(&self, service: &TestedService, id: i64, user_id: u64) -> UseState {
        let Ok(target) = service.answering() else { return UseState::Kept };
        let order = order_of(id);
        let cents = order.cents();
        let body = json!({ "user_id": user_id, "result_id": id.to_string(), "order_amount": order.units() });
        let spent = ask(&target, "POST", "/api/coupon/use", body.to_string().as_bytes(), ANSWER);
        self.with_log(|log| match spent {
            Ok((200, _)) => {
                log.counts.spent += 1;
                UseState::Spent(cents)
            }
            Ok((503, _)) | Err(_) => {
                log.counts.perhaps_spent += 1;
                UseState::Unknown(cents)
            }
            Ok((status, _)) => {
                log.broken(format!("spending result {id}, which was acknowledged, answered {status}"));
                UseState::Unknown(cents)
            }
        })
    }

    /// Counts of the answers so far.
    pub(super) fn counts(&self) -> CustomerCounts {
        self.with_log(|log| log.counts)
    }

    /// Adds the answers to their uses to what clients claim.
    pub(super) fn claim(&self, claims: &mut Claims) {
        for ResultUse { user, result, used } in last_known(self.with_log(|log| log.uses.clone())) {
            match used {
                UseState::Kept | UseState::Elsewhere => {}
                UseState::Spent(cents) => claims.add_use(user, result, UseAnswer::Used { cents, time: None }),
                UseState::Unknown(cents) => claims.add_use(user, result, UseAnswer::Unknown { cents }),
            }
        }
    }

    /// Asks once more for everything, now that all is settled, and returns everything that is otherwise than it was
    /// answered.
    pub(super) fn check_again(&self, service: &TestedService) -> Result<Vec<String>> {
        let uses = last_known(self.with_log(|log| log.uses.clone()));
        let target = service.answering()?;
        at_once(uses.chunks(uses.len().div_ceil(CUSTOMERS).max(1)), |some| {
            some.iter().for_each(|&ResultUse { result, used, .. }| {
                let path = format!("/api/result/{result}");
                let broken = match get_json::<ResultAnswer>(&target, &path) {
                    Ok(answer) if agrees(&answer.result, used) => return,
                    Ok(answer) => format!("{used:?} is stored as {:?}", answer.result),
                    Err(error) => format!("a result that was acknowledged: {error:#}"),
                };
                self.with_log(|log| log.broken(broken));
            });
            Ok(())
        })?;
        Ok(self.with_log(|log| {
            let more = log.breaks.saturating_sub(log.broken.len());
            let rest = (more > 0).then(|| format!("and {more} more of what customers were told"));
            log.broken.iter().cloned().chain(rest).collect()
        }))
    }
}

/// The last that is known of each result. A grab that is repeated while it is pending is granted twice, so that two
/// customers may hold one result: one that either of them spent is spent, even where the other only looked at it.
fn last_known(uses: Vec<ResultUse>) -> Vec<ResultUse> {
    let mut of_each = BTreeMap::<i64, ResultUse>::new();
    for result_use in uses {
        let known = of_each.entry(result_use.result).or_insert(result_use);
        if result_use.used.certainty() > known.used.certainty() {
            *known = result_use;
        }
    }
    of_each.into_values().collect()
}

fn agrees(stored: &ResultView, used: UseState) -> bool {
    match used {
        UseState::Kept => stored.use_status == 0 && stored.order_amount.is_none(),
        UseState::Spent(cents) => {
            stored.use_status == 1 && stored.order_amount == Some(Money::from_cents(cents).units())
        }
        UseState::Unknown(_) | UseState::Elsewhere => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_of_two_customers_spent_is_spent() {
        let result_use = |result, used| ResultUse { user: 1, result, used };
        let last = last_known(vec![
            result_use(7, UseState::Spent(100)),
            result_use(7, UseState::Kept),
            result_use(8, UseState::Kept),
            result_use(8, UseState::Unknown(200)),
            result_use(9, UseState::Kept),
        ]);
        let of: Vec<_> =
            last.iter().map(|result_use| (result_use.result, result_use.used.certainty())).collect();
        assert_eq!(of, [(7, 2), (8, 1), (9, 0)]);
    }
}
