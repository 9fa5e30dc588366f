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
use coupon_service::{Program, choice};
use serde::Deserialize;

/// The service that shards by hash of the user.
pub static PROGRAM: Program<HashSettings> = Program {
    name: "hash-svc",
    listen: "127.0.0.1:8001",
    section: "hash",
    strategy: |settings, shards| Ok(Arc::new(HashSharding::from_settings(settings, shards))),
};

/// The `[hash]` section of the settings.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct HashSettings {
    /// The function that makes a hash of a user id: `xxh3` (default) or `modulo`.
    #[serde(deserialize_with = "choice")]
    pub mix: MixName,
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
}

impl HashSharding {
    /// The line that names its layout.
    pub const LAYOUT: LayoutPattern =
        LayoutPattern(&[Piece::Text("hash of user_id, mix "), Piece::Value("mix")]);

    /// Spreads users over so many shards.
    #[must_use]
    pub fn new(mix: Mix, shards: NonZeroU16) -> Self {
        Self { slots: SlotTable::new(mix, shards) }
    }

    /// The strategy that the settings ask for.
    #[must_use]
    pub fn from_settings(settings: &HashSettings, shards: NonZeroU16) -> Self {
        Self::new(settings.mix.into(), shards)
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
        Self::LAYOUT.line(&[&self.slots.mix()], self.shard_count())
    }

    fn growths(&self, shards: NonZeroU16) -> Vec<Growth> {
        vec![
            Growth { how: "move slots", after: Arc::new(Self { slots: self.slots.resharded(shards) }) },
            Growth { how: "hash % (n + 1)", after: Arc::new(Self::new(self.slots.mix(), shards)) },
        ]
    }

    fn explain(&self, row: &RowKey) -> Vec<String> {
        let (mix, slot) = (self.slots.mix(), self.slots.slot(row.user.get()));
        vec![
            format!("{mix}(user_id {}) = {:#018x}", row.user, mix.hash(row.user.get())),
            format!("slot = hash % {} = {slot}", coupon_core::SLOTS),
            format!("slot {slot} belongs to shard {}", self.slots.owner(slot)),
            format!("table {}: a shard has only one", self.home(row.user).table),
        ]
    }
}
