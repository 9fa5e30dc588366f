use std::{process::ExitCode, sync::Arc};

use coupon_service::{NoSettings, Program};

fn main() -> ExitCode {
    let program: Program<NoSettings> = Program {
        name: "jump-svc",
        listen: "127.0.0.1:8003",
        section: "jump",
        strategy: |_, shards| Ok(Arc::new(jump_svc::Jump(shards))),
        open: coupon_service::open,
    };
    program.main()
}
