//! Advice as people read it.

use std::num::NonZeroU16;

use coupon_cli::plain as shown;
use coupon_measure::Table;
use coupon_measure::format::{count, counted, list, number, percent, plain};

use super::layout::{laid_out, table};
use super::{RatedAlternative, StartCommand, best_two, busiest_rows, rows_to_tell, too_few};
use crate::replay::{QueryMix, Recording};

/// Rooms that have at least this part of a shard's fair share are worth naming.
const HOT: f64 = 0.25;
/// The most that are named.
const NAMED: usize = 10;

/// The tables, and what follows from them.
#[must_use]
pub fn text(
    recording: &Recording,
    mix: &QueryMix,
    findings: &[RatedAlternative],
    shards: NonZeroU16,
) -> String {
    let stored = recording.stored().count() as u64;
    let period = period(recording);
    let of_grab = |steps| -> f64 {
        mix.per_grab().filter(|(endpoint, _)| endpoint.is_step() == steps).map(|(_, each)| each).sum()
    };
    let mut out = format!(
        "{} rows to store, routed through every strategy over {shards} shards; {} queries and {} updates come with a grab.\n\
         skew: the hottest shard's share over the fair share; 1 is even. effective: how many shards' worth of machines \
         that is, of all rows and of the {} in the busiest {period}. a query: shards that it visits. worth: how many \
         times the requests of one shard all serve in the busiest {period}, when every visit costs the same.\n\n",
        count(stored),
        number(of_grab(false) + recording.asked().len() as f64 / recording.rows().len().max(1) as f64),
        number(of_grab(true)),
        counted(busiest_rows(findings), "row"),
    );
    out.push_str(&table(&loads(findings)));
    if let Some(visits) = fan_outs(findings) {
        out.push_str("\nShards visited:\n");
        out.push_str(&table(&visits));
    }
    out.push('\n');
    out.push_str(&hot_rooms(recording, shards));
    if too_few(findings, shards) {
        out.push_str(&format!("\n{}\n", few(recording, findings, shards)));
        return laid_out(&out);
    }
    let best = best(recording, findings, shards);
    best.iter().for_each(|(place, start)| out.push_str(&format!("\n{place}\n    {start}\n")));
    if best.iter().any(|(_, start)| start.is_fitted) {
        out.push_str(&format!("\n{FITTED}\n"));
    }
    out.extend(undecided(recording, findings).map(|told| format!("\n{told}\n")));
    laid_out(&out)
}

/// A sentence on boundaries.
pub(super) const FITTED: &str = "Boundaries are fitted to this trace, and judged by its own rows; tomorrow's hot rooms may be others: \
try them on another day's trace.";

/// Says that rows are too few.
pub(super) fn few(recording: &Recording, findings: &[RatedAlternative], shards: NonZeroU16) -> String {
    format!(
        "Too few rows to say which is best: {} in the busiest {} over {shards} shards, where chance decides more than the \
         strategy. Ten a shard are the least.",
        counted(busiest_rows(findings), "row"),
        period(recording)
    )
}

/// Says that chance may have put the best two into their order.
pub(super) fn undecided(recording: &Recording, findings: &[RatedAlternative]) -> Option<String> {
    let needed = rows_to_tell(findings)?;
    Some(format!(
        "Which of the two is better cannot be told: chance alone makes such a difference among the {} of the busiest {}. \
         About {} in it would tell.",
        counted(busiest_rows(findings), "row"),
        period(recording),
        count(needed)
    ))
}

/// The busiest time's length, in words.
const fn period(recording: &Recording) -> &'static str {
    if recording.days_only() { "day" } else { "hour" }
}

/// The best two in words, each with what starts it.
pub(super) fn best(
    recording: &Recording,
    findings: &[RatedAlternative],
    shards: NonZeroU16,
) -> Vec<(String, StartCommand)> {
    let told = |(place, RatedAlternative { alternative, prediction }): (&str, &RatedAlternative)| {
        let told =
            format!("{place}: {}, worth {} of {shards} shards", alternative.name, number(prediction.worth));
        (told, StartCommand::of(&alternative.spec, recording))
    };
    let places = match rows_to_tell(findings) {
        Some(_) => ["Perhaps the best", "Or, of another kind"],
        None => ["Best", "Best of another kind"],
    };
    places.into_iter().zip(best_two(findings)).map(told).collect()
}

pub(super) fn loads(findings: &[RatedAlternative]) -> Table {
    let mut table = Table::new(["", "skew", "effective", "busiest: skew", "effective", "a query", "worth"]);
    for RatedAlternative { alternative, prediction } in findings {
        let figure =
            |value: Option<f64>| value.map_or_else(|| "n/a".to_owned(), |value| format!("{value:.2}"));
        let (all, busiest) = (&prediction.recorded.rows, &prediction.busiest.rows);
        table.row([
            alternative.name.clone(),
            figure(all.skew),
            figure(all.effective_shards),
            figure(busiest.skew),
            figure(busiest.effective_shards),
            figure(prediction.shards_a_query),
            format!("{:.2}", prediction.worth),
        ]);
    }
    table
}

/// The shards that each kind of query visits, where there are queries.
pub(super) fn fan_outs(findings: &[RatedAlternative]) -> Option<Table> {
    let kinds = &findings.first()?.prediction.recorded.fan_out;
    if kinds.is_empty() {
        return None;
    }
    let mut table = Table::new(std::iter::once("").chain(kinds.keys().map(|kind| kind.key())));
    for RatedAlternative { alternative, prediction } in findings {
        let visits = prediction.recorded.fan_out.values().map(|shards| plain(*shards));
        table.row(std::iter::once(alternative.name.clone()).chain(visits));
    }
    Some(table)
}

