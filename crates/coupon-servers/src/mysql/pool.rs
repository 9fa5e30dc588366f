//! Pools whose connections can all be given up at once: another server may suddenly be the one to use, behind the same address or
//! another, while the connections that exist still lead to the one before.

use std::sync::{Arc, Mutex, PoisonError};

use mysql_async::{Conn, DriverError, Error, Pool};
use tokio::runtime::Handle;

use super::primary::Primary;

/// One runtime's connections to a database; clones share them.
#[derive(Clone)]
pub(super) struct RenewedPool {
    primary: Arc<Primary>,
    /// The pool, and the generation of its connections; none before the first is asked for.
    current: Arc<Mutex<Option<(u64, Pool)>>>,
}

impl RenewedPool {
    pub(super) fn new(primary: &Arc<Primary>) -> Self {
        Self { primary: Arc::clone(primary), current: Arc::default() }
    }

    /// A connection to the server that is used, made after the last renewal.
    pub(super) async fn get_conn(&self) -> mysql_async::Result<Conn> {
        match self.current().await?.get_conn().await {
            // A caller that waited for a connection of a pool that is given up takes one of the next.
            Err(Error::Driver(DriverError::PoolDisconnected)) => self.current().await?.get_conn().await,
            connected => connected,
        }
    }

    /// The pool of the last renewal.
    pub(super) async fn current(&self) -> mysql_async::Result<Pool> {
        let used = self.primary.used().await?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Some((generation, pool)) if *generation >= used.generation => Ok(pool.clone()),
            _ => {
                let next = Pool::new(used.opts);
                // It closes its idle connections at once, and those in use when they come back.
                if let Some((_, old)) = current.replace((used.generation, next.clone()))
                    && let Ok(runtime) = Handle::try_current()
                {
                    runtime.spawn(old.disconnect());
                }
                Ok(next)
            }
        }
    }
}
