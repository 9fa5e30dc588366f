//! The choice for the workload as a whole.

use coupon_measure::format;
use coupon_measure::stats::{MIN_ROUNDS, estimate};

use super::baseline;
use super::figures::endpoints_of;
use super::mix::{Turn, faster, turns};
use super::needs::{candidates, kept_up};
use super::standing::{Chosen, NO_VERDICT, Standing};
use crate::endpoints;
use crate::model::{Answer, Call, Contestant, KeyFigure, Metric, Quantile, Reading, Report, Round};

/// The number of changes of the mix that are shown.
const TURNS: usize = 2;

/// A criterion that contestants are chosen by.
struct Criterion<'a> {
    metric: Metric,
    standing: Standing<'a>,
    /// The verb phrase for one that leads alone, all others behind it.
    leads: &'static str,
    /// The verb phrase for those that none was shown to beat.
    shares: &'static str,
}

/// The first before the others: what the shards can take, what the load took, what there is to grow into.
fn criteria<'a>(report: &'a Report, candidates: &[&'a Contestant]) -> [Criterion<'a>; 3] {
    [
        (Metric::Stored, "stores most rows a second", "to store more rows a second"),
        (Metric::Mean, "answers this workload fastest", "to answer this workload faster"),
        (Metric::EffectiveShards, "spreads its writes over the shards best", "to spread its writes better"),
    ]
    .map(|(metric, leads, shares)| {
        let standing = Standing::of(report, candidates, &metric);
        Criterion { metric, standing, leads, shares }
    })
}

impl Criterion<'_> {
    /// The sentence for those that lead.
    fn sentence(&self) -> String {
        let leaders = self.standing.leaders().join(" or ");
        if self.standing.is_first_alone() {
            format!("{leaders} {}", self.leads)
        } else {
            format!("nobody was shown {} than {leaders}", self.shares)
        }
    }

    /// The sentence for those that are chosen, which are named already.
    fn sentence_of_choice(&self) -> String {
        if self.standing.is_first_alone() {
            format!("it {}", self.leads)
        } else {
            format!("nobody was shown {}", self.shares)
        }
    }
}

/// The answer that the verdicts allow.
pub(super) fn of(report: &Report) -> Answer {
    let candidates = candidates(report);
    if candidates.len() < 2 {
        return Answer {
            verdict: "There are not two contestants to choose between.".into(),
            certainty: NO_VERDICT.into(),
            ..Answer::default()
        };
    }
    if !report.audit.sums.passed() {
        return none("Do not choose by this run: the audit failed.".into());
    }
    if let Some(doubt) = report.doubts.iter().find(|doubt| doubt.kind.withholds(&Metric::Mean)) {
        return none(format!("No verdict. {}", doubt.text));
    }
    let able: Vec<&Contestant> =
        candidates.iter().copied().filter(|candidate| !report.is_barred(&candidate.name)).collect();
    let criteria = criteria(report, &able);
    let judged: Vec<&Criterion<'_>> = criteria.iter().filter(|of| of.standing.judged()).collect();
    let mut answer = match able.as_slice() {
        [] => return none(format!("No verdict. {}", barred(report, &candidates))),
        [only] => alone(report, only, &candidates),
        _ => conclude(&judged),
    };
    if able.len() < candidates.len() {
        answer.verdict = format!("{} {}", answer.verdict, barred(report, &candidates));
    }
    if answer.certainty != NO_VERDICT {
        answer.verdict.extend(baseline::beside_choice(report).map(|beside| format!(" {beside}")));
    }
    if !answer.choice.is_empty() {
        answer.verdict.extend(not_audited(report));
    }
    let candidates = able;
    let shown = match answer.choice.as_slice() {
        [] => candidates.clone(),
        choice => candidates.iter().copied().filter(|c| choice.contains(&c.name)).collect(),
    };
    answer.figures = key_figures(report, &shown, &candidates);
    answer.changes = changes(report, &shown, &candidates);
    answer
}

