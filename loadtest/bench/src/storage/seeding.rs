//! The time to fill a data set, against the same rows over as many bare connections.

use anyhow::{Context as _, Result};
use coupon_core::TableId;
use coupon_lab::Deployment;
use coupon_loadgen::workload::CatalogueSpec;
use coupon_seeding::SeedOptions;
use coupon_strategies::Spec;

use super::super::context::{Context, HISTORY, SHARDS, Store};
use super::super::model::{Bound, Claim, Findings, Measurement, NamedFigure};
use super::super::section::Section;
use super::raw::{Raw, Transactions, inserts};

pub(super) const SECTION: Section = Section {
    name: "seeding",
    family: "seeding",
    what: "100,000 users, and results of the past, into main and four shards",
    servers: true,
    claims,
    run,
};

/// The tables of main that a seeder fills.
pub(super) const MAIN: [&str; 5] = ["users", "live_rooms", "coupons", "coupon_details", "stock_logs"];
/// The beginning of the names of the bare connections' tables.
const PREFIX: &str = "bench_";
/// Rows of a transaction, as the seeder's.
pub(super) const TRANSACTION: usize = 10_000;
/// Results when a few minutes must do.
pub(super) const QUICK: u64 = 200_000;

fn claims() -> Vec<Claim> {
    vec![Claim::ratio(
        "seeding-servers",
        "time to make and store a catalogue of 100,000 users and results of the past",
        "the same rows, made before, as multi-row inserts over as many bare connections",
        Bound::AtMost(1.5),
    )]
}

fn run(context: &mut Context) -> Result<Findings> {
    let catalogue = CatalogueSpec::default();
    let mut spec = Spec::parse("hash", SHARDS, &catalogue)?;
    spec.name = "seeding hash".to_owned();
    let history = if context.quick { QUICK } else { HISTORY };
    let (mut ratios, mut seeder, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..context.rounds() {
        context.progress(format!("round {}", round + 1));
        let seed = SeedOptions { history, seed: context.seed, ..SeedOptions::default() };
        let running = context.start(&spec, Store::Servers, seed)?;
        let seeded = running.seeded.context("it was seeded here")?.as_secs_f64();
        let raw = store_again(&running)?;
        running.stop()?;
        ratios.push(seeded / raw);
        seeder.push(seeded);
        bare.push(raw);
    }
    let figures = vec![
        NamedFigure::of(format!("seeder, {history} results"), "s", &seeder),
        NamedFigure::of("bare connections", "s", &bare),
    ];
    Ok(vec![Measurement::new("seeding-servers", ratios).figures(figures)].into())
}

/// Stores what is there once more, in tables of the same shape; says how many seconds that took.
fn store_again(running: &Deployment) -> Result<f64> {
    let mut raw = Raw::to_all(running)?;
    let mut work = vec![Transactions::new(); usize::from(SHARDS.get()) + 1];
    for table in MAIN {
        read(&mut raw, &mut work, table, |database| database == 0)?;
    }
    read(&mut raw, &mut work, TableId::PREFIX, |database| database > 0)?;
    Ok(raw.store(&work)?.as_secs_f64())
}

/// Makes a table like one that is there, and the statements that fill it with the same rows.
fn read(raw: &mut Raw, work: &mut [Transactions], table: &str, there: impl Fn(usize) -> bool) -> Result<()> {
    let copy = format!("{PREFIX}{table}");
    let nothing = "SELECT 1 FROM DUAL WHERE 1 = 0";
    let each = |sql: &str| -> Vec<String> {
        (0..work.len()).map(|database| if there(database) { sql } else { nothing }.to_owned()).collect()
    };
    raw.query_each(&each(&format!("DROP TABLE IF EXISTS {copy}")))?;
    raw.query_each(&each(&format!("CREATE TABLE {copy} LIKE {table}")))?;
    let rows = raw.query_each(&each(&format!("SELECT * FROM {table}")))?;
    for (transactions, rows) in work.iter_mut().zip(rows) {
        let Some(first) = rows.first() else { continue };
        let columns: Vec<String> =
            first.columns_ref().iter().map(|column| column.name_str().into_owned()).collect();
        transactions.extend(inserts(&copy, &columns.join(","), &rows, TRANSACTION));
    }
    Ok(())
}
