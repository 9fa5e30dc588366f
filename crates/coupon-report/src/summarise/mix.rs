//! The effect of another mix of the same requests.
//!
//! The time that a request of a workload takes is the mean of its endpoints' times, each as often as it is asked. So the
//! share of one endpoint at which two contestants take equally long can be calculated, round by round, and has an
//! interval like any figure; that each endpoint would keep its time is the assumption.

use coupon_measure::stats::{
    Comparison, Estimate, Judgement, Least, MIN_ROUNDS, RELEVANT_DIFFERENCE, estimate, judge_family, ratios,
};

use crate::model::{Contestant, Metric, Round};

/// An endpoint that another contestant answers faster, and the share of requests from which on that decides.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Turn {
    /// The endpoint's key.
    pub(super) endpoint: String,
    /// Its part of the requests in these rounds.
    pub(super) share: f64,
    /// Its part from which on the other one takes less time a request.
    pub(super) from: Estimate,
    /// The name of that contestant.
    pub(super) other: String,
}

/// The shares at which another contestant would take over from a leader, the nearest first.
pub(super) fn turns(leader: &Contestant, other: &Contestant, endpoints: &[String]) -> Vec<Turn> {
    let rounds: Vec<(&Round, &Round)> = leader
        .rounds
        .iter()
        .filter_map(|one| Some((one, other.rounds.iter().find(|two| two.index == one.index)?)))
        .collect();
    let mut turns: Vec<Turn> = endpoints.iter().filter_map(|key| turn(&rounds, key, &other.name)).collect();
    turns.sort_by(|one, two| one.from.median.total_cmp(&two.from.median));
    turns
}

/// The endpoints that others answer faster than a leader, each with the name of the other. They are judged together, since any
/// of them would be named.
pub(super) fn faster<'a>(
    leader: &Contestant,
    others: &[&'a Contestant],
    endpoints: &'a [String],
) -> Vec<(&'a str, &'a str)> {
    let asked: Vec<(&Contestant, &str)> =
        others.iter().flat_map(|other| endpoints.iter().map(move |key| (*other, key.as_str()))).collect();
    let comparisons: Vec<Comparison> = asked.iter().map(|(other, key)| by_mean(other, leader, key)).collect();
    let judged = asked.into_iter().zip(judge_family(&comparisons));
    let less = judged.filter(|(_, judged)| matches!(judged.judgement, Judgement::Less(_)));
    less.map(|((other, key), _)| (other.name.as_str(), key)).collect()
}

/// The mean times of an endpoint, as far as both contestants of a round have one.
fn by_mean(one: &Contestant, than: &Contestant, endpoint: &str) -> Comparison {
    let mean = |round: &Round| round.endpoints.get(endpoint)?.mean_ms.value();
    let pairs: Vec<(f64, f64)> = one
        .rounds
        .iter()
        .filter_map(|round| {
            let other = than.rounds.iter().find(|other| other.index == round.index)?;
            Some((mean(round)?, mean(other)?))
        })
        .collect();
    let median = |of: fn(&(f64, f64)) -> f64| {
        estimate(&pairs.iter().map(of).collect::<Vec<_>>()).map_or(0.0, |estimate| estimate.median)
    };
    let medians = (median(|(one, _)| *one), median(|(_, than)| *than));
    let least = Least::ratio(RELEVANT_DIFFERENCE).and_apart(medians, Metric::Mean.least_apart());
    Comparison { ratios: ratios(pairs), least }
}

fn turn(rounds: &[(&Round, &Round)], key: &str, other: &str) -> Option<Turn> {
    let found: Vec<(f64, f64)> =
        rounds.iter().filter_map(|(leader, other)| even(leader, other, key)).collect();
    let from = estimate(&found.iter().map(|(from, _)| *from).collect::<Vec<_>>())?;
    let share = estimate(&found.iter().map(|(_, share)| *share).collect::<Vec<_>>())?.median;
    // A share that some rounds do not have, or that is reached already, is not named.
    let told = from.n >= MIN_ROUNDS && from.n == rounds.len() && from.low > share;
    told.then(|| Turn { endpoint: key.to_owned(), share, from, other: other.to_owned() })
}

