//! The tasks of the servers' backend, as the program that started them holds them.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use coupon_core::Placement;
use coupon_store::{Lifecycle, LocalFuture, Unavailable};
use tokio::runtime::Handle;

use super::tasks::Background;

/// The tasks, and the thread that runs them.
pub(super) struct Running {
    background: Arc<Background>,
    runtime: Handle,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Running {
    pub(super) const fn new(background: Arc<Background>, runtime: Handle, thread: JoinHandle<()>) -> Self {
        Self { background, runtime, thread: Mutex::new(Some(thread)) }
    }
}

impl Lifecycle for Running {
    fn make_tables(&self, placements: &[Placement]) {
        self.runtime.spawn(Arc::clone(&self.background).make_tables(placements.to_vec()));
    }

    fn drain(&self) -> LocalFuture<'_, Result<(), Unavailable>> {
        let drained = self.runtime.spawn(Arc::clone(&self.background).drain());
        Box::pin(async move {
            drained.await.unwrap_or_else(|_| Err(Unavailable::new("the service", "it is stopping")))
        })
    }

    fn close(&self) {
        self.background.signals.stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the servers' backend panicked");
        }
    }
}

/// Closes the backend: it can be opened again at once.
impl Drop for Running {
    fn drop(&mut self) {
        self.close();
    }
}
