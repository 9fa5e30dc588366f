//! A prediction held against what a replay measured.

use std::fmt;

use coupon_loadgen::workload::Endpoint;
use coupon_measure::format::{count, number};
use coupon_report::model::{Contestant, Figure};
use serde::Serialize;

use super::Prediction;

/// Figures further apart than this part of them do not agree. Routing is exact: what differs is which grabs failed.
const TOLERANCE: f64 = 0.02;

/// The agreement of a measurement with its prediction; of several the worst counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// The two agree.
    Agrees,
    /// There is no figure to compare.
    Unknown,
    /// The two differ.
    Differs,
}

/// A figure as it was predicted and measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// The figure's name.
    pub figure: String,
    /// The prediction.
    pub predicted: Option<f64>,
    /// The measurement.
    pub measured: Figure,
    /// The agreement of the two.
    pub agreement: Agreement,
}

/// Each figure as it was predicted and measured; at once, if all grabs are of one moment.
#[must_use]
pub fn agreement(prediction: &Prediction, measured: &Contestant, at_once: bool) -> Vec<Compared> {
    let replayed = &prediction.replayed;
    let mut figures = vec![("skew of the rows".to_owned(), replayed.rows.skew, skew(measured, at_once))];
    for (endpoint, shards) in &replayed.fan_out {
        let what = format!("shards visited by {}", endpoint.key());
        figures.push((what, Some(*shards), visited(measured, *endpoint)));
    }
    figures.into_iter().map(|(figure, predicted, measured)| compare(figure, predicted, measured)).collect()
}

fn compare(figure: String, predicted: Option<f64>, measured: Result<f64, String>) -> Compared {
    let agreement = match (predicted, &measured) {
        (Some(predicted), Ok(measured)) if (measured / predicted - 1.0).abs() <= TOLERANCE => {
            Agreement::Agrees
        }
        (Some(_), Ok(_)) => Agreement::Differs,
        (None, _) | (_, Err(_)) => Agreement::Unknown,
    };
    Compared { figure, predicted, measured: measured.into(), agreement }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.agreement {
            Agreement::Agrees => "agrees",
            Agreement::Unknown => "cannot be compared",
            Agreement::Differs => "does not agree",
        };
        let predicted = self.predicted.map_or_else(|| "n/a".to_owned(), number);
        let measured = self.measured.show(|measured| number(*measured));
        write!(f, "{}: predicted {predicted}, measured {measured}: {verdict}", self.figure)
    }
}

/// The skew of all rows of all rounds.
fn skew(contestant: &Contestant, at_once: bool) -> Result<f64, String> {
    decided(contestant, at_once)?;
    let mut rows = vec![0.0; usize::from(contestant.shards)];
    for shard in contestant.rounds.iter().flat_map(|round| &round.shards) {
        let written = &shard.rows_written;
        let known = written.value().ok_or_else(|| written.reason().unwrap_or("not measured").to_owned())?;
        if let Some(rows) = rows.get_mut(usize::from(shard.shard)) {
            *rows += known;
        }
    }
    coupon_core::ShardingStats::of(rows).skew.ok_or_else(|| "no row was written".to_owned())
}

/// Refuses rounds in which so many grabs were not even sent that the skew may be off by more than is tolerated: which
/// ones those are is no strategy's doing. The hottest shard has a fair share at least, and may lack all of them, or
/// none.
fn decided(contestant: &Contestant, at_once: bool) -> Result<(), String> {
    let (mut decided, mut asked) = (0, 0);
    for round in &contestant.rounds {
        decided += round.grabs.granted + round.grabs.refused.values().sum::<u64>();
        asked += round.endpoints.get(Endpoint::Grab.key()).map_or(0, |grabs| grabs.requests);
    }
    let undecided = asked.saturating_sub(decided) * u64::from(contestant.shards);
    if undecided as f64 > asked as f64 * TOLERANCE {
        let why =
            if at_once { "all grabs of a part at once; raise --rounds" } else { "the pace; raise --seconds" };
        return Err(format!(
            "of {} grabs only {} were decided, since this machine could not take {why}",
            count(asked),
            count(decided)
        ));
    }
    Ok(())
}

