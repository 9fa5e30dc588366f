//! Hash sharding: a result lives on the shard that owns the slot of its user's hash.
//!
//! Everything about one user is on one shard, and writes spread evenly whatever is hot; every query without the user
//! visits all shards.

use std::num::NonZeroU16;
use std::sync::Arc;

use coupon_core::{
    Growth, LayoutPattern, Mix, Piece, Placement, Plan, ResultQuery, RouteError, RowKey, ShardingStrategy,
    SlotTable, UserId,
};
use coupon_service::{AnyProgram as _, Program, choice};
use serde::Deserialize;

/// The service that shards by hash of the user.
pub static PROGRAM: Program<HashSettings> = Program {
    name: "hash-svc",
    listen: "127.0.0.1:8001",
    section: "hash",
    strategy: |settings, shards| Ok(Arc::new(HashSharding::from_settings(settings, shards)?)),
    open: coupon_service::open,
};

/// The `[hash]` section of the settings.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct HashSettings {
    /// The function that makes a hash of a user id: `xxh3` (default) or `modulo`.
    #[serde(deserialize_with = "choice")]
    pub mix: MixName,
    /// The numbers of shards that there were before, the first one first, where slots were moved when there were more.
    pub grown: Vec<NonZeroU16>,
}

/// Settings that contradict each other. The message names the setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashSettingsError {
    /// A number of shards that did not change.
    #[error(
        "hash.grown: {0} shards follow {0} shards; after the last of the list come those that there are now"
    )]
    DidNotGrow(NonZeroU16),
}

/// A [`Mix`] as settings spell it.
#[derive(Debug, Clone, Copy, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum MixName {
    /// [`Mix::Xxh3`]
    #[default]
    Xxh3,
    /// [`Mix::Modulo`]
    Modulo,
}

impl From<MixName> for Mix {
    fn from(name: MixName) -> Self {
        match name {
            MixName::Xxh3 => Self::Xxh3,
            MixName::Modulo => Self::Modulo,
        }
    }
}

/// Places a result by `hash(user_id)`.
#[derive(Debug, Clone)]
pub struct HashSharding {
    slots: SlotTable,
    /// The numbers of shards over which it was spread before.
    before: Vec<NonZeroU16>,
}

impl HashSharding {
    /// The line that names its layout.
    pub const LAYOUT: LayoutPattern =
        LayoutPattern(&[Piece::Text("hash of user_id, mix "), Piece::Value("mix")]);

    /// The line that names its layout, if it was spread over other numbers of shards before.
    pub const LAYOUT_OF_GROWN: LayoutPattern = LayoutPattern(&[
        Piece::Text("hash of user_id, mix "),
        Piece::Value("mix"),
        Piece::Text(", grown from "),
        Piece::List("grown"),
    ]);

    /// Spreads users over so many shards.
    #[must_use]
    pub fn new(mix: Mix, shards: NonZeroU16) -> Self {
        Self::grown(mix, &[], shards)
    }

    /// Spreads users over so many shards, after they were spread over other numbers of shards, the first one first.
    #[must_use]
    pub fn grown(mix: Mix, before: &[NonZeroU16], shards: NonZeroU16) -> Self {
        let mut counts = before.iter().copied().chain([shards]);
        let first = SlotTable::new(mix, counts.next().unwrap_or(shards));
        let slots = counts.fold(first, |slots, shards| slots.resharded(shards));
        Self { slots, before: before.to_vec() }
    }

    /// The strategy that the settings ask for.
    ///
    /// # Errors
    /// [`HashSettingsError`] when they contradict each other.
    pub fn from_settings(settings: &HashSettings, shards: NonZeroU16) -> Result<Self, HashSettingsError> {
        let counts: Vec<NonZeroU16> = settings.grown.iter().copied().chain([shards]).collect();
        let same = counts.windows(2).find(|pair| matches!(pair, [before, after] if before == after));
        match same.and_then(|pair| pair.first()) {
            Some(same) => Err(HashSettingsError::DidNotGrow(*same)),
            None => Ok(Self::grown(settings.mix.into(), &settings.grown, shards)),
        }
    }

