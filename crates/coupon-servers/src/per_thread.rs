//! One of something for each thread: connections belong to the runtime that made them, and crossing threads costs more
//! than what they are asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};

pub(super) struct PerThread<T> {
    made: Mutex<HashMap<ThreadId, Arc<T>>>,
}

impl<T> Default for PerThread<T> {
    fn default() -> Self {
        Self { made: Mutex::new(HashMap::new()) }
    }
}

impl<T> PerThread<T> {
    /// This thread's own, made when it first asks.
    pub(super) fn get(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(made.entry(thread::current().id()).or_insert_with(|| Arc::new(make())))
    }
}
