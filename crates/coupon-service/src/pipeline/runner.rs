//! The tasks of a worker that take batches, and what makes a batch.

use std::cell::RefCell;
use std::rc::Rc;

use coupon_core::GateId;

use super::{Batcher, Queue};

/// The most turns of a worker's loop that a batch waits for more to join.
const TURNS: usize = 16;

/// One of the tasks that take batches of a gate. It makes room for another when it ends, even by a strategy's panic.
pub(super) struct Runner(pub(super) Rc<Batcher>, pub(super) GateId);

impl Runner {
    fn queue(&self) -> &RefCell<Queue> {
        &self.0.lanes.get(self.1).queue
    }

    /// Takes batch after batch until nothing waits.
    pub(super) async fn run(self) {
        loop {
            self.gather().await;
            let batch = {
                let mut queue = self.queue().borrow_mut();
                if queue.waiting.is_empty() {
                    return;
                }
                let rest = queue.waiting.len().min(self.0.limits.batch_max);
                let rest = queue.waiting.split_off(rest);
                std::mem::replace(&mut queue.waiting, rest)
            };
            self.0.process(batch).await;
        }
    }

    /// Whatever arrives together leaves together: as long as each turn of the worker's loop brings more, it may join.
    /// Those whose answers have just gone out are often back at once.
    async fn gather(&self) {
        let mut before = 0;
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
            let now = self.queue().borrow().waiting.len();
            if now == before || now >= self.0.limits.batch_max {
                return;
            }
            before = now;
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.queue().borrow_mut().runners -= 1;
    }
}
