//! The effect of a place in the order of turns.

use std::collections::BTreeMap;

use coupon_measure::stats::estimate;

use crate::model::{Contestant, Metric, PositionEffect, Report, Round};

/// Every place that was taken. Each round's figures are divided by the contestant's own median and by what the round
/// did to all, so that what is left is the place.
pub(super) fn all(report: &Report) -> Vec<PositionEffect> {
    let mut by_place: BTreeMap<u32, (Vec<f64>, Vec<u32>)> = BTreeMap::new();
    let medians: Vec<Option<f64>> = report.contestants.iter().map(usual).collect();
    for (at, contestant) in report.contestants.iter().enumerate() {
        for round in &contestant.rounds {
            let place = by_place.entry(round.position).or_default();
            place.1.resize(report.contestants.len(), 0);
            if let Some(turns) = place.1.get_mut(at) {
                *turns += 1;
            }
            let own = medians.get(at).copied().flatten();
            let mood = mood(report, &medians, round.index);
            place.0.extend(own.and_then(|own| Some(mean(round)? / own / mood?)));
        }
    }
    let several = by_place.len() > 1;
    let effects = by_place.into_iter().filter(|_| several).filter_map(|(position, (ratios, turns))| {
        Some(PositionEffect { position, ratio: estimate(&ratios)?, turns })
    });
    effects.collect()
}

fn mean(round: &Round) -> Option<f64> {
    Metric::Mean.read(round).value().filter(|mean| *mean > 0.0)
}

fn usual(contestant: &Contestant) -> Option<f64> {
    Some(estimate(&contestant.rounds.iter().filter_map(mean).collect::<Vec<_>>())?.median)
}

/// The geometric mean, over the contestants, of a round's figure by the contestant's own median.
fn mood(report: &Report, medians: &[Option<f64>], index: u32) -> Option<f64> {
    let logs: Vec<f64> = report
        .contestants
        .iter()
        .zip(medians)
        .filter_map(|(contestant, own)| {
            let round = contestant.rounds.iter().find(|round| round.index == index)?;
            Some((mean(round)? / (*own)?).ln())
        })
        .collect();
    (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
}