fn none(verdict: String) -> Answer {
    Answer { verdict, certainty: NO_VERDICT.into(), ..Answer::default() }
}

/// The part that the audit leaves open, where there was to be one.
fn not_audited(report: &Report) -> Option<String> {
    let rounds = report.audit.rounds_not_audited.len() as u64;
    (rounds > 0 && !report.meta.unaudited).then(|| {
        format!(
            " {} could not be audited: whether promises were kept in them is not known.",
            format::counted(rounds, "round")
        )
    })
}

/// The reasons why candidates lead in nothing.
fn barred(report: &Report, candidates: &[&Contestant]) -> String {
    let about = |name: &String| candidates.iter().any(|candidate| candidate.name == *name);
    let doubts = report.doubts.iter().filter(|doubt| doubt.kind.bars());
    let told = doubts.filter(|doubt| doubt.contestant.as_ref().is_some_and(about));
    told.map(|doubt| doubt.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// The answer where all others are barred: the one that fails or refuses less, in round after round.
fn alone(report: &Report, only: &Contestant, candidates: &[&Contestant]) -> Answer {
    let worse = |round: &Round| (failed(round), refused(round));
    let surely = |other: &&Contestant| {
        let rounds: Vec<(f64, f64)> = only
            .rounds
            .iter()
            .filter_map(|round| {
                let same = other.rounds.iter().find(|same| same.index == round.index)?;
                let ((fails, refuses), (other_fails, other_refuses)) = (worse(round), worse(same));
                Some((other_fails - fails, other_refuses - refuses))
            })
            .collect();
        let above = |pick: fn(&(f64, f64)) -> f64| {
            let more: Vec<f64> = rounds.iter().map(pick).collect();
            estimate(&more).is_some_and(|more| more.n >= MIN_ROUNDS && more.low > 0.0)
        };
        above(|(fails, _)| *fails) || above(|(_, refuses)| *refuses)
    };
    let others = || candidates.iter().filter(|candidate| candidate.name != only.name);
    if !report.is_barred(&only.name) && others().all(surely) {
        Answer {
            verdict: format!("Choose {}: it is the only one that did its work.", only.name),
            choice: vec![only.name.clone()],
            certainty: format::counted(only.rounds.len() as u64, "round"),
            ..Answer::default()
        }
    } else {
        none(format!("No verdict: none but {} could lead, and not every round shows it.", only.name))
    }
}

/// The part of a round's requests that failed.
fn failed(round: &Round) -> f64 {
    let (failed, all) = round.endpoints.values().fold((0, 0), |(failed, all), endpoint| {
        (failed + endpoint.errors.values().sum::<u64>(), all + endpoint.requests)
    });
    failed as f64 / (all as f64).max(1.0)
}

/// The part of its grabs that were refused.
fn refused(round: &Round) -> f64 {
    let refused = round.grabs.refused.values().sum::<u64>() as f64;
    refused / (refused + round.grabs.granted as f64).max(1.0)
}

fn conclude(judged: &[&Criterion<'_>]) -> Answer {
    let Some(first) = judged.first() else {
        return Answer {
            verdict: format!("No verdict yet: it takes {MIN_ROUNDS} rounds in common."),
            certainty: NO_VERDICT.into(),
            ..Answer::default()
        };
    };
    let (decisive, same): (Vec<&Criterion<'_>>, Vec<_>) = judged.iter().partition(|of| of.standing.differs());
    let same: Vec<String> = same
        .iter()
        .map(|of| format!("{} ({})", of.metric.label(), of.standing.range(of.metric.unit())))
        .collect();
    let same = match same.as_slice() {
        [] => String::new(),
        same => format!(" No difference was shown in {}.", format::list(same)),
    };
    let standings: Vec<&Standing<'_>> = decisive.iter().map(|of| &of.standing).collect();
    let Some(chosen) = Chosen::of(&standings) else {
        return Answer {
            verdict: format!("Any of them, at this load.{same}"),
            certainty: first.standing.certainty(),
            ..Answer::default()
        };
    };
    let certainty = chosen.by.certainty();
    if !chosen.agreed {
        let parts: Vec<String> = decisive.iter().map(|of| of.sentence()).collect();
        let mut choice: Vec<String> = decisive.iter().flat_map(|of| of.standing.leaders()).collect();
        choice.sort();
        choice.dedup();
        return Answer {
            verdict: format!("It depends: {}.{same}", parts.join("; ")),
            choice,
            certainty,
            ..Answer::default()
        };
    }
    let choice = chosen.names;
    let parts: Vec<String> = decisive.iter().map(|of| of.sentence_of_choice()).collect();
    Answer {
        verdict: format!("Choose {}: {}.{same}", choice.join(" or "), format::list(&parts)),
        choice,
        certainty,
        ..Answer::default()
    }
}

/// For each criterion, and for a grab's p99, the best value among the chosen contestants.
fn key_figures(report: &Report, shown: &[&Contestant], candidates: &[&Contestant]) -> Vec<KeyFigure> {
    let metrics =
        [Metric::Stored, Metric::Mean, Metric::EffectiveShards, Metric::latency("grab", Quantile::P99)];
    let figures = metrics.iter().filter_map(|metric| {
        let medians = shown.iter().filter_map(|contestant| Some((contestant, contestant.median(metric)?)));
        let (best, _) = medians.reduce(|best, other| {
            let better = if metric.more_is_better() { other.1 > best.1 } else { other.1 < best.1 };
            if better { other } else { best }
        })?;
        key_figure(report, best, metric, candidates)
    });
    figures.collect()
}

fn key_figure(
    report: &Report,
    contestant: &Contestant,
    metric: &Metric,
    candidates: &[&Contestant],
) -> Option<KeyFigure> {
    let estimate = contestant.summary(metric)?.estimate.clone()?;
    let others = candidates.iter().filter(|other| other.name != contestant.name);
    let against = others.filter_map(|other| {
        let median = other.median(metric)?;
        let verdict = report.verdict(metric, &contestant.name, &other.name)?;
        let space = if metric.unit() == "ms" { " " } else { "" };
        let shown = format!("{}{space}{}", format::number(median), metric.unit());
        Some(match (verdict.call, &verdict.ratio) {
            (Call::TooFewRounds | Call::Withheld, _) => format!("{} {shown} so far", other.name),
            (Call::Difference, Some(ratio)) => {
                // Of the better one, how many times.
                let a_over_b = verdict.better.as_ref() == Some(&verdict.a);
                let as_it_is = a_over_b == metric.more_is_better();
                let ratio = if as_it_is { ratio.clone() } else { super::inverse(ratio) };
                let word = if verdict.better.as_ref() == Some(&contestant.name) { "behind" } else { "ahead" };
                format!("{} {shown}, {} {word}", other.name, format::ratio(&ratio))
            }
            _ => format!("{} {shown}, no difference", other.name),
        })
    });
    Some(KeyFigure {
        label: metric.label(),
        contestant: contestant.name.clone(),
        unit: metric.unit().to_owned(),
        against: against.collect::<Vec<_>>().join("; "),
        estimate,
    })
}

/// Changes that would change the answer: another mix, more shards, more load.
fn changes(report: &Report, shown: &[&Contestant], candidates: &[&Contestant]) -> Vec<String> {
    let by_mean = |one: &&&Contestant, two: &&&Contestant| {
        let mean = |c: &Contestant| c.median(&Metric::Mean).unwrap_or(f64::INFINITY);
        mean(one).total_cmp(&mean(two))
    };
    let Some(leader) = shown.iter().min_by(by_mean) else { return Vec::new() };
    let mut changes = other_mixes(report, leader, candidates);
    changes.extend(more_shards(report, candidates));
    if !kept_up(report, candidates).is_empty() {
        let rate =
            report.meta.rate.map_or_else(String::new, |rate| format!(" with {}/s", format::number(rate)));
        changes.push(format!("More load: all kept up{rate}, so this says nothing of their limits."));
    }
    changes
}

fn other_mixes(report: &Report, leader: &Contestant, candidates: &[&Contestant]) -> Vec<String> {
    let keys = endpoints_of(candidates.iter().copied());
    let others: Vec<&Contestant> =
        candidates.iter().copied().filter(|other| other.name != leader.name).collect();
    let faster = faster(leader, &others, &keys);
    let mut found: Vec<Turn> = others.iter().flat_map(|other| turns(leader, other, &keys)).collect();
    found.retain(|turn| faster.contains(&(&*turn.other, &*turn.endpoint)));
    found.sort_by(|one, two| one.from.median.total_cmp(&two.from.median));
    // Of several that would take over with more of the same request, the first is the one to know.
    let mut seen: Vec<String> = Vec::new();
    found.retain(|turn| {
        let new = !seen.contains(&turn.endpoint);
        seen.push(turn.endpoint.clone());
        new
    });
    if !found.is_empty() {
        return found.iter().take(TURNS).map(other_mix).collect();
    }
    let judged = leader.rounds.len() >= MIN_ROUNDS && leader.median(&Metric::Mean).is_some();
    if !judged {
        return Vec::new();
    }
    let told = others.iter().filter_map(|other| {
        let of = faster.iter().filter(|(name, _)| *name == other.name);
        let of: Vec<&str> = of.map(|(_, key)| endpoints::name(key)).collect();
        (!of.is_empty()).then(|| format!("{} answers {} faster", other.name, format::list(&of)))
    });
    let told: Vec<String> = told.collect();
    let ahead_at_the_median = |key: &String| {
        let metric = Metric::latency(key, Quantile::P50);
        let verdict = |other: &&Contestant| report.verdict(&metric, &leader.name, &other.name);
        others.iter().filter_map(verdict).any(|verdict| verdict.worse.as_ref() == Some(&leader.name))
    };
    match told.as_slice() {
        // The needs say so already, and a median says nothing of a mix.
        [] if keys.iter().any(ahead_at_the_median) => Vec::new(),
        [] => vec![format!(
            "No other mix of these requests: none was shown to be answered faster than by {}.",
            leader.name
        )],
        told => vec![format!(
            "Perhaps another mix: {}; from which share of them on could not be told.",
            told.join("; ")
        )],
    }
}

fn other_mix(turn: &Turn) -> String {
    let Turn { endpoint, share, from, other } = turn;
    format!(
        "Another mix: from {} {} on ({} to {}; here {}) {other} takes less time a request.",
        format::percent(from.median),
        endpoints::name(endpoint),
        format::percent(from.low),
        format::percent(from.high),
        format::percent(*share),
    )
}

/// The worth of the contestants' shards where routing was tried with many more.
fn more_shards(report: &Report, candidates: &[&Contestant]) -> Option<String> {
    let Reading::Known(outlook) = &report.outlook else { return None };
    let most = candidates.iter().map(|c| c.most_shards()).max().unwrap_or(0);
    let shards = outlook.cases.iter().map(|case| case.shards).filter(|shards| *shards > most).min()?;
    let mut worth: Vec<(&str, f64)> = candidates
        .iter()
        .filter_map(|c| Some((c.name.as_str(), outlook.case(&c.name, shards)?.effective_shards.value()?)))
        .collect();
    worth.sort_by(|(_, one), (_, two)| two.total_cmp(one));
    let worth: Vec<String> =
        worth.iter().map(|(name, of)| format!("{} to {name}", format::plain(*of))).collect();
    (!worth.is_empty()).then(|| format!("More shards: {shards} would be worth {}.", format::list(&worth)))
}
