//! The databases' record of the gate: main has the open epoch and the gate's place; each shard has the epochs there
//! were.
//!
//! A main that was put back to an earlier state would give an epoch out a second time, and messages of its first life
//! would pass for those of the second. So every epoch is announced to every shard before it opens, and the next one is
//! greater than any that main or a shard has heard of.
//!
//! A process that is set to another Redis finds no gate there. It must not fill one while others are well served by
//! theirs: main has the address of the gate, and when a process last found it there.

use anyhow::Context as _;
use coupon_core::ShardId;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use tokio::time::timeout;

use super::Background;
use crate::clock::Clock;
use crate::failpoints::{self, Mechanism};
use crate::servers::cluster::outbox_position;
use crate::servers::mains_time;
use crate::servers::mysql::PATIENCE;
use crate::servers::seam::ShardState;

/// Main's record of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GateState {
    pub(super) epoch: u64,
    pub(super) open_epoch: u64,
}

impl GateState {
    pub(super) async fn read(conn: &mut Conn) -> mysql_async::Result<Self> {
        let state: Option<(u64, u64)> =
            conn.query_first("SELECT epoch, open_epoch FROM gate_state WHERE id = 1").await?;
        let (epoch, open_epoch) = state.unwrap_or((0, 0));
        Ok(Self { epoch, open_epoch })
    }

    /// The epoch that grabs may use; none while a filling is under way, or before the first.
    pub(super) fn open(self) -> Option<u64> {
        (self.open_epoch > 0 && self.open_epoch == self.epoch).then_some(self.open_epoch)
    }
}

/// The greatest age of a sighting of the gate where main has it: three times as long as it takes each process to look.
const FRESH_MS: i64 = 15_000;

/// The gate's place, as main has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    address: String,
    /// The age of the last sighting there.
    age_ms: i64,
}

impl Place {
    pub(super) async fn read(conn: &mut Conn, clock: &Clock) -> mysql_async::Result<Option<Self>> {
        let now = mains_time::expression(clock);
        let sql = format!("SELECT address, {now} - seen FROM gate_record WHERE id = 1");
        let found: Option<(String, i64)> = conn.query_first(sql).await?;
        Ok(found.map(|(address, age_ms)| Self { address, age_ms }))
    }

    /// Records in main that the gate was filled at this address.
    pub(super) async fn write(conn: &mut Conn, clock: &Clock, address: &str) -> mysql_async::Result<()> {
        let now = mains_time::expression(clock);
        let sql = format!("REPLACE INTO gate_record (id, address, seen) VALUES (1, ?, {now})");
        conn.exec_drop(sql, (address,)).await
    }

    /// Records in main that the gate was found just now. A data set of before has no address yet.
    pub(super) async fn seen(conn: &mut Conn, clock: &Clock, address: &str) -> mysql_async::Result<()> {
        let now = mains_time::expression(clock);
        let sql = format!(
            "INSERT INTO gate_record (id, address, seen) VALUES (1, ?, {now}) ON DUPLICATE KEY UPDATE seen = VALUES(seen)"
        );
        conn.exec_drop(sql, (address,)).await
    }

    /// Says whether a process whose Redis is at this address may fill the gate there.
    pub(super) fn allows(&self, address: &str) -> bool {
        self.address == address || self.age_ms > FRESH_MS
    }

    /// Says whether the gate would move.
    pub(super) fn is_at(&self, address: &str) -> bool {
        self.address == address
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

impl Background {
    /// The last epoch that this shard has heard of: it was announced there, or closed. An error if the shard has less
    /// than this process has seen.
    async fn last_epoch_of(&self, shard: ShardId) -> anyhow::Result<u64> {
        let server = self.shard(shard)?;
        let ShardState { last_epoch, outbox_id, commits } = server.state().await?;
        self.floors.of(shard).check(outbox_id, commits).with_context(|| server.name())?;
        Ok(last_epoch)
    }

    /// The last epoch that any shard has heard of, of those that answer at once.
    pub(super) async fn last_epoch_known(&self) -> u64 {
        let asked = self.shards().map(|shard| timeout(PATIENCE, self.last_epoch_of(shard)));
        let answers = futures_util::future::join_all(asked).await;
        answers.into_iter().filter_map(|answer| answer.ok()?.ok()).max().unwrap_or(0)
    }

    /// Makes sure that every shard is there, belongs to the data set, and has what main has applied. Returns the last
    /// epoch that any of them has heard of.
    pub(super) async fn check_shards(&self) -> anyhow::Result<u64> {
        let mut last = 0;
        for (shard, server) in self.shard_servers() {
            let checked = async {
                let told = outbox_position(&self.cluster.main, shard).await?;
                server.check(told).await
            };
            let checked = timeout(PATIENCE, checked).await;
            checked.with_context(|| format!("{}: it does not answer", server.name()))??;
            last = last.max(self.last_epoch_of(shard).await?);
        }
        Ok(last)
    }

    /// Has every shard remember that there is this epoch. Only then may it open.
    pub(super) async fn announce(&self, epoch: u64) -> anyhow::Result<()> {
        if failpoints::is_off(Mechanism::RecordedEpochs) {
            return Ok(());
        }
        for (_, server) in self.shard_servers() {
            server.announce(epoch).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_moves_only_once_nobody_finds_it_where_it_was() {
        let place = |age_ms| Place { address: "one:6379".to_owned(), age_ms };
        assert!(place(0).allows("one:6379"), "whatever is there now has lost its memory");
        assert!(!place(FRESH_MS).allows("other:6379"));
        assert!(place(FRESH_MS + 1).allows("other:6379"));
        assert!(!place(-5_000).allows("other:6379"), "a clock of main's that was put back proves nothing");
    }

    #[test]
    fn an_epoch_is_open_when_it_is_the_last_that_was_taken() {
        let open = |epoch, open_epoch| GateState { epoch, open_epoch }.open();
        assert_eq!([open(0, 0), open(1, 0), open(2, 1), open(2, 2)], [None, None, None, Some(2)]);
    }
}
