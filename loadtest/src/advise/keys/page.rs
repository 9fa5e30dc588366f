//! The findings on keys, for a page.

use coupon_cli::plain;
use coupon_measure::Table;
use coupon_measure::format::counted;
use coupon_report::html::{AdvicePage, KeyMap};

use super::render::{busiest, different, fan_outs, limits, loads, most_frequent, name, remarks, values};
use super::{JudgedKey, KeyFindings};

/// The page on rows of a table.
#[must_use]
pub fn page(findings: &KeyFindings) -> AdvicePage {
    let KeyFindings { of, keys } = findings;
    let judged = format!("{}, by {}", counted(of.rows, "row"), counted(keys.len() as u64, "key"));
    AdvicePage {
        title: format!("Keys for {}", plain::line(&of.source)),
        lead: format!("{judged}, over {} shards", of.shards),
        points: points(findings),
        maps: maps(findings),
        tables: tables(findings),
        ..AdvicePage::default()
    }
}

/// The conclusions from them.
pub(in crate::advise) fn points(findings: &KeyFindings) -> Vec<String> {
    let remarks = findings.keys.iter().flat_map(|key| remarks(key, findings));
    let unsaid = busiest(findings).filter(|(_, needs)| needs.is_empty()).map(|(why, _)| why);
    limits(findings).into_iter().chain(remarks).chain(unsaid).collect()
}

/// The maps of the keys whose rows have times.
pub(in crate::advise) fn maps(findings: &KeyFindings) -> Vec<KeyMap> {
    findings.keys.iter().filter_map(map).collect()
}

fn map(key: &JudgedKey) -> Option<KeyMap> {
    let heat = key.heat.as_ref()?;
    let labels = heat.values.iter().map(|value| plain::line(value).into_owned());
    Some(KeyMap {
        key: name(key),
        values: format!("{} values; the most frequent: {}", different(key), most_frequent(key)),
        times: [&heat.times.0, &heat.times.1].map(|time| minute(time)),
        ranges: labels.zip(heat.rows.iter().cloned()).collect(),
    })
}

/// A time to the minute.
fn minute(time: &str) -> String {
    time.chars().take(16).map(|sign| if sign == 'T' { ' ' } else { sign }).collect()
}

/// Their figures.
pub(in crate::advise) fn tables(findings: &KeyFindings) -> Vec<(String, Table)> {
    let KeyFindings { of, keys } = findings;
    if keys.is_empty() {
        return Vec::new();
    }
    let mut tables = vec![
        ("Values of each key".to_owned(), values(keys)),
        (format!("Shards by each key, of all rows and of the busiest {}", of.period), loads(keys)),
    ];
    if keys.iter().any(|key| !key.fan_out.is_empty()) {
        tables.push(("What queries visit by each key".to_owned(), fan_outs(keys)));
    }
    if let Some((told, needs)) = busiest(findings).filter(|(_, needs)| !needs.is_empty()) {
        let mut table = Table::new(["", "hashed", "in ranges"]);
        table.extend(needs.into_iter().map(Vec::from));
        tables.push((told, table));
    }
    tables
}
