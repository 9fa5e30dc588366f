//! Other gates for a data set: all are closed, and filled anew.

use std::fmt;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use coupon_core::ShardingStrategy;
use coupon_servers::at_work::RENEWED_WITHIN;
use coupon_servers::cluster::Cluster;
use coupon_servers::fill_gates;
use coupon_servers::gates::ChangedGates;
use coupon_store::clock::Clock;
use coupon_store::settings::ServersSettings;

use super::databases::namespace;

/// What a change of the gates came to, and how long it took.
#[derive(Debug)]
pub struct RefilledGates {
    changed: ChangedGates,
    filled_in: Duration,
}

impl fmt::Display for RefilledGates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ChangedGates { before, now, closed_in } = &self.changed;
        write!(
            f,
            "before: {before}\nnow: {now}\nclosed in {:.1} s, and filled anew in {:.1} s",
            closed_in.as_secs_f64(),
            self.filled_in.as_secs_f64()
        )
    }
}

/// Has a data set go by the gates that the setting names: closes every epoch so far, and fills the gates anew. Where they are the
/// same, they are filled anew all the same.
///
/// The databases are those of `servers.namespace` or, without it, of the name of the strategy.
///
/// # Errors
/// When a service is at work on the data set, results wait in a queue, a database decides its grabs, or a server cannot be
/// asked. Where it is cut short, it is run again.
pub fn change_gates(
    settings: &ServersSettings,
    strategy: Option<&str>,
    of_layout: &dyn Fn(&str) -> Result<Arc<dyn ShardingStrategy>>,
    clock: &Clock,
) -> Result<RefilledGates> {
    let namespace = namespace(settings, strategy)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let settings = ServersSettings { namespace: namespace.as_str().to_owned(), ..settings.clone() };
        let main = Cluster::with(&settings, namespace, NonZeroU16::MIN)?;
        let label = main.label().await?.with_context(|| format!("{}: it holds no data set", main.main))?;
        let strategy = of_layout(&label.layout)?;
        let cluster = Cluster::new(&settings, &*strategy)?;
        let changed = cluster.change_gates(&settings, clock, tokio::time::sleep(RENEWED_WITHIN)).await?;
        let began = Instant::now();
        fill_gates(&settings, strategy, label.rooms.is_some(), clock).await?;
        Ok(RefilledGates { changed, filled_in: began.elapsed() })
    })
}
