//! The servers of a comparison.

use std::num::NonZeroU16;
use std::sync::Arc;

use anyhow::Result;
use coupon_cli::terminal;
use coupon_lab::SharedServers;
use coupon_store::settings::ServersSettings;
use coupon_strategies::REGISTER;

use super::growth::PlannedGrowth;
use super::options::CompareOptions;

/// The servers that a comparison is to have.
#[derive(Debug, Clone)]
pub enum ServersChoice {
    /// None: contestants store in files.
    None,
    /// None for contestants; services that run already are audited on these.
    ForTargets(ServersSettings),
    /// Servers that run already.
    Given(ServersSettings),
    /// Private servers, started for this run.
    Private,
}

/// The servers of a comparison.
pub(super) struct Servers {
    /// The servers of contestants.
    pub(super) site: Option<Arc<SharedServers>>,
    /// The servers of services that run already.
    pub(super) for_targets: Option<Arc<SharedServers>>,
    /// The cores that a shard's server has, if that could be limited.
    pub(super) quota: Option<f64>,
    pub(super) warnings: Vec<String>,
}

impl Servers {
    /// Finds or starts them.
    pub(super) fn prepare(options: &CompareOptions) -> Result<Self> {
        let none = Self { site: None, for_targets: None, quota: None, warnings: Vec::new() };
        let site = match &options.servers {
            ServersChoice::None => return Ok(none),
            ServersChoice::ForTargets(settings) => {
                return Ok(Self {
                    for_targets: Some(Arc::new(SharedServers::given(settings.clone()))),
                    ..none
                });
            }
            ServersChoice::Given(settings) => SharedServers::given(settings.clone()),
            ServersChoice::Private => {
                let more = options.growth.as_ref().and_then(PlannedGrowth::shards);
                let shards = options.contestants.iter().map(|spec| spec.shards).chain(more).max();
                let engines = options.contestants.iter().filter(|spec| REGISTER.is_engines(spec.family));
                let engine = engines.map(|spec| spec.shards).max();
                terminal::progress("starting MySQL, Redis and RabbitMQ");
                let site = SharedServers::private(shards.unwrap_or(NonZeroU16::MIN), engine);
                terminal::clear_progress();
                site?
            }
        };
        let mut prepared = none;
        match options.shard_cpu.map(|cores| (cores, site.limit_cpu(cores))) {
            Some((cores, Ok(()))) => prepared.quota = Some(cores),
            Some((cores, Err(why))) => {
                prepared
                    .warnings
                    .push(format!("The shards could not be limited to {cores} cores each: {why}"));
            }
            None => {}
        }
        let site = Arc::new(site);
        Ok(Self { for_targets: Some(Arc::clone(&site)), site: Some(site), ..prepared })
    }
}
