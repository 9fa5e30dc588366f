//! The findings on keys, as people read them.

use coupon_cli::plain;
use coupon_core::Timestamp;
use coupon_measure::Table;
use coupon_measure::format::{count, counted, number, percent, plain as short};

use super::super::layout::{laid_out, table};
use super::display::shortened;
use super::{CommonFindings, FEW, JudgedKey, KeyFindings, KeySpread, ShardsNeeded};
use crate::replay::LONGEST;

/// A correlation from which on a key counts as one that ascends, or descends.
const ASCENDS: f64 = 0.9;

/// The most characters of a value: a UUID has fewer.
const VALUE: usize = 40;
/// A margin from which on a share is none to rely on.
const WIDE: f64 = 0.01;
/// A value with less is not named.
const SEEN: f64 = 0.001;

/// The tables, what follows from them, and the pictures.
#[must_use]
pub fn text(findings: &KeyFindings) -> String {
    let KeyFindings { of: CommonFindings { source, rows, timed, shards, period, .. }, keys } = findings;
    let mut out = format!(
        "{}: {}, by {}, over {shards} shards.\n\
         effective: how many evenly loaded shards these are worth, for all rows and for those of the busiest {period}. \
         ascent: how far values follow time, from -1 to 1. Ranges are fitted to one half of a sample and judged by the \
         other.\n\n",
        plain::line(source),
        counted(*rows, "row"),
        counted(keys.len() as u64, "key"),
    );
    out.push_str(&table(&values(keys)));
    out.push('\n');
    out.push_str(&table(&loads(keys)));
    if keys.iter().any(|key| !key.fan_out.is_empty()) {
        out.push_str("\nShards visited by queries of each of these:\n");
        out.push_str(&table(&fan_outs(keys)));
    }
    limits(findings).iter().for_each(|limit| out.push_str(&format!("\n{limit}\n")));
    if let Some((told, needs)) = busiest(findings) {
        out.push_str(&format!("\n{told}\n"));
        for [key, hashed, ranges] in needs {
            out.push_str(&format!("  {key}: hashed {hashed}; in ranges {ranges}\n"));
        }
    }
    keys.iter()
        .flat_map(|key| remarks(key, findings))
        .for_each(|remark| out.push_str(&format!("\n{remark}\n")));
    if *timed > 0 {
        keys.iter().for_each(|key| out.push_str(&picture(key)));
    }
    laid_out(&out)
}

pub(super) fn name(key: &JudgedKey) -> String {
    plain::line(&key.key.to_string()).into_owned()
}

pub(super) fn values(keys: &[JudgedKey]) -> Table {
    let mut table = Table::new(["key", "values", "ascent", "the most frequent"]).right(1..3);
    for key in keys {
        let ascent = key.ascent.map_or_else(|| "n/a".to_owned(), |ascent| format!("{ascent:.2}"));
        table.row([name(key), different(key), ascent, most_frequent(key)]);
    }
    table
}

/// The number of different values.
pub(super) fn different(key: &JudgedKey) -> String {
    format!("{}{}", if exact(key) { "" } else { "about " }, count(key.values.round() as u64))
}

/// The most frequent values with their shares.
pub(super) fn most_frequent(key: &JudgedKey) -> String {
    let top: Vec<_> = key.top.iter().filter(|top| top.share >= SEEN).take(3).collect();
    let values: Vec<&str> = top.iter().map(|top| top.value.as_str()).collect();
    let values = shortened(&values, VALUE);
    let top: Vec<String> =
        values.iter().zip(top).map(|(value, top)| format!("{value} ({})", percent(top.share))).collect();
    if top.is_empty() { "none has 0.1 %".to_owned() } else { top.join(", ") }
}

/// Few values are counted one by one.
fn exact(key: &JudgedKey) -> bool {
    let (low, high) = key.values_between;
    high - low < 1.0
}

pub(super) fn loads(keys: &[JudgedKey]) -> Table {
    let mut table =
        Table::new(["", "hash: skew", "effective", "busiest", "ranges: skew", "effective", "busiest"]);
    for key in keys {
        let cells = [&key.hashed, &key.ranges].into_iter().flat_map(|spread| figures(spread.as_ref()));
        table.row(std::iter::once(name(key)).chain(cells));
    }
    table
}

fn figures(spread: Option<&KeySpread>) -> [String; 3] {
    let shown = |value: Option<f64>| value.map_or_else(|| "n/a".to_owned(), |value| format!("{value:.2}"));
    let (all, busiest) =
        (spread.map(|spread| &spread.all), spread.and_then(|spread| spread.busiest.as_ref()));
    [
        shown(all.and_then(|all| all.skew)),
        shown(all.and_then(|all| all.effective_shards)),
        shown(busiest.and_then(|busiest| busiest.effective_shards)),
    ]
}

