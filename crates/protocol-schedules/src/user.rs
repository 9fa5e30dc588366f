//! A user, who asks until they have a clear answer, or have asked often enough.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use coupon_core::after_grab::{Action, Actor};
use coupon_core::{CouponResult, RequestKey, ResultId, ResultState, UserId};
use coupon_servers::seam::Terms;
use coupon_service::pipeline::GrabDecision;
use coupon_store::Changed;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::check::{ClearAnswer, Heard};
use crate::plan::{PROCESSES, Wish};
use crate::process::wished;
use crate::schedule::Processes;
use crate::world::{ProcessId, World};

/// The longest that a client waits.
const CLIENT: Duration = Duration::from_secs(5);
/// The most times that a user asks.
const ASKS: u32 = 5;
/// The same once everything has settled: the gate may have to be filled anew first.
const SETTLED_ASKS: usize = 40;
/// The most by which a process may take main's time for another than it is.
const CLOCKS_DIFFER_MS: i64 = 500;
/// The time between two of them.
const PAUSE: Duration = Duration::from_millis(700);

/// A user, and what all of them have heard.
pub(crate) struct User {
    pub(crate) world: Arc<World>,
    pub(crate) processes: Rc<Processes>,
    pub(crate) terms: Rc<[Terms]>,
    pub(crate) heard: Rc<RefCell<Heard>>,
}

impl User {
    /// Has a wish, and does what they want with what they get.
    pub(crate) async fn wishes(self, wish: Wish, began: Instant) {
        sleep_until(began + Duration::from_millis(wish.at)).await;
        let (mut process, mut got) = (wish.process, None);
        for _ in 0..ASKS {
            let answer = self.asks(wish, process).await;
            self.compares(wish, got, answer);
            got = got.or(answer.and_then(granted));
            if if answer.is_some() { !wish.repeats } else { !wish.asks_again } {
                break;
            }
            sleep(PAUSE).await;
            process = other(process);
        }
        if let (Some(id), Some((action, after))) = (got, wish.then) {
            sleep(Duration::from_millis(after)).await;
            self.steps(wish, id, action).await;
        }
        if wish.repeats {
            let answer = self.asks(wish, process).await;
            self.compares(wish, got, answer);
        }
    }

    /// Compares an answer to a request that has a name with what it was granted before.
    fn compares(&self, wish: Wish, got: Option<ResultId>, answer: Option<GrabDecision>) {
        let named = self.of(wish.coupon).is_some_and(|terms| terms.grab.need_request());
        if let (Some(first), Some(answer)) = (got, answer)
            && named
            && granted(answer) != Some(first)
        {
            let Wish { user, coupon, .. } = wish;
            self.heard.borrow_mut().otherwise.push(format!(
                "a request has one answer: user {user} was granted {first} of coupon {coupon}, and was told {answer:?} since"
            ));
        }
    }

    /// Asks once more for what the user has by an earlier answer, when everything has settled; until there is a clear answer.
    /// Says what is otherwise.
    pub(crate) async fn hears_otherwise(&self, told: &ClearAnswer) -> Option<String> {
        let ClearAnswer { user, coupon, id, request } = *told;
        let (id, terms) = (id?, self.of(coupon)?);
        // Where requests have names, an answer that has none is about the result of another request; elsewhere a result counts as
        // long as it takes stock.
        let live = || {
            self.world
                .state()
                .shards
                .iter()
                .flat_map(|shard| shard.rows())
                .any(|row| row.result_id == id && row.slot.is_some())
        };
        if request.is_none() && (terms.grab.need_request() || !live()) {
            return None;
        }
        for number in 0..SETTLED_ASKS {
            match self.ask(terms, UserId::new(user).ok()?, request, ProcessId(number % PROCESSES)).await {
                None => sleep(PAUSE).await,
                Some(GrabDecision::Duplicate(held)) if request.is_none() && held == id => return None,
                Some(answer) if request.is_some() && granted(answer) == Some(id) => return None,
                Some(answer) => {
                    return Some(format!(
                        "a request has one answer: user {user} has {id} of coupon {coupon}, and is told {answer:?} at the end"
                    ));
                }
            }
        }
        Some(format!(
            "everything settles: user {user}, who has {id} of coupon {coupon}, is not told so any more"
        ))
    }

