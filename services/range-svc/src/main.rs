//! The service that shards by ranges of time or of rooms.

use std::process::ExitCode;

use range_svc::RangeSettings;

fn main() -> ExitCode {
    coupon_service::main("range-svc", "127.0.0.1:8002", "range", |shards, settings: &RangeSettings| {
        Ok(settings.strategy(shards)?)
    })
}
