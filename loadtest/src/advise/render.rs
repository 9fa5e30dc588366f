//! Advice as people read it.

use std::num::NonZeroU16;

use super::{Finding, best_two};
use crate::format::{count, list, number, percent, plain};
use crate::replay::{Mix, Recording};
use crate::simulate::table;

/// Rooms that have at least this part of a shard's fair share are worth naming.
const HOT: f64 = 0.25;
/// So many of them are named.
const NAMED: usize = 10;

/// The tables, and what follows from them.
#[must_use]
pub fn text(recording: &Recording, mix: &Mix, findings: &[Finding], shards: NonZeroU16) -> String {
    let stored = recording.stored().count() as u64;
    let period = if recording.days_only() { "day" } else { "hour" };
    let mut out = format!(
        "{} rows to store, routed through every strategy over {shards} shards; {} queries come with a grab.\n\
         skew: the hottest shard's share over the fair share; 1 is even. effective: how many shards' worth of machines\n\
         that is. worth: how many times the requests of one shard all serve in the busiest {period}, when every visit\n\
         costs the same. Rooms keep their order, and are numbered without gaps.\n\n",
        count(stored),
        number(mix.requests_per_grab() - 1.0),
    );
    out.push_str(&table(&loads(findings, period)));
    let visits = fan_outs(findings);
    if visits.first().is_some_and(|head| head.len() > 1) {
        out.push('\n');
        out.push_str(&table(&visits));
    }
    out.push('\n');
    out.push_str(&hot_rooms(recording, shards));
    for (at, finding) in best_two(findings).into_iter().enumerate() {
        let place = if at == 0 { "Best" } else { "Best of another kind" };
        out.push_str(&format!(
            "\n{place}: {}, worth {} of {shards} shards\n    {}\n",
            finding.alternative.name,
            number(finding.prediction.worth),
            settings(&finding.alternative.spec, recording),
        ));
    }
    out
}