/// Shards that an endpoint's queries visited, on average over all of them.
fn visited(contestant: &Contestant, endpoint: Endpoint) -> Result<f64, String> {
    let (mut shards, mut answers) = (0.0, 0_u64);
    for round in contestant.rounds.iter().filter_map(|round| round.endpoints.get(endpoint.key())) {
        if let Some(mean) = round.shards_visited.value() {
            shards += mean * round.ok as f64;
            answers += round.ok;
        }
    }
    if answers == 0 { Err("too few requests to have any".to_owned()) } else { Ok(shards / answers as f64) }
}

#[cfg(test)]
mod tests {
    use coupon_core::ShardingStats;
    use coupon_report::model::{EndpointRound, Round, ShardRound};

    use super::*;
    use crate::advise::Routed;

    fn prediction(rows: &[u64], user_coupons: f64) -> Prediction {
        let routed = Routed {
            rows: ShardingStats::of_counts(rows),
            fan_out: [(Endpoint::UserCoupons, user_coupons)].into(),
        };
        let (recorded, busiest) = (routed.clone(), routed.clone());
        Prediction { recorded, busiest, replayed: routed, shards_a_query: None, worth: 1.0 }
    }

    fn measured(rounds: &[[f64; 2]]) -> Contestant {
        let round = |rows: &[f64; 2]| {
            let shard = |(shard, rows): (u16, &f64)| ShardRound {
                shard,
                rows_written: Figure::of(*rows),
                ..ShardRound::default()
            };
            let visited =
                EndpointRound { ok: 5, shards_visited: Figure::of(1.0), ..EndpointRound::default() };
            Round {
                shards: (0..).zip(rows).map(shard).collect(),
                endpoints: [("user_coupons".to_owned(), visited)].into(),
                ..Round::default()
            }
        };
        Contestant { shards: 2, rounds: rounds.iter().map(round).collect(), ..Contestant::default() }
    }

    fn worst(found: &[Compared]) -> Agreement {
        found.iter().map(|figure| figure.agreement).max().unwrap()
    }

    fn agreement(prediction: &Prediction, measured: &Contestant) -> Vec<Compared> {
        super::agreement(prediction, measured, false)
    }

    #[test]
    fn rows_of_all_rounds_together_are_held_against_the_prediction() {
        let found = agreement(&prediction(&[30, 10], 1.0), &measured(&[[20.0, 0.0], [10.0, 10.0]]));
        assert_eq!(worst(&found), Agreement::Agrees, "{found:?}");
        assert!(found[0].to_string().contains("predicted 1.50, measured 1.50: agrees"), "{found:?}");
    }

    #[test]
    fn what_differs_does_not_agree_and_what_is_missing_cannot() {
        let found = agreement(&prediction(&[20, 20], 2.0), &measured(&[[30.0, 10.0]]));
        assert!(found.iter().all(|figure| figure.to_string().ends_with("does not agree")), "{found:?}");
        assert_eq!(worst(&found), Agreement::Differs);
        let found = agreement(&prediction(&[20, 20], 2.0), &measured(&[]));
        assert!(found[0].to_string().contains("n/a: no row was written: cannot be compared"), "{found:?}");
        assert_eq!(worst(&found), Agreement::Unknown);
    }

    #[test]
    fn an_overload_proves_nothing() {
        let mut overloaded = measured(&[[20.0, 0.0]]);
        let grabs = EndpointRound { requests: 100, ..EndpointRound::default() };
        overloaded.rounds[0].endpoints.insert("grab".to_owned(), grabs);
        overloaded.rounds[0].grabs.granted = 98;
        let found = agreement(&prediction(&[30, 10], 1.0), &overloaded);
        let told = found[0].to_string();
        assert!(told.contains("of 100 grabs only 98 were decided") && told.contains("--seconds"), "{told}");
        // Nothing is sent any later where all of it is of one moment.
        let told = super::agreement(&prediction(&[30, 10], 1.0), &overloaded, true)[0].to_string();
        assert!(told.contains("--rounds") && !told.contains("--seconds"), "{told}");
        overloaded.rounds[0].grabs.refused.insert("duplicate".to_owned(), 2);
        let found = agreement(&prediction(&[20, 0], 1.0), &overloaded);
        assert_eq!(worst(&found), Agreement::Agrees, "{found:?}");
    }
}
