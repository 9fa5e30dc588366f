//! The contents of a folder, as they are read before the first grab.

use std::sync::Arc;

use anyhow::Context as _;
use coupon_core::{ResultId, ShardingStrategy as _};
use rusqlite::Connection;

use super::Options;
use crate::Layouts;
use crate::clock::Clock;
use crate::current::Current;
use crate::embedded::catalogue::{all_terms, note_unknown_users, read_current};
use crate::embedded::folder::Folder;
use crate::embedded::gate::MemoryGate;
use crate::embedded::loading::{LoadedShard, load_shards};
use crate::embedded::writer::table_window;
use crate::set_aside::{Place, SetAside};
use crate::settings::{DecidedBy, UnknownUsers};
use crate::terms::{AllTerms, Terms};

/// The contents of a folder.
pub(super) struct Contents {
    /// True where the database decides grabs, and keeps its stock itself.
    pub(super) keeps_stock: bool,
    pub(super) terms: Vec<Terms>,
    /// The coupons whose rows in main cannot be gone by.
    pub(super) set_aside: SetAside,
    pub(super) gate: Arc<MemoryGate>,
    pub(super) parts: Vec<LoadedShard>,
    pub(super) current: Arc<Current>,
}

impl Contents {
    /// Reads main and every shard, and rebuilds the gate from them.
    pub(super) fn read(
        decided_by: DecidedBy,
        folder: &Folder,
        main: &Connection,
        layouts: &Layouts,
        options: &Options,
        clock: &Clock,
    ) -> anyhow::Result<Self> {
        let keeps_stock = decided_by == DecidedBy::Database;
        let AllTerms { terms, found } =
            all_terms(main).with_context(|| format!("cannot read {}", folder.main_path().display()))?;
        let set_aside = SetAside::default();
        set_aside.tell(Place::Catalogue, found);
        if options.unknown_users == UnknownUsers::Accept {
            note_unknown_users(main)?;
        }
        // In the place of the database's stock it has nothing to remember.
        let remembered: &[Terms] = if keeps_stock { &[] } else { &terms };
        let gate = Arc::new(MemoryGate::new(remembered, clock.now()));
        let wanted = layouts.now().tables(table_window(clock));
        let parts = load_shards(folder, &wanted, &gate, options, clock.now())?;
        for coupon in gate.oversold() {
            tracing::error!(%coupon, "more results of this coupon are stored than there ever were");
        }
        let current = Arc::new(read_current(main, &terms, options.unknown_users)?);
        Ok(Self { keeps_stock, terms, set_aside, gate, parts, current })
    }

    /// The latest result of any shard.
    pub(super) fn latest(&self) -> Option<ResultId> {
        self.parts.iter().filter_map(|part| part.latest).max()
    }
}