/// Shards that a query visits; where hashes and ranges differ, both.
pub(super) fn fan_outs(keys: &[JudgedKey]) -> Table {
    let queries = keys.iter().flat_map(|key| &key.fan_out).map(|fan_out| &fan_out.query);
    let heads = queries.take(keys.first().map_or(0, |key| key.fan_out.len()));
    let heads = heads.map(|query| plain::line(query).into_owned());
    let mut table = Table::new(std::iter::once(String::new()).chain(heads));
    for key in keys {
        let cells = key.fan_out.iter().map(|fan_out| {
            let (hashed, ranges) = (short(fan_out.hashed), short(fan_out.ranges));
            if hashed == ranges { hashed } else { format!("{hashed} (ranges {ranges})") }
        });
        table.row(std::iter::once(name(key)).chain(cells));
    }
    table
}

/// The needs of the busiest second by each key, hashed and in ranges; or the reason why nothing is said of it.
pub(super) fn busiest(findings: &KeyFindings) -> Option<(String, Vec<[String; 3]>)> {
    let Some(needs) = findings.keys.iter().find_map(|key| key.needs) else {
        return unsaid(&findings.of).map(|why| (why, Vec::new()));
    };
    let second = Timestamp::from_millis(needs.second.saturating_mul(1_000));
    let (of_sample, about, it) = match (findings.of.sampled, findings.of.at_most) {
        (false, _) => ("", "", "it needs"),
        (true, false) => (
            "The rows are a sample: there are more values than it has. All were counted by the second, and spread as the \
             sample's. ",
            "about ",
            "it needs",
        ),
        (true, true) => (
            "The rows are a sample: there are more values than it has. All were counted by the second, though there are too many \
             seconds to count each exactly, and spread as the sample's. ",
            "at most about ",
            "so many need",
        ),
    };
    let told = format!(
        "{of_sample}The busiest second ({second}) had {about}{}. At {} writes a second for a shard {it}",
        counted(needs.rows, "row"),
        number(findings.of.shard_writes)
    );
    let of_key = |key: &JudgedKey| {
        let needs = key.needs?;
        Some([name(key), needed(needs.hashed), needed(needs.ranges)])
    };
    Some((told, findings.keys.iter().filter_map(of_key).collect()))
}

/// The reason why nothing is said of a busiest second.
fn unsaid(of: &CommonFindings) -> Option<String> {
    const NOTHING: &str = "nothing is said of a busiest second";
    let CommonFindings { timed, mixed, known, busiest_day, sampled, at_most, .. } = of;
    Some(match (known, busiest_day) {
        _ if *at_most => format!(
            "The rows are a sample, and there are too many seconds to count each: how many rows the busiest had is not known to \
             a tenth, so {NOTHING}."
        ),
        _ if *sampled => format!("The rows are a sample: there are more values than it has, and {NOTHING}."),
        _ if *timed == 0 => format!("Rows have no times here, so {NOTHING}."),
        (_, Some((day, rows))) => format!(
            "Of times only the day is known, so {NOTHING}. The busiest day ({day}) had {}.",
            counted(*rows, "row")
        ),
        (Some(known), None) => format!("Of some times only the {known} is known, so {NOTHING}."),
        _ if *mixed => format!("Rows are not in the order of their times, so {NOTHING}: sort them by time."),
        _ => return None,
    })
}

fn needed(need: ShardsNeeded) -> String {
    match need {
        ShardsNeeded::Shards(shards) => counted(u64::from(shards), "shard"),
        ShardsNeeded::Beyond(most) => format!("more than {}, or no number suffices", count(u64::from(most))),
        ShardsNeeded::OneValue(rows) => {
            format!("no number suffices, since {} are of one value", counted(rows, "row"))
        }
    }
}

/// The limits of what the rows can say.
pub(super) fn limits(findings: &KeyFindings) -> Vec<String> {
    let CommonFindings { rows, timed, .. } = findings.of;
    let mut out = Vec::new();
    if rows < FEW as u64 {
        out.push(format!("Too few rows to judge keys by: {}. {FEW} are the least.", counted(rows, "row")));
    }
    if timed > 0 && timed < rows {
        out.push(format!(
            "{} of {} without a time have no part in what is said about time.",
            count(rows - timed),
            counted(rows, "row")
        ));
    }
    out
}

