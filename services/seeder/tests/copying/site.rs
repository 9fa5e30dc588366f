//! A place for a data set, of either kind.

use std::num::{NonZeroU16, NonZeroU64};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use coupon_audit::{AuditReport, Data, Scope};
use coupon_core::{GrabTerms, ShardingStrategy, Timestamp};
use coupon_seeding::{CopyOptions, CopyReport, Progress, SeedOptions, Silent, Site, audited};
use coupon_store::clock::Clock;
use rusqlite::{Connection, OpenFlags};

use crate::files::common::{shard_db, tables};
use crate::servers::common::{Place, small, stack};
use crate::service::Service;

/// A place, and the strategy of what is or will be there.
pub(crate) struct Here {
    pub(crate) strategy: Arc<dyn ShardingStrategy>,
    kind: Kind,
    /// True where the database decides grabs.
    by_database: bool,
}

enum Kind {
    Folder(tempfile::TempDir),
    Servers(Box<Place>),
}

impl Here {
    /// A folder.
    pub(crate) fn folder(name: &str, shards: u16) -> Self {
        let kind = Kind::Folder(tempfile::tempdir().unwrap());
        Self { strategy: strategy(name, shards), kind, by_database: false }
    }

    /// Databases on servers.
    pub(crate) fn servers(namespace: &str, name: &str, shards: u16) -> Self {
        let kind = Kind::Servers(Box::new(Place::new(namespace)));
        Self { strategy: strategy(name, shards), kind, by_database: false }
    }

    /// One of each kind where the database decides grabs: no setting names Redis or RabbitMQ.
    pub(crate) fn by_database(namespace: &str) -> [Self; 2] {
        let place = Place::of(without_gate(stack().addresses().settings()), namespace);
        [
            Self { by_database: true, ..Self::folder("hash", 1) },
            Self { strategy: strategy("hash", 1), kind: Kind::Servers(Box::new(place)), by_database: true },
        ]
    }

    /// One of each kind.
    pub(crate) fn both(namespace: &str, name: &str, shards: u16) -> [Self; 2] {
        [Self::folder(name, shards), Self::servers(namespace, name, shards)]
    }

    pub(crate) fn folder_path(&self) -> PathBuf {
        match &self.kind {
            Kind::Folder(dir) => dir.path().join("data"),
            Kind::Servers(_) => panic!("it is on servers"),
        }
    }

    pub(crate) fn place(&self) -> &Place {
        match &self.kind {
            Kind::Folder(_) => panic!("it is a folder"),
            Kind::Servers(place) => place,
        }
    }

    pub(crate) const fn is_folder(&self) -> bool {
        matches!(self.kind, Kind::Folder(_))
    }

    pub(crate) fn site(&self) -> Site {
        match &self.kind {
            Kind::Folder(_) => Site::Folder(self.folder_path()),
            Kind::Servers(place) => Site::Servers(Box::new(place.settings.clone())),
        }
    }

    /// The settings of what is there, as a service, or either side of a copy, takes them.
    pub(crate) fn settings(&self) -> Vec<String> {
        let shards = format!("shards={}", self.strategy.shard_count());
        match &self.kind {
            Kind::Folder(_) => {
                let data = self.folder_path().display().to_string();
                vec![shards, format!("embedded.data={}", serde_json::json!(data))]
            }
            Kind::Servers(place) => {
                let mut flags = stack().addresses().settings();
                if self.by_database {
                    flags = without_gate(flags);
                }
                flags.extend([shards, format!("servers.namespace={}", place.settings.namespace)]);
                flags
            }
        }
    }

    /// A service on it.
    pub(crate) fn service(&self) -> Service {
        self.service_of("all")
    }

    /// A process that takes grabs, stores them, or does both.
    pub(crate) fn service_of(&self, role: &str) -> Service {
        self.service_set(&format!("servers.role={role}"))
    }

    /// A service that has this setting as well.
    pub(crate) fn service_set(&self, setting: &str) -> Service {
        let mut settings = self.settings();
        settings.push(setting.to_owned());
        settings.extend(self.by_database.then(|| "grab.decided_by=database".to_owned()));
        Service::start(Arc::clone(&self.strategy), settings)
    }

    /// A number that main has, if it can be asked.
    pub(crate) fn number_in_main(&self, sql: &str) -> Option<i64> {
        match &self.kind {
            Kind::Folder(_) => {
                let path = self.folder_path().join("main.sqlite");
                let main = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
                main.query_row(sql, [], |row| row.get(0)).ok()
            }
            Kind::Servers(place) => place.try_to_ask(None, sql).ok()?[0][0].as_ref()?.parse().ok(),
        }
    }

