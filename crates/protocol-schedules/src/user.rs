//! A user, who asks until there is a clear answer, or they have enough.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use coupon_core::after_grab::{Action, Actor};
use coupon_core::{RequestKey, ResultId, UserId};
use coupon_service::pipeline::Answer;
use coupon_store::Changed;
use coupon_store::servers::seam::Terms;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::check::{Heard, Told};
use crate::plan::{PROCESSES, Wish};
use crate::process::wished;
use crate::schedule::Processes;
use crate::world::{ProcessId, World};

/// The longest that a client waits.
const CLIENT: Duration = Duration::from_secs(5);
/// The most times that a user asks.
const ASKS: u32 = 5;
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
            self.asks(wish, process).await;
        }
    }

    /// Asks once; `None` without a clear answer.
    async fn asks(&self, wish: Wish, process: ProcessId) -> Option<Answer> {
        let terms = self.terms.iter().find(|terms| terms.coupon.get() == wish.coupon)?;
        let user = UserId::new(wish.user).ok()?;
        let running = self.processes.get(process)?;
        let request = terms.grab.need_request().then(|| request(wish));
        self.world.tell(|| format!("user {user} asks {process} for coupon {}", terms.coupon));
        let answer = timeout(CLIENT, running.grab(wished(terms, user, request))).await.ok().flatten();
        let Some(Ok(answer)) = answer else {
            self.world.tell(|| format!("user {user} has no clear answer about coupon {}", terms.coupon));
            return None;
        };
        self.world.tell(|| format!("user {user} is told of coupon {}: {answer:?}", terms.coupon));
        let (id, request) = match answer {
            Answer::Duplicate(id) => (Some(id), None),
            answer => (granted(answer), request),
        };
        let told = Told { user: wish.user, coupon: wish.coupon, id, request };
        self.heard.borrow_mut().told.push(told);
        Some(answer)
    }

    /// Takes a step of a result, until there is a clear answer.
    async fn steps(&self, wish: Wish, id: ResultId, action: Action) {
        let Ok(user) = UserId::new(wish.user) else { return };
        let terms = self.terms.iter().find(|terms| terms.coupon.get() == wish.coupon);
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
                self.heard.borrow_mut().states.push((id, row.state));
                return;
            }
            sleep(PAUSE).await;
            process = other(process);
        }
    }
}

/// The result that a user was given.
fn granted(answer: Answer) -> Option<ResultId> {
    match answer {
        Answer::Granted(reserved) | Answer::Repeated(reserved) => Some(reserved.id),
        Answer::Duplicate(_) | Answer::OutOfStock | Answer::InvalidTime => None,
    }
}

/// Every wish is a request of its own.
fn request(wish: Wish) -> RequestKey {
    RequestKey::of(&format!("{}/{}/{}", wish.at, wish.user, wish.coupon))
}

fn other(process: ProcessId) -> ProcessId {
    ProcessId((process.0 + 1) % PROCESSES)
}
