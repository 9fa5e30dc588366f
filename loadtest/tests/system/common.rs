//! Services on small data sets, and the load they get.

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::time::Duration;

use coupon_audit::{AuditReport, Claims, Data, Scope};
use coupon_lab::Service;
use coupon_loadgen::http::{Target, post_json};
use coupon_loadgen::load::{Arrivals, LoadSpec, Outcome, run_load};
use coupon_loadgen::workload::{Catalogue, Workload};
use coupon_seeding::SeedOptions;
use coupon_service::api::Drained;
use coupon_strategies::{REGISTER, Spec};

const CATALOGUE: Catalogue = Catalogue { users: 20_000, rooms: 20, hot_rooms: 2, coupons_per_room: 5 };

/// A seeded folder, and everything that was answered about it so far.
pub(crate) struct Site {
    spec: Spec,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) claims: Claims,
    since: Option<i64>,
    more: Vec<String>,
    starts: u32,
}

impl Site {
    /// The folder of a strategy, by its name.
    pub(crate) fn seeded(strategy: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let spec = Spec::parse(strategy, NonZeroU16::new(4).unwrap(), &CATALOGUE).unwrap();
        let options = SeedOptions {
            users: CATALOGUE.users,
            rooms: CATALOGUE.rooms,
            hot_rooms: CATALOGUE.hot_rooms,
            coupons_per_room: CATALOGUE.coupons_per_room,
            ..SeedOptions::default()
        };
        let data = dir.path().join("data");
        coupon_seeding::seed(&data, &*spec.strategy().unwrap(), &options, false, &mut coupon_seeding::Silent)
            .unwrap();
        let since = Data::Folder(data).newest_result().unwrap();
        Self { spec, dir, claims: Claims::default(), since, more: Vec::new(), starts: 0 }
    }

    pub(crate) fn with(mut self, setting: &str) -> Self {
        self.more.push(setting.to_owned());
        self
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn start(&mut self) -> (Service, Target) {
        self.starts += 1;
        let mut arguments: Vec<String> =
            ["--listen", "127.0.0.1:0", "--data"].map(ToOwned::to_owned).to_vec();
        arguments.push(self.data().display().to_string());
        for setting in self.spec.settings.iter().chain(&self.more) {
            arguments.extend(["--set".to_owned(), setting.clone()]);
        }
        let log = self.dir.path().join(format!("log-{}", self.starts));
        let service = Service::start(&program(&self.spec.program), &arguments, log).unwrap();
        let target = Target::from_url(&self.spec.name, service.url()).unwrap();
        (service, target)
    }

    /// Puts the live workload on it, as fast as it answers, and remembers what it said.
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
        let drained: Drained = post_json(target, "/admin/drain", &serde_json::json!({})).unwrap();
        assert!(drained.drained);
        let scope =
            Scope { claims: Some(&self.claims), since: self.since, drained: true, ..Scope::default() };
        Data::Folder(self.data()).audit(&scope).unwrap()
    }
}

/// A service's program, built for this test run.
pub(crate) fn program(name: &str) -> PathBuf {
    static BUILD: Once = Once::new();
    BUILD.call_once(|| {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet"])
            .args(REGISTER.programs().flat_map(|name| ["--package", name]))
            .current_dir(workspace)
            .status();
        assert!(built.unwrap().success(), "the services do not build");
    });
    // This test's own program is in target/debug/deps; the services are in target/debug.
    let own = std::env::current_exe().unwrap();
    own.ancestors().nth(2).unwrap().join(name)
}