    fn of(&self, coupon: u64) -> Option<&Terms> {
        self.terms.iter().find(|terms| terms.coupon.get() == coupon)
    }

    /// Asks once; `None` without a clear answer.
    async fn asks(&self, wish: Wish, process: ProcessId) -> Option<GrabDecision> {
        let terms = self.of(wish.coupon)?;
        let user = UserId::new(wish.user).ok()?;
        let request = terms.grab.need_request().then(|| request(wish));
        let answer = self.ask(terms, user, request, process).await?;
        let (id, request) = match answer {
            GrabDecision::Duplicate(id) => (Some(id), None),
            answer => (granted(answer), request),
        };
        let told = ClearAnswer { user: wish.user, coupon: wish.coupon, id, request };
        self.heard.borrow_mut().told.push(told);
        Some(answer)
    }

    async fn ask(
        &self,
        terms: &Terms,
        user: UserId,
        request: Option<RequestKey>,
        process: ProcessId,
    ) -> Option<GrabDecision> {
        let running = self.processes.get(process)?;
        self.world.tell(|| format!("user {user} asks {process} for coupon {}", terms.coupon));
        let answer = timeout(CLIENT, running.grab(wished(terms, user, request))).await.ok().flatten();
        let Some(Ok(answer)) = answer else {
            self.world.tell(|| format!("user {user} has no clear answer about coupon {}", terms.coupon));
            return None;
        };
        self.world.tell(|| format!("user {user} is told of coupon {}: {answer:?}", terms.coupon));
        Some(answer)
    }

    /// Takes a step of a result, until there is a clear answer.
    async fn steps(&self, wish: Wish, id: ResultId, action: Action) {
        let Ok(user) = UserId::new(wish.user) else { return };
        let terms = self.of(wish.coupon);
        if terms.is_none_or(|terms| !action.is_open_to(Actor::User, terms.grab.returnable)) {
            return;
        }
        let mut process = wish.process;
        for _ in 0..ASKS {
            let running = self.processes.get(process);
            self.world.tell(|| format!("user {user} has {process} {} {id}", action.as_str()));
            let answer = async { running.as_ref()?.step(user, id, action).await };
            let answer = timeout(CLIENT, answer).await.ok().flatten();
            if let Some(Ok(Changed::Now(row) | Changed::Stands(row))) = answer {
                self.world.tell(|| format!("user {user} is told that {id} is {}", row.state));
                let mut heard = self.heard.borrow_mut();
                heard.states.push((id, row.state));
                if action == Action::Confirm && self.was_in_time(&row) {
                    heard.too_late.push(format!(
                        "a hold is confirmed until its moment, whatever ended: {id} is {}, and was held until {:?}",
                        row.state, row.hold_until
                    ));
                }
                return;
            }
            sleep(PAUSE).await;
            process = other(process);
        }
    }

    /// Judges whether a hold that is not confirmed would have had to be: its moment has not come yet.
    fn was_in_time(&self, row: &CouponResult) -> bool {
        let refused = matches!(row.state, ResultState::Held | ResultState::Expired);
        let soon = self.world.clock.now().plus_millis(CLOCKS_DIFFER_MS);
        refused && row.hold_until.is_some_and(|until| soon < until)
    }
}

/// The result that a user was given.
fn granted(answer: GrabDecision) -> Option<ResultId> {
    match answer {
        GrabDecision::Granted(reserved) => Some(reserved.id),
        GrabDecision::Repeated(grant) => Some(grant.id),
        GrabDecision::Duplicate(_) | GrabDecision::OutOfStock | GrabDecision::InvalidTime => None,
    }
}

/// Every wish is a request of its own.
fn request(wish: Wish) -> RequestKey {
    RequestKey::of(&format!("{}/{}/{}", wish.at, wish.user, wish.coupon))
}

fn other(process: ProcessId) -> ProcessId {
    ProcessId((process.0 + 1) % PROCESSES)
}
