//! Services on small data sets, and the load they get.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use coupon_audit::{AuditReport, Claims, Scope};
use coupon_lab::settle::{self, Patience};
use coupon_lab::{Prepared, ServiceCommand, ServiceProcess, built, seed_of};
use coupon_loadgen::http::Target;
use coupon_loadgen::load::{Arrivals, LoadSpec, Outcome, run_load};
use coupon_loadgen::workload::{CatalogueSpec, Workload};
use coupon_strategies::Spec;

const CATALOGUE: CatalogueSpec =
    CatalogueSpec { users: 20_000, rooms: 20, hot_rooms: 2, coupons_per_room: 5 };
/// The limit of a wait for everything to be stored.
const SETTLED: Duration = Duration::from_secs(60);

/// A seeded folder, and all the answers that clients got about it so far.
pub(crate) struct SeededFolder {
    spec: Spec,
    prepared: Prepared,
    claims: Claims,
    since: Option<i64>,
    settings: Vec<String>,
    // Dropped last.
    dir: tempfile::TempDir,
}

impl SeededFolder {
    /// The folder of a strategy, by its name.
    pub(crate) fn of(strategy: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let spec = Spec::parse(strategy, NonZeroU16::new(4).unwrap(), &CATALOGUE).unwrap();
        let prepared = Prepared::in_folder(&spec, &seed_of(&CATALOGUE), dir.path().join("data")).unwrap();
        let since = prepared.data.newest_result().unwrap();
        Self { spec, prepared, claims: Claims::default(), since, settings: Vec::new(), dir }
    }

    /// Adds a setting for services that start from now on.
    pub(crate) fn with(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Starts its service.
    pub(crate) fn start(&self) -> (ServiceProcess, Target) {
        let command = self.prepared.lead(ServiceCommand::new(built(&self.spec.program).unwrap()));
        let command = self.settings.iter().fold(command, |command, setting| command.setting(setting));
        let process = ServiceProcess::start(command, self.dir.path().join("service.log")).unwrap();
        let target = process.target(&self.spec.name);
        (process, target)
    }

    /// Puts the live workload on it, as fast as it answers, and remembers the answers.
    pub(crate) fn load(&mut self, target: &Target, duration: Duration, seed: u64) -> Outcome {
        let spec = LoadSpec {
            workload: Workload { catalogue: CATALOGUE, ..Workload::default() },
            connections: 32,
            duration,
            seed,
            timeout: Duration::from_secs(5),
            ..LoadSpec::new(Arrivals::Closed)
        };
        let outcome = run_load(target, &spec).unwrap();
        outcome.grabs.iter().for_each(|grab| coupon_lab::acks::claim(grab, &mut self.claims));
        outcome
    }

    /// Waits until main has applied everything, then holds what is stored against what was answered.
    pub(crate) fn audited(&self, target: &Target) -> AuditReport {
        let data = &self.prepared.data;
        settle::settle(data, &|| Ok(target.clone()), Patience::AtMost(SETTLED)).unwrap();
        let scope = Scope { claims: Some(&self.claims), since: self.since, ..Scope::default() };
        settle::audit(data, target, &scope).unwrap()
    }
}
