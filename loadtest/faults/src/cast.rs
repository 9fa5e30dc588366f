//! Fills a service's data, and starts its processes.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use coupon_lab::Prepared;
use coupon_lab::wait::{at_once, blocking};
use coupon_loadgen::workload::Catalogue;
use coupon_seeding::SeedOptions;
use coupon_strategies::Spec;
use mysql_async::prelude::Queryable as _;

use super::casting::Casting;
use super::process::TestedProcess;
use super::service::Subject;
use super::stage::{SHARDS, Stage};

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
    namespace: String,
    prepared: Prepared,
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
        let prepared = Prepared::on_servers(&spec, &seed, stage.site, namespace.clone())?;
        make_scarce(stage, &namespace)?;
        Ok(Self { name, spec, namespace, prepared })
    }

    /// Starts its processes, all at once.
    pub(super) fn start(self, set: &Set<'_>) -> Result<Subject> {
        let processes = at_once(set.casting.roles.iter().enumerate(), |(number, role)| {
            self.process(set, number, role).with_context(|| format!("{} {number}", self.name))
        })?;
        let Self { name, namespace, prepared: Prepared { data, strategy, .. }, .. } = self;
        Ok(Subject { name, namespace, strategy, data, processes, load_on: set.casting.load_on })
    }

    fn process(&self, set: &Set<'_>, number: usize, role: &str) -> Result<TestedProcess> {
        let Set { stage, casting, folder, clock, environment } = *set;
        let fail_points = folder.join(format!("{}-{number}", self.name));
        fs::create_dir_all(&fail_points)?;
        if let Some(without) = stage.without {
            fs::write(fail_points.join(without.file()), "")?;
        }
        if let Some(offset) = clock {
            fs::write(fail_points.join("clock"), offset.to_string())?;
        }
        let command = self.prepared.lead(stage.programs.command(&self.spec.program)?);
        let command = SETTINGS.iter().fold(command, |command, setting| command.setting(*setting));
        let command = command.arguments(["--role", role]).environment(environment.iter().cloned());
        let log = stage.terms.logs.join(format!("{}-{}-{number}.log", casting.id, self.name));
        TestedProcess::start(command, fail_points, log)
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
