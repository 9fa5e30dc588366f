//! Fills a service's data, and starts its processes.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use coupon_core::ShardingStrategy;
use coupon_loadgen::workload::Catalogue;
use coupon_seeding::SeedOptions;
use coupon_strategies::Spec;
use mysql_async::prelude::Queryable as _;

use super::casting::Casting;
use super::service::{Process, Subject};
use super::stage::{SHARDS, Stage};
use super::wait::{blocking, joined};

/// Few users and coupons, so that users ask twice and coupons sell out: only then can anything be granted twice or
/// oversold.
pub(super) const CATALOGUE: Catalogue =
    Catalogue { users: 6_000, rooms: 12, hot_rooms: 2, coupons_per_room: 3 };
/// For how many seconds of the load a coupon of a hot room lasts, roughly, and any other: a tenth of the requests or so is
/// for each of the hot ones.
const HOT_S: f64 = 0.4;
const OTHERS_S: f64 = 4.0;
/// Over how many days results of the past spread.
const HISTORY_DAYS: u64 = 6;

/// Settings that make a row shorter: what waits five or ten seconds in production waits one or two here.
const SETTINGS: [&str; 4] = [
    "servers.publish_timeout_ms=2000",
    "servers.gate_timeout_ms=1000",
    "servers.reconcile_ms=1000",
    "reads.timeout_ms=2000",
];

/// A service whose data is there, and whose processes are not.
pub(super) struct Cast {
    name: &'static str,
    spec: Spec,
    strategy: Arc<dyn ShardingStrategy>,
    namespace: String,
}

/// How processes are started.
#[derive(Clone, Copy)]
pub(super) struct Set<'a> {
    pub(super) stage: &'a Stage<'a>,
    pub(super) casting: &'a Casting,
    /// For the switches of each process.
    pub(super) folder: &'a Path,
    /// What to add to their clocks, in milliseconds.
    pub(super) clock: Option<i64>,
    /// What of the servers' addresses is another than usual.
    pub(super) environment: &'a [(&'static str, String)],
}

impl Cast {
    /// Fills its data.
    pub(super) fn seeded(
        stage: &Stage<'_>,
        casting: &Casting,
        name: &'static str,
        spec: &str,
    ) -> Result<Self> {
        let spec = Spec::parse(spec, SHARDS, &CATALOGUE)?;
        let strategy = spec.strategy()?;
        let namespace = format!("lt_fault_{}_{name}", casting.id);
        let seed = SeedOptions {
            users: CATALOGUE.users,
            rooms: CATALOGUE.rooms,
            hot_rooms: CATALOGUE.hot_rooms,
            coupons_per_room: CATALOGUE.coupons_per_room,
            history: casting.history,
            days: HISTORY_DAYS,
            seed: stage.terms.seed,
            ..SeedOptions::default()
        };
        stage.site.seed(&namespace, &*strategy, &seed)?;
        make_scarce(stage, &namespace)?;
        Ok(Self { name, spec, strategy, namespace })
    }

    /// Starts its processes, all at once.
    pub(super) fn start(self, set: &Set<'_>) -> Result<Subject> {
        let data = set.stage.site.data(&self.namespace)?;
        let processes = std::thread::scope(|scope| {
            let start = |(number, role): (usize, &'static str)| {
                let this = &self;
                scope.spawn(move || {
                    this.process(set, number, role).with_context(|| format!("{} {number}", this.name))
                })
            };
            let starts: Vec<_> = set.casting.roles.iter().copied().enumerate().map(start).collect();
            starts.into_iter().map(joined).collect::<Vec<_>>().into_iter().collect::<Result<_>>()
        })?;
        let Self { name, strategy, namespace, .. } = self;
        Ok(Subject { name, namespace, strategy, data, processes, load_on: set.casting.load_on })
    }

    fn process(&self, set: &Set<'_>, number: usize, role: &str) -> Result<Process> {
        let Set { stage, casting, folder, clock, environment: more } = *set;
        let switches = folder.join(format!("{}-{number}", self.name));
        fs::create_dir_all(&switches)?;
        if let Some(without) = stage.without {
            fs::write(switches.join(without.file()), "")?;
        }
        if let Some(offset) = clock {
            fs::write(switches.join("clock"), offset.to_string())?;
        }
        let (program, mut arguments) = stage.programs.of(&self.spec.program)?;
        arguments.extend(["--shards", &SHARDS.to_string(), "--role", role].map(str::to_owned));
        let sets = self.spec.settings.iter().map(String::as_str).chain(SETTINGS);
        arguments.extend(sets.flat_map(|set| ["--set".to_owned(), set.to_owned()]));
        let mut environment = stage.site.environment(&self.namespace);
        environment.extend(more.iter().cloned());
        let log = stage.terms.logs.join(format!("{}-{}-{number}", casting.id, self.name));
        Process::start(&program, arguments, environment, switches, log)
    }
}

/// Little stock: what is never short is never oversold.
fn make_scarce(stage: &Stage<'_>, namespace: &str) -> Result<()> {
    // Coupons of the past come after those on offer.
    let (hot, on_offer) = (CATALOGUE.hot_rooms * CATALOGUE.coupons_per_room, CATALOGUE.coupons());
    let stock = |share: f64| (stage.terms.rate * share).max(20.0).round();
    let (of_hot, of_others) = (stock(HOT_S), stock(OTHERS_S));
    // The log says what the stock was from the beginning, as if the seeder had given so little.
    let sql = format!(
        "UPDATE coupons SET total_stock = IF(coupon_id <= {hot}, {of_hot}, {of_others}), remaining_stock = total_stock \
         WHERE coupon_id <= {on_offer}; \
         UPDATE stock_logs l JOIN coupons c ON c.coupon_id = l.coupon_id SET l.stock_after = c.total_stock \
         WHERE c.coupon_id <= {on_offer}"
    );
    let database = stage.main_of(namespace)?;
    blocking(async {
        let mut connection = database.connect_alone().await?;
        connection.query_drop(sql).await?;
        connection.disconnect().await?;
        Ok(())
    })
}
