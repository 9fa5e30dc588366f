//! The main database's side: what the shards' outboxes say, applied to coupons and their stock logs.

use anyhow::Result;
use coupon_core::books::Changes;
use coupon_core::{CouponId, ShardId, Timestamp};
use coupon_store::embedded::books;
use coupon_store::embedded::folder::Folder;
use rusqlite::{Connection, OptionalExtension};

use super::Counts;
use super::shard::Shard;
use crate::options::now;

pub(super) struct Books {
    main: Connection,
}

impl Books {
    pub(super) fn open(folder: &Folder) -> Result<Self> {
        Ok(Self { main: folder.connect_main()? })
    }

    /// The position to which a shard's outbox has been applied.
    pub(super) fn position(&self, shard: ShardId) -> Result<i64> {
        Ok(books::position(&self.main, shard)?)
    }

    /// Applies what a shard's outbox still has to tell, each entry exactly once, as the service does.
    pub(super) fn settle(&mut self, shard: &Shard) -> Result<()> {
        let position = self.position(shard.id)?;
        let entries = shard.outbox(position)?;
        let mut changes = Changes::default();
        changes.take(shard.id, position, entries.iter().map(|(id, deltas)| (*id, &**deltas)))?;
        let transaction = self.main.transaction()?;
        books::apply(&transaction, changes, now())?;
        Ok(transaction.commit()?)
    }

    /// The first of the coupons whose end has not come, and its end: one that is withdrawn may be on offer again.
    pub(super) fn first_on_offer(
        &self,
        counts: &Counts,
        now: Timestamp,
    ) -> Result<Option<(CouponId, Timestamp)>> {
        let sql = "SELECT end_time FROM coupons WHERE coupon_id = ?1 AND end_time > ?2";
        let mut statement = self.main.prepare(sql)?;
        for coupon in counts.keys() {
            let wanted = (coupon.get().cast_signed(), now.millis());
            if let Some(end) = statement.query_row(wanted, |row| row.get(0)).optional()? {
                return Ok(Some((*coupon, Timestamp::from_millis(end))));
            }
        }
        Ok(None)
    }
}
