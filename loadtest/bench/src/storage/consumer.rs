//! The rate at which a consumer empties its queues, and its lag behind the grabs.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use coupon_core::{TableId, Timestamp, schema};
use coupon_lab::{Deployment, ServiceProcess, seed_of};
use coupon_loadgen::http::{Target, get_json};
use coupon_loadgen::load::{Arrivals, LoadSpec, run_load};
use coupon_loadgen::workload::{CatalogueSpec, Workload};
use coupon_seeding::SeedOptions;
use coupon_service::api::{AdminStats, GlobalStatistics};
use coupon_strategies::Spec;

use super::super::client::Client;
use super::super::context::{Context, SHARDS, Store};
use super::super::model::{Bound, Claim, Findings, Measurement, NamedFigure};
use super::super::section::Section;
use super::raw::{Raw, inserts};

pub(super) const SECTION: Section = Section {
    name: "consumer",
    family: "consumer",
    what: "from the queues into four shards",
    servers: true,
    claims,
    run,
};

/// Connections that fill the queues.
const CONNECTIONS: usize = 256;
/// Rows that a consumer has to do at least: dozens of transactions, so that the first and the last do not matter.
const BACKLOG: u64 = 600_000;
/// The same when a few minutes must do.
const QUICK: u64 = 120_000;
/// The most loads that a backlog may take: a machine on which it takes longer has other things to do.
const LOADS: usize = 40;
/// The time that a backlog may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// The interval between looks at its progress.
const LOOK: Duration = Duration::from_millis(2);
/// The interval between samples of the lag of reads.
const SAMPLE: Duration = Duration::from_millis(50);
/// A table beside the service's, which takes no notice of it.
const RAW_TABLE: &str = "bench_raw";
const COLUMNS: &str = "result_id, user_id, coupon_id, room_id, grab_time, grab_status, use_status";

fn claims() -> Vec<Claim> {
    let rate = Claim::ratio(
        "consumer-rate",
        "rows a second from full queues into four shards",
        "the same rows as multi-row inserts by one bare connection a shard",
        Bound::AtLeast(0.8),
    );
    let what = "the most that stored grabs trail acknowledged ones, at the top rate";
    let lag = Claim::new("consumer-lag", what, Bound::AtMost(1.0), "s");
    vec![rate, lag]
}

fn run(context: &mut Context) -> Result<Findings> {
    let default = CatalogueSpec::default();
    // Every room is hot: nothing sells out.
    let catalogue = CatalogueSpec { hot_rooms: default.rooms, coupons_per_room: 20, ..default };
    let mut spec = Spec::parse("hash", SHARDS, &catalogue)?;
    spec.name = "consumer hash".to_owned();
    spec.settings.extend(["servers.role=api", "grab.shard_backlog=100000000"].map(str::to_owned));
    let seed = SeedOptions { seed: context.seed, ..seed_of(&catalogue) };
    let api = context.start(&spec, Store::Servers, seed)?;
    let measured = measure(context, &api, catalogue);
    let measured = measured.map_err(|error| error.context(api.log()));
    api.stop()?;
    measured
}

fn measure(context: &Context, api: &Deployment, catalogue: CatalogueSpec) -> Result<Findings> {
    let mut raw = Raw::to_shards(api)?;
    raw.run(&schema::results_table(TableId::Single).replace(TableId::PREFIX, RAW_TABLE))?;
    let mut consumer = api.one_more(&["servers.role=consumer"])?;
    wait_for_the_gate(&api.target)?;
    let (mut skip, mut rounds, mut lags) = (0, Rounds::default(), Vec::new());
    for round in 0..context.rounds() {
        context.progress(format!("round {}: at the top rate", round + 1));
        let load = |skip| LoadSpec {
            workload: Workload::distinct_grabs(catalogue, skip),
            connections: CONNECTIONS,
            duration: context.round(),
            seed: context.seed,
            ..LoadSpec::new(Arrivals::Closed)
        };
        let (sent, lag) = trail(&api.target, &load(skip))?;
        skip += sent;
        lags.push(lag);
        api.drain()?;
        consumer.stop()?;
        context.progress(format!("round {}: filling the queues", round + 1));
        let wanted = if context.quick { QUICK } else { BACKLOG };
        let (mut granted, mut loads) = (0, 0);
        while granted < wanted {
            ensure!(loads < LOADS, "{LOADS} loads did not fill the queues: {granted} of {wanted} grabs");
            let outcome = run_load(&api.target, &load(skip))?;
            ensure!(outcome.errors() == 0, "{} grabs failed while the queues were filled", outcome.errors());
            skip += outcome.grabs.len() as u64;
            granted += outcome.counts.granted;
            loads += 1;
        }
        context.progress(format!("round {}: emptying them", round + 1));
        consumer = rounds.one(&mut raw, api, granted)?;
    }
    consumer.stop()?;
    Ok(vec![rounds.measured("consumer-rate"), Measurement::new("consumer-lag", lags)].into())
}

fn wait_for_the_gate(api: &Target) -> Result<()> {
    let patience = Instant::now() + PATIENCE;
    loop {
        let ready = Client::connect(api).and_then(|mut client| client.get("/readyz").map(drop));
        let Err(error) = ready else { return Ok(()) };
        if Instant::now() > patience {
            return Err(error.context("the gate does not open"));
        }
        std::thread::sleep(SAMPLE);
    }
}

