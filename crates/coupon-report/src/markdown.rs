//! The main figures of a report as a Markdown table, for documents that quote them.

use coupon_measure::Table;
use coupon_measure::format::{count, number, plain};

use super::Report;
use super::model::{AuditResult, Contestant, Metric, Quantile};

/// The name of the place in a document where the table stands.
pub const PLACE: &str = "demo";

/// The queries whose cost the strategies decide, by endpoint.
const QUERIES: [(&str, &str); 3] = [
    ("user_coupons", "a user's coupons"),
    ("room_orders", "a room's orders"),
    ("recent", "the last hour's orders"),
];

/// The table: medians over rounds by contestant, the best of each line in bold.
#[must_use]
pub fn table(report: &Report) -> String {
    let contestants = &report.contestants;
    let names = contestants.iter().map(|contestant| contestant.name.as_str());
    let shards = contestants.iter().map(Contestant::most_shards).max().unwrap_or_default();
    let mut table = Table::new(std::iter::once("").chain(names));
    let mut line = |label: String, cells: Vec<String>| table.row(std::iter::once(label).chain(cells));
    line(
        format!("effective shards for writes, of {shards}"),
        best(contestants, |one| Some((-one.median(&Metric::EffectiveShards)?, 0.0)), effective_shards),
    );
    for (endpoint, name) in QUERIES {
        let (shards, tables) = (Metric::shards(endpoint), Metric::tables(endpoint));
        let p50 = Metric::latency(endpoint, Quantile::P50);
        let visits = |one: &Contestant| Some((one.median(&shards)?, one.median(&tables)?));
        let shown = |one: &Contestant| {
            visits(one).map(|(shards, tables)| format!("{} ({})", plain(shards), plain(tables)))
        };
        let time = |one: &Contestant| one.median(&p50).map(|median| format!("{} ms", number(median)));
        line(format!("shards (tables) that {name} visit"), best(contestants, visits, shown));
        line("… p50".to_owned(), best(contestants, |one| Some((one.median(&p50)?, 0.0)), time));
    }
    let audits = contestants.iter().map(audit).collect();
    line("acknowledged grabs lost, duplicate or oversold".to_owned(), audits);
    table.markdown()
}

/// The cells of a line. Those that show the same as the one of the least rank are in bold, unless all do.
fn best(
    contestants: &[Contestant],
    rank: impl Fn(&Contestant) -> Option<(f64, f64)>,
    shown: impl Fn(&Contestant) -> Option<String>,
) -> Vec<String> {
    let ranked = contestants.iter().filter_map(|one| Some((rank(one)?, shown(one)?)));
    let least = ranked.min_by(|(a, _), (b, _)| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let cells = contestants.iter().map(&shown);
    let all_alike = contestants.iter().all(|one| shown(one) == least.as_ref().map(|(_, cell)| cell.clone()));
    cells
        .map(|cell| match (cell, &least) {
            (Some(cell), Some((_, best))) if cell == *best && !all_alike => format!("**{cell}**"),
            (Some(cell), _) => cell,
            (None, _) => "n/a".to_owned(),
        })
        .collect()
}

fn effective_shards(contestant: &Contestant) -> Option<String> {
    contestant.median(&Metric::EffectiveShards).map(number)
}

/// The grabs that broke a promise, of those that were acknowledged; rounds without an audit are named.
fn audit(contestant: &Contestant) -> String {
    let audits: Vec<_> = contestant.rounds.iter().filter_map(|round| round.audit.known()).collect();
    let broken = |audit: &&AuditResult| audit.lost.count + audit.duplicate.count + audit.oversold.count;
    let acknowledged = audits.iter().map(|audit| audit.acknowledged).sum();
    let text = format!("{} of {}", count(audits.iter().map(broken).sum::<u64>()), count(acknowledged));
    match contestant.rounds.len() - audits.len() {
        0 => text,
        missing => format!("{text}, {missing} rounds not audited"),
    }
}
