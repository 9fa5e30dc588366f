//! The start of a service under test: its data is seeded and made scarce, and its processes are started on it.

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use anyhow::{Context, Result};
use coupon_lab::wait::{at_once, blocking};
use coupon_lab::{Prepared, seed_of};
use coupon_loadgen::workload::CatalogueSpec;
use coupon_seeding::SeedOptions;
use coupon_strategies::Spec;
use mysql_async::prelude::Queryable as _;

use super::cases::FaultCase;
use super::context::{CaseContext, SHARDS, now};
use super::plan::ProcessPlan;
use super::process::TestedProcess;
use super::service::TestedService;

/// Few users and coupons, so that users ask twice and coupons sell out: only then can anything be granted twice or
/// oversold.
pub(super) const CATALOGUE: CatalogueSpec =
    CatalogueSpec { users: 6_000, rooms: 12, hot_rooms: 2, coupons_per_room: 3 };
/// The coupons whose grabs are held: those of all rooms but the hot ones and the last.
const HELD: RangeInclusive<u64> = 7..=33;
/// Those of them that sell out, so that what comes back is sold again at once.
const CONTESTED: RangeInclusive<u64> = 7..=12;
/// The seconds for which a grab is held: some faults last longer, and most do not.
const HOLD_S: u32 = 3;
/// The stock of a coupon of a hot room, of a contested one and of any other, by requests a second.
const HOT: f64 = 0.4;
const OF_CONTESTED: f64 = 0.04;
const OTHERS: f64 = 4.0;
/// The days over which results of the past spread.
const HISTORY_DAYS: u64 = 6;
const DAY_MS: i64 = 86_400_000;

/// Settings that make a case shorter: a wait of five or ten seconds in production is one of one or two here.
const SETTINGS: [&str; 4] = [
    "servers.publish_timeout_ms=2000",
    "servers.gate_timeout_ms=1000",
    "servers.reconcile_ms=1000",
    "reads.timeout_ms=2000",
];

/// A service whose data is there, and whose processes are not.
pub(super) struct SeededService {
    name: &'static str,
    spec: Spec,
    namespace: String,
    prepared: Prepared,
}

/// The settings that processes are started with.
#[derive(Clone, Copy)]
pub(super) struct StartSettings<'a> {
    pub(super) context: &'a CaseContext<'a>,
    pub(super) case: &'a FaultCase,
    /// The folder in which each process has a folder of fail points.
    pub(super) folder: &'a Path,
    /// The milliseconds that are added to their clocks.
    pub(super) clock: Option<i64>,
    /// The addresses of servers that are other than usual.
    pub(super) environment: &'a [(&'static str, String)],
}

impl SeededService {
    /// Seeds a service's data.
    pub(super) fn seed(
        context: &CaseContext<'_>,
        case: &FaultCase,
        name: &'static str,
        spec: &str,
    ) -> Result<Self> {
        let variant = if case.plan.room_index { "+room-index" } else { "" };
        let spec = Spec::parse(&format!("{spec}{variant}"), SHARDS, &CATALOGUE)?;
        let namespace = format!("lt_fault_{}_{name}", case.id);
        let seed = SeedOptions {
            history: case.plan.history,
            days: HISTORY_DAYS,
            seed: context.options.seed,
            // Coupons of the past are over for a day: their results may be archived.
            as_of: now().plus_millis(-DAY_MS),
            ..seed_of(&CATALOGUE)
        };
        let prepared = Prepared::on_servers(&spec, &seed, context.site, namespace.clone())?;
        set_terms(context, &namespace)?;
        Ok(Self { name, spec, namespace, prepared })
    }

    /// Starts its processes, all at once.
    pub(super) fn start(self, settings: &StartSettings<'_>) -> Result<TestedService> {
        let plan = &settings.case.plan;
        let processes = plan.processes(self.name, settings.context.ablation, settings.clock);
        let processes = at_once(processes, |process| {
            self.process(settings, &process).with_context(|| process.name.clone())
        })?;
        let Self { name, namespace, prepared: Prepared { data, strategy, .. }, .. } = self;
        Ok(TestedService { name, namespace, strategy, data, processes, load_on: plan.load_on })
    }

    fn process(&self, settings: &StartSettings<'_>, plan: &ProcessPlan) -> Result<TestedProcess> {
        let StartSettings { context, case, folder, environment, .. } = *settings;
        let fail_points = folder.join(&plan.name);
        fs::create_dir_all(&fail_points)?;
        for (file, text) in &plan.fail_points {
            fs::write(fail_points.join(file), text)?;
        }
        let command = self.prepared.lead(context.programs.command(&self.spec.program)?);
        let command = SETTINGS.iter().fold(command, |command, setting| command.setting(*setting));
        let command = command.setting(format!("shards_prepared={}", case.plan.prepared));
        let environment = if plan.proxied { environment } else { &[] };
        let command = command.arguments(["--role", plan.role]).environment(environment.iter().cloned());
        let log = context.options.logs.join(format!("{}-{}.log", case.id, plan.name));
        TestedProcess::start(command, fail_points, log)
    }
}

/// Leaves little stock, since what is never short is never oversold, and has some of it held.
fn set_terms(context: &CaseContext<'_>, namespace: &str) -> Result<()> {
    // Coupons of the past come after those on offer.
    let (hot, on_offer) = (CATALOGUE.hot_rooms * CATALOGUE.coupons_per_room, CATALOGUE.coupons());
    let among = |coupons: &RangeInclusive<u64>| {
        format!("coupon_id BETWEEN {} AND {}", coupons.start(), coupons.end())
    };
    let (held, contested) = (among(&HELD), among(&CONTESTED));
    let stock = |share: f64| (context.options.rate * share).max(20.0).round();
    let (of_hot, of_contested, of_others) = (stock(HOT), stock(OF_CONTESTED), stock(OTHERS));
    // Of every second coupon that is held a user may have two. The log says what the stock was from the beginning, as if the
    // seeder had given so little.
    let sql = format!(
        "UPDATE coupons SET total_stock = IF(coupon_id <= {hot}, {of_hot}, IF({contested}, {of_contested}, {of_others})), \
         remaining_stock = total_stock, hold_s = IF({held}, {HOLD_S}, 0), \
         user_limit = IF({held} AND coupon_id % 2 = 0, 2, 1), returnable = 1 WHERE coupon_id <= {on_offer}; \
         UPDATE stock_logs l JOIN coupons c ON c.coupon_id = l.coupon_id SET l.stock_after = c.total_stock \
         WHERE c.coupon_id <= {on_offer}"
    );
    let database = context.main_of(namespace)?;
    blocking(async {
        let mut connection = database.connect_alone().await?;
        connection.query_drop(sql).await?;
        connection.disconnect().await?;
        Ok(())
    })
}