/// Sends the load, and says how many requests it were, and how many seconds reads trailed at most.
fn trail(target: &Target, load: &LoadSpec) -> Result<(u64, f64)> {
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| run_load(target, load));
        let mut most: f64 = 0.0;
        // What went on before the load is none of its lag.
        std::thread::sleep(load.duration / 4);
        while !sending.is_finished() {
            let sums: GlobalStatistics = get_json(target, "/api/statistics/global?exact=false")?;
            let as_of: Timestamp = sums.as_of.parse()?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
            most = most.max((i64::try_from(now)? - as_of.millis()) as f64 / 1e3);
            std::thread::sleep(SAMPLE);
        }
        let outcome = sending.join().map_err(|_| anyhow::anyhow!("the load panicked"))??;
        Ok((outcome.grabs.len() as u64, most))
    })
}

fn stored(raw: &mut Raw) -> Result<u64> {
    raw.sum("SELECT results FROM shard_state")
}

/// The figures of the rounds.
#[derive(Default)]
struct Rounds {
    ratios: Vec<f64>,
    consumer: Vec<f64>,
    raw: Vec<f64>,
    transaction: Vec<f64>,
    service_us: Vec<f64>,
    mysql_us: Vec<f64>,
    raw_mysql_us: Vec<f64>,
}

impl Rounds {
    /// Lets a new consumer empty the queues, then stores the same rows over bare connections.
    fn one(&mut self, raw: &mut Raw, api: &Deployment, granted: u64) -> Result<ServiceProcess> {
        let site = api.site().context("it has no servers")?;
        let mysql =
            || site.used(SHARDS.get()).iter().filter_map(|used| used.cpu_seconds.value()).sum::<f64>();
        let newest = raw.numbers("SELECT COALESCE(MAX(result_id), 0) FROM coupon_results")?;
        let (before, commits) = (stored(raw)?, raw.sum("SELECT commits FROM shard_state")?);
        let cpu = mysql();
        let (consumer, rate) = empty(raw, api, before + granted)?;
        let cpu_after = mysql();
        let rows = granted as f64;
        let commits = raw.sum("SELECT commits FROM shard_state")? - commits;
        let stats: AdminStats = get_json(&consumer.target("consumer"), "/admin/stats")?;
        self.service_us.extend(stats.cpu_seconds.map(|seconds| seconds * 1e6 / rows));
        self.mysql_us.push((cpu_after - cpu) * 1e6 / rows);
        let transaction = granted / commits.max(1);
        self.transaction.push(transaction as f64);
        let work: Vec<_> = raw
            .newer(&newest)?
            .iter()
            .map(|rows| inserts(RAW_TABLE, COLUMNS, rows, usize::try_from(transaction).unwrap_or(usize::MAX)))
            .collect();
        let cpu = mysql();
        let took = raw.store(&work)?;
        self.raw_mysql_us.push((mysql() - cpu) * 1e6 / rows);
        let raw_rate = rows / took.as_secs_f64();
        self.ratios.push(rate / raw_rate);
        self.consumer.push(rate);
        self.raw.push(raw_rate);
        Ok(consumer)
    }

    fn measured(self, id: &'static str) -> Measurement {
        let figures = vec![
            NamedFigure::of("consumer", "rows/s", &self.consumer),
            NamedFigure::of("bare connections", "rows/s", &self.raw),
            NamedFigure::of("rows of a transaction, both", "", &self.transaction),
            NamedFigure::of("CPU of the consumer's process, its start included", "µs/row", &self.service_us),
            NamedFigure::of("CPU of the shards' servers, consumer", "µs/row", &self.mysql_us),
            NamedFigure::of("CPU of the shards' servers, bare connections", "µs/row", &self.raw_mysql_us),
        ];
        Measurement::new(id, self.ratios).figures(figures)
    }
}

impl Raw {
    /// The rows of each shard that are newer, in the order of their ids.
    fn newer(&mut self, than: &[i64]) -> Result<Vec<Vec<mysql_async::Row>>> {
        let sql = |newest: &i64| {
            format!("SELECT {COLUMNS} FROM coupon_results WHERE result_id > {newest} ORDER BY result_id")
        };
        self.query_each(&than.iter().map(sql).collect::<Vec<_>>())
    }
}

/// Starts a consumer, and says how many rows a second it stored from the moment when each shard had some to the last.
fn empty(raw: &mut Raw, api: &Deployment, wanted: u64) -> Result<(ServiceProcess, f64)> {
    std::thread::scope(|scope| {
        let watching = scope.spawn(move || watch(raw, wanted));
        let consumer = api.one_more(&["servers.role=consumer"])?;
        let rate = watching.join().map_err(|_| anyhow::anyhow!("the watch panicked"))??;
        Ok((consumer, rate))
    })
}

fn watch(raw: &mut Raw, wanted: u64) -> Result<f64> {
    let each = "SELECT results FROM shard_state";
    let (start, patience) = (raw.numbers(each)?, Instant::now() + PATIENCE);
    let mut first = None;
    loop {
        let now = raw.numbers(each)?;
        let rows = now.iter().map(|rows| rows.unsigned_abs()).sum::<u64>();
        let began = now.iter().zip(&start).all(|(now, start)| now > start);
        let now = Instant::now();
        if began && first.is_none() {
            first = Some((now, rows));
        }
        if let Some((began, at)) = first.filter(|_| rows >= wanted) {
            ensure!(rows > at, "everything was stored at once: fill the queues for longer");
            return Ok((rows - at) as f64 / now.duration_since(began).as_secs_f64());
        }
        if now > patience {
            bail!("{} rows are still missing after {} s", wanted.saturating_sub(rows), PATIENCE.as_secs());
        }
        std::thread::sleep(LOOK);
    }
}
