//! `range-svc`, which `loadtest faults` can break on purpose from within.

use std::process::ExitCode;

use range_svc::RangeSettings;

fn main() -> ExitCode {
    coupon_service::main("range-svc", "127.0.0.1:8002", "range", |shards, settings: &RangeSettings| {
        Ok(settings.strategy(shards)?)
    })
}
