//! The words and the table about a contestant whose layout was changed in the middle of its turns; terminal and page
//! show the same.

use coupon_measure::format::{self, count, number, plain};
use coupon_measure::stats::{Estimate, estimate};

use super::model::{Asked, Contestant, Figure, GrowthPart, GrowthRound, Part, Quantile};

/// Everything that a report says of changes of the layout.
pub(super) struct GrowthSummary {
    /// Facts, each under a word.
    pub(super) facts: Vec<(&'static str, String)>,
    /// The number of rounds in which rows moved otherwise than routing says, in words.
    pub(super) wrong: Option<String>,
    /// The rows of a table whose columns are [`HEADS`].
    pub(super) rows: Vec<Vec<String>>,
}

/// The columns of the table.
pub(super) const HEADS: [&str; 5] = ["", "before", "while rows move", "after", "while ÷ before"];

/// The summary of a contestant's changes; nothing where its layout was left alone.
pub(super) fn summary(contestant: &Contestant) -> Option<GrowthSummary> {
    let first = contestant.growths().next()?;
    let of = |figure: fn(&GrowthRound) -> Option<f64>| shown(contestant.growth(figure));
    let facts = vec![
        (
            "layout",
            format!(
                "{}, asked for at second {}, in force at second {}: {}",
                of_rounds(contestant, |growth| &growth.what),
                of(|growth| Some(growth.asked_s)),
                of(|growth| Some(growth.in_force_s)),
                of_rounds(contestant, |growth| &growth.layout)
            ),
        ),
        ("moved", moved(contestant, first)),
        (
            "pause",
            format!(
                "the longest time without a decided grab was {} ms from the change on, and {} ms before",
                of(|growth| growth.longest_pause_ms.value()),
                of(|growth| growth.longest_pause_before_ms.value())
            ),
        ),
        ("before", written(contestant, |growth| (&growth.written_before, &growth.effective_before))),
        ("after", written(contestant, |growth| (&growth.written_after, &growth.effective_after))),
    ];
    let wrong = contestant.growths().filter(|growth| growth.is_as_predicted() == Some(false)).count();
    let wrong = (wrong > 0).then(|| {
        format!(
            "in {}, the rows moved differ by more than 1 % from what routing alone says",
            format::counted(wrong as u64, "round")
        )
    });
    Some(GrowthSummary { facts, wrong, rows: rows(contestant) })
}

/// A text of the changes; where it is not the same in all rounds, as when other rooms were hot, each with the rounds
/// that it is of.
fn of_rounds(contestant: &Contestant, text: fn(&GrowthRound) -> &str) -> String {
    let mut texts: Vec<(&str, Vec<String>)> = Vec::new();
    for (round, growth) in (1..).zip(contestant.rounds.iter().map(|round| round.growth.as_ref())) {
        let Some(text) = growth.map(text) else { continue };
        match texts.iter_mut().find(|(other, _)| *other == text) {
            Some((_, rounds)) => rounds.push(round.to_string()),
            None => texts.push((text, vec![round.to_string()])),
        }
    }
    if let [(text, _)] = &texts[..] {
        return (*text).to_owned();
    }
    let each = texts.iter().map(|(text, rounds)| {
        let word = if rounds.len() == 1 { "round" } else { "rounds" };
        format!("{text} ({word} {})", rounds.join(", "))
    });
    each.collect::<Vec<_>>().join("; ")
}

fn shown(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(|| "n/a".to_owned(), |of| format::estimate(&of))
}

fn moved(contestant: &Contestant, first: &GrowthRound) -> String {
    let whole = |figure: fn(&GrowthRound) -> &Figure| {
        let rows = contestant.growth(|growth| figure(growth).value());
        rows.map_or_else(|| "n/a".to_owned(), |rows| plain(rows.median))
    };
    format!(
        "{} rows, and routing alone says {}; at {} a second ({} at most), every row was where it belongs {} s after the change was \
         asked for",
        whole(|growth| &growth.rows_moved),
        whole(|growth| &growth.rows_predicted),
        shown(contestant.growth(|growth| growth.moved_per_s.value())),
        count(first.rows_per_s_most.into()),
        shown(contestant.growth(GrowthRound::seconds_until_even))
    )
}

/// Rows written a second by shard, and what they are worth.
type Writes = for<'a> fn(&'a GrowthRound) -> (&'a [f64], &'a Figure);

fn written(contestant: &Contestant, of: Writes) -> String {
    let shards = contestant.growths().map(|growth| of(growth).0.len()).max().unwrap_or(0);
    let shard = |shard: usize| {
        let rates: Vec<f64> =
            contestant.growths().filter_map(|growth| of(growth).0.get(shard).copied()).collect();
        estimate(&rates).map_or_else(|| "n/a".to_owned(), |rate| number(rate.median))
    };
    let rates: Vec<String> = (0..shards).map(shard).collect();
    let worth = shown(contestant.growth(|growth| of(growth).1.value()));
    format!("{} rows written a second by shard, worth {worth} shards", rates.join(" | "))
}

/// A figure of a part of the load.
type OfPart = fn(&GrowthPart) -> &Figure;

fn rows(contestant: &Contestant) -> Vec<Vec<String>> {
    let latencies = [Asked::Grabs, Asked::Reads].into_iter().flat_map(|asked| {
        [Quantile::P50, Quantile::P99].map(|quantile| {
            let name = format!("{} {} ms", asked.name(), quantile.label());
            row(contestant, name, |growth, part| growth.latency(part, asked, quantile))
        })
    });
    let figures: [(&str, OfPart); 3] = [
        ("grabs granted a second", |part| &part.granted_per_s),
        ("shards that a read visits", |part| &part.shards_visited),
        ("tables that a read visits", |part| &part.tables_visited),
    ];
    let figures = figures.into_iter().map(|(name, figure)| {
        row(contestant, name.to_owned(), |growth, part| figure(growth.part(part)).value())
    });
    latencies.chain(figures).collect()
}

/// A figure in each part, and while rows move by what it was before, within each round.
fn row(
    contestant: &Contestant,
    name: String,
    figure: impl Fn(&GrowthRound, Part) -> Option<f64>,
) -> Vec<String> {
    let mut row = vec![name];
    row.extend(Part::ALL.map(|part| shown(contestant.growth(|growth| figure(growth, part)))));
    let ratio =
        contestant.growth(|growth| Some(figure(growth, Part::During)? / figure(growth, Part::Before)?));
    row.push(ratio.map_or_else(|| "n/a".to_owned(), |ratio| format::ratio(&ratio)));
    row
}
