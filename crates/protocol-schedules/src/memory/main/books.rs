//! Transactions on main's books.

use std::collections::BTreeMap;

use async_trait::async_trait;
use coupon_core::books::{DeltasByCoupon, Stock};
use coupon_core::{CouponId, ShardId, Timestamp};
use coupon_servers::seam::{Books, WrittenPosting};
use tokio::sync::OwnedMutexGuard;

use super::{LogLine, Main, MainMemory};

/// A change of the books that is not committed.
enum Change {
    Posted(Box<WrittenPosting>, i64),
    Reached(ShardId, i64),
}

/// A transaction on the books.
pub(super) struct Transaction {
    main: Main,
    cuts: u64,
    turn: Option<OwnedMutexGuard<()>>,
    staged: Vec<Change>,
}

impl Transaction {
    pub(super) fn begin(main: &Main) -> Self {
        Self { main: main.clone(), cuts: main.cuts(), turn: None, staged: Vec::new() }
    }

    async fn take_turn(&mut self) -> anyhow::Result<()> {
        if self.turn.is_none() {
            let books = self.main.ask(|memory| memory.books()).await?;
            self.turn = Some(books.lock_owned().await);
        }
        Ok(())
    }

    async fn ask<T>(&self, read: impl FnOnce(&mut MainMemory) -> T) -> anyhow::Result<T> {
        let answer = self.main.ask(read).await?;
        anyhow::ensure!(self.main.cuts() == self.cuts, "the connection was lost");
        Ok(answer)
    }
}

#[async_trait]
impl Books for Transaction {
    async fn lock_position(&mut self, shard: ShardId) -> anyhow::Result<i64> {
        self.take_turn().await?;
        self.ask(|memory| memory.positions.get(&shard).copied().unwrap_or(0)).await
    }

    async fn lock_logs(&mut self) -> anyhow::Result<i64> {
        self.take_turn().await?;
        self.ask(|memory| memory.log.last().map_or(0, |line| line.id)).await
    }

    async fn parked(&mut self) -> anyhow::Result<DeltasByCoupon> {
        self.ask(|memory| memory.parked.clone()).await
    }

    async fn stocks(&mut self, coupons: &[CouponId]) -> anyhow::Result<BTreeMap<CouponId, Stock>> {
        self.ask(|memory| {
            let known = |coupon: &CouponId| Some((*coupon, *memory.stocks.get(coupon)?));
            coupons.iter().filter_map(known).collect()
        })
        .await
    }

    async fn write(&mut self, postings: &[WrittenPosting], last: i64, _: Timestamp) -> anyhow::Result<()> {
        self.ask(|_| ()).await?;
        let mut last = last;
        for written in postings {
            self.staged.push(Change::Posted(Box::new(written.clone()), last));
            last += i64::try_from(written.posting.lines.len()).unwrap_or(0);
        }
        Ok(())
    }

    async fn reach(&mut self, shard: ShardId, position: i64) -> anyhow::Result<()> {
        self.ask(|_| ()).await?;
        self.staged.push(Change::Reached(shard, position));
        Ok(())
    }

    async fn commit(self: Box<Self>) -> anyhow::Result<()> {
        let Self { main, cuts, turn, staged } = *self;
        let server = main.line.server;
        let committed = main.order(move |world, memory| {
            let whole = world.cuts(server) == cuts;
            if whole {
                staged.into_iter().for_each(|change| change.write(memory));
            }
            drop(turn);
            whole
        });
        anyhow::ensure!(committed.await?, "the connection was lost");
        Ok(())
    }

    async fn roll_back(self: Box<Self>) -> anyhow::Result<()> {
        Ok(())
    }
}

impl Change {
    fn write(self, memory: &mut MainMemory) {
        match self {
            Self::Reached(shard, position) => {
                memory.positions.insert(shard, position);
            }
            Self::Posted(written, last) => {
                let WrittenPosting { coupon, posting, parks } = *written;
                if !posting.lines.is_empty() {
                    memory.stocks.insert(coupon, posting.after);
                }
                let lines = (last + 1..).zip(&posting.lines);
                memory.log.extend(lines.map(|(id, line)| LogLine {
                    id,
                    coupon,
                    before: line.before,
                    after: line.after,
                }));
                if parks {
                    memory.parked.remove(&coupon);
                    if !posting.parked.is_empty() {
                        memory.parked.insert(coupon, posting.parked);
                    }
                }
            }
        }
    }
}
