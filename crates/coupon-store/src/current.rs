//! The catalogue as this process works by it now: swapped whole when a change comes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::Known;

/// What is known, and the version that it is of.
#[derive(Debug, Default)]
pub(crate) struct Current {
    known: RwLock<Arc<Known>>,
    version: AtomicU64,
}

impl Current {
    pub(crate) fn new(known: Known, version: u64) -> Self {
        Self { known: RwLock::new(Arc::new(known)), version: AtomicU64::new(version) }
    }

    /// What is known now.
    pub(crate) fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The version that this process works by.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Goes by another state of the catalogue from now on. The gate enforces it already: once the version has moved on, what
    /// was remembered of earlier answers is forgotten, and nobody hears an older one again.
    #[allow(dead_code, reason = "changes of the catalogue use it")]
    pub(crate) fn swap(&self, known: Known, version: u64) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
        self.version.store(version, Ordering::Release);
    }
}
