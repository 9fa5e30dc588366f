//! Conclusions for the reader.

use coupon_measure::format;

use super::{baseline, cures, needs};
use crate::model::{Advice, Contestant, Need, NeedResult, Place, Report, Topic};

/// All advice: by need, by contestant, by cure, and on the baseline.
pub(super) fn all(report: &Report, needs: Vec<Advice>) -> Vec<Advice> {
    let mut advice = needs;
    let contestants: Vec<Advice> =
        needs::candidates(report).into_iter().map(|contestant| good_for(contestant, &report.needs)).collect();
    advice.extend(contestants);
    advice.extend(cures::all(report));
    advice.extend(report.contestants.iter().filter_map(|single| baseline::advice(report, single)));
    advice
}

/// The strengths of one contestant: the needs that it leads in, and those it trails in.
fn good_for(contestant: &Contestant, needs: &[Need]) -> Advice {
    let headings = |pick: fn(Place, NeedResult) -> bool| -> Vec<&str> {
        let mine = |need: &&Need| {
            let mut places = need.places.iter().filter(|placed| placed.contestant == contestant.name);
            places.any(|placed| pick(placed.place, need.result))
        };
        needs.iter().filter(mine).map(|need| need.heading.as_str()).collect()
    };
    let leads = headings(|place, _| place == Place::Leads);
    let trails = headings(|place, _| place == Place::Behind);
    let same = headings(|place, _| place == Place::Equal);
    let barred = headings(|place, _| place == Place::Barred);
    let unjudged = headings(|place, result| place == Place::NotTold && result == NeedResult::None);
    let not_told = headings(|place, result| place == Place::NotTold && result != NeedResult::None);
    let part = |what: &str, of: &[&str]| {
        let of: Vec<String> = of.iter().map(|heading| lower_first(heading)).collect();
        if of.is_empty() { String::new() } else { format!("{what}: {}.", of.join("; ")) }
    };
    let sentences = [
        part("Nobody better at", &leads),
        part("Behind at", &trails),
        part("No difference at", &same),
        part("Not told from the others at", &not_told),
        part("No verdict on", &unjudged),
        part("Leads in nothing of", &barred),
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
