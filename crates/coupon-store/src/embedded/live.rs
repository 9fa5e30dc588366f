//! The state that the process goes by while it serves, brought up to date when the catalogue changes.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use coupon_core::{CouponId, ShardId, Timestamp};

use rusqlite::Connection;

use super::applier::LayoutStep;
use super::catalogue::{Effect, MadeChange};
use super::gate::{MemoryGate, Past};
use super::hand_over::WriterHandle;
use super::mover::HolderLock;
use super::{folder, layouts, stock, take_up};
use crate::current::Current;
use crate::layouts::Previous;
use crate::set_aside::{Place, SetAside};
use crate::terms::Terms;
use crate::{Applied, Known, Layouts, Unavailable};

/// The gate, and what is known of the catalogue.
pub(super) struct Live {
    pub(super) current: Arc<Current>,
    pub(super) gate: Arc<MemoryGate>,
    /// The shards' files, to read from them who holds a coupon that comes to be on offer again.
    pub(super) shards: Vec<PathBuf>,
    pub(super) layouts: Arc<Layouts>,
    /// Held while all files are read: no row is between two of them.
    pub(super) turns: HolderLock,
    /// The writers, where the database is in the place of the gate.
    pub(super) stock: Option<Arc<[WriterHandle]>>,
}

impl Live {
    /// Goes by a change that main has: the gate first, then this process. Asked again, it finishes what it could not before.
    pub(super) fn follow(
        &self,
        made: MadeChange,
        set_aside: &SetAside,
        now: Timestamp,
    ) -> Result<Applied, Unavailable> {
        let MadeChange { version, changed, effect } = made;
        let known = Known::clone(&self.current.known());
        let mut added = 0;
        let known = match effect {
            Effect::Room(room) => known.with_rooms([room]),
            Effect::Users(count, all, inactive) => {
                added = count;
                known.with_users(&all, &inactive)
            }
            Effect::Coupon(coupon, terms, found, past) => {
                set_aside.tell_of(Place::Catalogue, coupon, found);
                terms.iter().try_for_each(|terms| self.offer(terms, past, now))?;
                known.with_coupons(terms.as_slice())
            }
        };
        self.current.swap(known, version);
        Ok(Applied { version, changed, added, unconfirmed: Vec::new(), gate: true })
    }

    fn offer(&self, terms: &Terms, past: Past, now: Timestamp) -> Result<(), Unavailable> {
        if let Some(writers) = &self.stock {
            return stock::offer(writers, terms);
        }
        if self.gate.offer(terms, past, now) {
            self.read_holders(terms.coupon, now)?;
            self.gate.all_read(terms.coupon);
            tracing::info!(coupon = %terms.coupon, "on offer again: its holders were read from the shards");
        }
        Ok(())
    }

    /// Has main take a step of the layout, and goes by it. Returns the versions that were gone by before, if they are others.
    pub(super) fn grow(
        &self,
        main: &Connection,
        step: &LayoutStep,
        now: Timestamp,
    ) -> Result<Option<Previous>, Unavailable> {
        let taken = layouts::take(main, step, now, &self.layouts)
            .map_err(|error| Unavailable::new("the main database", format!("{error:#}")))?;
        // Nothing fails from here on: main has it.
        Ok(taken.map(|(version, versions)| {
            let before = self.layouts.swap(versions);
            self.goes_by(version);
            before
        }))
    }

    /// Takes note of a change in main that no grab goes by.
    pub(super) fn goes_by(&self, version: u64) {
        self.current.swap(Known::clone(&self.current.known()), version);
    }

    fn read_holders(&self, coupon: CouponId, now: Timestamp) -> Result<(), Unavailable> {
        let _whole = self.turns.blocking_write();
        let connect = |shard: ShardId| -> anyhow::Result<Connection> {
            let path =
                self.shards.get(shard.index()).with_context(|| format!("there is no shard {shard}"))?;
            Ok(folder::connect_reader(path)?)
        };
        for shard in (0..).map(ShardId::new).take(self.shards.len()) {
            let read = connect(shard)
                .and_then(|db| take_up::of_coupon(&db, shard, coupon, &self.gate, now, connect));
            read.map_err(|error| Unavailable::new(format!("shard {shard}"), format!("{error:#}")))?;
        }
        Ok(())
    }
}
