//! Visits every state of a model, and finds the shortest history to one that breaks a promise.

use std::fmt::Debug;
use std::hash::Hash;
use std::time::{Duration, Instant};

use stateright::{Checker as _, HasDiscoveries, Model, Property};

use crate::lease::{LeaseStep, Leases};
use crate::mechanism::{Mechanism, Rules};
use crate::promise::PROMISES;
use crate::state::{Left, State};
use crate::step::Step;
use crate::words::Taken;

/// The requests and faults of one exhaustive search, and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchScope {
    /// Its name in reports.
    pub name: &'static str,
    /// The requests and faults that a history may hold.
    pub left: Left,
}

impl SearchScope {
    /// Scopes that take seconds, for every run of the tests; the smallest first.
    pub const QUICK: [Self; 10] = [
        Self {
            name: "a result is given back; the gate forgets it; a consumer dies",
            left: Left { requests: 1, give_backs: 1, lapses: 1, redeliveries: 1, ..Left::NOTHING },
        },
        Self {
            name: "the queue is deleted; a process and a consumer die",
            left: Left { requests: 4, deletions: 1, deaths: 1, redeliveries: 1, ..Left::NOTHING },
        },
        Self {
            name: "a result is given back; the gate is lost",
            left: Left { requests: 2, give_backs: 1, gate_losses: 1, ..Left::NOTHING },
        },
        Self { name: "the gate is lost twice", left: Left { requests: 2, gate_losses: 2, ..Left::NOTHING } },
        Self {
            name: "two results are given back; a consumer dies",
            left: Left { requests: 3, give_backs: 2, redeliveries: 1, ..Left::NOTHING },
        },
        Self {
            name: "another gate is filled; the gate is lost",
            left: Left { requests: 2, other_fillings: 1, gate_losses: 1, ..Left::NOTHING },
        },
        Self {
            name: "a result is given back; the gate is lost, and main put back",
            left: Left { requests: 1, give_backs: 1, gate_losses: 1, restores: 1, ..Left::NOTHING },
        },
        Self {
            name: "the gate is lost; a process and a consumer die",
            left: Left { requests: 3, gate_losses: 1, deaths: 1, redeliveries: 1, ..Left::NOTHING },
        },
        Self {
            name: "the gate is lost, and main put back",
            left: Left { requests: 2, gate_losses: 1, restores: 1, ..Left::NOTHING },
        },
        Self {
            name: "Redis fails over, and the one of before goes on",
            left: Left { requests: 2, fail_overs: 1, ..Left::NOTHING },
        },
    ];

    /// Larger scopes, which take minutes.
    pub const DEEP: [Self; 6] = [
        Self {
            name: "the gate is lost, and main put back; three requests",
            left: Left { requests: 3, gate_losses: 1, restores: 1, ..Left::NOTHING },
        },
        Self {
            name: "the gate is lost twice; a process dies",
            left: Left { requests: 2, gate_losses: 2, deaths: 1, ..Left::NOTHING },
        },
        Self {
            name: "the gate is lost, and main put back; a process dies",
            left: Left { requests: 2, gate_losses: 1, restores: 1, deaths: 1, ..Left::NOTHING },
        },
        Self {
            name: "Redis fails over, and the one of before goes on; a result is given back",
            left: Left { requests: 2, fail_overs: 1, give_backs: 1, ..Left::NOTHING },
        },
        Self {
            name: "Redis fails over twice, and the one of before goes on; a process dies",
            left: Left { requests: 3, fail_overs: 2, deaths: 1, ..Left::NOTHING },
        },
        Self {
            name: "two results are given back; the gate is lost, and main put back; a consumer dies",
            left: Left {
                requests: 2,
                give_backs: 2,
                gate_losses: 1,
                restores: 1,
                redeliveries: 1,
                ..Left::NOTHING
            },
        },
    ];
}

