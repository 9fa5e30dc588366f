use std::{process::ExitCode, sync::Arc};

fn main() -> ExitCode {
    seeder::main_for("jump", |shards| Ok(Arc::new(jump_svc::Jump(shards))))
}
