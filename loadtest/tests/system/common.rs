//! Services on small data sets, and the load they get.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use coupon_audit::{AuditReport, Claims, Scope};
use coupon_lab::settle::{self, Patience};
use coupon_lab::{Prepared, ServiceCommand, ServiceProcess, acks, built, seed_for};
use coupon_loadgen::http::Target;
use coupon_loadgen::load::{Arrivals, LoadSpec, Outcome, run_load};
use coupon_loadgen::workload::{CatalogueSpec, Checkout, Endpoint, Requests, Workload};
use coupon_strategies::Spec;

const CATALOGUE: CatalogueSpec =
    CatalogueSpec { users: 20_000, rooms: 20, hot_rooms: 2, coupons_per_room: 5 };
/// Quick enough for loads of a second, with some that are used, handed back, and left to expire.
const CHECKOUT: Checkout = Checkout {
    confirm: 70.0,
    release: 20.0,
    expire: 10.0,
    used: 0.3,
    returned: 0.2,
    think_s: [0.0, 0.05],
    hold_s: 2,
};
/// The limit of a wait for everything to be stored.
const SETTLED: Duration = Duration::from_secs(60);

/// A seeded folder, and all the answers that clients got about it so far.
pub(crate) struct SeededFolder {
    spec: Spec,
    workload: Workload,
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
        Self::with_checkout(strategy, None)
    }

    /// The same, where what is grabbed is held, and its load takes the steps after that.
    pub(crate) fn of_a_checkout(strategy: &str) -> Self {
        Self::with_checkout(strategy, Some(CHECKOUT))
    }

    fn with_checkout(strategy: &str, checkout: Option<Checkout>) -> Self {
        let mut workload = Workload { catalogue: CATALOGUE, ..Workload::default() };
        let Requests::Scenarios(scenarios) = &mut workload.requests else { panic!("it has scenarios") };
        let grabbing = scenarios.iter_mut().filter(|scenario| scenario.asks(Endpoint::Grab));
        grabbing.for_each(|scenario| scenario.checkout = checkout);
        let dir = tempfile::tempdir().unwrap();
        let spec = Spec::parse(strategy, NonZeroU16::new(4).unwrap(), &CATALOGUE).unwrap();
        let prepared = Prepared::in_folder(&spec, &seed_for(&workload), dir.path().join("data")).unwrap();
        let since = prepared.data.newest_result().unwrap();
        Self { spec, workload, prepared, claims: Claims::default(), since, settings: Vec::new(), dir }
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

    /// Puts its workload on it, as fast as it answers, and remembers the answers.
    pub(crate) fn load(&mut self, target: &Target, duration: Duration, seed: u64) -> Outcome {
        let spec = LoadSpec {
            workload: self.workload.clone(),
            connections: 32,
            duration,
            seed,
            timeout: Duration::from_secs(5),
            ..LoadSpec::new(Arrivals::Closed)
        };
        let outcome = run_load(target, &spec).unwrap();
        acks::claim_all(&outcome, &mut self.claims);
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