/// The share of an endpoint at which both take equally long in a round, and the share it had.
fn even(leader: &Round, other: &Round, key: &str) -> Option<(f64, f64)> {
    let (mut rest, mut rest_requests, mut gain, mut own_requests) = (0.0, 0.0, None, 0.0);
    for (name, of_leader) in &leader.endpoints {
        let more = other.endpoints.get(name)?.mean_ms.value()? - of_leader.mean_ms.value()?;
        let requests = of_leader.requests as f64;
        if name == key {
            (gain, own_requests) = (Some(-more), requests);
        } else {
            rest += more * requests;
            rest_requests += requests;
        }
    }
    let (lead, gain) = (rest / rest_requests, gain?);
    let both_ways = rest_requests > 0.0 && lead > 0.0 && gain > 0.0;
    both_ways.then(|| (lead / (lead + gain), own_requests / (own_requests + rest_requests)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EndpointRound, Figure};

    fn contestant(name: &str, grab: f64, orders: f64) -> Contestant {
        let endpoint =
            |requests, ms| EndpointRound { requests, mean_ms: Figure::of(ms), ..EndpointRound::default() };
        let round = |index| Round {
            index,
            endpoints: [
                ("grab".to_owned(), endpoint(90, grab)),
                ("room_orders".to_owned(), endpoint(10, orders)),
            ]
            .into(),
            ..Round::default()
        };
        Contestant { name: name.into(), rounds: (0..5).map(round).collect(), ..Contestant::default() }
    }

    fn keys() -> [String; 2] {
        ["grab".into(), "room_orders".into()]
    }

    #[test]
    fn a_mix_turns_where_gain_and_loss_are_even() {
        // One wins 1 ms a grab and loses 3 ms an order: even at one order in four requests.
        let (one, other) = (contestant("one", 1.0, 5.0), contestant("other", 2.0, 2.0));
        let turns = turns(&one, &other, &keys());
        let [turn] = turns.as_slice() else { panic!("{turns:?}") };
        assert_eq!((turn.endpoint.as_str(), turn.other.as_str(), turn.share), ("room_orders", "other", 0.1));
        assert!((turn.from.median - 0.25).abs() < 1e-12, "{turn:?}");
    }

    #[test]
    fn one_that_is_slower_at_everything_never_takes_over() {
        let (one, other) = (contestant("one", 1.0, 2.0), contestant("other", 2.0, 3.0));
        assert_eq!(turns(&one, &other, &keys()), []);
        assert_eq!(faster(&other, &[&one], &keys()), [("one", "grab"), ("one", "room_orders")]);
        assert!(faster(&one, &[&other], &keys()).is_empty());
    }

    #[test]
    fn what_holds_of_one_endpoint_may_not_hold_of_one_among_many() {
        let rounds = |factors: [f64; 5]| {
            let mut one = contestant("one", 1.0, 2.0);
            for (round, factor) in one.rounds.iter_mut().zip(factors) {
                let orders = round.endpoints.get_mut("room_orders").unwrap();
                orders.mean_ms = Figure::of(2.0 / factor);
            }
            one
        };
        let (close, leader) = (rounds([1.1, 1.3, 1.06, 1.25, 1.12]), contestant("leader", 1.0, 2.0));
        let key = ["room_orders".to_owned()];
        assert_eq!(faster(&leader, &[&close], &key), [("one", "room_orders")]);
        assert!(faster(&leader, &[&close; 12], &key).is_empty());
    }

    #[test]
    fn a_share_that_is_reached_already_is_none_to_wait_for() {
        let (one, other) = (contestant("one", 1.0, 90.0), contestant("other", 2.0, 2.0));
        assert_eq!(turns(&one, &other, &keys()), []);
    }
}
