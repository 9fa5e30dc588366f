//! Conclusions for the reader.

use coupon_measure::format;

use super::standing::NO_VERDICT;
use super::{baseline, cures, needs};
use crate::model::{Advice, Contestant, Report, Topic};

/// All advice: by need, by contestant, by cure, and on the baseline.
pub(super) fn all(report: &Report) -> Vec<Advice> {
    let mut advice = needs::all(report);
    let contestants: Vec<Advice> =
        needs::candidates(report).into_iter().map(|contestant| good_for(contestant, &advice)).collect();
    advice.extend(contestants);
    advice.extend(cures::all(report));
    advice.extend(report.contestants.iter().filter_map(|single| baseline::advice(report, single)));
    advice
}

/// The strengths of one contestant: the needs that it leads in, and those it trails in.
fn good_for(contestant: &Contestant, needs: &[Advice]) -> Advice {
    let headings = |pick: fn(bool, &Advice) -> bool| -> Vec<&str> {
        let of = needs.iter().filter(|need| pick(need.choice.contains(&contestant.name), need));
        of.map(|need| need.heading.as_str()).collect()
    };
    let leads = headings(|leads, need| leads && !need.choice.is_empty());
    let trails = headings(|leads, need| !leads && !need.choice.is_empty());
    let same = headings(|_, need| need.choice.is_empty() && need.certainty != NO_VERDICT);
    let unjudged = headings(|_, need| need.choice.is_empty() && need.certainty == NO_VERDICT);
    let part = |what: &str, of: &[&str]| {
        let of: Vec<String> = of.iter().map(|heading| lower_first(heading)).collect();
        if of.is_empty() { String::new() } else { format!("{what}: {}.", of.join("; ")) }
    };
    let sentences = [
        part("Nobody better at", &leads),
        part("Behind at", &trails),
        part("No difference at", &same),
        part("No verdict on", &unjudged),
        needs::worth(contestant).map(|worth| strip_name(&worth, &contestant.name)).unwrap_or_default(),
    ];
    Advice {
        topic: Topic::Contestant(contestant.name.clone()),
        heading: contestant.name.clone(),
        choice: vec![contestant.name.clone()],
        text: sentences.into_iter().filter(|sentence| !sentence.is_empty()).collect::<Vec<_>>().join(" "),
        certainty: format::counted(contestant.rounds.len() as u64, "round"),
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

fn strip_name(sentence: &str, name: &str) -> String {
    let rest = sentence.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(sentence);
    format!("Its {rest}")
}