/// The outcome of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Searched {
    /// The name of its scope.
    pub scope: &'static str,
    /// Number of different states; of those visited until a promise broke.
    pub states: usize,
    /// The longest history without a repeated state.
    pub depth: usize,
    /// Duration of the search.
    pub took: Duration,
    /// The promise that broke, and the shortest history to that.
    pub broken: Option<Broken>,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Its name.
    pub promise: &'static str,
    /// The steps that lead to it, in words.
    pub history: Vec<String>,
}

/// The grab's protocol as a model.
#[derive(Debug, Clone, Copy)]
struct Protocol {
    rules: Rules,
    left: Left,
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self.left)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Step>) {
        actions.extend(self.rules.candidates(state));
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        self.rules.after(state, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        // A property is a function without surroundings, so each promise is looked up by its place.
        vec![
            Property::always(PROMISES[0].name, |model: &Self, state| (PROMISES[0].holds)(model.rules, state)),
            Property::always(PROMISES[1].name, |model: &Self, state| (PROMISES[1].holds)(model.rules, state)),
            Property::always(PROMISES[2].name, |model: &Self, state| (PROMISES[2].holds)(model.rules, state)),
            Property::always(PROMISES[3].name, |model: &Self, state| (PROMISES[3].holds)(model.rules, state)),
            Property::always(PROMISES[4].name, |model: &Self, state| (PROMISES[4].holds)(model.rules, state)),
        ]
    }
}

/// Worker numbers as a model.
#[derive(Debug, Clone, Copy)]
struct WorkerNumbers {
    without: Option<Mechanism>,
}

impl Model for WorkerNumbers {
    type State = Leases;
    type Action = LeaseStep;

    fn init_states(&self) -> Vec<Leases> {
        Leases::first().collect()
    }

    fn actions(&self, _: &Leases, actions: &mut Vec<LeaseStep>) {
        actions.extend(Leases::steps());
    }

    fn next_state(&self, state: &Leases, step: LeaseStep) -> Option<Leases> {
        state.after(step, self.without)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("a leased number is its holder's", |_, state: &Leases| {
            !state.taken_from_a_holder
        })]
    }
}

/// Searches the leases of worker numbers, then all the given scopes, until a promise is broken.
pub fn search_all(scopes: &[SearchScope], without: Option<Mechanism>) -> impl Iterator<Item = Searched> {
    let grabs = scopes.iter().map(move |scope| search(*scope, without));
    let mut going_on = true;
    std::iter::once_with(move || search_leases(without))
        .chain(grabs)
        .take_while(move |searched| std::mem::replace(&mut going_on, searched.broken.is_none()))
}

/// Searches the grab's protocol, without a mechanism if one is named.
#[must_use]
pub fn search(scope: SearchScope, without: Option<Mechanism>) -> Searched {
    let rules = Rules { without };
    let words = move |before: &State, step: &Step| Taken { rules, before, step: *step }.to_string();
    exhaust(scope.name, Protocol { rules, left: scope.left }, words)
}

/// Searches the leases of worker numbers, without a mechanism if one is named.
#[must_use]
pub fn search_leases(without: Option<Mechanism>) -> Searched {
    exhaust("worker numbers", WorkerNumbers { without }, |_, step| step.to_string())
}

/// Breadth first on one thread, so that the first history found is a shortest one.
fn exhaust<M>(scope: &'static str, model: M, words: impl Fn(&M::State, &M::Action) -> String) -> Searched
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let began = Instant::now();
    let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let histories = checker.discoveries().into_iter().map(|(promise, path)| (promise, path.into_vec()));
    let broken =
        histories.min_by_key(|(promise, steps)| (steps.len(), *promise)).map(|(promise, steps)| Broken {
            promise,
            history: steps.iter().filter_map(|(state, step)| Some(words(state, step.as_ref()?))).collect(),
        });
    Searched {
        scope,
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        took: began.elapsed(),
        broken,
    }
}