/// The conclusions for a key, a sentence or two each.
pub(super) fn remarks(key: &JudgedKey, findings: &KeyFindings) -> Vec<String> {
    let name = name(key);
    let fair = 1.0 / f64::from(findings.of.shards.get());
    let mut out = Vec::new();
    if key.without > 0 {
        out.push(format!("{name}: {} without a value were left out.", counted(key.without, "row")));
    }
    if key.too_long > 0 {
        out.push(format!(
            "{name}: {} with a value of more than {} bytes were left out.",
            counted(key.too_long, "row"),
            count(LONGEST as u64)
        ));
    }
    if let Some(margin) = key.margin.filter(|_| !key.top.is_empty()) {
        let told = if margin >= WIDE {
            ": the rows of a value lie together in the table, and a sample sees some of them"
        } else {
            ""
        };
        out.push(format!(
            "{name}: shares are those of the sample, to within {}{told}.",
            percent(margin.max(SEEN))
        ));
    }
    if key.rows < FEW as u64 {
        return out;
    }
    if let Some(hot) = key.top.first().filter(|hot| hot.share > fair) {
        out.push(format!(
            "{name}: {} has {} of all rows, more than a shard's fair share ({}): neither hash nor ranges part one \
             value. Another column behind it does.",
            plain::line(&hot.value),
            percent(hot.share),
            percent(fair)
        ));
    }
    if key.ascent.is_some_and(|ascent| ascent.abs() >= ASCENDS) {
        out.push(format!(
            "{name}: it follows time: in ranges, whatever is new goes to one shard, however many there are."
        ));
    }
    if let Some(prefix) = &key.prefix {
        out.push(format!(
            "{name}: {} of the rows begin with {:?}: ranges by the first letters would put them on one shard; boundaries \
             must be fitted to what comes after that.",
            percent(prefix.share),
            plain::line(&prefix.text)
        ));
    }
    out
}

fn picture(key: &JudgedKey) -> String {
    let Some(heat) = &key.heat else { return String::new() };
    let lines: String = heat.lines().into_iter().map(|line| line + "\n").collect();
    let (first, last) = (&heat.times.0, &heat.times.1);
    format!("\nRows by {} (downwards) and time, from {first} to {last}:\n{lines}", name(key))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::super::tests::FINDINGS;
    use super::super::{KeyFindings, Study};
    use super::*;

    #[test]
    fn keys_are_told_with_what_follows_from_them() {
        let shown = text(&FINDINGS);
        for told in [
            "x.csv: 40,000 rows, by 5 keys, over 4 shards",
            "shop: 7 has 50.1 % of all rows",
            "order: it follows time",
            "of the rows begin with \"user_0\"",
            "The busiest second (1970-01-01T00:16:40.000Z) had 200 rows. At 60.0 writes a\nsecond",
            "shop: hashed no number suffices, since 101 rows are of one value",
            "Rows by shop,user (downwards) and time, from 1970-01-01T00:16:40.000Z",
        ] {
            assert!(shown.contains(told), "{told}\n{shown}");
        }
        assert!(!shown.contains("user: it follows time") && !shown.contains("n/a"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    }

    fn of_rows<'v>(rows: impl IntoIterator<Item = (&'v str, Option<i64>)>) -> String {
        let mut study = Study::new(&["a".parse().unwrap()], &["a".to_owned()], 1).unwrap();
        rows.into_iter().for_each(|(value, time)| study.add(|_| Some(value), time));
        text(&KeyFindings::of_rows("x".to_owned(), study, NonZeroU16::new(2).unwrap(), 1.0))
    }

    #[test]
    fn long_values_that_differ_are_shown_so() {
        let values = ["9223372036854775809", "9223372036854775810", "9223372036854775811"];
        let shown = of_rows(values.iter().cycle().take(300).map(|value| (*value, None)));
        assert!(values.iter().all(|value| shown.contains(&format!("{value} (33.3 %)"))), "{shown}");
    }

    #[test]
    fn a_few_rows_are_said_to_be_few_and_nothing_follows_from_them() {
        let shown = of_rows([("1", Some(5)), ("1", Some(6)), ("2", Some(7))]);
        assert!(shown.contains("Too few rows to judge keys by: 3 rows. 100 are the least."), "{shown}");
        assert!(!shown.contains("fair share") && shown.contains("n/a"), "{shown}");
    }

    #[test]
    fn days_have_no_busiest_second_and_rows_without_a_time_are_counted() {
        const DAY: i64 = 86_400_000;
        let days = (0..300).map(|n| ("1", Some(n / 100 * DAY)));
        let shown = of_rows(days.chain([("1", Some(2 * DAY)), ("1", None)]));
        assert!(shown.contains("The\nbusiest day (1970-01-03) had 101 rows."), "{shown}");
        assert!(
            !shown.contains("busiest second (") && shown.contains("1 of 302 rows without a time"),
            "{shown}"
        );
    }

    #[test]
    fn rows_without_times_or_out_of_order_have_no_busiest_second_and_say_so() {
        let of = |times: &[Option<i64>]| {
            let mut study = Study::new(&["a".parse().unwrap()], &["a".to_owned()], 1).unwrap();
            times.iter().for_each(|time| study.add(|_| Some("\u{1b}[2K"), *time));
            text(&KeyFindings::of_rows("x".to_owned(), study, NonZeroU16::MIN, 1.0))
        };
        assert!(of(&[None, None]).contains("have no times"));
        let mixed = of(&[Some(5_000), Some(1_000)]);
        assert!(mixed.contains("not in the order") && !mixed.contains('\u{1b}'), "{mixed}");
    }
}
