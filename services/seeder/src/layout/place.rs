//! The place where a layout is changed: at a running service, by its endpoints, or in a folder that no service has.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use coupon_core::catalogue_change::Operator;
use coupon_core::{LayoutChange, ShardingStrategy};
use coupon_loadgen::http::{Target, get_json, post_json};
use coupon_service::api::{
    LayoutChangeRequest, LayoutChanged, LayoutView, Rebalance, RebalanceRequest, RebalanceView,
};
use coupon_service::growth::{self, RequestedChange};
use coupon_service::queries::Queries;
use coupon_store::Backend;
use coupon_store::clock::Clock;
use coupon_store::embedded::folder::{Folder, FolderError};
use coupon_store::settings::{BackendKind, NoSettings, Sources};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use crate::storage::Storage;

/// The way to make a strategy of the layout line of a folder.
pub(crate) type OfLayout<'a> = dyn Fn(&str) -> Result<Arc<dyn ShardingStrategy>> + 'a;

/// The longest that a shard's file is waited for: no other process uses it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The place where a layout is changed.
pub(super) enum Place {
    Service(Target),
    Folder(Opened),
}

/// A folder, as a service would have it.
pub(super) struct Opened {
    backend: Arc<Backend>,
    queries: Queries,
    clock: Clock,
    runtime: Runtime,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.backend.lifecycle.close();
    }
}

/// The folder that is meant.
fn data(storage: &Storage) -> Result<PathBuf> {
    let (settings, _) = storage.read()?;
    ensure!(
        settings.backend == BackendKind::Embedded,
        "on servers a layout is changed by a running service: name one with --target"
    );
    storage.refuse_strategy("the folder says how it is laid out")?;
    let data = settings.embedded.data;
    ensure!(!data.as_os_str().is_empty(), "name a running service with --target, or a folder with --data");
    Ok(data)
}

/// Says what to do where a service has a folder that was to be opened.
pub(crate) fn unlocked<T>(opened: Result<T>) -> Result<T> {
    opened.map_err(|error| match error.downcast_ref() {
        Some(FolderError::Locked { dir, holder }) => anyhow!(
            "{} is in use by another process{holder}: name the service with --target, or stop it first",
            dir.display()
        ),
        _ => error,
    })
}

impl Place {
    /// A folder, in which there are so many shards from now on, if there were fewer.
    pub(super) fn folder(storage: &Storage, of_layout: &OfLayout<'_>, shards: u16) -> Result<Self> {
        let data = data(storage)?;
        let folder = unlocked(Folder::open_any(&data).map_err(Into::into))?;
        let (layout, room_index) = (folder.layout().to_owned(), folder.room_index().is_some());
        drop(folder);
        // As a service would have it that was given no settings but the folder, and how many shards it is to have.
        let sources = Sources {
            service_defaults: "listen = \"127.0.0.1:0\"".to_owned(),
            flags: vec![
                format!("embedded.data={}", json!(data)),
                format!("shards_prepared={shards}"),
                format!("room_index={room_index}"),
            ],
            ..Sources::default()
        };
        let (settings, NoSettings {}) = sources.read("layout")?;
        let clock = Clock::system();
        let backend = Arc::new(coupon_store::open_folder(&settings, of_layout(&layout)?, &clock)?);
        let queries = Queries::new(Arc::clone(&backend), PATIENCE);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self::Folder(Opened { backend, queries, clock, runtime }))
    }

    /// The layout of a folder, which is read as it is.
    pub(super) fn look(storage: &Storage, of_layout: &OfLayout<'_>) -> Result<LayoutView> {
        let folder = unlocked(Folder::open_as_it_is(&data(storage)?).map_err(Into::into))?;
        let (versions, moving) = folder.recorded_layouts()?;
        let shards = of_layout(folder.layout())?.shard_count();
        Ok(growth::view(versions, moving.as_ref(), shards, folder.shards(), Clock::system().now()))
    }

    pub(super) fn show(&self) -> Result<LayoutView> {
        match self {
            Self::Service(target) => get_json(target, "/admin/layout"),
            Self::Folder(opened) => {
                Ok(opened.runtime.block_on(growth::show(&opened.backend, opened.clock.now()))?)
            }
        }
    }

    pub(super) fn dry_run(&self, wanted: &RequestedChange, rate: NonZeroU32) -> Result<LayoutChanged> {
        match self {
            Self::Service(target) => {
                let request = LayoutChangeRequest {
                    dry_run: Some(true),
                    rows_per_s: Some(rate.get()),
                    ..wanted.request()
                };
                post_json(target, "/admin/layout", &request)
            }
            Self::Folder(opened) => {
                let Opened { backend, queries, clock, runtime } = opened;
                let looked = growth::dry_run(backend, queries, wanted, rate, clock.now());
                let looked = runtime.block_on(looked)?;
                // The change itself makes the shards that a folder lacks.
                let made = matches!(wanted, RequestedChange::Change(LayoutChange::Shards(count)) if *count > backend.layouts.prepared());
                Ok(LayoutChanged { refused: looked.refused.filter(|_| !made), ..looked })
            }
        }
    }

    pub(super) fn change(&self, wanted: &RequestedChange, operator: Operator) -> Result<LayoutChanged> {
        match self {
            Self::Service(target) => post_json(target, "/admin/layout", &wanted.request()),
            Self::Folder(opened) => {
                Ok(opened.runtime.block_on(growth::announce(&opened.backend, wanted, operator))?)
            }
        }
    }

    pub(super) fn moving(&self) -> Result<Option<RebalanceView>> {
        match self {
            Self::Service(target) => Ok(get_json::<Rebalance>(target, "/admin/rebalance")?.rebalance),
            Self::Folder(opened) => Ok(opened.runtime.block_on(growth::rebalance(&opened.backend))?),
        }
    }

    pub(super) fn start_moving(&self, rate: NonZeroU32, operator: Operator) -> Result<()> {
        match self {
            Self::Service(target) => {
                let request = RebalanceRequest { rows_per_s: Some(rate.get()) };
                post_json::<RebalanceView>(target, "/admin/rebalance", &request).map(drop)
            }
            Self::Folder(opened) => {
                opened.runtime.block_on(opened.backend.growth.start_moving(rate, operator))?;
                Ok(())
            }
        }
    }

    pub(super) fn stop_moving(&self) -> Result<()> {
        match self {
            Self::Service(target) => {
                post_json::<Rebalance>(target, "/admin/rebalance/stop", &json!({})).map(drop)
            }
            Self::Folder(opened) => {
                opened.runtime.block_on(opened.backend.growth.stop_moving())?;
                Ok(())
            }
        }
    }
}
