//! The change of a layout on servers: made by the tasks, on their thread.

use std::num::NonZeroU32;
use std::sync::Arc;

use coupon_core::catalogue_change::Operator;
use coupon_store::{
    Announced, Growing, GrowthError, LocalFuture, Moving, NextLayout, Unavailable, VersionRecord,
};
use tokio::runtime::Handle;

use super::tasks::Background;

/// Changes the layout of a data set on servers.
pub(super) struct ServersGrowth {
    pub(super) background: Arc<Background>,
    pub(super) runtime: Handle,
}

impl ServersGrowth {
    /// Does something on the tasks' thread.
    fn there<T: Send + 'static, E: From<Unavailable> + Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> LocalFuture<'_, Result<T, E>> {
        let done = self.runtime.spawn(work);
        let stopping = || Unavailable::new("the service", "it is stopping");
        Box::pin(async move { done.await.unwrap_or_else(|_| Err(stopping().into())) })
    }
}

impl Growing for ServersGrowth {
    fn versions(&self) -> LocalFuture<'_, Result<Vec<VersionRecord>, GrowthError>> {
        let main = Arc::clone(&self.background.main);
        self.there(async move { Ok(main.layouts().await.map_err(Unavailable::from)?) })
    }

    fn announce(
        &self,
        next: NextLayout,
        operator: Operator,
    ) -> LocalFuture<'_, Result<Announced, GrowthError>> {
        self.there(Arc::clone(&self.background).announce_layout(next, operator))
    }

    fn refuses(&self, next: NextLayout) -> LocalFuture<'_, Result<Option<String>, GrowthError>> {
        self.there(Arc::clone(&self.background).refuses_layout(next))
    }

    fn catch_up(&self) -> LocalFuture<'_, Result<(), Unavailable>> {
        self.there(Arc::clone(&self.background).catch_up())
    }

    fn start_moving(
        &self,
        rate: NonZeroU32,
        operator: Operator,
    ) -> LocalFuture<'_, Result<Moving, GrowthError>> {
        self.there(Arc::clone(&self.background).start_moving(rate, operator))
    }

    fn stop_moving(&self) -> LocalFuture<'_, Result<Option<Moving>, GrowthError>> {
        self.there(Arc::clone(&self.background).stop_moving())
    }

    fn moving(&self) -> LocalFuture<'_, Result<Option<Moving>, GrowthError>> {
        self.there(Arc::clone(&self.background).movement_now())
    }
}