/// The rooms that matter for boundaries, as the trace calls them.
pub(super) fn hot_rooms(recording: &Recording, shards: NonZeroU16) -> String {
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
    let shown = |label: &str| shown::line(label).into_owned();
    let told = hot.iter().map(|(label, share)| format!("{} ({})", shown(label), percent(*share))).collect();
    let beyond: Vec<String> =
        hot.iter().filter(|(_, share)| share * shards > 1.0).map(|(label, _)| shown(label)).collect();
    let more = if beyond.is_empty() {
        String::new()
    } else {
        format!(
            " More than a shard's fair share, which no boundary cures: {}; spreading does.",
            hottest(beyond)
        )
    };
    format!("Hot rooms, to be split off: {}.{more}\n", hottest(told))
}

/// The first of them, and how many more there are.
fn hottest(mut rooms: Vec<String>) -> String {
    let more = rooms.len().saturating_sub(NAMED) as u64;
    rooms.truncate(NAMED);
    if more > 0 {
        rooms.push(format!("{} more", count(more)));
    }
    list(&rooms)
}

#[cfg(test)]
pub(super) mod tests {
    use std::num::NonZeroU64;

    use coupon_loadgen::workload::Workload;

    use super::*;
    use crate::advise::{alternatives, predict, ranked};

    const FOUR: NonZeroU16 = NonZeroU16::new(4).unwrap();

    pub(in crate::advise) fn findings(recording: &Recording, mix: &QueryMix) -> Vec<RatedAlternative> {
        let all = alternatives(recording, FOUR, NonZeroU64::new(25).unwrap()).unwrap();
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let find = |alternative: super::super::Alternative| {
            let prediction = predict(&*alternative.spec.strategy().unwrap(), recording, mix, now, 1).unwrap();
            RatedAlternative { alternative, prediction }
        };
        all.into_iter().map(find).collect()
    }

    #[test]
    fn the_best_comes_first_with_what_starts_it_and_hot_rooms_are_named() {
        let recording = super::super::predict::tests::recording();
        let mix = QueryMix::of(&Workload::default()).unwrap();
        let findings = findings(&recording, &mix);
        let order = ranked(&findings);
        assert!(order.windows(2).all(|pair| pair[0].prediction.worth > pair[1].prediction.worth - 0.01));
        let shown = text(&recording, &mix, &findings, FOUR);
        assert!(shown.contains(&format!("Perhaps the best: {}", order[0].alternative.name)), "{shown}");
        let kinds = best_two(&findings).iter().map(|finding| finding.alternative.kind()).collect::<Vec<_>>();
        assert!(kinds[0] != kinds[1], "{kinds:?}");
        assert!(
            shown.contains("Hot rooms, to be split off: 3 (53.1 %)") && shown.contains("spreading does"),
            "{shown}"
        );
        assert!(findings.iter().all(|finding| shown.contains(&finding.alternative.name)), "{shown}");
    }

    #[test]
    fn chance_names_no_best_and_every_line_but_a_command_fits() {
        let recording = super::super::predict::tests::recording();
        let mix = QueryMix::of(&Workload::default()).unwrap();
        let mut findings = findings(&recording, &mix);
        for finding in &mut findings {
            // Sixty rows, each alternative as even as any.
            finding.prediction.busiest.rows = coupon_core::ShardingStats::of_counts(&[18, 14, 14, 14]);
            finding.prediction.worth = if finding.alternative.name == "hash" { 3.3 } else { 3.0 };
        }
        let shown = text(&recording, &mix, &findings, FOUR);
        assert!(!shown.contains("Best: ") && shown.contains("Perhaps the best: hash"), "{shown}");
        assert!(shown.contains("cannot be told") && shown.contains("60 rows"), "{shown}");
        let is_fine = |line: &str| line.starts_with("    ") || line.chars().count() <= 80;
        assert!(shown.lines().all(is_fine), "{shown}");
    }

    #[test]
    fn hot_rooms_beyond_those_that_are_named_are_counted() {
        let mut recording = Recording::default();
        recording.rooms.labels = (1..=12).map(|room| room.to_string()).collect();
        recording.rooms.stored = vec![5; 12];
        let told = hot_rooms(&recording, FOUR);
        assert!(told.contains("10 (8.3 %) and 2 more.") && !told.contains("11 ("), "{told}");
        let told = hot_rooms(&recording, NonZeroU16::new(64).unwrap());
        assert!(
            told.contains("no boundary cures: 1, 2, ") && told.contains(" and 2 more; spreading"),
            "{told}"
        );
        recording.rooms.stored.truncate(10);
        assert!(!hot_rooms(&recording, FOUR).contains("more."), "ten are all");
    }

    #[test]
    fn boundaries_come_with_what_they_were_fitted_to() {
        let recording = super::super::predict::tests::recording();
        let mut findings = findings(&recording, &QueryMix::none());
        let fitted = "Boundaries are fitted to this trace";
        findings.retain(|finding| finding.alternative.kind() != "range-time");
        assert!(text(&recording, &QueryMix::none(), &findings, FOUR).contains(fitted));
        findings.retain(|finding| !StartCommand::of(&finding.alternative.spec, &recording).is_fitted);
        assert!(!text(&recording, &QueryMix::none(), &findings, FOUR).contains(fitted));
    }
}