    /// The strategy over so many shards that moves as few users as an even split allows.
    #[must_use]
    pub fn resharded(&self, shards: NonZeroU16) -> Self {
        let (mix, now) = (self.slots.mix(), self.shard_count());
        // Slot s stays on shard s % n for as many slots as could stay, and needs no history.
        let divides = now.get() % shards == 0 || shards.get() % now == 0;
        if now == shards {
            return self.clone();
        }
        if self.before.is_empty() && divides {
            return Self::new(mix, shards);
        }
        // What was only ever added moves back, and nothing else.
        let counts: Vec<NonZeroU16> = self.before.iter().copied().chain([now]).collect();
        let back = self.before.iter().position(|before| *before == shards);
        let added = |at: &usize| counts.get(*at..).is_some_and(|since| since.is_sorted_by(|a, b| a < b));
        let before = back.filter(added).and_then(|at| self.before.get(..at)).unwrap_or(&counts);
        Self::grown(mix, before, shards)
    }

    /// The table of slots it routes by.
    #[must_use]
    pub const fn slots(&self) -> &SlotTable {
        &self.slots
    }

    fn home(&self, user: UserId) -> Placement {
        Placement::single(self.slots.shard(user.get()))
    }
}

impl ShardingStrategy for HashSharding {
    fn name(&self) -> &str {
        "hash"
    }

    fn shard_count(&self) -> NonZeroU16 {
        self.slots.shard_count()
    }

    fn place(&self, row: &RowKey) -> Result<Placement, RouteError> {
        Ok(self.home(row.user))
    }

    fn plan(&self, query: &ResultQuery) -> Plan {
        match query.user {
            Some(user) => Plan::One(self.home(user)),
            None if self.shard_count() == NonZeroU16::MIN => {
                Plan::One(Placement::single(self.slots.owner(0)))
            }
            None => Plan::All,
        }
    }

    fn is_even(&self, query: &ResultQuery) -> bool {
        query.user.is_none()
    }

    fn layout(&self) -> String {
        let (mix, shards) = (self.slots.mix(), self.shard_count());
        match listed(&self.before, ", ") {
            before if before.is_empty() => Self::LAYOUT.line(&[&mix], shards),
            before => Self::LAYOUT_OF_GROWN.line(&[&mix, &before], shards),
        }
    }

    fn of_layout(&self, line: &str) -> Option<Arc<dyn ShardingStrategy>> {
        PROGRAM.of_layout(&[Self::LAYOUT, Self::LAYOUT_OF_GROWN], &[], line)
    }

    fn growths(&self, shards: NonZeroU16) -> Vec<Growth> {
        vec![
            Growth { how: "move slots", after: Arc::new(self.resharded(shards)) },
            Growth { how: "hash % (n + 1)", after: Arc::new(Self::new(self.slots.mix(), shards)) },
        ]
    }

    fn explain(&self, row: &RowKey) -> Vec<String> {
        let (mix, slot) = (self.slots.mix(), self.slots.slot(row.user.get()));
        let grown = match listed(&self.before, ", then ") {
            before if before.is_empty() => before,
            before => format!(" of {}, grown from {before}", self.shard_count()),
        };
        vec![
            format!("{mix}(user_id {}) = {:#018x}", row.user, mix.hash(row.user.get())),
            format!("slot = hash % {} = {slot}", coupon_core::SLOTS),
            format!("slot {slot} belongs to shard {}{grown}", self.slots.owner(slot)),
            format!("table {}: a shard has only one", self.home(row.user).table),
        ]
    }
}

/// Numbers of shards, in order.
fn listed(counts: &[NonZeroU16], between: &str) -> String {
    counts.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}