    /// Changes a shard by hand.
    pub(crate) fn change_shard(&self, shard: u16, sql: &str) {
        assert!(self.try_to_change_shard(shard, sql), "{sql}");
    }

    /// Does so if there is what is to be changed.
    pub(crate) fn try_to_change_shard(&self, shard: u16, sql: &str) -> bool {
        match &self.kind {
            Kind::Folder(_) => {
                let path = self.folder_path().join(format!("shard-{shard}.sqlite"));
                path.exists()
                    && shard_db(&self.folder_path(), shard).execute(sql, []).is_ok_and(|rows| rows > 0)
            }
            Kind::Servers(place) => {
                let counted = "SELECT COUNT(*) FROM coupon_results";
                let changed = place.try_to_ask(Some(shard.into()), sql);
                changed.is_ok() && place.number(Some(shard.into()), counted) > 0
            }
        }
    }

    /// Puts a row of one shard's into a table of another as well; returns its id.
    pub(crate) fn double_a_row(&self) -> i64 {
        let dir = self.folder_path();
        let db = shard_db(&dir, 0);
        let other = dir.join("shard-1.sqlite").display().to_string();
        db.execute("ATTACH ?1 AS other", [other]).unwrap();
        let (mine, theirs) = (tables(&db)[0], tables(&shard_db(&dir, 1))[0]);
        let row = format!("SELECT * FROM other.{theirs} ORDER BY result_id LIMIT 1");
        db.execute(&format!("INSERT INTO main.{mine} {row}"), []).unwrap();
        db.query_row(&row, [], |row| row.get(0)).unwrap()
    }

    /// Makes a data set with a past, and with coupons of which there are three, held for ten minutes, two for each user.
    pub(crate) fn seed(&self, history: u64) {
        self.seed_as_of(history, Clock::system().now());
    }

    /// The same as of another moment.
    pub(crate) fn seed_as_of(&self, history: u64, as_of: Timestamp) {
        let terms = GrabTerms { hold_s: 600, user_limit: 2, returnable: true };
        let options = SeedOptions { users: 300, stock: Some(3), terms, as_of, ..small(history) };
        match &self.kind {
            Kind::Folder(_) => {
                coupon_seeding::seed(&self.folder_path(), &*self.strategy, &options, false, &mut Silent)
            }
            Kind::Servers(place) => {
                coupon_seeding::seed_servers(&place.settings, &*self.strategy, &options, false, &mut Silent)
            }
        }
        .unwrap();
    }

    /// Copies it to another place.
    pub(crate) fn copy_to(&self, to: &Self) -> Result<CopyReport> {
        self.copy_with(to, CopyOptions::default(), &mut Silent)
    }

    pub(crate) fn copy_with(
        &self,
        to: &Self,
        options: CopyOptions,
        progress: &mut dyn Progress,
    ) -> Result<CopyReport> {
        coupon_seeding::copy(&self.site(), None, &to.site(), &*to.strategy, options, progress)
    }

    /// The auditor's report on it.
    pub(crate) fn audit(&self) -> AuditReport {
        self.try_audit().unwrap()
    }

    /// The same where it may be nothing to be audited.
    pub(crate) fn try_audit(&self) -> Result<AuditReport> {
        self.data().audit(&Scope { drained: true, ..Scope::default() })
    }

    /// The data set, for the auditor.
    pub(crate) fn data(&self) -> Data {
        match &self.kind {
            Kind::Folder(_) => Data::Folder(self.folder_path()),
            Kind::Servers(place) => audited(&place.settings, &place.settings.namespace).unwrap(),
        }
    }

    /// The auditor finds nothing in it, and as many rows.
    pub(crate) fn assert_sound(&self, rows: u64) {
        let report = self.audit();
        assert!(report.findings.is_empty(), "{report:?}");
        assert_eq!(report.rows, rows, "{report:?}");
    }
}

/// Settings that name neither Redis nor RabbitMQ.
fn without_gate(mut settings: Vec<String>) -> Vec<String> {
    settings.retain(|set| !set.starts_with("servers.redis") && !set.starts_with("servers.rabbitmq"));
    settings
}

pub(crate) fn strategy(name: &str, shards: u16) -> Arc<dyn ShardingStrategy> {
    coupon_strategies::strategy(name, NonZeroU16::new(shards).unwrap(), &[]).unwrap()
}

/// A pace so slow that a copy can be caught half-way.
pub(crate) fn slow(rate: u64) -> CopyOptions {
    CopyOptions { rate: NonZeroU64::new(rate), ..CopyOptions::default() }
}
