//! A writer's steps in an archive, each of them one transaction of its file at most.

use std::sync::atomic::Ordering;

use coupon_core::TableId;
use coupon_core::catalogue_change::Refused;

use super::part::{Going, TablePart};
use crate::embedded::moves;
use crate::embedded::rooms::{self, RoomKey};
use crate::embedded::transaction::Store;
use crate::embedded::writer::Writer;
use crate::statements::latest_first;
use crate::{ChangeError, HasParked, Unavailable};

/// The results that went with one step.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Gone {
    pub(super) rows: u64,
    /// The id of the last of them.
    pub(super) last: i64,
    /// True if the table went with them.
    pub(super) whole: bool,
}

impl Writer {
    /// Brings everything that is stored here into its table, and refuses what would be missed in one.
    pub(super) fn all_in_tables(&mut self) -> Result<(), ChangeError> {
        self.flush()?;
        let shard = self.shard;
        let parked: i64 = self
            .db
            .query_row("SELECT COUNT(*) FROM parked_results", [], |row| row.get(0))
            .map_err(|error| self.does_not_archive(&error))?;
        HasParked::refuse(shard, parked).or_else(|why| refused(why.to_string()))?;
        if !moves::none_leaves(&self.db).map_err(|error| self.does_not_archive(&error))? {
            return refused(format!(
                "shard {shard} has results on their way to another place, which could not arrive: a rebalance brings them there, \
                 or says what is in their way"
            ));
        }
        Ok(())
    }

    /// Lets go of a table, or of some of its rows behind an id. None are left to go when none have gone.
    pub(super) fn retire(&mut self, table: TableId, after: i64, going: &Going) -> Result<Gone, ChangeError> {
        if !self.known_tables.contains(&table) {
            return Ok(Gone::default());
        }
        // This thread is the file's only writer: the table stays as it is read here until the transaction is through.
        let next = TablePart::next_of(&self.db, table, after, going);
        let Some(part) = next.map_err(|error| self.does_not_archive(&error))? else {
            return Ok(Gone::default());
        };
        if let Some(coupon) = going.first_unnamed(&part) {
            return refused(format!("results of coupon {coupon} came late: archive again"));
        }
        if part.whole {
            // Readers that begin from now on do not look for the table.
            self.known_tables.remove(&table);
            self.list_tables();
        }
        let applied = self.state.applied.load(Ordering::Acquire);
        let retire = || {
            let mut store = Store::begin(&self.db, self.clock.now())?;
            store.retire(&part)?;
            if self.keeps_stock {
                store.take_off_retired(&part)?;
            }
            self.leave_word(&mut store, applied)?;
            store.commit()
        };
        match retire() {
            Ok(mut done) => {
                self.committed(&mut done, applied);
                going.note(&part);
                let totals = part.totals();
                self.state.take_off(totals);
                Ok(Gone { rows: totals.results, last: part.last, whole: part.whole })
            }
            Err(error) => {
                if part.whole {
                    self.known_tables.insert(table);
                    self.list_tables();
                }
                Err(self.does_not_archive(&error).into())
            }
        }
    }

    /// Takes rows out of this shard's part of the room index, behind one key up to another, that have gone from their shards.
    pub(super) fn retire_from_index(
        &self,
        (after, last): (RoomKey, RoomKey),
        going: &Going,
    ) -> Result<(), Unavailable> {
        let retired = rooms::retire(&self.db, (after, last), going.first_kept, going.at);
        retired.map_err(|error| self.does_not_archive(&error))
    }

    fn list_tables(&self) {
        self.state.set_tables(latest_first(self.known_tables.iter().copied()));
    }

    fn does_not_archive(&self, error: &rusqlite::Error) -> Unavailable {
        Unavailable::new(format!("shard {}", self.shard), error)
    }
}

pub(super) fn refused<T>(why: String) -> Result<T, ChangeError> {
    Err(Refused::Conflict(why).into())
}
