//! Candidate keys as people read them.

use std::num::NonZeroU16;

use coupon_measure::Table;
use coupon_measure::format::{count, counted, number, percent};

use super::{Key, Shards};

/// From nothing to the most.
const SHADES: [char; 8] = [' ', '.', ':', '-', '=', '+', '*', '#'];
/// A key that follows the time as closely as that has its newest rows in one range.
const ASCENDS: f64 = 0.9;

/// The tables, and what follows from them.
#[must_use]
pub fn text(keys: &[Key], shards: NonZeroU16, period: &str) -> String {
    let mut out = format!(
        "Candidate keys over {shards} shards: effective shards of all rows, and of the busiest {period}.\n\n"
    );
    out.push_str(&evenness(keys, period).text());
    if keys.iter().any(|key| !key.fan_out.is_empty()) {
        out.push('\n');
        out.push_str(&fan_outs(keys).text());
    }
    for key in keys {
        out.push_str(&format!("\n{}: ", key.name));
        out.push_str(&remarks(key).join("\n    "));
        out.push_str(&heat(key));
    }
    out
}

fn evenness(keys: &[Key], period: &str) -> Table {
    let busiest = format!("busiest {period}");
    let mut table = Table::new([
        "key",
        "values",
        "most frequent",
        "ascends",
        "hash: all",
        &busiest,
        "ranges: all",
        &busiest,
    ]);
    let figure = |value: Option<f64>| value.map_or_else(|| "n/a".to_owned(), |value| format!("{value:.2}"));
    for key in keys {
        let top: Vec<String> = key
            .top
            .iter()
            .take(1)
            .map(|(name, part)| format!("{} ({})", short(name), percent(*part)))
            .collect();
        table.row([
            key.name.clone(),
            count(key.values),
            top.join(", "),
            figure(key.ranges.ascends),
            figure(key.hashed.all.effective_shards),
            figure(key.hashed.busiest.effective_shards),
            figure(key.ranges.spread.all.effective_shards),
            figure(key.ranges.spread.busiest.effective_shards),
        ]);
    }
    table
}

fn fan_outs(keys: &[Key]) -> Table {
    let kinds = keys.first().map(|key| key.fan_out.keys().copied().collect::<Vec<_>>()).unwrap_or_default();
    let mut table =
        Table::new(std::iter::once("shards visited, by hash").chain(kinds.iter().map(|kind| kind.key())));
    for key in keys {
        let visits = kinds.iter().map(|kind| key.fan_out.get(kind).map_or("n/a".to_owned(), u16::to_string));
        table.row(std::iter::once(key.name.clone()).chain(visits));
    }
    table
}

fn remarks(key: &Key) -> Vec<String> {
    let second = &key.busiest_second;
    let (writes, a_shard) = (counted(second.writes, "write"), count(second.a_shard));
    let mut remarks = vec![match second.needs {
        Shards::Suffice(shards) => format!(
            "your busiest second has {writes} and needs {} of {a_shard} writes/s by its hash",
            counted(u64::from(shards), "shard")
        ),
        Shards::OneValueIsTooMuch => format!(
            "your busiest second has {writes}, {} of them of one value: no number of shards of {a_shard} writes/s suffices",
            count(second.of_one_value)
        ),
        Shards::TooMany => {
            format!(
                "your busiest second has {writes}: more than 1,024 shards of {a_shard} writes/s would be needed"
            )
        }
    }];
    if let Some(ascends) = key.ranges.ascends.filter(|ascends| ascends.abs() >= ASCENDS) {
        remarks.push(format!(
            "it follows the time ({}): by ranges the newest rows are all in one; hash it",
            number(ascends)
        ));
    }
    if let Some(prefix) = &key.ranges.prefix {
        remarks.push(format!(
            "{} begin with {:?}: boundaries of ranges must lie behind that",
            percent(prefix.part),
            prefix.text
        ));
    }
    remarks
}

/// The rows of each range over time, the more the darker.
fn heat(key: &Key) -> String {
    let most = key.ranges.heat.iter().flatten().copied().max().unwrap_or(0);
    let shade = |rows: &u32| {
        let step = f64::from(*rows) / f64::from(most.max(1)) * (SHADES.len() - 1) as f64;
        SHADES.get(step.ceil() as usize).copied().unwrap_or(' ')
    };
    let line = |(range, rows): (usize, &Vec<u32>)| {
        format!("    range {:>2} |{}|\n", range + 1, rows.iter().map(shade).collect::<String>())
    };
    let lines: String = key.ranges.heat.iter().enumerate().map(line).collect();
    format!("\n    ranges of it over the time of the trace, the more rows the darker:\n{lines}")
}

/// The first of a long name.
fn short(name: &str) -> String {
    if name.chars().count() <= 24 { name.to_owned() } else { name.chars().take(23).chain(['…']).collect() }
}
