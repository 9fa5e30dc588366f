use std::{process::ExitCode, sync::Arc};

fn main() -> ExitCode {
    coupon_service::main("jump-svc", "127.0.0.1:8003", "jump", |shards, _: &coupon_service::NoSettings| {
        Ok(Arc::new(jump_svc::Jump(shards)))
    })
}
