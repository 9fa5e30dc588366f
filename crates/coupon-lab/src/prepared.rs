//! Data that is seeded for a service, and the command line that leads the service to the data.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use coupon_audit::Data;
use coupon_core::{GrabTerms, ShardingStrategy};
use coupon_loadgen::workload::{CatalogueSpec, Workload};
use coupon_seeding::SeedOptions;
use coupon_strategies::Spec;

use super::SharedServers;
use super::process::ServiceCommand;

/// The options that seed a data set with the catalogue of a workload.
#[must_use]
pub fn seed_of(catalogue: &CatalogueSpec) -> SeedOptions {
    let CatalogueSpec { users, rooms, hot_rooms, coupons_per_room } = *catalogue;
    SeedOptions { users, rooms, hot_rooms, coupons_per_room, ..SeedOptions::default() }
}

/// The same, on the terms that the workload needs: with a checkout, what is grabbed is held, and may be handed back.
#[must_use]
pub fn seed_for(workload: &Workload) -> SeedOptions {
    let terms =
        GrabTerms { hold_s: workload.hold_s(), returnable: workload.returns(), ..GrabTerms::default() };
    SeedOptions { terms, ..seed_of(&workload.catalogue) }
}

/// Seeded data of a strategy, on which any number of processes can be started.
#[derive(Debug)]
pub struct Prepared {
    /// The data, for the auditor.
    pub data: Data,
    /// The strategy that placed the rows.
    pub strategy: Arc<dyn ShardingStrategy>,
    /// The namespace of databases, keys and queues; none in a folder.
    pub namespace: Option<String>,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
}

impl Prepared {
    /// Seeds a folder.
    ///
    /// # Errors
    /// When the strategy's settings contradict each other, or the folder cannot be seeded.
    pub fn in_folder(spec: &Spec, seed: &SeedOptions, folder: PathBuf) -> Result<Self> {
        let strategy = spec.strategy()?;
        coupon_seeding::seed(&folder, &*strategy, &its(seed, spec), false, &mut coupon_seeding::Silent)?;
        let mut arguments = arguments(spec, "servers");
        arguments.extend(["--data".to_owned(), folder.to_string_lossy().into_owned()]);
        // The environment, which the service shares, may say otherwise.
        arguments.extend(["--set", "backend=embedded"].map(str::to_owned));
        Ok(Self { data: Data::Folder(folder), strategy, namespace: None, arguments, environment: Vec::new() })
    }

    /// Seeds a namespace of servers.
    ///
    /// # Errors
    /// When the strategy's settings contradict each other, or the servers cannot be seeded.
    pub fn on_servers(
        spec: &Spec,
        seed: &SeedOptions,
        site: &SharedServers,
        namespace: String,
    ) -> Result<Self> {
        let strategy = spec.strategy()?;
        site.seed(&namespace, &*strategy, &its(seed, spec))?;
        let environment = site.environment(&namespace);
        let (data, arguments) = (site.data(&namespace)?, arguments(spec, "embedded"));
        Ok(Self { data, strategy, namespace: Some(namespace), arguments, environment })
    }

    /// Leads a service to the data.
    #[must_use]
    pub fn lead(&self, command: ServiceCommand) -> ServiceCommand {
        command.arguments(self.arguments.iter().cloned()).environment(self.environment.iter().cloned())
    }
}

/// The options of a contestant's own data: with a room index, if its service is to have one.
fn its(seed: &SeedOptions, spec: &Spec) -> SeedOptions {
    let room_index = spec.settings.iter().any(|setting| setting == "room_index=true");
    SeedOptions { room_index, ..seed.clone() }
}

/// The command line of a contestant's settings, without those of the section that only the other backend reads: a service
/// refuses these.
fn arguments(spec: &Spec, other: &str) -> Vec<String> {
    let own = spec.settings.iter().filter(|setting| setting.split('.').next() != Some(other));
    let settings = own.flat_map(|setting| ["--set".to_owned(), setting.clone()]);
    ["--shards".to_owned(), spec.shards.to_string()].into_iter().chain(settings).collect()
}
