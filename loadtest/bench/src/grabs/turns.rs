//! Kinds take turns, in an order drawn anew for each round, so that a machine that drifts does so for all alike.

use std::fmt::Display;

use anyhow::{Context as _, Result};
use coupon_measure::Turns;
use coupon_report::model::{Figure, Reading};

use super::load_kind::LoadKind;
use super::measured::Measured;
use super::sample::Sample;
use crate::context::Context;
use crate::model::{NamedFigure, RoundSpread};

/// All rounds of some kinds.
#[derive(Debug)]
pub(super) struct Rounds<K>(Vec<(u32, K, Sample)>);

/// Lets every kind have a turn in each round.
pub(super) fn take_turns<K: Copy + PartialEq + Display>(
    context: &Context,
    kinds: &[K],
    turn: impl FnMut(K) -> Result<Sample>,
) -> Result<Rounds<K>> {
    so_often(context, context.rounds(), kinds, turn)
}

fn so_often<K: Copy + PartialEq + Display>(
    context: &Context,
    rounds: u32,
    kinds: &[K],
    mut turn: impl FnMut(K) -> Result<Sample>,
) -> Result<Rounds<K>> {
    let mut turns = Turns::new(context.seed);
    let mut samples = Vec::new();
    for round in 1..=rounds {
        for at in turns.next_order(kinds.len()) {
            let Some(kind) = kinds.get(at).copied() else { continue };
            context.progress(format!("round {round} of {rounds}: {kind}"));
            samples.push((round, kind, turn(kind)?));
        }
    }
    Ok(Rounds(samples))
}

/// The same for services of different kinds, in so many rounds.
pub(super) fn take_turns_each(
    context: &Context,
    rounds: u32,
    services: &mut [Measured],
    kinds: &[LoadKind],
) -> Result<Rounds<LoadKind>> {
    let duration = context.round();
    so_often(context, rounds, kinds, |kind| {
        let mut of = services.iter_mut().zip(kinds);
        let (service, _) = of.find(|(_, its)| **its == kind).context("it is one of them")?;
        service.round(&kind.load(duration))
    })
}

impl<K: Copy + PartialEq + Display> Rounds<K> {
    fn of(&self, kind: K) -> impl Iterator<Item = (u32, &Sample)> {
        self.0.iter().filter(move |(_, other, _)| *other == kind).map(|(round, _, sample)| (*round, sample))
    }

    /// A figure of each round of a kind.
    pub(super) fn values(&self, kind: K, value: impl Fn(&Sample) -> f64) -> Vec<f64> {
        self.of(kind).map(|(_, sample)| value(sample)).collect()
    }

    /// The same, over the rounds.
    pub(super) fn spread(&self, kind: K, value: impl Fn(&Sample) -> f64) -> Reading<RoundSpread> {
        Reading::or_because(RoundSpread::of(&self.values(kind, value)), "the rounds gave no figure")
    }

    /// One kind's figure ÷ another's, of the same round.
    pub(super) fn ratios(&self, one: K, other: K, value: impl Fn(&Sample) -> f64) -> Vec<f64> {
        let of_round = |round| self.of(other).find(|(same, _)| *same == round);
        let ratio = |(round, sample)| Some(value(sample) / value(of_round(round)?.1));
        self.of(one).filter_map(ratio).collect()
    }

    /// Such ratios over the rounds.
    pub(super) fn ratio_spread(
        &self,
        one: K,
        other: K,
        value: impl Fn(&Sample) -> f64,
    ) -> Reading<RoundSpread> {
        Reading::or_because(RoundSpread::of(&self.ratios(one, other, value)), "the rounds gave no figure")
    }

    /// The reasons why rounds of these kinds are not valid: one line each.
    pub(super) fn problems(&self, kinds: &[K]) -> Vec<String> {
        let of_kinds = self.0.iter().filter(|(_, kind, _)| kinds.contains(kind));
        let told = of_kinds.filter_map(|(round, kind, sample)| {
            Some(format!("round {round}, {kind}: {}", sample.problem.as_ref()?))
        });
        told.collect()
    }

    /// Rates and latencies of a kind.
    pub(super) fn figures(&self, kind: K) -> Vec<NamedFigure> {
        let of = |what: &str, unit: &'static str, value: fn(&Sample) -> f64| {
            NamedFigure::of(format!("{kind}: {what}"), unit, &self.values(kind, value))
        };
        vec![
            of("rate", "/s", |sample| sample.per_s),
            of("p50", "ms", |sample| sample.p50_ms),
            of("p99", "ms", |sample| sample.p99_ms),
        ]
    }

    /// The CPU that a request of a kind took, by process.
    pub(super) fn profile(&self, kind: K) -> Vec<NamedFigure> {
        let Some((_, first)) = self.of(kind).next() else { return Vec::new() };
        let of_process = |name: &String| {
            let what = format!("{kind}: CPU a request, {name}");
            let read: Vec<&Figure> =
                self.of(kind).filter_map(|(_, sample)| sample.cpu_us.get(name)).collect();
            match read.iter().find_map(|read| read.reason()) {
                Some(why) => NamedFigure::unknown(what, "µs", why),
                None => NamedFigure::of(
                    what,
                    "µs",
                    &read.iter().filter_map(|read| read.value()).collect::<Vec<_>>(),
                ),
            }
        };
        first.cpu_us.keys().map(of_process).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(per_s: f64, cpu: Option<f64>) -> Sample {
        let cpu = Figure::or_because(cpu, "no /proc");
        Sample { per_s, cpu_us: [("service".to_owned(), cpu)].into(), ..Sample::default() }
    }

    fn rounds() -> Rounds<&'static str> {
        Rounds(vec![
            (1, "echo", sample(100.0, None)),
            (1, "grab", sample(50.0, Some(1.0))),
            (2, "grab", sample(30.0, Some(2.0))),
            (2, "echo", sample(50.0, Some(1.0))),
            (3, "grab", Sample { problem: Some("1 failed".to_owned()), ..sample(20.0, Some(3.0)) }),
            (3, "echo", sample(200.0, Some(1.0))),
        ])
    }

    #[test]
    fn a_ratio_is_of_rounds_not_of_medians() {
        assert_eq!(rounds().ratios("grab", "echo", |sample| sample.per_s), [0.5, 0.6, 0.1]);
    }

    #[test]
    fn a_problem_names_its_round_and_concerns_its_kinds_alone() {
        assert_eq!(rounds().problems(&["grab", "echo"]), ["round 3, grab: 1 failed"]);
        assert!(rounds().problems(&["echo"]).is_empty());
    }

    #[test]
    fn a_process_whose_cpu_cannot_be_read_says_why() {
        let [grab] = &rounds().profile("grab")[..] else { panic!("one process") };
        assert_eq!(grab.spread.known().map(|spread| spread.median), Some(2.0));
        let [echo] = &rounds().profile("echo")[..] else { panic!("one process") };
        assert_eq!(echo.spread.reason(), Some("no /proc"));
    }

    #[test]
    fn everybody_has_a_turn_in_each_round() {
        let context = Context::new(true, 7, None);
        let mut seen = Vec::new();
        let rounds = take_turns(&context, &["a", "b", "c"], |kind| {
            seen.push(kind);
            Ok(Sample::default())
        });
        assert_eq!(rounds.unwrap().0.len(), seen.len());
        for round in seen.chunks(3) {
            let mut round = round.to_vec();
            round.sort_unstable();
            assert_eq!(round, ["a", "b", "c"]);
        }
    }
}
