//! A stack as its owners use it. One is shared by all tests that do not end it, because each takes seconds to start.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod cli;
mod clients;
mod cluster;
mod engine;
mod faults;
mod gates;
mod owner;
mod replicas;
mod sentinels;

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use coupon_stack::{Stack, StackOptions};

/// The shared stack, by one test at a time. Nothing drops it: its guardian ends it, as it would any forgotten one.
fn stack() -> MutexGuard<'static, Stack> {
    static STACK: LazyLock<Mutex<Stack>> =
        LazyLock::new(|| Mutex::new(Stack::start(&StackOptions::default()).unwrap()));
    STACK.lock().unwrap_or_else(PoisonError::into_inner)
}
