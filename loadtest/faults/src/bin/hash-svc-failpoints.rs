//! `hash-svc`, which `loadtest faults` can break on purpose from within.

use std::process::ExitCode;
use std::sync::Arc;

use hash_svc::{HashSettings, HashSharding};

fn main() -> ExitCode {
    coupon_service::main("hash-svc", "127.0.0.1:8001", "hash", |shards, settings: &HashSettings| {
        Ok(Arc::new(HashSharding::from_settings(settings, shards)))
    })
}