fn loads(findings: &[Finding], period: &str) -> Vec<Vec<String>> {
    let heads = [
        "",
        "skew, all",
        "effective",
        &format!("skew, busiest {period}"),
        "effective",
        "shards a query",
        "worth",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for Finding { alternative, prediction } in findings {
        let figure =
            |value: Option<f64>| value.map_or_else(|| "n/a".to_owned(), |value| format!("{value:.2}"));
        let (all, busiest) = (&prediction.recorded.rows, &prediction.busiest.rows);
        rows.push(vec![
            alternative.name.clone(),
            figure(all.skew),
            figure(all.effective_shards),
            figure(busiest.skew),
            figure(busiest.effective_shards),
            figure(prediction.shards_a_query),
            format!("{:.2}", prediction.worth),
        ]);
    }
    rows
}

fn fan_outs(findings: &[Finding]) -> Vec<Vec<String>> {
    let kinds = findings.first().map(|finding| &finding.prediction.recorded.fan_out);
    let names = kinds.into_iter().flatten().map(|(endpoint, _)| endpoint.name().to_owned());
    let mut rows = vec![std::iter::once("shards visited".to_owned()).chain(names).collect::<Vec<_>>()];
    for Finding { alternative, prediction } in findings {
        let visits = prediction.recorded.fan_out.values().map(|shards| plain(*shards));
        rows.push(std::iter::once(alternative.name.clone()).chain(visits).collect());
    }
    rows
}

/// The rooms that matter for boundaries, as the trace calls them.
fn hot_rooms(recording: &Recording, shards: NonZeroU16) -> String {
    let rooms = &recording.rooms;
    let (total, shards) = (rooms.stored.iter().sum::<u64>().max(1) as f64, f64::from(shards.get()));
    let mut hot: Vec<(&String, f64)> =
        rooms.labels.iter().zip(&rooms.stored).map(|(label, rows)| (label, *rows as f64 / total)).collect();
    hot.retain(|(_, share)| share * shards >= HOT);
    hot.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    if hot.is_empty() {
        return "No room has a quarter of a shard's fair share: boundaries suffice, and none needs a range of its own.\n"
            .to_owned();
    }
    let told: Vec<String> =
        hot.iter().take(NAMED).map(|(label, share)| format!("{label} ({})", percent(*share))).collect();
    let beyond: Vec<&str> = hot
        .iter()
        .filter(|(_, share)| share * shards > 1.0)
        .take(NAMED)
        .map(|(label, _)| label.as_str())
        .collect();
    let more = if beyond.is_empty() {
        String::new()
    } else {
        format!(
            " More than a shard's fair share, which no boundary cures: {}; spreading does.",
            list(&beyond)
        )
    };
    format!("Hot rooms, to be split off: {}.{more}\n", list(&told))
}

/// The command that starts an alternative, for the trace's own room ids where they are numbers.
#[must_use]
pub fn settings(spec: &crate::contestants::Spec, recording: &Recording) -> String {
    let labels = &recording.rooms.labels;
    let own: Option<Vec<u64>> = labels.iter().map(|label| label.parse().ok().filter(|id| *id > 0)).collect();
    let set = spec.settings.iter().map(|setting| match (setting.split_once('='), &own) {
        (Some(("range.boundaries", starts)), Some(ids)) => {
            format!("range.boundaries={}", translated(starts, ids))
        }
        (Some(("range.rooms", _)), Some(ids)) => {
            format!("range.rooms={}", ids.iter().max().copied().unwrap_or(1))
        }
        _ => setting.clone(),
    });
    let set: String = set.map(|setting| format!(" --set '{setting}'")).collect();
    let note = match &own {
        Some(_) if !spec.settings.iter().any(|setting| setting.starts_with("range.room_width")) => "",
        Some(_) => "  (the width counts rooms of the trace; with gaps between ids, ranges hold fewer)",
        None if set.contains("range.by=room") => "  (rooms numbered from 1 in the order of their names)",
        None => "",
    };
    format!("{} --shards {}{set}{note}", spec.program, spec.shards)
}

/// A list of first rooms, each by its own id; the first range begins with the first room there can be.
fn translated(starts: &str, ids: &[u64]) -> String {
    let own = starts.trim_matches(['[', ']']).split(',').enumerate().map(|(at, start)| {
        let room = start.trim().parse::<usize>().ok().and_then(|room| ids.get(room.checked_sub(1)?));
        room.filter(|_| at > 0).map_or_else(|| "1".to_owned(), ToString::to_string)
    });
    format!("[{}]", own.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::advise::{alternatives, predict, ranked};
    use crate::workload::Workload;

    const FOUR: NonZeroU16 = NonZeroU16::new(4).unwrap();

    fn findings(recording: &Recording, mix: &Mix) -> Vec<Finding> {
        let all = alternatives(recording, FOUR, NonZeroU64::new(25).unwrap()).unwrap();
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let find = |alternative: super::super::Alternative| {
            let prediction = predict(&*alternative.spec.strategy().unwrap(), recording, mix, now, 1).unwrap();
            Finding { alternative, prediction }
        };
        all.into_iter().map(find).collect()
    }

    #[test]
    fn the_best_comes_first_with_what_starts_it_and_hot_rooms_are_named() {
        let recording = super::super::predict::tests::recording();
        let mix = Mix::of(&Workload::default()).unwrap();
        let findings = findings(&recording, &mix);
        let order = ranked(&findings);
        assert!(order.windows(2).all(|pair| pair[0].prediction.worth > pair[1].prediction.worth - 0.01));
        let shown = text(&recording, &mix, &findings, FOUR);
        assert!(shown.contains(&format!("Best: {}", order[0].alternative.name)), "{shown}");
        let kinds = best_two(&findings).iter().map(|finding| finding.alternative.kind()).collect::<Vec<_>>();
        assert!(kinds[0] != kinds[1], "{kinds:?}");
        assert!(
            shown.contains("Hot rooms, to be split off: 3 (53.1 %)") && shown.contains("spreading does"),
            "{shown}"
        );
        assert!(findings.iter().all(|finding| shown.contains(&finding.alternative.name)), "{shown}");
    }

    #[test]
    fn boundaries_are_told_by_the_traces_own_ids() {
        assert_eq!(translated("[1,2,4]", &[7, 900, 901, 8_000]), "[1,900,8000]");
        let mut recording = super::super::predict::tests::recording();
        let split =
            range_svc::RoomRanges::starting_at(&[1, 3].map(|room| coupon_core::RoomId::new(room).unwrap()));
        let spec = crate::contestants::Spec::with_split("range-room+split", FOUR, &split.unwrap()).unwrap();
        let told = settings(&spec, &recording);
        assert_eq!(told, "range-svc --shards 4 --set 'range.by=room' --set 'range.boundaries=[1,3]'");
        recording.rooms.labels[0] = "north".to_owned();
        assert!(settings(&spec, &recording).contains("numbered from 1"));
    }
}
