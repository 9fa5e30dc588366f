//! The promises of docs/RELIABILITY.md, as what no state may contradict.

use crate::mechanism::Rules;
use crate::state::{ATTEMPTS, STOCK, State, USERS};

/// A promise: its name, and the law that every reachable state obeys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Promise {
    /// Its name, as reports give it.
    pub(crate) name: &'static str,
    /// The law.
    pub(crate) holds: fn(Rules, &State) -> bool,
}

/// The promises that the model holds states to.
pub(crate) const PROMISES: [Promise; 5] = [
    Promise { name: "never oversold", holds: |_, state| live(state) <= STOCK },
    Promise {
        name: "never two for one user",
        holds: |_, state| (0..USERS).all(|user| state.shard.live_rows_of(user) <= 1),
    },
    Promise {
        name: "what a user was told is stored",
        holds: |_, state| !state.is_settled() || told_is_stored(state),
    },
    Promise { name: "no stock leaks", holds: |_, state| !state.is_settled() || held_is_live(state) },
    Promise { name: "everything settles", holds: |rules, state| state.is_settled() || goes_on(rules, state) },
];

fn live(state: &State) -> usize {
    (0..USERS).map(|user| state.shard.live_rows_of(user)).sum()
}

fn told_is_stored(state: &State) -> bool {
    let ids = (0..USERS).flat_map(|user| (0..ATTEMPTS).map(move |attempt| (user, attempt)));
    ids.filter(|(user, attempt)| state.users[*user].told[*attempt])
        .all(|(user, attempt)| state.shard.rows[user][attempt] > 0)
}

fn held_is_live(state: &State) -> bool {
    let Some(open) = state.open() else { return true };
    state.gate.holds[usize::from(open)]
        .iter()
        .flatten()
        .all(|hold| state.shard.is_live(hold.id) || state.shard.parked[hold.id.user][hold.id.attempt])
}

/// The system does something more by itself: what has no steps but faults has come to its end.
fn goes_on(rules: Rules, state: &State) -> bool {
    rules.candidates(state).any(|step| !step.is_fault() && rules.after(state, step).is_some())
}
