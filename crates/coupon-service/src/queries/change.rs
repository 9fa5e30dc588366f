//! Steps of a result's life after its grab: the result is found, judged, and changed where it lives.

use std::cell::Cell;
use std::time::Duration;

use coupon_core::after_grab::{Action, Actor, StepRefusal, StepVerdict};
use coupon_core::{CouponResult, Money, Placement, UserId};
use coupon_store::{Change, Changed, Unavailable};

use super::{Answered, Queries};

/// The times that a row is looked for to be changed: one that was moved in between is there the second time.
const MOST_MOVES: usize = 2;

/// The outcome of a step that a user or an operator asked for.
#[derive(Debug, Clone)]
pub enum StepResult {
    /// It is taken, now or before; the row as it is stored.
    Done(CouponResult, Answered),
    /// The row stands in the way, as it is.
    Refused(StepRefusal, CouponResult),
    /// Users hand nothing of this coupon back.
    NotReturnable,
    /// The user gives back more than one may; they may do so again after this time.
    TooOften(Duration),
    /// The order is below what the coupon asks for, which is this.
    BelowMinimum(Money),
    /// The user has no such result.
    NotFound,
}

impl Queries {
    /// Takes a step of a result, if its row and the coupon's terms allow it. The same step asked for again gets the
    /// same answer. `may_give_back` is asked before a user gives stock back, and only then; where it says no, it says how long
    /// to wait.
    ///
    /// # Errors
    /// [`Unavailable`] when its shard does not answer, and when it is granted and not stored yet; asking again is safe.
    pub async fn change(
        &self,
        actor: Actor,
        change: Change,
        may_give_back: impl Fn(UserId) -> Result<(), Duration>,
    ) -> Result<StepResult, Unavailable> {
        // Once for each request, however often its row is found.
        let counted = Cell::new(false);
        let may_give_back = |user| if counted.replace(true) { Ok(()) } else { may_give_back(user) };
        // A row that is gone when its step comes has been moved meanwhile, perhaps, and is found again where it is now.
        for _ in 0..MOST_MOVES {
            if let Some(outcome) = self.change_once(actor, change, &may_give_back).await? {
                return Ok(outcome);
            }
        }
        Err(Unavailable::new("this result", "it is on its way to another shard"))
    }

    /// The same; `None` if the row was not there any more when it was to be changed.
    async fn change_once(
        &self,
        actor: Actor,
        change: Change,
        may_give_back: &impl Fn(UserId) -> Result<(), Duration>,
    ) -> Result<Option<StepResult>, Unavailable> {
        let Change { user, id, action, time } = change;
        let (found, answered) = self.find(id, Some(user), time).await?;
        let Some((placement, result)) = found else { return Ok(Some(StepResult::NotFound)) };
        // A clock that was put back since changes nothing before it was grabbed.
        let change = Change { time: time.max(id.time()), ..change };
        match action.judge(&result, change.time) {
            StepVerdict::Done => return Ok(Some(StepResult::Done(result, answered))),
            StepVerdict::Refused(why) => return Ok(Some(StepResult::Refused(why, result))),
            StepVerdict::Possible => {}
        }
        if let Some(refused) = self.refused_by_terms(actor, action, &result) {
            return Ok(Some(refused));
        }
        let gives_back = actor == Actor::User && action.transition().gives_back.is_some();
        if gives_back && let Err(wait) = may_give_back(user) {
            return Ok(Some(StepResult::TooOften(wait)));
        }
        let outcome = match self.change_there(placement, change).await? {
            Changed::Now(result) => StepResult::Done(result, answered),
            // Another request was quicker, perhaps with the same step.
            Changed::Stands(result) => match action.judge(&result, change.time) {
                StepVerdict::Done => StepResult::Done(result, answered),
                StepVerdict::Refused(why) => StepResult::Refused(why, result),
                StepVerdict::Possible => {
                    return Err(Unavailable::new("this result", "its row did not change"));
                }
            },
            Changed::NotFound => return Ok(None),
        };
        Ok(Some(outcome))
    }

    /// The terms of the coupon that are in the way of a step which the row allows.
    fn refused_by_terms(&self, actor: Actor, action: Action, result: &CouponResult) -> Option<StepResult> {
        let known = self.backend.catalogue.known();
        let offered = known.offered(result.coupon_id);
        if !action.is_open_to(actor, offered.is_some_and(|offered| offered.terms.returnable)) {
            return Some(StepResult::NotReturnable);
        }
        let Action::Use(amount) = action else { return None };
        let minimum = known.min_purchase(result.coupon_id).filter(|minimum| amount < *minimum)?;
        Some(StepResult::BelowMinimum(minimum))
    }

    async fn change_there(&self, placement: Placement, change: Change) -> Result<Changed, Unavailable> {
        let changed = self.backend.shards.change(placement, change);
        let late = |_| Err(Unavailable::new(format!("shard {}", placement.shard), "no answer in time"));
        tokio::time::timeout(self.timeout, changed).await.unwrap_or_else(late)
    }
}
